//! Clock and randomness. Both are passed in, so that tests control them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A point in time: milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// Whole seconds since the Unix epoch (a JWT's `NumericDate`).
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This much later; saturates.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This many seconds later; saturates.
    #[must_use]
    pub fn after_seconds(self, seconds: u64) -> Self {
        self.after(Duration::from_secs(seconds))
    }

    /// How much later this is than `earlier`; zero when it is not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// Tells the time.
#[derive(Clone)]
pub struct Clock(ClockSource);

#[derive(Clone)]
enum ClockSource {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(ClockSource::System)
    }

    /// A clock that moves only when told to ([`Clock::advance`]).
    #[must_use]
    pub fn manual(start: UnixMillis) -> Self {
        Self(ClockSource::Manual(Arc::new(AtomicI64::new(start.0))))
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        match &self.0 {
            #[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
            ClockSource::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
            ClockSource::Manual(now) => UnixMillis(now.load(Ordering::Relaxed)),
        }
    }

    /// Moves a manual clock forward; does nothing to the machine's.
    pub fn advance(&self, by: Duration) {
        if let ClockSource::Manual(now) = &self.0 {
            now.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::Relaxed);
        }
    }
}

/// The operating system gave no randomness: nothing secret can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRandomness;

impl std::fmt::Display for NoRandomness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "the operating system's random source does not answer; nothing secret can be made until it does",
        )
    }
}

impl std::error::Error for NoRandomness {}

/// Makes secrets.
#[derive(Clone, Debug, Default)]
pub struct Random(());

impl Random {
    /// The operating system's generator.
    #[must_use]
    pub fn system() -> Self {
        Self(())
    }

    /// Fills an array.
    ///
    /// # Errors
    /// When the operating system's source does not answer.
    pub fn bytes<const N: usize>(&self) -> Result<[u8; N], NoRandomness> {
        let mut bytes = [0; N];
        #[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's randomness")]
        getrandom::fill(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(bytes)
    }

    /// 256 random bits, base64url without padding: for codes, tokens, states and identifiers that must not be guessed.
    ///
    /// # Errors
    /// When the operating system's source does not answer.
    pub fn token(&self) -> Result<String, NoRandomness> {
        Ok(URL_SAFE_NO_PAD.encode(self.bytes::<32>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_manual_clock_when_advanced_then_it_tells_the_later_time() {
        let clock = Clock::manual(UnixMillis(1_000));
        clock.clone().advance(Duration::from_secs(2));
        assert_eq!(clock.now(), UnixMillis(3_000));
    }

    #[test]
    fn given_two_tokens_then_they_differ_and_are_url_safe() {
        let random = Random::system();
        let (a, b) = (random.token().unwrap(), random.token().unwrap());
        assert_ne!(a, b);
        assert!(a.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_'));
    }
}
