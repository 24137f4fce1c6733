//! Principals who have signed in.

use crate::change_log::{CHANGED_PRINCIPAL, log_change};
use crate::text::{like_pattern, text};
use crate::{Store, StoreError};

/// A principal, as last described by the identity provider.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct PrincipalRow {
    /// A digest of identity provider and subject.
    pub id: String,
    /// Name of the identity provider.
    pub identity_provider: String,
    /// `identity provider:sub`.
    pub subject: String,
    /// The email address, if it is verified.
    pub email: Option<String>,
    /// Name for display.
    pub display_name: Option<String>,
    /// Groups, as a JSON array of strings.
    pub group_names: String,
}

impl Store {
    /// Stores the current description of a principal. If it differs from the previous one, logs the change
    /// for all replicas until `keep_until` and returns `true`.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn put_principal(
        &self,
        row: &PrincipalRow,
        now: i64,
        keep_until: i64,
    ) -> Result<bool, StoreError> {
        self.transaction(async |work| {
            let changed = sqlx::query(
                "INSERT INTO principals (id, identity_provider, subject, email, display_name,
                     group_names, described_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)
                 ON CONFLICT (id) DO UPDATE SET email = excluded.email,
                     display_name = excluded.display_name, group_names = excluded.group_names,
                     described_at = excluded.described_at
                 WHERE principals.email IS DISTINCT FROM excluded.email
                     OR principals.display_name IS DISTINCT FROM excluded.display_name
                     OR principals.group_names <> excluded.group_names",
            )
            .bind(&row.id)
            .bind(&row.identity_provider)
            .bind(text(&row.subject))
            .bind(row.email.as_deref().map(text))
            .bind(row.display_name.as_deref().map(text))
            .bind(text(&row.group_names))
            .bind(now)
            .execute(&mut *work)
            .await?
            .rows_affected()
                > 0;
            if changed {
                log_change(work, CHANGED_PRINCIPAL, &row.id, now, keep_until).await?;
            }
            Ok(changed)
        })
        .await
    }

    /// A principal. `None` if it has never signed in.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn principal(&self, id: &str) -> Result<Option<PrincipalRow>, StoreError> {
        self.row(
            sqlx::query_as(
                "SELECT id, identity_provider, subject, email, display_name, group_names
                 FROM principals
                 WHERE id = $1",
            )
            .bind(id),
        )
        .await
    }

    /// Principals whose subject, email or name contains `sought` and whose subject is greater than `after`,
    /// sorted by subject, at most `limit`.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn search_principals(
        &self,
        sought: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<PrincipalRow>, StoreError> {
        self.rows(
            sqlx::query_as(
                r"SELECT id, identity_provider, subject, email, display_name, group_names
                  FROM principals
                  WHERE subject > $1
                      AND (LOWER(subject) LIKE $2 ESCAPE '\' OR LOWER(email) LIKE $2 ESCAPE '\'
                           OR LOWER(display_name) LIKE $2 ESCAPE '\')
                  ORDER BY subject
                  LIMIT $3",
            )
            .bind(after)
            .bind(like_pattern(sought))
            .bind(limit),
        )
        .await
    }
}
