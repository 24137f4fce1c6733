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

use crate::kind::Kind;
use crate::{StoreError, migrations};

/// For a connection, new or from the pool.
const TO_CONNECT: Duration = Duration::from_secs(2);

/// For the schema, with other replicas before this one.
const TO_MIGRATE: Duration = Duration::from_secs(90);

/// Connections of one replica. PostgreSQL allows 100 in all unless it is told otherwise.
const CONNECTIONS: u32 = 10;
const CONNECTIONS_SQLITE: u32 = 4;

/// `read_only_sql_transaction`: the server has become a standby, and its connections are of no use any more.
const READ_ONLY: &str = "25006";

/// Where a database is.
struct Address {
    kind: Kind,
    options: AnyConnectOptions,
}

impl Address {
    fn parse(url: &str) -> Result<Self, StoreError> {
        let (kind, url) = match url.split_once(':') {
            // The file is made where there is none.
            Some(("sqlite", _)) if !url.contains('?') && !url.ends_with(":memory:") => {
                (Kind::Sqlite, format!("{url}?mode=rwc"))
            }
            Some(("sqlite", _)) => (Kind::Sqlite, url.to_owned()),
            Some(("postgres" | "postgresql", _)) => (Kind::Postgres, url.to_owned()),
            _ => return Err(StoreError::Url),
        };
        let options = url.parse().map_err(|_| StoreError::Url)?;
        Ok(Self { kind, options })
    }

    fn of_file(path: &Path) -> Result<Self, StoreError> {
        let path = std::path::absolute(path).map_err(|_| StoreError::Url)?;
        let url = Url::from_file_path(path).map_err(|()| StoreError::Url)?;
        Self::parse(&format!("sqlite://{}", url.path()))
    }
}

#[derive(Clone)]
pub(crate) struct Database {
    pool: AnyPool,
    kind: Kind,
    /// The runtime that the store was opened in. A connection's socket belongs to the runtime in which it was opened; worker
    /// threads have runtimes of their own, and one that ends must not take connections of all others along.
    home: Handle,
}

impl Database {
    pub(crate) async fn open(url: &str) -> Result<Self, StoreError> {
        Self::at(Address::parse(url)?).await
    }

    pub(crate) async fn open_file(path: &Path) -> Result<Self, StoreError> {
        Self::at(Address::of_file(path)?).await
    }

    pub(crate) async fn in_memory() -> Result<Self, StoreError> {
        let address = Address::parse("sqlite::memory:")?;
        // One connection, kept: a second one would see a database of its own.
        let options = AnyPoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
        Self::with_pool(address, options).await
    }

    async fn at(address: Address) -> Result<Self, StoreError> {
        let (kind, connections) = match address.kind {
            Kind::Sqlite => (Kind::Sqlite, CONNECTIONS_SQLITE),
            Kind::Postgres => (Kind::Postgres, CONNECTIONS),
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

    async fn with_pool(address: Address, options: AnyPoolOptions) -> Result<Self, StoreError> {
        install_default_drivers();
        let pool = options.acquire_timeout(TO_CONNECT).connect_lazy_with(address.options);
        let database = Self { pool, kind: address.kind, home: Handle::current() };
        let mut lent = database.lend().await?;
        tokio::time::timeout(TO_MIGRATE, migrations::apply(&mut lent.connection, database.kind))
            .await
            .map_err(|_| StoreError::Late { seconds: TO_MIGRATE.as_secs() })??;
        lent.is_idle = true;
        drop(lent);
        Ok(database)
    }

    /// Uses another address for connections that are opened from now on: another password, say.
    pub(crate) fn move_to(&self, url: &str) -> Result<(), StoreError> {
        let address = Address::parse(url)?;
        if address.kind != self.kind {
            return Err(StoreError::Url);
        }
        self.pool.set_connect_options(address.options);
        Ok(())
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    /// Does something with a connection, within the time that it may take.
    pub(crate) async fn with<T>(
        &self,
        work: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        let mut lent = self.lend().await?;
        let patience = self.kind.patience();
        let done = tokio::time::timeout(patience, work(&mut lent.connection))
            .await
            .map_err(|_| StoreError::Late { seconds: patience.as_secs() })?;
        lent.is_idle = !matches!(&done, Err(error) if is_read_only(error));
        Ok(done?)
    }

    /// Does several things with a connection: all or nothing.
    pub(crate) async fn transaction<T>(
        &self,
        work: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        let begin = self.kind.begin();
        self.with(async |connection: &mut AnyConnection| {
            let mut transaction = connection.begin_with(begin).await?;
            let done = work(&mut transaction).await?;
            transaction.commit().await?;
            Ok(done)
        })
        .await
    }

    async fn lend(&self) -> Result<Lent, StoreError> {
        let mut acquiring = pin!(self.pool.acquire());
        let acquired = poll_fn(|context| {
            let _home = self.home.enter();
            acquiring.as_mut().poll(context)
        });
        match acquired.await {
            Ok(connection) => Ok(Lent { connection, kind: self.kind, is_idle: false }),
            Err(sqlx::Error::PoolTimedOut) => Err(StoreError::Late { seconds: TO_CONNECT.as_secs() }),
            Err(error) => Err(error.into()),
        }
    }
}

fn is_read_only(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == READ_ONLY)
}

/// A connection on loan from the pool.
struct Lent {
    connection: PoolConnection<Any>,
    kind: Kind,
    /// Nothing is under way on it.
    is_idle: bool,
}

impl Drop for Lent {
    /// Whoever stopped waiting leaves a connection behind whose answer may never come: the network may be cut. The pool would wait
    /// for that before it lends the connection again, so it gets none back. SQLite always answers.
    fn drop(&mut self) {
        if !self.is_idle && self.kind == Kind::Postgres {
            self.connection.close_on_drop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_urls_when_read_then_they_name_one_of_two_kinds_and_the_rest_is_refused() {
        let kind = |url| Address::parse(url).map(|address| address.kind).ok();
        assert_eq!(kind("sqlite://data/portcullis.sqlite"), Some(Kind::Sqlite));
        assert_eq!(kind("sqlite:///data/portcullis.sqlite"), Some(Kind::Sqlite));
        assert_eq!(kind("postgres://ana:secret@db/portcullis?sslmode=verify-full"), Some(Kind::Postgres));
        assert_eq!(kind("postgresql:///portcullis?host=/run/postgresql"), Some(Kind::Postgres));
        for other in
            ["", "portcullis.sqlite", "/data/portcullis.sqlite", "mysql://db/portcullis", "postgres://["]
        {
            assert_eq!(kind(other), None, "{other}");
        }
    }

    #[test]
    fn given_a_refused_url_when_it_is_told_of_then_its_password_is_not() {
        let error = Address::parse("postgre://ana:secret@db/portcullis").err().map(|error| error.to_string());
        assert!(error.is_some_and(|text| !text.contains("secret") && text.contains("postgres://")));
    }
}
