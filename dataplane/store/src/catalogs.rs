//! Observed catalogs of origins.

use crate::{Store, StoreError};

/// One part of an origin's observed catalog.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct CatalogRow {
    /// UID of the origin.
    pub origin_uid: String,
    /// URL of the origin at that time. Empty in rows of earlier versions.
    pub origin_url: String,
    /// The part: `initialize`, `server/discover`, or a list's method.
    pub kind: String,
    /// JSON text.
    pub document: String,
    /// Time of the observation, in Unix milliseconds.
    pub observed_at: i64,
}

impl Store {
    /// Stores a part of an origin's catalog and replaces the previous one.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn put_catalog(&self, row: &CatalogRow) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "INSERT INTO origin_catalogs (origin_uid, origin_url, kind, document, observed_at)
                 VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (origin_uid, kind) DO UPDATE SET origin_url = excluded.origin_url,
                     document = excluded.document, observed_at = excluded.observed_at",
            )
            .bind(&row.origin_uid)
            .bind(&row.origin_url)
            .bind(&row.kind)
            .bind(&row.document)
            .bind(row.observed_at),
        )
        .await?;
        Ok(())
    }

    /// All parts of all origins' catalogs.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn catalogs(&self) -> Result<Vec<CatalogRow>, StoreError> {
        self.rows(sqlx::query_as(
            "SELECT origin_uid, origin_url, kind, document, observed_at FROM origin_catalogs",
        ))
        .await
    }
}
