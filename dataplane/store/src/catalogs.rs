//! Shared catalogs: what origins offer and every user may see.

use crate::{Store, StoreError};

/// One part of an origin's shared catalog.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct CatalogRow {
    /// UID of the origin.
    pub origin_uid: String,
    /// URL of the origin at that time.
    pub origin_url: String,
    /// The part: `initialize`, `server/discover`, or a list's method.
    pub kind: String,
    /// Why every user may see it.
    pub basis: String,
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
                "INSERT INTO shared_catalogs (origin_uid, origin_url, kind, basis, document, observed_at)
                 VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (origin_uid, kind) DO UPDATE SET origin_url = excluded.origin_url,
                     basis = excluded.basis, document = excluded.document, observed_at = excluded.observed_at",
            )
            .bind(&row.origin_uid)
            .bind(&row.origin_url)
            .bind(&row.kind)
            .bind(&row.basis)
            .bind(&row.document)
            .bind(row.observed_at),
        )
        .await?;
        Ok(())
    }

    /// Deletes a part of an origin's catalog.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn remove_catalog(&self, origin_uid: &str, kind: &str) -> Result<(), StoreError> {
        self.execute(
            sqlx::query("DELETE FROM shared_catalogs WHERE origin_uid = $1 AND kind = $2")
                .bind(origin_uid)
                .bind(kind),
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
            "SELECT origin_uid, origin_url, kind, basis, document, observed_at FROM shared_catalogs",
        ))
        .await
    }

    /// Deletes parts that were last observed before this time, and everything in the table of earlier
    /// versions. They write there during a rolling update, also what only one user may see.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn prune_catalogs(&self, before: i64) -> Result<(), StoreError> {
        self.execute(sqlx::query("DELETE FROM origin_catalogs")).await?;
        self.execute(sqlx::query("DELETE FROM shared_catalogs WHERE observed_at < $1").bind(before)).await?;
        Ok(())
    }
}
