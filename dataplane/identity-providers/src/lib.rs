//! The gateway towards identity providers: OpenID Connect, and OAuth servers that only say who holds a token.
//!
//! ```text
//! metadata       what a provider says of itself, and its keys                 (OpenID Connect Discovery, RFC 8414)
//! begin          where a browser signs in: state, nonce, PKCE
//! sign_in        back from there: the code redeemed (token), who it is (who: id_token, userinfo -> person)
//! account        the refresh token, sealed
//! renewal        asked again with it: who somebody is now, or that they are nobody any more; tokens for whoever acts for them
//! logout         the provider says by itself that somebody has left          (OpenID Connect Back-Channel Logout)
//! ```
//!
//! What follows from it (sessions, grants, pages) is for the rooms after this one.
//!
//! *Architecture invariant:* a person is (provider, subject). What one provider says never concerns another's people.

mod authorization_request;
mod backchannel_logout;
mod discovery;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
#[cfg(test)]
mod golden;
mod id_token;
mod identify;
mod provider;
mod reencrypt;
mod renewal;
mod sign_in;
mod stored_account;
mod token_endpoint;
mod user_profile;
mod userinfo;

use std::sync::Arc;

use moka::sync::Cache;
use portcullis_clock::{Clock, Random};
use portcullis_egress::HttpClients;
use portcullis_jwt_verification::{JwksEndpoint, JwtVerifier};
use portcullis_keyring::Keyring;
use portcullis_policy::PrincipalId;
use portcullis_store::Store;

use crate::discovery::DiscoveredProvider;
use crate::id_token::IdTokenKeys;
use crate::renewal::RenewalCache;

pub use authorization_request::{AuthorizationRequest, SignInSecrets};
pub use backchannel_logout::{LogoutError, LogoutRequest};
pub use error::ProviderError;
pub use renewal::{IdentityTokens, RenewalError, Renewed};
pub use sign_in::{AuthorizationResponse, CompletedSignIn};
pub use user_profile::{MissingSubject, UserClaims, UserProfile};

/// How many providers are remembered.
const MAX_CACHED_PROVIDERS: u64 = 64;

/// What it takes to speak with identity providers.
pub struct IdentityProvidersDependencies {
    /// Verifies what they sign, and fetches their documents within bounds.
    pub verifier: Arc<JwtVerifier>,
    /// Where accounts are kept.
    pub store: Store,
    /// Seals them.
    pub keys: Arc<Keyring>,
    /// Reaches the providers.
    pub http: HttpClients,
    /// The time.
    pub clock: Clock,
    /// Secrets.
    pub random: Random,
}

/// The identity providers. Cheap to clone.
#[derive(Clone)]
pub struct IdentityProviders(Arc<Inner>);

struct Inner {
    dependencies: IdentityProvidersDependencies,
    discovered: Cache<JwksEndpoint, Arc<DiscoveredProvider>>,
    id_token_keys: Cache<JwksEndpoint, Arc<IdTokenKeys>>,
    renewals: RenewalCache,
}

impl IdentityProviders {
    /// With nothing known of any yet.
    #[must_use]
    pub fn new(dependencies: IdentityProvidersDependencies) -> Self {
        Self(Arc::new(Inner {
            dependencies,
            discovered: Cache::new(MAX_CACHED_PROVIDERS),
            id_token_keys: Cache::new(MAX_CACHED_PROVIDERS),
            renewals: RenewalCache::new(),
        }))
    }

    fn dependencies(&self) -> &IdentityProvidersDependencies {
        &self.0.dependencies
    }
}

/// What a provider's `sub` is kept as; where `sub` is the subject, the principal's own id.
fn account_key(provider: &str, sub: &str) -> String {
    PrincipalId::of(provider, sub).as_str().to_owned()
}

/// What a provider's `sid` is kept as. No provider's name has a space in it.
fn session_key(provider: &str, sid: &str) -> String {
    PrincipalId::of(&format!("{provider} session"), sid).as_str().to_owned()
}
