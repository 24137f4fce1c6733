//! Arguments for a graceful shutdown.

use std::num::ParseIntError;
use std::time::Duration;

use clap::Args;

/// Graceful shutdown after SIGTERM or SIGINT. A second signal ends the process at once.
#[derive(Args, Clone)]
pub(super) struct ShutdownArgs {
    /// Time to continue serving after readiness is withdrawn, until load balancers stop sending traffic.
    /// Default: 5s in a cluster, 0s otherwise.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) shutdown_delay: Option<Duration>,
    /// Time for calls in progress to finish after that.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    pub(super) drain: Duration,
}

impl Default for ShutdownArgs {
    fn default() -> Self {
        Self { shutdown_delay: None, drain: Duration::from_secs(30) }
    }
}

/// Why a text is not a length of time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum DurationError {
    #[error("invalid time \"{text}\"; use for example 500ms, 5s or 2m")]
    Number { text: String, source: ParseIntError },
    #[error("unknown time unit \"{0}\"; use ms, s or m")]
    Unit(String),
}

/// Parses `500ms`, `5s` or `2m`. A number without a unit is in seconds.
fn duration(text: &str) -> Result<Duration, DurationError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u32 =
        number.parse().map_err(|source| DurationError::Number { text: text.to_owned(), source })?;
    match unit {
        "ms" => Ok(Duration::from_millis(number.into())),
        "" | "s" => Ok(Duration::from_secs(number.into())),
        "m" => Ok(Duration::from_secs(u64::from(number) * 60)),
        _ => Err(DurationError::Unit(unit.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_time_in_words_when_read_then_units_count_and_nonsense_is_refused() {
        for (text, millis) in [("500ms", 500), ("5s", 5_000), ("0", 0), ("7", 7_000), ("2m", 120_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "5h", "-1s", "1.5s", "99999999999s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
