//! Principals with the latest claims from their identity provider.

use std::sync::Arc;

use portcullis_clock::Clock;
use portcullis_policy::{Principal, PrincipalId};
use portcullis_store::{PrincipalRow, Store, StoreError};

use crate::InternalError;
use crate::revocation_feed::RevocationFeed;

/// How long a change of a principal is kept in the log. Far longer than a replica keeps running without
/// reading the log.
const CHANGE_RETENTION_SECONDS: u64 = 24 * 3600;

/// Stores and loads principals: users, workloads and service accounts.
pub struct Principals {
    store: Store,
    clock: Clock,
    feed: Arc<RevocationFeed>,
}

impl Principals {
    pub(crate) const fn new(store: Store, clock: Clock, feed: Arc<RevocationFeed>) -> Self {
        Self { store, clock, feed }
    }

    /// Stores a principal after a sign-in or renewal. If it changed, all replicas drop their cached copy:
    /// this one immediately, the others when they next read the change log, within about a second.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn save(&self, principal: &Principal) -> Result<(), InternalError> {
        let now = self.clock.now();
        let row = to_row(principal)?;
        let keep_until = now.after_seconds(CHANGE_RETENTION_SECONDS);
        if self.store.put_principal(&row, now.0, keep_until.0).await? {
            self.feed.invalidate_principal(&principal.id);
            self.load(&principal.id).await?;
        }
        Ok(())
    }

    /// A principal with its latest claims; `None` if it never signed in.
    ///
    /// # Errors
    /// When the principal is not cached and the store fails.
    pub async fn load(&self, id: &PrincipalId) -> Result<Option<Arc<Principal>>, InternalError> {
        if let Some(person) = self.feed.principal(id) {
            return Ok(Some(person));
        }
        let epoch = self.feed.epoch();
        let Some(row) = self.store.principal(id.as_str()).await? else { return Ok(None) };
        let person = Arc::new(from_row(row)?);
        self.feed.cache_principal(&person, epoch);
        Ok(Some(person))
    }
}

fn to_row(principal: &Principal) -> Result<PrincipalRow, StoreError> {
    let groups: Vec<&str> = principal.groups.iter().map(AsRef::as_ref).collect();
    Ok(PrincipalRow {
        id: principal.id.as_str().to_owned(),
        identity_provider: principal.identity_provider.to_string(),
        subject: principal.subject.to_string(),
        email: principal.email.as_deref().map(ToOwned::to_owned),
        display_name: principal.name.as_deref().map(ToOwned::to_owned),
        group_names: serde_json::to_string(&groups)
            .map_err(|source| StoreError::Corrupt { what: "list of groups", source })?,
    })
}

fn from_row(row: PrincipalRow) -> Result<Principal, StoreError> {
    let groups: Vec<Arc<str>> = serde_json::from_str(&row.group_names)
        .map_err(|source| StoreError::Corrupt { what: "list of groups", source })?;
    Ok(Principal {
        id: PrincipalId::from_stored(&row.id),
        identity_provider: row.identity_provider.into(),
        subject: row.subject.into(),
        email: row.email.map(Into::into),
        name: row.display_name.map(Into::into),
        groups,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestServer, ana};

    #[tokio::test]
    async fn given_somebody_who_never_signed_in_when_asked_for_then_there_is_nobody() {
        let world = TestServer::new(&["a"]).await;
        assert_eq!(world.identity.principals.load(&PrincipalId::of("company", "bob")).await.unwrap(), None);
        assert_eq!(world.identity.principals.load(&ana().id).await.unwrap().as_deref(), Some(&ana()));
    }
}
