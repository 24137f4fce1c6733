//! Applies missing migrations. `MIGRATIONS.md` has the rules that keep versions N and N-1 compatible.

use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, Connection as _};

use crate::StoreError;
use crate::dialect::Dialect;

/// Key of the advisory lock that replicas of all versions use. The value is arbitrary but must never change.
const MIGRATION_LOCK_ID: i64 = 0x706f_7274_6375_6c6c;

/// Time limits for waiting for other replicas and for one migration.
const MIGRATION_TIMEOUTS: &str = "SET LOCAL statement_timeout = '60s'; SET LOCAL lock_timeout = '60s'";

fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!();
    // A newer version may have migrated the database. Its additions are nullable or have defaults, so this
    // one can run.
    migrator.set_ignore_missing(true);
    // sqlx's lock is not released with the transaction, and does not exist on SQLite.
    migrator.set_locking(false);
    migrator
}

/// Applies missing migrations in one transaction, one replica at a time.
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
