//! The persistent state: clients, grants, connections, and pending browser flows.
//!
//! This is the only crate with SQL. Each file adds the methods of one aggregate to [`Store`]. Times are Unix
//! milliseconds. Callers seal or hash secrets before they store them, so a copy of the database contains no
//! usable secret.

#[macro_use]
mod prune;

mod assertions;
mod catalogs;
mod change_log;
mod clients;
mod clock_check;
mod columns;
mod connect_flows;
mod connect_links;
mod connections;
mod consents;
mod database;
mod deferred_sessions;
mod dialect;
mod grants;
mod live_grants;
mod migrations;
mod origin_clients;
mod principals;
mod private_file;
mod provider_accounts;
mod provider_issuers;
mod published_serials;
mod reencryption;
mod sessions;
mod sign_ins;
mod step_ups;
mod text;

pub use catalogs::CatalogRow;
pub use change_log::{ConnectionChangeRow, IdentityChange, IdentityChangeRow};
pub use clients::{ClientRow, UnusedClientLimits};
pub use connect_flows::ConnectFlowRow;
pub use connect_links::ConnectLinkRow;
pub use connections::{ConnectionFilter, ConnectionRow, Renewal};
pub use consents::Consent;
pub use grants::{CodeRow, GrantRow, MAX_UNUSED_REFRESH_TOKENS, RefreshTokenRow};
pub use live_grants::{ClientInUseRow, GrantFilter, LiveGrantRow};
pub use origin_clients::OriginClientRow;
pub use principals::PrincipalRow;
pub use provider_accounts::ProviderAccountRow;
pub use provider_issuers::ProviderIssuerRow;
pub use published_serials::PublishedSerialRow;
pub use sessions::{SessionFilter, SessionRow};
pub use sign_ins::{PendingAuthorizationRow, SignInRow};
pub use step_ups::StepUpRow;

use std::path::Path;

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::{Query, QueryAs};
use sqlx::{Any, AnyConnection, FromRow};

use crate::database::Database;

/// Why an operation of the store failed. Missing rows are not errors.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database returned an error, or the connection failed.
    #[error("database operation failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The time limit is exceeded, or no connection became free.
    #[error(
        "the database did not respond within {seconds} s; check that it is running, reachable and not overloaded"
    )]
    Timeout {
        /// The time limit, in seconds.
        seconds: u64,
    },
    /// Applying the migrations failed.
    #[error("failed to migrate the database schema: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The clock of this replica is wrong, or the database's is.
    #[error(
        "the clock of this replica is {seconds} s {direction} the database's, so it could miss revocations; synchronize both clocks (NTP)"
    )]
    ClockDifference {
        /// The difference, in seconds.
        seconds: i64,
        /// "ahead of" or "behind".
        direction: &'static str,
    },
    /// The file of a SQLite database cannot be created, or made private.
    #[error("failed to create {path} with access for its owner only: {source}")]
    File {
        /// Path of the file.
        path: String,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The database URL is invalid. The message does not contain it, because it can contain a password.
    #[error("invalid database URL; use sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE")]
    Url,
    /// A stored JSON document is invalid.
    #[error("a stored {what} is invalid: {source}")]
    Corrupt {
        /// Type of the document.
        what: &'static str,
        /// Error of the parser.
        source: serde_json::Error,
    },
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    database: Database,
}

impl Store {
    /// Opens the database at a URL and applies missing migrations.
    ///
    /// * `sqlite://PATH`: for one replica. The file is created if it is missing.
    /// * `postgres://USER:PASSWORD@HOST/DATABASE`: for any number of replicas. Over a network, append
    ///   `?sslmode=verify-full&sslrootcert=FILE`.
    ///
    /// # Errors
    /// When the URL is invalid, or the database cannot be opened or migrated.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Ok(Self { database: Database::open(url).await? })
    }

    /// Opens a SQLite file, creates it if it is missing, and applies missing migrations.
    ///
    /// # Errors
    /// When the file cannot be opened or migrated.
    pub async fn open_sqlite(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { database: Database::open_file(path).await? })
    }

    /// An in-memory database, for tests of other crates.
    ///
    /// # Errors
    /// When SQLite cannot be started.
    pub async fn in_memory() -> Result<Self, StoreError> {
        Ok(Self { database: Database::in_memory().await? })
    }

    /// Uses another URL of the same database type for new connections, after a password rotation for example.
    /// Open connections stay open; each is replaced within half an hour.
    ///
    /// # Errors
    /// When the URL is invalid or names another type of database.
    pub fn set_url(&self, url: &str) -> Result<(), StoreError> {
        self.database.set_url(url)
    }

    /// Waits for running statements and closes the database. All later calls fail.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// Runs a statement and returns the number of affected rows.
    async fn execute(&self, query: Query<'_, Any, AnyArguments>) -> Result<u64, StoreError> {
        self.database
            .with_connection(async |connection| Ok(query.execute(connection).await?.rows_affected()))
            .await
    }

    /// Runs a statement that returns rows. Reads all rows, even if one is enough, because a statement with
    /// `RETURNING` is complete only then.
    async fn rows<T>(&self, query: QueryAs<'_, Any, T, AnyArguments>) -> Result<Vec<T>, StoreError>
    where
        T: for<'r> FromRow<'r, AnyRow> + Send + Unpin,
    {
        self.database.with_connection(async |connection| query.fetch_all(connection).await).await
    }

    /// Like [`rows`](Self::rows), for a statement that returns at most one row.
    async fn row<T>(&self, query: QueryAs<'_, Any, T, AnyArguments>) -> Result<Option<T>, StoreError>
    where
        T: for<'r> FromRow<'r, AnyRow> + Send + Unpin,
    {
        Ok(self.rows(query).await?.pop())
    }

    /// Runs several statements in one transaction.
    async fn transaction<T>(
        &self,
        work: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        self.database.transaction(work).await
    }
}
