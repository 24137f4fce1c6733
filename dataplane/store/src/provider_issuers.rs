//! The issuers that the names of identity providers are bound to.

use crate::{Store, StoreError};

/// The issuer that a name is bound to.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ProviderIssuerRow {
    /// Name of the identity provider.
    pub name: String,
    /// Issuer identifier.
    pub issuer: String,
    /// Claim that identifies users.
    pub subject_claim: String,
    /// When the name was bound, in Unix milliseconds.
    pub bound_at: i64,
}

impl Store {
    /// The issuer that a name is bound to; `None` if it is not bound.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn provider_issuer(&self, name: &str) -> Result<Option<ProviderIssuerRow>, StoreError> {
        self.row(
            sqlx::query_as(
                "SELECT name, issuer, subject_claim, bound_at FROM provider_issuers WHERE name = $1",
            )
            .bind(name),
        )
        .await
    }

    /// Binds a name that is not bound. False if it is bound already.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn bind_provider_issuer(&self, row: &ProviderIssuerRow) -> Result<bool, StoreError> {
        let done = self
            .execute(
                sqlx::query(
                    "INSERT INTO provider_issuers (name, issuer, subject_claim, bound_at)
                     VALUES ($1, $2, $3, $4)
                     ON CONFLICT (name) DO NOTHING",
                )
                .bind(&row.name)
                .bind(&row.issuer)
                .bind(&row.subject_claim)
                .bind(row.bound_at),
            )
            .await?;
        Ok(done == 1)
    }

    /// Binds a name to another issuer or claim. False if it is no longer bound as in `before`.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn rebind_provider_issuer(
        &self,
        before: &ProviderIssuerRow,
        row: &ProviderIssuerRow,
    ) -> Result<bool, StoreError> {
        let done = self
            .execute(
                sqlx::query(
                    "UPDATE provider_issuers SET issuer = $1, subject_claim = $2, bound_at = $3
                     WHERE name = $4 AND issuer = $5 AND subject_claim = $6",
                )
                .bind(&row.issuer)
                .bind(&row.subject_claim)
                .bind(row.bound_at)
                .bind(&before.name)
                .bind(&before.issuer)
                .bind(&before.subject_claim),
            )
            .await?;
        Ok(done == 1)
    }
}
