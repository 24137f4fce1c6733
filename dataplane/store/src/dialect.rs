//! The differences between SQLite and PostgreSQL.

use std::time::Duration;

/// Time limit for a statement or a short transaction on PostgreSQL. The server's limit is shorter (see
/// [`POSTGRES_SETTINGS`]). The sum of this and `CONNECT_TIMEOUT` in `database.rs` must stay below the time
/// limit of the reader of the revocation log.
const POSTGRES_STATEMENT_TIMEOUT: Duration = Duration::from_millis(2_500);
/// The same for SQLite, where a writer waits for the previous one.
const SQLITE_STATEMENT_TIMEOUT: Duration = Duration::from_secs(15);

/// `synchronous = FULL`: a committed grant must survive a crash of the machine, not only of the process.
const SQLITE_SETTINGS: &str =
    "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL";
/// A replica that hangs in a transaction must not lock its rows for other replicas.
const POSTGRES_SETTINGS: &str =
    "SET statement_timeout = '2s'; SET idle_in_transaction_session_timeout = '5s'";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// The statement that begins a transaction with writes. SQLite's default begins as a reader and can fail
    /// when it becomes a writer.
    pub(crate) fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// Time limit for a statement or a short transaction.
    pub(crate) fn statement_timeout(self) -> Duration {
        match self {
            Self::Sqlite => SQLITE_STATEMENT_TIMEOUT,
            Self::Postgres => POSTGRES_STATEMENT_TIMEOUT,
        }
    }

    /// Statements that configure a new connection.
    pub(crate) fn settings(self) -> &'static str {
        match self {
            Self::Sqlite => SQLITE_SETTINGS,
            Self::Postgres => POSTGRES_SETTINGS,
        }
    }
}
