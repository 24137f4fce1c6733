//! `Duration`: a length of time with units, like `15m`.

use std::fmt;
use std::str::FromStr;

/// Pattern in the schema. [`Duration::from_str`] accepts the same texts, except numbers that overflow.
pub(super) const PATTERN: &str = "^([0-9]+(ms|s|m|h|d))+$";

/// A length of time with units: `500ms`, `15m`, `1h30m`, `30d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(std::time::Duration);

/// The text is not a duration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a duration; use a number and a unit (ms, s, m, h, d), like 500ms, 15m or 30d")]
pub struct DurationError(String);

impl Duration {
    /// A duration of `seconds` seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(std::time::Duration::from_secs(seconds))
    }

    /// The duration in seconds, rounded up: only a zero duration becomes 0.
    #[must_use]
    pub fn as_secs(self) -> u64 {
        self.0.as_secs().saturating_add(u64::from(self.0.subsec_nanos() > 0))
    }

    /// The duration in milliseconds.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        millis(text)
            .map(|millis| Self(std::time::Duration::from_millis(millis)))
            .ok_or_else(|| DurationError(text.to_owned()))
    }
}

fn millis(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total: u64 = 0;
    loop {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        let factor: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
        if after.is_empty() {
            return Some(total);
        }
        rest = after;
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.as_millis();
        for (factor, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")] {
            if millis > 0 && millis.is_multiple_of(factor) {
                return write!(f, "{}{unit}", millis / factor);
            }
        }
        write!(f, "{millis}ms")
    }
}

super::string_value!(
    Duration,
    "Duration",
    PATTERN,
    32,
    "A length of time with a unit: 500ms, 60s, 15m, 8h, 30d."
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn given_numbers_with_units_when_parsed_then_they_add_up() {
        for (text, millis) in [
            ("500ms", 500),
            ("60s", 60_000),
            ("15m", 900_000),
            ("1h30m", 5_400_000),
            ("30d", 2_592_000_000),
            ("0s", 0),
        ] {
            assert_eq!(text.parse::<Duration>().map(Duration::as_millis), Ok(millis), "{text}");
        }
    }

    #[test]
    fn given_anything_else_when_parsed_then_the_error_names_it_and_shows_the_form() {
        for text in ["15 bananas", "15", "", "m", "15M", "-1s", "1.5h", "15m ", "99999999999999999999d", "1w"]
        {
            let error = text.parse::<Duration>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("'{text}' is not a duration")) && error.contains("15m"),
                "{error}"
            );
        }
    }

    #[test]
    fn given_part_of_a_second_when_seconds_are_asked_for_then_they_are_rounded_up() {
        assert_eq!("500ms".parse::<Duration>().map(Duration::as_secs), Ok(1));
        assert_eq!("2s".parse::<Duration>().map(Duration::as_secs), Ok(2));
    }

    proptest! {
        #[test]
        fn given_any_duration_when_written_and_read_then_it_is_the_same(millis in 0..u64::MAX / 2) {
            let duration = Duration(std::time::Duration::from_millis(millis));
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }
    }
}
