//! A database of a test's own, of either kind.

use portcullis_store::Store;

/// Where a test's database is. Gone with the test.
pub(crate) struct TestDatabase {
    pub(crate) url: String,
    /// Keeps the folder until the end.
    _folder: Option<tempfile::TempDir>,
}

impl TestDatabase {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("store.sqlite").display());
        Self { url, _folder: Some(folder) }
    }

    /// A schema of its own. It goes when the server does.
    pub(crate) async fn postgres() -> Self {
        use sqlx::Connection as _;
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);

        let server = std::env::var("PORTCULLIS_TEST_POSTGRES")
            .expect("PORTCULLIS_TEST_POSTGRES names no PostgreSQL; ./tests/run store starts one");
        let schema = format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut admin = sqlx::PgConnection::connect(&server).await.unwrap();
        let create = sqlx::AssertSqlSafe(format!("CREATE SCHEMA {schema}"));
        sqlx::raw_sql(create).execute(&mut admin).await.unwrap();
        admin.close().await.unwrap();
        Self { url: format!("{server}?options=-c%20search_path%3D{schema}"), _folder: None }
    }

    /// One more replica.
    pub(crate) async fn store(&self) -> Store {
        Store::open(&self.url).await.unwrap()
    }

    /// Runs statements of a kind that the store does not.
    pub(crate) async fn run(&self, statements: &str) {
        use sqlx::Connection as _;
        sqlx::any::install_default_drivers();
        let mut connection = sqlx::AnyConnection::connect(&self.url).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Begins a transaction with a statement of somebody else's, and leaves it open.
    pub(crate) async fn begin(&self, statement: &'static str) -> OpenTransaction {
        use sqlx::Connection as _;
        sqlx::any::install_default_drivers();
        let mut connection = sqlx::AnyConnection::connect(&self.url).await.unwrap();
        let begin = if self.url.starts_with("sqlite") { "BEGIN IMMEDIATE" } else { "BEGIN" };
        for statement in [begin, statement] {
            sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
        }
        OpenTransaction(connection)
    }

    /// The number that a statement selects.
    pub(crate) async fn count(&self, statement: &'static str) -> i64 {
        use sqlx::Connection as _;
        sqlx::any::install_default_drivers();
        let mut connection = sqlx::AnyConnection::connect(&self.url).await.unwrap();
        let count = sqlx::query_scalar(statement).fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        count
    }
}

/// A transaction that somebody else has open.
pub(crate) struct OpenTransaction(sqlx::AnyConnection);

impl OpenTransaction {
    /// Starts something that has to wait for this transaction, commits, and returns what comes of it.
    pub(crate) async fn commit_while<T: Send + 'static>(
        self,
        waiting: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let waiting = tokio::spawn(waiting);
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        assert!(!waiting.is_finished(), "it did not wait");
        self.commit().await;
        waiting.await.unwrap()
    }

    pub(crate) async fn commit(mut self) {
        sqlx::raw_sql("COMMIT").execute(&mut self.0).await.unwrap();
    }
}

/// Runs many tasks at once and returns what they return.
pub(crate) async fn run_concurrently<F>(tasks: impl IntoIterator<Item = F>) -> Vec<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    let tasks: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
    futures_util::future::join_all(tasks).await.into_iter().map(Result::unwrap).collect()
}

/// How many were told that they won.
pub(crate) fn count_winners(outcomes: &[bool]) -> usize {
    outcomes.iter().filter(|won| **won).count()
}

/// Tests that take a [`TestDatabase`] and run once per database.
macro_rules! on_both_databases {
    ($($(#[$attribute:meta])* async fn $name:ident($place:ident: TestDatabase) $body:block)+) => {
        $($(#[$attribute])* async fn $name($place: crate::test_database::TestDatabase) $body)+

        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() {
                super::$name(crate::test_database::TestDatabase::sqlite().await).await;
            })+
        }

            mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            #[ignore = "needs PostgreSQL: ./tests/run store"]
            async fn $name() {
                super::$name(crate::test_database::TestDatabase::postgres().await).await;
            })+
        }
    };
}
pub(crate) use on_both_databases;
