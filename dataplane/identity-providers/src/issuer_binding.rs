//! Binds the name of an identity provider to its issuer and subject claim.
//!
//! A user is identified by the provider's name and the value of the subject claim. If another provider got
//! the same name, its users could inherit the connections of users with the same subject.

use portcullis_clock::Clock;
use portcullis_config::ProviderClient;
use portcullis_policy::IdentityProvider;
use portcullis_store::{ProviderIssuerRow, Store, StoreError};

use crate::{Problem, ProviderError};

/// Attempts to bind a name while other replicas bind it.
const MAX_ATTEMPTS: usize = 3;

/// A provider's name is not bound to its issuer.
#[derive(Debug, thiserror::Error)]
pub enum BindingError {
    /// It is bound to another issuer or subject claim.
    #[error("the name of this identity provider belongs to another issuer or subject claim")]
    IssuerChanged,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<BindingError> for ProviderError {
    fn from(error: BindingError) -> Self {
        match error {
            BindingError::IssuerChanged => Self::IssuerChanged,
            BindingError::Store(error) => Self::Gateway(Problem::of(error)),
        }
    }
}

/// Binds names of identity providers.
pub struct IssuerBindings {
    store: Store,
    clock: Clock,
}

impl IssuerBindings {
    pub(crate) const fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Checks that the provider's name is bound to its issuer and subject claim. The first call binds the
    /// name. Development providers have no issuer and are not bound.
    ///
    /// # Errors
    /// When the name is bound to another issuer or subject claim and `previousIssuers` does not list that
    /// issuer, or when the store fails.
    pub async fn check_and_bind(&self, provider: &IdentityProvider) -> Result<(), BindingError> {
        let Some(client) = provider.kind.client() else { return Ok(()) };
        for _ in 0..MAX_ATTEMPTS {
            let Some(before) = self.store.provider_issuer(&provider.name).await? else {
                let row = self.row(provider, client);
                if self.store.bind_provider_issuer(&row).await? {
                    tracing::info!(
                        provider = %provider.name,
                        issuer = client.issuer,
                        "bound the identity provider's name to its issuer"
                    );
                    return Ok(());
                }
                continue;
            };
            if is_bound_to(&before, client) {
                return Ok(());
            }
            if !provider.previous_issuers.contains(&before.issuer) {
                return Err(refuse(provider, client, &before));
            }
            if self.store.rebind_provider_issuer(&before, &self.row(provider, client)).await? {
                tracing::info!(
                    provider = %provider.name,
                    issuer = client.issuer,
                    previous = before.issuer,
                    "bound the identity provider's name to its new issuer"
                );
                return Ok(());
            }
        }
        // Replicas with different settings bind the name in turn. One of them is outdated.
        Err(BindingError::IssuerChanged)
    }

    /// Like [`check_and_bind`](Self::check_and_bind), but binds nothing.
    ///
    /// # Errors
    /// Like [`check_and_bind`](Self::check_and_bind).
    pub async fn check(&self, provider: &IdentityProvider) -> Result<(), BindingError> {
        let Some(client) = provider.kind.client() else { return Ok(()) };
        match self.store.provider_issuer(&provider.name).await? {
            Some(before)
                if !is_bound_to(&before, client) && !provider.previous_issuers.contains(&before.issuer) =>
            {
                Err(refuse(provider, client, &before))
            }
            _ => Ok(()),
        }
    }

    fn row(&self, provider: &IdentityProvider, client: &ProviderClient) -> ProviderIssuerRow {
        ProviderIssuerRow {
            name: provider.name.to_string(),
            issuer: client.issuer.clone(),
            subject_claim: client.claims.subject.clone(),
            bound_at: self.clock.now().0,
        }
    }
}

fn is_bound_to(row: &ProviderIssuerRow, client: &ProviderClient) -> bool {
    row.issuer == client.issuer && row.subject_claim == client.claims.subject
}

fn refuse(provider: &IdentityProvider, client: &ProviderClient, before: &ProviderIssuerRow) -> BindingError {
    tracing::error!(
        provider = %provider.name,
        issuer = client.issuer,
        subject_claim = client.claims.subject,
        bound_issuer = before.issuer,
        bound_subject_claim = before.subject_claim,
        "rejected a sign-in: the identity provider's name is bound to another issuer or subject claim; give the provider \
         another name, or list the bound issuer in previousIssuers if the same users have the same subjects"
    );
    BindingError::IssuerChanged
}
