//! Formats times for pages and the API. All times are in UTC, because the reader's time zone is unknown.

use jiff::Timestamp;
use portcullis_clock::UnixMillis;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// RFC 3339, in seconds.
pub(crate) fn rfc3339(at: UnixMillis) -> String {
    Timestamp::from_second(at.seconds()).map(|time| time.to_string()).unwrap_or_default()
}

/// `4 November 2026`.
pub(crate) fn date(at: UnixMillis) -> String {
    Timestamp::from_second(at.seconds())
        .map(|time| time.strftime("%-d %B %Y").to_string())
        .unwrap_or_default()
}

/// How long ago, in hours or days; the date after 60 days.
pub(crate) fn ago(at: UnixMillis, now: UnixMillis) -> String {
    let seconds = now.since(at).as_secs();
    let count = |size: u64, name: &str| {
        let number = seconds / size;
        format!("{number} {name}{} ago", if number == 1 { "" } else { "s" })
    };
    match seconds {
        0..HOUR => "within the last hour".to_owned(),
        HOUR..DAY => count(HOUR, "hour"),
        _ if seconds < 60 * DAY => count(DAY, "day"),
        _ => format!("on {}", date(at)),
    }
}

/// A time on a page, as RFC 3339 and in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DisplayTime {
    /// RFC 3339.
    pub(crate) exact: String,
    pub(crate) words: String,
}

impl DisplayTime {
    /// The date of a time.
    pub(crate) fn date(at: UnixMillis) -> Self {
        Self { exact: rfc3339(at), words: date(at) }
    }

    /// How long ago a time was.
    pub(crate) fn relative(at: UnixMillis, now: UnixMillis) -> Self {
        Self { exact: rfc3339(at), words: ago(at, now) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_times_when_shown_then_machines_and_people_can_read_them() {
        let at = UnixMillis(1_793_786_400_500);
        assert_eq!(rfc3339(at), "2026-11-04T10:00:00Z");
        assert_eq!(date(at), "4 November 2026");
    }

    #[test]
    fn given_how_long_ago_when_shown_then_it_is_no_more_exact_than_known() {
        let now = UnixMillis(1_793_786_400_000);
        let said = |seconds: i64| ago(UnixMillis(now.0 - seconds * 1000), now);
        assert_eq!(said(-5), "within the last hour", "a clock that is ahead");
        assert_eq!(said(3_599), "within the last hour");
        assert_eq!(said(3_600), "1 hour ago");
        assert_eq!(said(23 * 3_600), "23 hours ago");
        assert_eq!(said(86_400 * 3), "3 days ago");
        assert_eq!(said(86_400 * 61), "on 4 September 2026");
    }
}
