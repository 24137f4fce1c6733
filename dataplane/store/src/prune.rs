//! Deletes expired rows in batches. One large statement could exceed its time limit and lock many rows.

use crate::{Store, StoreError};

/// Rows that one statement deletes.
macro_rules! batch_limit {
    () => {
        "200"
    };
}

/// A statement that deletes one batch of the rows that match a condition on a time (`$1`). The condition
/// occurs twice, because PostgreSQL checks only the outer one again if a row changes concurrently.
macro_rules! delete_batch {
    ($table:literal, $key:literal, $over:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE (",
            $key,
            ") IN (SELECT ",
            $key,
            " FROM ",
            $table,
            " WHERE ",
            $over,
            " LIMIT ",
            batch_limit!(),
            ") AND ",
            $over
        )
    };
}

/// Maximum number of batches per call, because some callers prune before their actual work.
const MAX_BATCHES: usize = 500;

impl Store {
    /// Runs statements of [`delete_batch!`], each until no row matches or [`MAX_BATCHES`] is reached.
    pub(crate) async fn prune(&self, statements: &[&'static str], time: i64) -> Result<(), StoreError> {
        for statement in statements {
            for _ in 0..MAX_BATCHES {
                if self.execute(sqlx::query(*statement).bind(time)).await? == 0 {
                    break;
                }
            }
        }
        Ok(())
    }
}
