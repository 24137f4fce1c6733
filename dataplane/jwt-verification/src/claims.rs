//! Claims of a JWT, and checks of their values.

use portcullis_clock::UnixMillis;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::JwtError;

/// Allowed difference between clocks, in seconds.
const CLOCK_LEEWAY_SECONDS: i64 = 60;
/// Maximum time until an assertion expires, in seconds.
const MAX_LIFETIME_SECONDS: i64 = 3600;

/// The claims of a JWT (RFC 7519, section 4).
#[derive(Clone, Deserialize)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// All claims.
    pub const fn all(&self) -> &Map<String, Value> {
        &self.0
    }

    /// A claim that is a non-empty string.
    pub fn text(&self, name: &'static str) -> Result<&str, JwtError> {
        let text = self.0.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        text.ok_or(JwtError::Claim(name))
    }

    /// Checks that a claim is this string.
    pub fn check_text(&self, name: &'static str, expected: &str) -> Result<(), JwtError> {
        if self.text(name)? == expected { Ok(()) } else { Err(JwtError::Mismatch(name)) }
    }

    /// The single audience. Several are rejected, because each of them could use the same assertion here.
    pub fn audience(&self) -> Result<&str, JwtError> {
        self.single_text("aud")
    }

    /// The single string of a claim that may also be a list.
    pub fn single_text(&self, name: &'static str) -> Result<&str, JwtError> {
        let value = match self.0.get(name) {
            Some(Value::Array(list)) => match list.as_slice() {
                [] => None,
                [one] => Some(one),
                _ => return Err(JwtError::Mismatch(name)),
            },
            value => value,
        };
        value.and_then(Value::as_str).ok_or(JwtError::Claim(name))
    }

    /// Checks `exp`, `nbf` and `iat`. Returns when the assertion is expired on every clock, so its id can be
    /// forgotten.
    pub fn check_times(&self, now: UnixMillis) -> Result<UnixMillis, JwtError> {
        let now = now.seconds();
        let expires = self.time("exp")?.ok_or(JwtError::Claim("exp"))?;
        if expires.saturating_add(CLOCK_LEEWAY_SECONDS) <= now {
            return Err(JwtError::Expired);
        }
        if expires > now.saturating_add(MAX_LIFETIME_SECONDS + CLOCK_LEEWAY_SECONDS) {
            return Err(JwtError::LifetimeTooLong);
        }
        for name in ["nbf", "iat"] {
            if self.time(name)?.is_some_and(|time| time > now.saturating_add(CLOCK_LEEWAY_SECONDS)) {
                return Err(JwtError::NotYetValid);
            }
        }
        Ok(UnixMillis(expires.saturating_add(2 * CLOCK_LEEWAY_SECONDS).saturating_mul(1000)))
    }

    /// A `NumericDate`: seconds, possibly with a fraction (RFC 7519, section 2).
    pub fn time(&self, name: &'static str) -> Result<Option<i64>, JwtError> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        if let Some(seconds) = value.as_i64() {
            return Ok(Some(seconds));
        }
        let seconds = value.as_f64().filter(|seconds| (0.0..1e12).contains(seconds));
        #[allow(clippy::cast_possible_truncation, reason = "within the range that was checked")]
        seconds.map(|seconds| Some(seconds as i64)).ok_or(JwtError::Claim(name))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::claims;

    const NOW: i64 = 1_790_000_000;

    fn times(said: Value) -> Result<i64, &'static str> {
        match claims(said).check_times(UnixMillis(NOW * 1000)) {
            Ok(until) => Ok(until.0),
            Err(JwtError::Claim(name)) => Err(name),
            Err(error) => Err(error.reason()),
        }
    }

    #[test]
    fn given_times_when_clocks_may_differ_by_a_minute_then_they_count_to_the_second() {
        for (said, good) in [
            (json!({"exp": NOW - 60}), false),
            (json!({"exp": NOW - 59}), true),
            (json!({"exp": NOW + 3660}), true),
            (json!({"exp": NOW + 3661}), false),
            (json!({"exp": NOW + 300, "nbf": NOW + 60, "iat": NOW + 60}), true),
            (json!({"exp": NOW + 300, "nbf": NOW + 61}), false),
            (json!({"exp": NOW + 300, "iat": NOW + 61}), false),
            (json!({"exp": NOW + 300, "iat": 0}), true),
            (json!({"exp": i64::MAX}), false),
            (json!({"exp": i64::MIN}), false),
        ] {
            assert_eq!(times(said.clone()).is_ok(), good, "{said}");
        }
    }

    #[test]
    fn given_an_assertion_when_its_time_is_over_on_every_clock_then_it_need_not_be_remembered_any_more() {
        assert_eq!(times(json!({"exp": NOW + 300})), Ok((NOW + 300 + 120) * 1000));
    }

    #[test]
    fn given_a_date_when_it_is_a_number_with_or_without_a_fraction_then_it_is_taken_and_nothing_else_is() {
        assert_eq!(times(json!({"exp": 1_790_000_300.75})), Ok((NOW + 300 + 120) * 1000));
        for said in [
            json!({}),
            json!({"exp": null}),
            json!({"exp": "1790000300"}),
            json!({"exp": 1e12}),
            json!({"exp": -0.5}),
            json!({"exp": u64::MAX}),
        ] {
            assert_eq!(times(said.clone()), Err("exp"), "{said}");
        }
        assert_eq!(times(json!({"exp": NOW + 300, "nbf": "now"})), Err("nbf"));
    }

    #[test]
    fn given_an_audience_when_it_is_one_text_or_a_list_of_one_then_it_is_that() {
        for said in [json!("a"), json!(["a"])] {
            assert_eq!(claims(json!({"aud": said})).audience().unwrap(), "a");
        }
        for said in [json!(["a", "b"]), json!(["a", "a", "a"])] {
            let refused = claims(json!({"aud": said}));
            assert!(matches!(refused.audience(), Err(JwtError::Mismatch("aud"))), "{said}");
        }
        for said in [json!([]), json!([1]), json!(1), json!(null), json!({"a": "a"})] {
            let refused = claims(json!({"aud": said}));
            assert!(matches!(refused.audience(), Err(JwtError::Claim("aud"))), "{said}");
        }
    }
}
