//! Step-up requests: additional scopes that origins requested.

use sqlx::AnyConnection;

use crate::text::text;
use crate::{Store, StoreError};

/// Scopes that an origin requested beyond those of a user's connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct StepUpRow {
    /// Id of the principal.
    pub principal_id: String,
    /// UID of the origin.
    pub origin_uid: String,
    /// The origin's URL at that time. The row is valid only for this URL.
    pub origin_url: String,
    /// All scopes that the origin has requested, separated by spaces.
    pub wanted: String,
    /// Those of them that the last consent requested; empty if none did.
    pub asked: String,
    /// Time of that consent.
    pub asked_at: i64,
}

impl Store {
    /// The additional scopes that an origin requested for a user's connection.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
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

    /// Stores a request for additional scopes. `before` is the row that was read, if any. `false` if it has
    /// changed meanwhile.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
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

    /// Records the scopes that the last consent requested.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
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

/// Deletes the row, together with the connection.
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
