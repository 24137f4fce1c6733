//! The log that every replica follows: grants that were revoked, people who are described anew, accounts that were connected and
//! disconnected.
//!
//! A line carries the time at which its writer set out to write it, by the writer's clock, and can be read once it is committed. A
//! reader asks for what is not older than its last reading, by the reader's clock, less an overlap. So a line is missed only where
//! *the time from setting out to commit* plus *what the reader's clock is ahead of the writer's* exceeds the overlap. The first is
//! bounded by the limits on connecting and answering in `database.rs`, on both ends of the connection: below 10 seconds. With the
//! overlap of two minutes that `identity` reads with, clocks may be 100 seconds apart; replicas that are further apart than that
//! (no time service at all) would hear of each other's revocations only when they start anew. A reader whose clock is behind reads
//! lines from its future, which does no harm: nothing here compares `changed_at` with the present.
//!
//! Everybody reads from the database that is written to, never from a standby, which may lag.

use sqlx::AnyConnection;

use crate::{Store, StoreError};

pub(crate) const REVOKED_GRANT: &str = "grant";
pub(crate) const CHANGED_PRINCIPAL: &str = "principal";
pub(crate) const CONNECTED: &str = "connected";
pub(crate) const DISCONNECTED: &str = "disconnected";

/// How long a connection's change is kept, in milliseconds: far longer than a replica relies on its memory alone.
const CONNECTION_CHANGE_RETENTION_MS: i64 = 24 * 3600 * 1000;

/// How much longer than needed a line is kept, in milliseconds: whoever deletes may have a clock that is ahead of others'.
const RETENTION_MARGIN_MS: i64 = 10 * 60 * 1000;

/// Something that every replica must hear of at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityChangeRow {
    /// What changed.
    pub change: IdentityChange,
    /// When; later changes of the same thing replace earlier ones.
    pub changed_at: i64,
    /// Nobody needs to know of it after this.
    pub expires_at: i64,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum IdentityChange {
    /// The grant with this id ended.
    RevokedGrant(String),
    /// The person with this id is described anew.
    ChangedPrincipal(String),
}

/// A person's account at an origin was connected or disconnected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionChangeRow {
    /// Whose, as a principal's id.
    pub principal_id: String,
    /// At which origin.
    pub origin_uid: String,
    /// Which of both.
    pub connected: bool,
    /// When; later changes of the same kind replace earlier ones.
    pub changed_at: i64,
}

impl Store {
    /// Ends a grant and logs it for every replica until `heard_by`. Returns whether it had not ended before.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn revoke_grant(&self, id: &str, now: i64, heard_by: i64) -> Result<bool, StoreError> {
        self.transaction(async |work| {
            let ended = sqlx::query(
                "UPDATE grants SET revoked_at = $2
                 WHERE id = $1 AND revoked_at IS NULL",
            )
            .bind(id)
            .bind(now)
            .execute(&mut *work)
            .await?
            .rows_affected()
                > 0;
            if ended {
                log_change(work, REVOKED_GRANT, id, now, heard_by).await?;
            }
            Ok(ended)
        })
        .await
    }

    /// What changed at or after a time and still matters, in no order.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn changes_since(&self, since: i64, now: i64) -> Result<Vec<IdentityChangeRow>, StoreError> {
        let rows: Vec<(String, String, i64, i64)> = self
            .rows(
                sqlx::query_as(
                    "SELECT kind, subject, changed_at, expires_at
                     FROM identity_changes
                     WHERE changed_at >= $1 AND expires_at > $2 AND kind NOT IN ($3, $4)",
                )
                .bind(since)
                .bind(now)
                .bind(CONNECTED)
                .bind(DISCONNECTED),
            )
            .await?;
        let change = |kind: &str, subject| match kind {
            REVOKED_GRANT => Some(IdentityChange::RevokedGrant(subject)),
            CHANGED_PRINCIPAL => Some(IdentityChange::ChangedPrincipal(subject)),
            // About connections, or written by a newer version: it is not about anything that this one remembers.
            _ => None,
        };
        Ok(rows
            .into_iter()
            .filter_map(|(kind, subject, changed_at, expires_at)| {
                change(&kind, subject).map(|change| IdentityChangeRow { change, changed_at, expires_at })
            })
            .collect())
    }

    /// Which accounts were connected and disconnected at or after a time, in no order.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn connection_changes_since(
        &self,
        since: i64,
        now: i64,
    ) -> Result<Vec<ConnectionChangeRow>, StoreError> {
        let rows: Vec<(String, String, i64)> = self
            .rows(
                sqlx::query_as(
                    "SELECT kind, subject, changed_at
                     FROM identity_changes
                     WHERE changed_at >= $1 AND expires_at > $2 AND kind IN ($3, $4)",
                )
                .bind(since)
                .bind(now)
                .bind(CONNECTED)
                .bind(DISCONNECTED),
            )
            .await?;
        Ok(rows
            .into_iter()
            .filter_map(|(kind, subject, changed_at)| {
                let (principal_id, origin_uid) = subject.split_once(' ')?;
                Some(ConnectionChangeRow {
                    principal_id: principal_id.to_owned(),
                    origin_uid: origin_uid.to_owned(),
                    connected: kind == CONNECTED,
                    changed_at,
                })
            })
            .collect())
    }

    /// Forgets changes that nobody needs to know of any more.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn prune_changes(&self, now: i64) -> Result<(), StoreError> {
        self.prune(
            &[delete_batch!("identity_changes", "kind, subject", "expires_at <= $1")],
            now.saturating_sub(RETENTION_MARGIN_MS),
        )
        .await
    }
}

/// Writes one line of the log, within the transaction that makes it true. A second change of the same thing has a later time
/// than the first, even within a millisecond: that is how replicas tell them apart.
pub(crate) async fn log_change(
    work: &mut AnyConnection,
    kind: &str,
    subject: &str,
    now: i64,
    heard_by: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO identity_changes (kind, subject, changed_at, expires_at)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (kind, subject) DO UPDATE SET expires_at = excluded.expires_at,
             changed_at = CASE WHEN excluded.changed_at > identity_changes.changed_at THEN excluded.changed_at
                               ELSE identity_changes.changed_at + 1 END",
    )
    .bind(kind)
    .bind(subject)
    .bind(now)
    .bind(heard_by)
    .execute(work)
    .await?;
    Ok(())
}

/// Writes down that an account was connected or disconnected. No principal's id contains a space.
pub(crate) async fn log_connection_change(
    work: &mut AnyConnection,
    kind: &str,
    principal_id: &str,
    origin_uid: &str,
    now: i64,
) -> Result<(), sqlx::Error> {
    let subject = format!("{principal_id} {origin_uid}");
    log_change(work, kind, &subject, now, now.saturating_add(CONNECTION_CHANGE_RETENTION_MS)).await
}
