//! The highest accepted serial of each published object.

use crate::{Store, StoreError};

/// Rows that one transaction writes.
const BATCH: usize = 200;

/// The highest accepted serial of an object.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct PublishedSerialRow {
    /// Name of the object. Empty: the highest serial of removed objects without a row.
    pub object: String,
    /// Serial of its document.
    pub serial: i64,
    /// Hash of that document.
    pub hash: String,
    /// 1 if the object was removed after that, otherwise 0.
    pub removed: i64,
}

impl Store {
    /// The accepted serials of all objects.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn published_serials(&self) -> Result<Vec<PublishedSerialRow>, StoreError> {
        self.rows(sqlx::query_as("SELECT object, serial, hash, removed FROM published_serials")).await
    }

    /// Raises the accepted serials of objects. Rows that already have a higher serial stay, and so do rows
    /// with the same serial whose object was removed.
    ///
    /// # Errors
    /// When the database fails or does not respond in time. Some rows may be written.
    pub async fn raise_published_serials(&self, rows: &[PublishedSerialRow]) -> Result<(), StoreError> {
        for batch in rows.chunks(BATCH) {
            self.transaction(async |work| {
                for row in batch {
                    sqlx::query(
                        "INSERT INTO published_serials (object, serial, hash, removed)
                         VALUES ($1, $2, $3, $4)
                         ON CONFLICT (object) DO UPDATE SET serial = excluded.serial,
                             hash = excluded.hash, removed = excluded.removed
                         WHERE excluded.serial > published_serials.serial
                             OR (excluded.serial = published_serials.serial
                                 AND excluded.removed > published_serials.removed)",
                    )
                    .bind(&row.object)
                    .bind(row.serial)
                    .bind(&row.hash)
                    .bind(row.removed)
                    .execute(&mut *work)
                    .await?;
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Deletes the rows of removed objects up to this serial. The row with an empty name must already have
    /// it.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn prune_published_serials(&self, serial: i64) -> Result<(), StoreError> {
        let statement =
            delete_batch!("published_serials", "object", "(removed = 1 AND object <> '' AND serial <= $1)");
        self.prune(&[statement], serial).await
    }
}
