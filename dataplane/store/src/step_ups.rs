use sqlx::AnyConnection;

use crate::text::text;
use crate::{Store, StoreError};

/// What an origin has asked one person's account for beyond what it had.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct StepUpRow {
    /// Whose account.
    pub principal_id: String,
    /// At which origin.
    pub origin_uid: String,
    /// The origin's URL when it asked; it is good for no other.
    pub origin_url: String,
    /// All the scopes that it has asked for, separated by spaces.
    pub wanted: String,
    /// Those of them that the last consent asked for; empty where none did.
    pub asked: String,
    /// When that consent was.
    pub asked_at: i64,
}

impl Store {
    /// What an origin has asked one person's account for.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn step_up(
        &self,
        principal_id: &str,
        origin_uid: &str,
    ) -> Result<Option<StepUpRow>, StoreError> {
        self.row(
            sqlx::query_as(
                "SELECT principal_id, origin_uid, origin_url, wanted, asked, asked_at
                 FROM step_ups
                 WHERE principal_id = $1 AND origin_uid = $2",
            )
            .bind(principal_id)
            .bind(origin_uid),
        )
        .await
    }

    /// Notes that an origin asks for more; `before` is what was read, if anything was. `false` when that has changed meanwhile.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn put_step_up(&self, row: &StepUpRow, before: Option<&StepUpRow>) -> Result<bool, StoreError> {
        let (wanted, asked) =
            before.map_or(("", ""), |before| (before.wanted.as_str(), before.asked.as_str()));
        let done = self
            .execute(
                sqlx::query(
                    "INSERT INTO step_ups (principal_id, origin_uid, origin_url, wanted, asked, asked_at)
                     VALUES ($1, $2, $3, $4, $5, $6)
                     ON CONFLICT (principal_id, origin_uid)
                     DO UPDATE SET origin_url = excluded.origin_url, wanted = excluded.wanted,
                         asked = excluded.asked, asked_at = excluded.asked_at
                     WHERE step_ups.wanted = $7 AND step_ups.asked = $8",
                )
                .bind(&row.principal_id)
                .bind(&row.origin_uid)
                .bind(&row.origin_url)
                .bind(text(&row.wanted))
                .bind(text(&row.asked))
                .bind(row.asked_at)
                .bind(wanted)
                .bind(asked),
            )
            .await?;
        Ok(done == 1)
    }

    /// Notes what a person was asked for and has consented to.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn record_step_up(
        &self,
        principal_id: &str,
        origin_uid: &str,
        asked: &str,
        now: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "UPDATE step_ups SET asked = $3, asked_at = $4
                 WHERE principal_id = $1 AND origin_uid = $2",
            )
            .bind(principal_id)
            .bind(origin_uid)
            .bind(text(asked))
            .bind(now),
        )
        .await?;
        Ok(())
    }
}

/// Forgets it, with the connection.
pub(crate) async fn delete_step_up(
    work: &mut AnyConnection,
    principal_id: &str,
    origin_uid: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM step_ups WHERE principal_id = $1 AND origin_uid = $2")
        .bind(principal_id)
        .bind(origin_uid)
        .execute(work)
        .await?;
    Ok(())
}
