//! Bringing the schema up to date. The rules that keep versions N and N-1 serving together are in `MIGRATIONS.md`.

use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, Connection as _};

use crate::StoreError;
use crate::dialect::Dialect;

/// What replicas of every version wait for, one after the other. Any number would do; it must never change.
const MIGRATION_LOCK_ID: i64 = 0x706f_7274_6375_6c6c;

/// How long a replica waits for others that migrate, and how long one migration may take.
const MIGRATION_TIMEOUTS: &str = "SET LOCAL statement_timeout = '60s'; SET LOCAL lock_timeout = '60s'";

fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!();
    // A newer version has been here: what it added is nullable or has a default, so this one can go on.
    migrator.set_ignore_missing(true);
    // sqlx's own lock outlives a transaction, and SQLite has none.
    migrator.set_locking(false);
    migrator
}

/// Applies what is missing, all or nothing, one replica at a time.
pub(crate) async fn apply(connection: &mut AnyConnection, kind: Dialect) -> Result<(), StoreError> {
    let mut transaction = connection.begin_with(kind.begin()).await?;
    if kind == Dialect::Postgres {
        sqlx::raw_sql(MIGRATION_TIMEOUTS).execute(&mut *transaction).await?;
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(MIGRATION_LOCK_ID)
            .execute(&mut *transaction)
            .await?;
    }
    migrator().run_direct(None, &mut *transaction, false).await?;
    transaction.commit().await?;
    Ok(())
}
