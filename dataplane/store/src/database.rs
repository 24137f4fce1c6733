//! The database behind the store: SQLite or PostgreSQL, one pool of connections, and a limit to how long anybody waits for it.
//!
//! Both are spoken to through sqlx's `Any` driver: the statements are written once, in the SQL that both understand (TEXT and
//! BIGINT, `$1`, `ON CONFLICT`, `RETURNING`).

use std::future::{Future as _, poll_fn};
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Connection as _};
use tokio::runtime::Handle;
use url::Url;

use crate::dialect::Dialect;
use crate::{StoreError, migrations};

/// For a connection, new or from the pool.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// For the schema, with other replicas before this one.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(90);

/// Connections of one replica. PostgreSQL allows 100 in all unless it is told otherwise.
const MAX_POSTGRES_CONNECTIONS: u32 = 10;
const MAX_SQLITE_CONNECTIONS: u32 = 4;

/// `read_only_sql_transaction`: the server has become a standby, and its connections are of no use any more.
const READ_ONLY_SQLSTATE: &str = "25006";

/// Where a database is.
struct DatabaseUrl {
    dialect: Dialect,
    options: AnyConnectOptions,
}

impl DatabaseUrl {
    fn parse(url: &str) -> Result<Self, StoreError> {
        let (kind, url) = match url.split_once(':') {
            // The file is made where there is none.
            Some(("sqlite", _)) if !url.contains('?') && !url.ends_with(":memory:") => {
                (Dialect::Sqlite, format!("{url}?mode=rwc"))
            }
            Some(("sqlite", _)) => (Dialect::Sqlite, url.to_owned()),
            Some(("postgres" | "postgresql", _)) => (Dialect::Postgres, url.to_owned()),
            _ => return Err(StoreError::Url),
        };
        let options = url.parse().map_err(|_| StoreError::Url)?;
        Ok(Self { dialect: kind, options })
    }

    fn from_path(path: &Path) -> Result<Self, StoreError> {
        let path = std::path::absolute(path).map_err(|_| StoreError::Url)?;
        let url = Url::from_file_path(path).map_err(|()| StoreError::Url)?;
        Self::parse(&format!("sqlite://{}", url.path()))
    }
}

#[derive(Clone)]
pub(crate) struct Database {
    pool: AnyPool,
    dialect: Dialect,
    /// The runtime that the store was opened in. A connection's socket belongs to the runtime in which it was opened; worker
    /// threads have runtimes of their own, and one that ends must not take connections of all others along.
    runtime: Handle,
}

impl Database {
    pub(crate) async fn open(url: &str) -> Result<Self, StoreError> {
        Self::connect(DatabaseUrl::parse(url)?).await
    }

    pub(crate) async fn open_file(path: &Path) -> Result<Self, StoreError> {
        Self::connect(DatabaseUrl::from_path(path)?).await
    }

    pub(crate) async fn in_memory() -> Result<Self, StoreError> {
        let address = DatabaseUrl::parse("sqlite::memory:")?;
        // One connection, kept: a second one would see a database of its own.
        let options = AnyPoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
        Self::with_pool(address, options).await
    }

    async fn connect(address: DatabaseUrl) -> Result<Self, StoreError> {
        let (kind, connections) = match address.dialect {
            Dialect::Sqlite => (Dialect::Sqlite, MAX_SQLITE_CONNECTIONS),
            Dialect::Postgres => (Dialect::Postgres, MAX_POSTGRES_CONNECTIONS),
        };
        let options =
            AnyPoolOptions::new().max_connections(connections).after_connect(move |connection, _| {
                Box::pin(async move {
                    sqlx::raw_sql(kind.settings()).execute(connection).await?;
                    Ok(())
                })
            });
        Self::with_pool(address, options).await
    }

    async fn with_pool(address: DatabaseUrl, options: AnyPoolOptions) -> Result<Self, StoreError> {
        install_default_drivers();
        let pool = options.acquire_timeout(CONNECT_TIMEOUT).connect_lazy_with(address.options);
        let database = Self { pool, dialect: address.dialect, runtime: Handle::current() };
        let mut lent = database.acquire_connection().await?;
        tokio::time::timeout(MIGRATION_TIMEOUT, migrations::apply(&mut lent.connection, database.dialect))
            .await
            .map_err(|_| StoreError::Timeout { seconds: MIGRATION_TIMEOUT.as_secs() })??;
        lent.is_idle = true;
        drop(lent);
        Ok(database)
    }

    /// Uses another address for connections that are opened from now on: another password, say.
    pub(crate) fn set_url(&self, url: &str) -> Result<(), StoreError> {
        let address = DatabaseUrl::parse(url)?;
        if address.dialect != self.dialect {
            return Err(StoreError::Url);
        }
        self.pool.set_connect_options(address.options);
        Ok(())
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    /// Does something with a connection, within the time that it may take.
    pub(crate) async fn with_connection<T>(
        &self,
        work: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        let mut lent = self.acquire_connection().await?;
        let patience = self.dialect.statement_timeout();
        let done = tokio::time::timeout(patience, work(&mut lent.connection))
            .await
            .map_err(|_| StoreError::Timeout { seconds: patience.as_secs() })?;
        lent.is_idle = !matches!(&done, Err(error) if is_read_only(error));
        Ok(done?)
    }

    /// Does several things with a connection: all or nothing.
    pub(crate) async fn transaction<T>(
        &self,
        work: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        let begin = self.dialect.begin();
        self.with_connection(async |connection: &mut AnyConnection| {
            let mut transaction = connection.begin_with(begin).await?;
            let done = work(&mut transaction).await?;
            transaction.commit().await?;
            Ok(done)
        })
        .await
    }

    async fn acquire_connection(&self) -> Result<PooledConnection, StoreError> {
        let mut acquiring = pin!(self.pool.acquire());
        let acquired = poll_fn(|context| {
            let _home = self.runtime.enter();
            acquiring.as_mut().poll(context)
        });
        match acquired.await {
            Ok(connection) => Ok(PooledConnection { connection, dialect: self.dialect, is_idle: false }),
            Err(sqlx::Error::PoolTimedOut) => Err(StoreError::Timeout { seconds: CONNECT_TIMEOUT.as_secs() }),
            Err(error) => Err(error.into()),
        }
    }
}

fn is_read_only(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == READ_ONLY_SQLSTATE)
}

/// A connection on loan from the pool.
struct PooledConnection {
    connection: PoolConnection<Any>,
    dialect: Dialect,
    /// Nothing is under way on it.
    is_idle: bool,
}

impl Drop for PooledConnection {
    /// Whoever stopped waiting leaves a connection behind whose answer may never come: the network may be cut. The pool would wait
    /// for that before it lends the connection again, so it gets none back. SQLite always answers.
    fn drop(&mut self) {
        if !self.is_idle && self.dialect == Dialect::Postgres {
            self.connection.close_on_drop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_urls_when_read_then_they_name_one_of_two_kinds_and_the_rest_is_refused() {
        let kind = |url| DatabaseUrl::parse(url).map(|address| address.dialect).ok();
        assert_eq!(kind("sqlite://data/portcullis.sqlite"), Some(Dialect::Sqlite));
        assert_eq!(kind("sqlite:///data/portcullis.sqlite"), Some(Dialect::Sqlite));
        assert_eq!(kind("postgres://ana:secret@db/portcullis?sslmode=verify-full"), Some(Dialect::Postgres));
        assert_eq!(kind("postgresql:///portcullis?host=/run/postgresql"), Some(Dialect::Postgres));
        for other in
            ["", "portcullis.sqlite", "/data/portcullis.sqlite", "mysql://db/portcullis", "postgres://["]
        {
            assert_eq!(kind(other), None, "{other}");
        }
    }

    #[test]
    fn given_a_refused_url_when_it_is_told_of_then_its_password_is_not() {
        let error =
            DatabaseUrl::parse("postgre://ana:secret@db/portcullis").err().map(|error| error.to_string());
        assert!(error.is_some_and(|text| !text.contains("secret") && text.contains("postgres://")));
    }
}
