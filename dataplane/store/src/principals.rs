use crate::change_log::{CHANGED_PRINCIPAL, log_change};
use crate::text::{like_pattern, text};
use crate::{Store, StoreError};

/// Who signed in, as their identity provider last described them.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct PrincipalRow {
    /// A digest of identity provider and subject.
    pub id: String,
    /// Name of the identity provider.
    pub identity_provider: String,
    /// `identity provider:sub`.
    pub subject: String,
    /// Only where it is verified.
    pub email: Option<String>,
    /// For people.
    pub display_name: Option<String>,
    /// JSON array of strings.
    pub group_names: String,
}

impl Store {
    /// Stores how a person is described now. Where that differs from before, the change is logged for every replica until
    /// `heard_by`, and `true` is returned.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn put_principal(
        &self,
        row: &PrincipalRow,
        now: i64,
        heard_by: i64,
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
                log_change(work, CHANGED_PRINCIPAL, &row.id, now, heard_by).await?;
            }
            Ok(changed)
        })
        .await
    }

    /// How a person was last described; `None` for somebody who never signed in.
    ///
    /// # Errors
    /// When the database does not answer.
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

    /// People whose subject, email or name contains what is sought, in the order of their subjects: those after the subject `after`, at
    /// most `limit`.
    ///
    /// # Errors
    /// When the database does not answer.
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
