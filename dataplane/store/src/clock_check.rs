//! Compares the clock of this replica with the clock of the database, which all replicas share.
//!
//! Changes carry the times of their writers, and each reader asks for changes since a time of its own clock. With
//! clocks that differ too much a reader misses changes, revocations among them (`change_log.rs`).

use crate::dialect::Dialect;
use crate::{Store, StoreError};

/// Maximum difference between the clock of a replica and the clock of the database, in milliseconds. The clocks
/// of two replicas then differ by at most a minute, which the overlap of the readers covers.
const MAX_CLOCK_DIFFERENCE_MS: i64 = 30_000;

impl Store {
    /// Checks that a clock agrees with the database's. `now` reads the clock in Unix milliseconds; the check
    /// reads it before and after the database, so a slow answer is no difference. SQLite uses the clock of this
    /// machine, so there is nothing to compare.
    ///
    /// # Errors
    /// [`StoreError::ClockDifference`] if they differ by more than 30 seconds, or when the database fails or
    /// does not respond in time.
    pub async fn check_clock(&self, now: impl Fn() -> i64) -> Result<(), StoreError> {
        if self.database.dialect() == Dialect::Sqlite {
            return Ok(());
        }
        let before = now();
        let read: Option<(i64,)> = self
            .row(sqlx::query_as("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"))
            .await?;
        match read {
            Some((database,)) => compare(before, database, now()),
            None => Ok(()),
        }
    }
}

/// Compares the database's time with the times of this replica before and after it was read.
fn compare(before: i64, database: i64, after: i64) -> Result<(), StoreError> {
    let ahead = before.saturating_sub(database);
    let behind = database.saturating_sub(after);
    let (difference, direction) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
    if difference <= MAX_CLOCK_DIFFERENCE_MS {
        return Ok(());
    }
    Err(StoreError::ClockDifference { seconds: difference / 1000, direction })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_clock_when_it_differs_from_the_databases_then_30_seconds_are_tolerated() {
        let now = 1_790_000_000_000;
        for (before, after, agrees) in [
            (now, now, true),
            (now - 3_000, now + 3_000, true),
            (now + 30_000, now + 30_000, true),
            (now + 30_001, now + 30_001, false),
            (now - 30_000, now - 30_000, true),
            (now - 40_000, now - 30_001, false),
            (i64::MIN, i64::MIN, false),
            (i64::MAX, i64::MAX, false),
        ] {
            assert_eq!(compare(before, now, after).is_ok(), agrees, "{before} {after}");
        }
        let error = compare(now + 600_000, now, now + 600_100).unwrap_err().to_string();
        assert!(error.contains("600 s ahead of") && error.contains("NTP"), "{error}");
    }
}
