//! Grants that have not ended, as people and administrators look at them, and ending many of them at once.

use crate::change_log::{REVOKED_GRANT, log_change};
use crate::{GrantRow, Store, StoreError};

/// How many grants one transaction ends. Each is a line in the log, and all that must be done in its time.
const BATCH_SIZE: i64 = 100;

/// Whose grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantFilter<'a> {
    /// One person's, as a principal's id.
    Person(&'a str),
    /// One client's, whoever approved it.
    Client(&'a str),
    /// All for one route, by its UID.
    Route(&'a str),
    /// What was approved in one session of an identity provider's, by its digest.
    ProviderSession(&'a str),
    /// What one person approved in no session that is known.
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

/// The statement for each kind of [`GrantFilter`]: the same one, with another condition on `$1`. `principal`, `client_id`,
/// `route_uid` and `provider_session` are columns of `codes` and of `grants`.
macro_rules! of {
    ($whose:expr, $before:literal, $after:literal) => {
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

/// A grant that has not ended, and when it was last of use.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct LiveGrantRow {
    /// The grant.
    #[sqlx(flatten)]
    pub grant: GrantRow,
    /// When its client last got a token for it. A call was made since then or was not; a client that is in use gets a token as
    /// often as one expires.
    pub last_token_at: i64,
}

/// A client that has grants.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ClientInUseRow {
    /// `client_id`.
    pub client_id: String,
    /// What it called itself, in one of its grants.
    pub client_name: String,
    /// How many grants it has.
    pub grants: i64,
    /// Of how many people.
    pub people: i64,
}

impl Store {
    /// Grants that have not ended, in the order of their ids: those after `after`, at most `limit`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn live_grants(
        &self,
        whose: GrantFilter<'_>,
        now: i64,
        after: &str,
        limit: i64,
    ) -> Result<Vec<LiveGrantRow>, StoreError> {
        let statement = of!(
            whose,
            "SELECT id, principal, client_id, client_name, issuer, route_uid, resource, scope, created_at,
                 expires_at, revoked_at, provider_session,
                 COALESCE((SELECT MAX(issued_at) FROM refresh_tokens WHERE grant_id = grants.id),
                          created_at) AS last_token_at
             FROM grants
             WHERE ",
            " AND revoked_at IS NULL AND expires_at > $2 AND id > $3
             ORDER BY id
             LIMIT $4"
        );
        self.rows(sqlx::query_as(statement).bind(whose.value()).bind(now).bind(after).bind(limit)).await
    }

    /// Ends some of the grants that have not ended, logs each for every replica until `heard_by`, and returns them. To be
    /// called until it returns none.
    ///
    /// # Errors
    /// When the database does not answer. What was returned before has ended.
    pub async fn revoke_grants(
        &self,
        whose: GrantFilter<'_>,
        now: i64,
        heard_by: i64,
    ) -> Result<Vec<GrantRow>, StoreError> {
        let statement = of!(
            whose,
            "UPDATE grants SET revoked_at = $2
             WHERE revoked_at IS NULL AND id IN (
                 SELECT id FROM grants
                 WHERE ",
            " AND revoked_at IS NULL AND expires_at > $2 ORDER BY id LIMIT $3)
             RETURNING id, principal, client_id, client_name, issuer, route_uid, resource, scope, created_at,
                 expires_at, revoked_at, provider_session"
        );
        self.transaction(async |work| {
            let ended: Vec<GrantRow> = sqlx::query_as(statement)
                .bind(whose.value())
                .bind(now)
                .bind(BATCH_SIZE)
                .fetch_all(&mut *work)
                .await?;
            for grant in &ended {
                log_change(work, REVOKED_GRANT, &grant.id, now, heard_by).await?;
            }
            Ok(ended)
        })
        .await
    }

    /// Uses up codes that have not been redeemed. Whoever redeems one at the same moment is waited for, so that the grant can be
    /// ended after this.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn invalidate_codes(&self, whose: GrantFilter<'_>, now: i64) -> Result<(), StoreError> {
        let statement = of!(
            whose,
            "UPDATE codes SET consumed_at = $2 WHERE ",
            " AND consumed_at IS NULL AND expires_at > $2"
        );
        self.execute(sqlx::query(statement).bind(whose.value()).bind(now)).await?;
        Ok(())
    }

    /// Clients that have grants which have not ended and whose id or name contains a text, in the order of their ids: those
    /// after `after`, at most `limit`.
    ///
    /// # Errors
    /// When the database does not answer.
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
