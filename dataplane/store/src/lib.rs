//! What must outlive the process: clients, grants, connections, and what the browser flows need between two requests.
//!
//! The only room with SQL. One file per aggregate, each adding its methods to [`Store`]. Times are Unix milliseconds. Secrets
//! arrive here sealed or hashed: the store could be read by a stranger and would give nothing away.

#[macro_use]
mod prune;

mod assertions;
mod catalogs;
mod change_log;
mod clients;
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
mod provider_accounts;
mod reencryption;
mod sessions;
mod sign_ins;
mod step_ups;
mod text;

pub use catalogs::CatalogRow;
pub use change_log::{ConnectionChangeRow, IdentityChange, IdentityChangeRow};
pub use clients::ClientRow;
pub use connect_flows::ConnectFlowRow;
pub use connect_links::ConnectLinkRow;
pub use connections::{ConnectionFilter, ConnectionRow, Renewal};
pub use consents::Consent;
pub use grants::{CodeRow, GrantRow, RefreshTokenRow};
pub use live_grants::{ClientInUseRow, GrantFilter, LiveGrantRow};
pub use origin_clients::OriginClientRow;
pub use principals::PrincipalRow;
pub use provider_accounts::ProviderAccountRow;
pub use sessions::{SessionFilter, SessionRow};
pub use sign_ins::{PendingAuthorizationRow, SignInRow};
pub use step_ups::StepUpRow;

use std::path::Path;

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::{Query, QueryAs};
use sqlx::{Any, AnyConnection, FromRow};

use crate::database::Database;

/// The store could not do what was asked. Never means "not found".
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or does not answer.
    #[error("the database does not answer as it should: {0}")]
    Database(sqlx::Error),
    /// It takes too long, or there are no connections left.
    #[error(
        "the database did not answer within {seconds} s; see whether it is up, reachable from here, and not overloaded"
    )]
    Timeout {
        /// How long it was waited for.
        seconds: u64,
    },
    /// The schema could not be brought up to date.
    #[error("the database's schema could not be brought up to date: {0}")]
    Migration(sqlx::migrate::MigrateError),
    /// The address of the database does not read. It may hold a password, so it is not repeated here.
    #[error(
        "the database's URL does not read; write sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE"
    )]
    Url,
    /// A stored document does not read.
    #[error("a stored {what} cannot be read: {source}")]
    Corrupt {
        /// What it should have been.
        what: &'static str,
        /// Why it is not.
        source: serde_json::Error,
    },
}

// Not by `#[from]`: their words include those of their causes, which whoever prints a chain would print again.
impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        Self::Migration(error)
    }
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    database: Database,
}

impl Store {
    /// Opens the database at a URL and brings its schema up to date: `sqlite://PATH`, a file that is made where there is none,
    /// for one replica; or `postgres://USER:PASSWORD@HOST/DATABASE`, for many. Over a network PostgreSQL's
    /// `?sslmode=verify-full&sslrootcert=FILE` belongs at the end.
    ///
    /// # Errors
    /// When the URL does not read, or the database cannot be used.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Ok(Self { database: Database::open(url).await? })
    }

    /// Opens a SQLite file, makes it where there is none, and brings its schema up to date.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub async fn open_sqlite(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { database: Database::open_file(path).await? })
    }

    /// A database that lives in memory, for tests of other rooms.
    ///
    /// # Errors
    /// When SQLite cannot be started.
    pub async fn in_memory() -> Result<Self, StoreError> {
        Ok(Self { database: Database::in_memory().await? })
    }

    /// Uses another URL, of the same kind, for connections that are opened from now on: for a password that was rotated. Those
    /// that are open stay; each is replaced within half an hour.
    ///
    /// # Errors
    /// When the URL does not read.
    pub fn set_url(&self, url: &str) -> Result<(), StoreError> {
        self.database.set_url(url)
    }

    /// Lets what is under way finish and closes the database. Every call after that is an error.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// Runs a statement and returns how many rows it concerned.
    async fn execute(&self, query: Query<'_, Any, AnyArguments>) -> Result<u64, StoreError> {
        self.database
            .with_connection(async |connection| Ok(query.execute(connection).await?.rows_affected()))
            .await
    }

    /// Runs a statement that returns rows. Always to its end, also where one row is enough: a statement that changes something has
    /// not done so before.
    async fn rows<T>(&self, query: QueryAs<'_, Any, T, AnyArguments>) -> Result<Vec<T>, StoreError>
    where
        T: for<'r> FromRow<'r, AnyRow> + Send + Unpin,
    {
        self.database.with_connection(async |connection| query.fetch_all(connection).await).await
    }

    /// The same for a statement that returns one row or none.
    async fn row<T>(&self, query: QueryAs<'_, Any, T, AnyArguments>) -> Result<Option<T>, StoreError>
    where
        T: for<'r> FromRow<'r, AnyRow> + Send + Unpin,
    {
        Ok(self.rows(query).await?.pop())
    }

    /// Runs several statements: all or nothing.
    async fn transaction<T>(
        &self,
        work: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        self.database.transaction(work).await
    }
}
