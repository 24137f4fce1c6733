//! Lists grants that have not ended, and revokes many at once.

use crate::change_log::{REVOKED_GRANT, log_change};
use crate::columns::grant_columns;
use crate::{GrantRow, Store, StoreError};

/// Grants that one transaction revokes. Each also adds a row to the change log, within the time limit.
const BATCH_SIZE: i64 = 100;

/// Selects grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantFilter<'a> {
    /// All of one user, by principal id.
    Person(&'a str),
    /// All of one client, of any user.
    Client(&'a str),
    /// All for one route, by its UID.
    Route(&'a str),
    /// All that were approved in one session at an identity provider, by its digest.
    ProviderSession(&'a str),
    /// All of one user without a known session at the identity provider, by principal id.
    Unattributed(&'a str),
}

impl GrantFilter<'_> {
    const fn value(&self) -> &str {
        match self {
            Self::Person(value)
            | Self::Client(value)
            | Self::Route(value)
            | Self::ProviderSession(value)
            | Self::Unattributed(value) => value,
        }
    }
}

/// A statement with the condition on `$1` that matches the [`GrantFilter`]. `principal`, `client_id`,
/// `route_uid` and `provider_session` are columns of `codes` and of `grants`.
macro_rules! of {
    ($whose:expr, $before:expr, $after:expr) => {
        match $whose {
            GrantFilter::Person(_) => concat!($before, "principal = $1", $after),
            GrantFilter::Client(_) => concat!($before, "client_id = $1", $after),
            GrantFilter::Route(_) => concat!($before, "route_uid = $1", $after),
            GrantFilter::ProviderSession(_) => concat!($before, "provider_session = $1", $after),
            GrantFilter::Unattributed(_) => {
                concat!($before, "principal = $1 AND provider_session IS NULL", $after)
            }
        }
    };
}

/// A grant that has not ended, with the time of its last token.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct LiveGrantRow {
    /// The grant.
    #[sqlx(flatten)]
    pub grant: GrantRow,
    /// When its client last received a token. Later calls are not recorded, but a client in use receives a
    /// new token whenever one expires.
    pub last_token_at: i64,
}

/// A client that has grants.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ClientInUseRow {
    /// `client_id`.
    pub client_id: String,
    /// The client's name for itself, from one of its grants.
    pub client_name: String,
    /// Number of its grants.
    pub grants: i64,
    /// Number of users with such a grant.
    pub people: i64,
}

impl Store {
    /// Grants that have not ended and whose id is greater than `after`, sorted by id, at most `limit`.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn live_grants(
        &self,
        whose: GrantFilter<'_>,
        now: i64,
        after: &str,
        limit: i64,
    ) -> Result<Vec<LiveGrantRow>, StoreError> {
        let statement = of!(
            whose,
            concat!(
                "SELECT ",
                grant_columns!(),
                ", COALESCE((SELECT MAX(issued_at) FROM refresh_tokens WHERE grant_id = grants.id),
                            created_at) AS last_token_at
                 FROM grants
                 WHERE "
            ),
            " AND revoked_at IS NULL AND expires_at > $2 AND id > $3
             ORDER BY id
             LIMIT $4"
        );
        self.rows(sqlx::query_as(statement).bind(whose.value()).bind(now).bind(after).bind(limit)).await
    }

    /// Revokes and returns one batch of grants. Logs each for all replicas until `keep_until`. Call it until
    /// it returns none.
    ///
    /// # Errors
    /// When the database fails or does not respond in time. Grants that earlier calls returned stay revoked.
    pub async fn revoke_grants(
        &self,
        whose: GrantFilter<'_>,
        now: i64,
        keep_until: i64,
    ) -> Result<Vec<GrantRow>, StoreError> {
        let statement = of!(
            whose,
            "UPDATE grants SET revoked_at = $2
             WHERE revoked_at IS NULL AND id IN (
                 SELECT id FROM grants
                 WHERE ",
            concat!(
                " AND revoked_at IS NULL AND expires_at > $2 ORDER BY id LIMIT $3)
                 RETURNING ",
                grant_columns!()
            )
        );
        self.transaction(async |work| {
            let ended: Vec<GrantRow> = sqlx::query_as(statement)
                .bind(whose.value())
                .bind(now)
                .bind(BATCH_SIZE)
                .fetch_all(&mut *work)
                .await?;
            for grant in &ended {
                log_change(work, REVOKED_GRANT, &grant.id, now, keep_until).await?;
            }
            Ok(ended)
        })
        .await
    }

    /// Invalidates unredeemed codes. Waits for concurrent redemptions, so call
    /// [`revoke_grants`](Self::revoke_grants) after this to include their grants.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn invalidate_codes(&self, whose: GrantFilter<'_>, now: i64) -> Result<(), StoreError> {
        let statement = of!(
            whose,
            "UPDATE codes SET consumed_at = $2 WHERE ",
            " AND consumed_at IS NULL AND expires_at > $2"
        );
        self.execute(sqlx::query(statement).bind(whose.value()).bind(now)).await?;
        Ok(())
    }

    /// Clients with grants that have not ended, whose id or name contains a text and whose id is greater than
    /// `after`, sorted by id, at most `limit`.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn clients_in_use(
        &self,
        text: &str,
        now: i64,
        after: &str,
        limit: i64,
    ) -> Result<Vec<ClientInUseRow>, StoreError> {
        self.rows(
            sqlx::query_as(
                r"SELECT client_id, MAX(client_name) AS client_name, COUNT(*) AS grants,
                      COUNT(DISTINCT principal) AS people
                  FROM grants
                  WHERE revoked_at IS NULL AND expires_at > $1 AND client_id > $2
                      AND (LOWER(client_id) LIKE $3 ESCAPE '\' OR LOWER(client_name) LIKE $3 ESCAPE '\')
                  GROUP BY client_id
                  ORDER BY client_id
                  LIMIT $4",
            )
            .bind(now)
            .bind(after)
            .bind(crate::text::like_pattern(text))
            .bind(limit),
        )
        .await
    }
}
