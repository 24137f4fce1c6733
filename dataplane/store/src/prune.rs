//! Deleting what is over, a little at a time: one statement must neither run into its time limit nor keep others from many rows.

use crate::{Store, StoreError};

/// How many rows one statement deletes.
macro_rules! batch_limit {
    () => {
        "200"
    };
}

/// The statement that deletes a few of the rows of which a condition on a time (`$1`) holds. The condition stands twice: a row
/// that somebody changes while its turn comes is looked at again by the outer one alone.
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

/// As many rounds at a time: whoever deletes on the way to something else has to come to it.
const MAX_BATCHES: usize = 500;

impl Store {
    /// Runs statements that [`delete_batch!`] made, each until nothing is left of which it could hold.
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
