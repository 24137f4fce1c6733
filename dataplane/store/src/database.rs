//! The database behind the store: SQLite or PostgreSQL, with one connection pool and time limits.
//!
//! Both use sqlx's `Any` driver. Statements are written once, in the SQL that both support (TEXT and BIGINT,
//! `$1`, `ON CONFLICT`, `RETURNING`).

use std::future::{Future as _, poll_fn};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Connection as _};
use tokio::runtime::Handle;
use url::Url;

use crate::dialect::Dialect;
use crate::{StoreError, migrations, private_file};

/// Time limit for getting a connection, new or from the pool.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Time limit for the migrations, including the wait for other replicas.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(90);

/// Connections per replica. PostgreSQL's default limit is 100 in total.
const MAX_POSTGRES_CONNECTIONS: u32 = 10;
const MAX_SQLITE_CONNECTIONS: u32 = 4;

/// `read_only_sql_transaction`: the server has become a standby, so its connections are unusable.
const READ_ONLY_SQLSTATE: &str = "25006";

/// A parsed database URL.
struct DatabaseUrl {
    dialect: Dialect,
    options: AnyConnectOptions,
    /// The file of a SQLite database that may be created.
    file: Option<PathBuf>,
}

impl DatabaseUrl {
    fn parse(url: &str) -> Result<Self, StoreError> {
        let (kind, url) = match url.split_once(':') {
            // Creates the file if it is missing.
            Some(("sqlite", _)) if !url.contains('?') && !url.ends_with(":memory:") => {
                (Dialect::Sqlite, format!("{url}?mode=rwc"))
            }
            Some(("sqlite", _)) => (Dialect::Sqlite, url.to_owned()),
            Some(("postgres" | "postgresql", _)) => (Dialect::Postgres, url.to_owned()),
            _ => return Err(StoreError::Url),
        };
        let options: AnyConnectOptions = url.parse().map_err(|_| StoreError::Url)?;
        let file = (kind == Dialect::Sqlite).then(|| sqlite_file(&url)).flatten();
        Ok(Self { dialect: kind, options, file })
    }

    fn from_path(path: &Path) -> Result<Self, StoreError> {
        let path = std::path::absolute(path).map_err(|_| StoreError::Url)?;
        let url = Url::from_file_path(path).map_err(|()| StoreError::Url)?;
        Self::parse(&format!("sqlite://{}", url.path()))
    }
}

/// The file that a SQLite URL names, unless it is in memory or opened only for reading.
fn sqlite_file(url: &str) -> Option<PathBuf> {
    let rest = url.strip_prefix("sqlite:")?;
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let is_file = !path.is_empty()
        && path != ":memory:"
        && !parameters.split('&').any(|each| matches!(each, "mode=memory" | "mode=ro" | "immutable=true"));
    let path = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
    is_file.then(|| PathBuf::from(&*path))
}

#[derive(Clone)]
pub(crate) struct Database {
    pool: AnyPool,
    dialect: Dialect,
    /// The runtime in which the store was opened. A socket belongs to the runtime that opened it. Worker
    /// threads have their own runtimes; if one ends, its sockets would close under the other threads.
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
        // One permanent connection, because each connection to `:memory:` has its own database.
        let options = AnyPoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
        Self::with_pool(address, options).await
    }

    async fn connect(address: DatabaseUrl) -> Result<Self, StoreError> {
        if let Some(path) = &address.file {
            private_file::create(path)
                .map_err(|source| StoreError::File { path: path.display().to_string(), source })?;
        }
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

    /// Uses another URL for new connections.
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

    pub(crate) const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Runs `work` with a connection, within the statement time limit.
    pub(crate) async fn with_connection<T>(
        &self,
        work: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        let mut lent = self.acquire_connection().await?;
        let limit = self.dialect.statement_timeout();
        let done = tokio::time::timeout(limit, work(&mut lent.connection))
            .await
            .map_err(|_| StoreError::Timeout { seconds: limit.as_secs() })?;
        lent.is_idle = !matches!(&done, Err(error) if is_read_only(error));
        Ok(done?)
    }

    /// Runs `work` in a transaction.
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

/// A connection from the pool.
struct PooledConnection {
    connection: PoolConnection<Any>,
    dialect: Dialect,
    /// Whether no statement is running on it and it can return to the pool.
    is_idle: bool,
}

impl Drop for PooledConnection {
    /// After a timeout, the response on this connection may never arrive, if the network is down for example.
    /// The pool would wait for it before it reuses the connection, so the connection is closed instead.
    /// SQLite always responds.
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
    fn given_urls_of_sqlite_then_they_name_the_file_that_may_be_created() {
        let file = |url| DatabaseUrl::parse(url).unwrap().file.map(|file| file.display().to_string());
        assert_eq!(file("sqlite://data/a%20b.sqlite").as_deref(), Some("data/a b.sqlite"));
        assert_eq!(file("sqlite:///data/a.sqlite?mode=rwc").as_deref(), Some("/data/a.sqlite"));
        assert_eq!(file("sqlite:a.sqlite").as_deref(), Some("a.sqlite"));
        for other in ["sqlite::memory:", "sqlite://a.sqlite?mode=ro", "postgres://db/portcullis"] {
            assert_eq!(file(other), None, "{other}");
        }
    }

    #[test]
    fn given_a_refused_url_when_it_is_told_of_then_its_password_is_not() {
        let error =
            DatabaseUrl::parse("postgre://ana:secret@db/portcullis").err().map(|error| error.to_string());
        assert!(error.is_some_and(|text| !text.contains("secret") && text.contains("postgres://")));
    }
}
