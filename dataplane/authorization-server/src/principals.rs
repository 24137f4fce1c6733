//! Principals with the latest claims from their identity provider.

use std::sync::Arc;

use portcullis_policy::{Principal, PrincipalId};
use portcullis_store::{PrincipalRow, StoreError};

use crate::{AuthorizationServer, Caller, InternalError};

/// How long a change of a principal is kept in the log. Far longer than a replica keeps running without
/// reading the log.
const CHANGE_RETENTION_SECONDS: u64 = 24 * 3600;

impl AuthorizationServer {
    /// Stores a principal after a sign-in or renewal. If it changed, all replicas drop their cached copy:
    /// this one immediately, the others when they next read the change log, within about a second.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn save_principal(&self, principal: &Principal) -> Result<(), InternalError> {
        let now = self.clock().now();
        let row = to_row(principal)?;
        let keep_until = now.after_seconds(CHANGE_RETENTION_SECONDS);
        if self.store().put_principal(&row, now.0, keep_until.0).await? {
            self.feed().invalidate_principal(&principal.id);
            self.load_principal(&principal.id).await?;
        }
        Ok(())
    }

    /// A principal with its latest claims; `None` if it never signed in.
    ///
    /// # Errors
    /// When the principal is not cached and the store fails.
    pub async fn principal(&self, id: &PrincipalId) -> Result<Option<Principal>, InternalError> {
        Ok(self.load_principal(id).await?.map(|principal| (*principal).clone()))
    }

    /// The current principal of a caller, for streams that stay open after their token has expired. `None` if
    /// the grant was revoked, the client is no longer registered, or the revocation feed is stale. Never
    /// waits.
    #[must_use]
    pub fn current_principal(&self, caller: &Caller) -> Option<Arc<Principal>> {
        if !self.is_ready()
            || self.feed().is_revoked(&caller.grant_id)
            || !self.is_client_registered(&caller.client_id)
        {
            return None;
        }
        let id = &caller.principal.id;
        let person = self.feed().principal(id);
        if person.is_none() {
            // Evicted from the cache, or an earlier load failed. Load it in the background, for the next
            // check.
            let (identity, id) = (self.clone(), id.clone());
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { identity.load_principal(&id).await.map(drop) });
            }
        }
        Some(person.unwrap_or_else(|| Arc::new(caller.principal.clone())))
    }

    /// Like [`principal`](Self::principal), but returns the shared cached value.
    pub(crate) async fn load_principal(
        &self,
        id: &PrincipalId,
    ) -> Result<Option<Arc<Principal>>, InternalError> {
        if let Some(person) = self.feed().principal(id) {
            return Ok(Some(person));
        }
        let epoch = self.feed().epoch();
        let Some(row) = self.store().principal(id.as_str()).await? else { return Ok(None) };
        let person = Arc::new(from_row(row)?);
        self.feed().cache_principal(&person, epoch);
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
        assert_eq!(world.identity.principal(&PrincipalId::of("company", "bob")).await.unwrap(), None);
        assert_eq!(world.identity.principal(&ana().id).await.unwrap(), Some(ana()));
    }

    #[tokio::test]
    async fn given_an_open_stream_when_its_person_changes_or_its_grant_ends_elsewhere_then_the_next_look_knows()
     {
        let world = TestServer::new(&["a"]).await;
        let other = world.replica(&["a"]).await;
        let client = world.client().await;
        let issued = world.tokens(&client, "a").await;
        let token = issued.text("access_token");
        let caller = other.authenticate(token, "a").await.unwrap();
        assert_eq!(*other.identity.current_principal(&caller).unwrap(), ana());

        let anew = Principal::new("company", "ana", None, None, ["readers"]);
        world.identity.save_principal(&anew).await.unwrap();
        other.identity.read_feed().await.unwrap();
        assert_eq!(*other.identity.current_principal(&caller).unwrap(), anew);
        assert_eq!(*world.identity.current_principal(&caller).unwrap(), anew);

        world.post("/mcp/a/oauth/revoke", &[("client_id", &client.id), ("token", token)]).await;
        assert!(world.identity.current_principal(&caller).is_none());
        other.identity.read_feed().await.unwrap();
        assert!(other.identity.current_principal(&caller).is_none());
    }

    #[tokio::test]
    async fn given_an_open_stream_when_the_feed_is_silent_for_too_long_then_it_may_not_go_on() {
        let world = TestServer::new(&["a"]).await;
        let issued = world.tokens(&*world.client().await, "a").await;
        let caller = world.authenticate(issued.text("access_token"), "a").await.unwrap();
        world.advance(901);
        assert!(world.identity.current_principal(&caller).is_none());
    }
}
