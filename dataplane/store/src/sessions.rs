//! Browser sessions.

use crate::{Store, StoreError};

/// One user's sign-in with one browser. All rows with the same id form one browser session.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct SessionRow {
    /// Digest of the session cookie.
    pub id: String,
    /// Name of the identity provider.
    pub identity_provider: String,
    /// Id of the principal.
    pub principal: String,
    /// Time of the sign-in.
    pub signed_in_at: i64,
    /// When it expires. Activity does not extend it.
    pub expires_at: i64,
    /// Digest of the session at the identity provider, if known.
    pub provider_session: Option<String>,
}

/// Selects sign-ins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionFilter<'a> {
    /// All of one user, by principal id.
    Person(&'a str),
    /// All of one session at an identity provider, by its digest.
    ProviderSession(&'a str),
    /// All of one user without a known session at the identity provider, by principal id.
    Unattributed(&'a str),
}

impl Store {
    /// The unexpired sign-ins of a browser session.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn browser_session(&self, id: &str, now: i64) -> Result<Vec<SessionRow>, StoreError> {
        self.rows(
            sqlx::query_as(
                "SELECT id, identity_provider, principal, signed_in_at, expires_at, provider_session
                 FROM browser_sessions
                 WHERE id = $1 AND expires_at > $2
                 ORDER BY signed_in_at",
            )
            .bind(id)
            .bind(now),
        )
        .await
    }

    /// Adds a sign-in under a new id and moves the browser's other sign-ins to it. The previous id becomes
    /// invalid, which prevents session fixation.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn rotate_browser_session(
        &self,
        before: Option<&str>,
        sign_in: &SessionRow,
    ) -> Result<(), StoreError> {
        self.transaction(async |work| {
            if let Some(before) = before {
                sqlx::query(
                    "UPDATE browser_sessions SET id = $1
                     WHERE id = $2 AND identity_provider <> $3",
                )
                .bind(&sign_in.id)
                .bind(before)
                .bind(&sign_in.identity_provider)
                .execute(&mut *work)
                .await?;
                sqlx::query("DELETE FROM browser_sessions WHERE id = $1")
                    .bind(before)
                    .execute(&mut *work)
                    .await?;
            }
            sqlx::query(
                "INSERT INTO browser_sessions (id, identity_provider, principal, signed_in_at,
                     expires_at, provider_session)
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(&sign_in.id)
            .bind(&sign_in.identity_provider)
            .bind(&sign_in.principal)
            .bind(sign_in.signed_in_at)
            .bind(sign_in.expires_at)
            .bind(sign_in.provider_session.as_deref())
            .execute(&mut *work)
            .await?;
            Ok(())
        })
        .await
    }

    /// Ends a browser session, or only its sign-in at one identity provider.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn end_browser_session(
        &self,
        id: &str,
        identity_provider: Option<&str>,
    ) -> Result<(), StoreError> {
        self.execute(match identity_provider {
            Some(provider) => {
                sqlx::query("DELETE FROM browser_sessions WHERE id = $1 AND identity_provider = $2")
                    .bind(id)
                    .bind(provider)
            }
            None => sqlx::query("DELETE FROM browser_sessions WHERE id = $1").bind(id),
        })
        .await?;
        Ok(())
    }

    /// Ends sign-ins in all browsers and returns their number.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn end_sessions(&self, whose: SessionFilter<'_>) -> Result<u64, StoreError> {
        let (statement, value) = match whose {
            SessionFilter::Person(id) => ("DELETE FROM browser_sessions WHERE principal = $1", id),
            SessionFilter::ProviderSession(session) => {
                ("DELETE FROM browser_sessions WHERE provider_session = $1", session)
            }
            SessionFilter::Unattributed(id) => {
                ("DELETE FROM browser_sessions WHERE principal = $1 AND provider_session IS NULL", id)
            }
        };
        self.execute(sqlx::query(statement).bind(value)).await
    }

    /// Number of browsers in which a user is signed in.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn count_sessions_of(&self, principal: &str, now: i64) -> Result<i64, StoreError> {
        let count: Option<(i64,)> = self
            .row(
                sqlx::query_as(
                    "SELECT COUNT(*) FROM browser_sessions WHERE principal = $1 AND expires_at > $2",
                )
                .bind(principal)
                .bind(now),
            )
            .await?;
        Ok(count.map_or(0, |(count,)| count))
    }

    /// Deletes expired sessions, authorization requests, sign-ins, connect links and consent flows.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn prune_expired_browser_state(&self, now: i64) -> Result<(), StoreError> {
        self.prune(
            &[
                delete_batch!("browser_sessions", "id, identity_provider", "expires_at <= $1"),
                delete_batch!("pending_authorizations", "id", "expires_at <= $1"),
                delete_batch!("sign_ins", "id", "expires_at <= $1"),
                delete_batch!("connect_tickets", "id", "expires_at <= $1"),
                delete_batch!("connect_flows", "state_digest", "expires_at <= $1"),
            ],
            now,
        )
        .await
    }
}
