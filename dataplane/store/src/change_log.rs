//! The change log that every replica reads: revoked grants, changed principals, and connected and
//! disconnected accounts.
//!
//! `changed_at` of a row is the time at which its writer started to write it, by the writer's clock. Readers
//! see the row after its commit. A reader requests rows since its last read, by its own clock, minus an
//! overlap. It misses a row only if the overlap is shorter than the sum of:
//! * the time between the start of the write and its commit. The connection and statement limits in
//!   `database.rs` and on the server keep it below 10 seconds.
//! * the time by which the reader's clock is ahead of the writer's.
//!
//! `authorization-server` and `origin-auth` read with an overlap of two minutes, so clocks may differ by 100
//! seconds. Before each read they compare their clock with the database's (`clock_check.rs`). A replica whose
//! clock differs by more than 30 seconds does not read, is not ready, and accepts no tokens. A reader whose clock
//! is behind reads rows with future times. This is harmless, because nothing here compares `changed_at` with the
//! current time.
//!
//! All replicas read from the primary database, never from a standby, which can lag.

use sqlx::AnyConnection;

use crate::{Store, StoreError};

pub(crate) const REVOKED_GRANT: &str = "grant";
pub(crate) const CHANGED_PRINCIPAL: &str = "principal";
pub(crate) const CONNECTED: &str = "connected";
pub(crate) const DISCONNECTED: &str = "disconnected";

/// How long a connection's change is kept, in milliseconds. Replicas rely on cached connections for a much
/// shorter time.
const CONNECTION_CHANGE_RETENTION_MS: i64 = 24 * 3600 * 1000;

/// How much longer than needed a row is kept, in milliseconds, in case the clock of the deleting replica is
/// ahead.
const RETENTION_MARGIN_MS: i64 = 10 * 60 * 1000;

/// A change that every replica must apply promptly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityChangeRow {
    /// The change.
    pub change: IdentityChange,
    /// Time of the change. A later change of the same thing replaces an earlier one.
    pub changed_at: i64,
    /// After this time the change is irrelevant.
    pub expires_at: i64,
}

/// A change of a grant or a principal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum IdentityChange {
    /// The grant with this id was revoked.
    RevokedGrant(String),
    /// The description of the principal with this id changed.
    ChangedPrincipal(String),
}

/// A user's account at an origin was connected or disconnected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionChangeRow {
    /// Id of the principal.
    pub principal_id: String,
    /// UID of the origin.
    pub origin_uid: String,
    /// True if it was connected, false if it was disconnected.
    pub connected: bool,
    /// Time of the change. A later change of the same type replaces an earlier one.
    pub changed_at: i64,
}

impl Store {
    /// Revokes a grant and logs it for all replicas until `keep_until`. Returns whether it was not revoked
    /// before.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn revoke_grant(&self, id: &str, now: i64, keep_until: i64) -> Result<bool, StoreError> {
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
                log_change(work, REVOKED_GRANT, id, now, keep_until).await?;
            }
            Ok(ended)
        })
        .await
    }

    /// Grant and principal changes at or after `since` that are still relevant, in no particular order.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
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
            // A type of a newer version, which this version does not cache.
            _ => None,
        };
        Ok(rows
            .into_iter()
            .filter_map(|(kind, subject, changed_at, expires_at)| {
                change(&kind, subject).map(|change| IdentityChangeRow { change, changed_at, expires_at })
            })
            .collect())
    }

    /// Connection changes at or after `since`, in no particular order.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
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

    /// Deletes irrelevant changes.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn prune_changes(&self, now: i64) -> Result<(), StoreError> {
        self.prune(
            &[delete_batch!("identity_changes", "kind, subject", "expires_at <= $1")],
            now.saturating_sub(RETENTION_MARGIN_MS),
        )
        .await
    }
}

/// Writes one row of the log, in the transaction of the change itself. A second change of the same thing
/// always gets a later time than the first, even within one millisecond, so replicas can distinguish them.
pub(crate) async fn log_change(
    work: &mut AnyConnection,
    kind: &str,
    subject: &str,
    now: i64,
    keep_until: i64,
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
    .bind(keep_until)
    .execute(work)
    .await?;
    Ok(())
}

/// Logs that an account was connected or disconnected. Principal ids contain no space.
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
