use crate::{Store, StoreError};

/// One part of what an origin has been seen to offer.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct CatalogRow {
    /// Whose.
    pub origin_uid: String,
    /// The endpoint that offered it. Empty where an earlier version has written the row and did not know.
    pub origin_url: String,
    /// Which part: `initialize`, `server/discover`, or a list's method.
    pub kind: String,
    /// JSON text.
    pub document: String,
    /// When, Unix milliseconds.
    pub observed_at: i64,
}

impl Store {
    /// Remembers a part of an origin's catalog in place of the one before.
    ///
    /// # Errors
    /// When the database does not answer.
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

    /// Every part of every origin's catalog.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn catalogs(&self) -> Result<Vec<CatalogRow>, StoreError> {
        self.rows(sqlx::query_as(
            "SELECT origin_uid, origin_url, kind, document, observed_at FROM origin_catalogs",
        ))
        .await
    }
}
