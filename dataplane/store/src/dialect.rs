use std::time::Duration;

/// For a statement or a short transaction on PostgreSQL. The server gives up a little before (see [`POSTGRES_SETTINGS`]).
/// Together with `CONNECT_TIMEOUT` of `database.rs` it is less than the patience of whoever reads the log of revocations.
const POSTGRES_STATEMENT_TIMEOUT: Duration = Duration::from_millis(2_500);
/// The same on SQLite, where a writer waits for the one before it.
const SQLITE_STATEMENT_TIMEOUT: Duration = Duration::from_secs(15);

/// A grant that was answered for must survive a crash of the machine, not only of the process.
const SQLITE_SETTINGS: &str =
    "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL";
/// A replica that hangs in the middle of a transaction must not keep others from its rows.
const POSTGRES_SETTINGS: &str =
    "SET statement_timeout = '2s'; SET idle_in_transaction_session_timeout = '5s'";

/// What differs between the two databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// How a transaction begins that is going to write. SQLite's own way would begin as a reader and could fail on becoming a writer.
    pub(crate) fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// How long anybody waits for an answer.
    pub(crate) fn statement_timeout(self) -> Duration {
        match self {
            Self::Sqlite => SQLITE_STATEMENT_TIMEOUT,
            Self::Postgres => POSTGRES_STATEMENT_TIMEOUT,
        }
    }

    /// What every connection begins with.
    pub(crate) fn settings(self) -> &'static str {
        match self {
            Self::Sqlite => SQLITE_SETTINGS,
            Self::Postgres => POSTGRES_SETTINGS,
        }
    }
}
