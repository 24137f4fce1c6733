//! The client of identity providers: OpenID Connect providers, and OAuth servers with a userinfo endpoint.
//!
//! Each part is a type with the dependencies that it uses. [`IdentityProviders`] builds all of them:
//!
//! ```text
//! discovery              ProviderDirectory  metadata and keys (OpenID Connect Discovery, RFC 8414)
//! sign_in                SignInClient       authorization request, then redeems the code (token_endpoint)
//! identify               UserIdentifier     the user's claims, from id_token and userinfo (user_profile)
//! id_token               IdTokenVerifier    verifies id_tokens
//! issuer_binding         IssuerBindings     which issuer a provider's name belongs to
//! stored_account         StoredAccounts     stores the refresh token, encrypted
//! renewal                RenewalClient      current claims, or the end of the sign-in; identity tokens
//! backchannel_logout     LogoutVerifier     logout tokens (OpenID Connect Back-Channel Logout)
//! reencrypt              TokenReencryption  after a key rotation
//! ```
//!
//! Sessions, grants and pages are in other crates.
//!
//! *Architecture invariant:* a principal is (provider, subject), and a provider's name is bound to one issuer
//! and subject claim. A provider's claims never affect another provider's principals.

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
mod issuer_binding;
mod provider;
mod reencrypt;
mod renewal;
mod sign_in;
mod stored_account;
mod token_endpoint;
mod user_profile;
mod userinfo;

use std::sync::Arc;

use portcullis_clock::{Clock, Random};
use portcullis_egress::HttpClients;
use portcullis_jwt_verification::JwtVerifier;
use portcullis_keyring::Keyring;
use portcullis_policy::PrincipalId;
use portcullis_store::Store;

use crate::id_token::IdTokenVerifier;
use crate::identify::UserIdentifier;
use crate::stored_account::StoredAccounts;

pub use authorization_request::{AuthorizationRequest, SignInSecrets};
pub use backchannel_logout::{LogoutError, LogoutRequest, LogoutVerifier};
pub use discovery::ProviderDirectory;
pub use error::{Problem, ProviderError};
pub use issuer_binding::{BindingError, IssuerBindings};
pub use reencrypt::TokenReencryption;
pub use renewal::{IdentityTokens, RenewalClient, RenewalError, Renewed};
pub use sign_in::{AuthorizationResponse, CompletedSignIn, SignInClient};
pub use user_profile::{MissingSubject, UserClaims, UserProfile};

/// Maximum number of providers whose metadata and keys are cached.
const MAX_CACHED_PROVIDERS: u64 = 64;

/// Dependencies of [`IdentityProviders`].
pub struct IdentityProvidersDependencies {
    /// Verifies logout tokens, and fetches metadata and keys.
    pub verifier: Arc<JwtVerifier>,
    /// Stores the users' accounts at providers.
    pub store: Store,
    /// Encrypts refresh tokens.
    pub keys: Arc<Keyring>,
    /// HTTP clients for requests to providers.
    pub http: HttpClients,
    /// Current time.
    pub clock: Clock,
    /// Source of secrets.
    pub random: Random,
}

/// The client of all identity providers: one part per responsibility. Cheap to clone.
#[derive(Clone)]
pub struct IdentityProviders {
    /// Looks up providers.
    pub directory: Arc<ProviderDirectory>,
    /// Checks which issuer a provider's name belongs to.
    pub bindings: Arc<IssuerBindings>,
    /// Signs users in.
    pub sign_in: Arc<SignInClient>,
    /// Renews sign-ins.
    pub renewal: Arc<RenewalClient>,
    /// Verifies logout tokens.
    pub logout: Arc<LogoutVerifier>,
    /// Re-encrypts stored refresh tokens after a key rotation.
    pub reencryption: Arc<TokenReencryption>,
}

impl IdentityProviders {
    /// Creates a client with empty caches.
    #[must_use]
    pub fn new(dependencies: IdentityProvidersDependencies) -> Self {
        let IdentityProvidersDependencies { verifier, store, keys, http, clock, random } = dependencies;
        let directory = Arc::new(ProviderDirectory::new(Arc::clone(&verifier), http, clock.clone()));
        let id_tokens = IdTokenVerifier::new(Arc::clone(&verifier), clock.clone());
        let users = Arc::new(UserIdentifier::new(id_tokens));
        let accounts =
            Arc::new(StoredAccounts::new(store.clone(), Arc::clone(&keys), clock.clone(), random.clone()));
        let bindings = Arc::new(IssuerBindings::new(store.clone(), clock.clone()));
        let sign_in = SignInClient::new(
            Arc::clone(&directory),
            Arc::clone(&users),
            Arc::clone(&bindings),
            Arc::clone(&accounts),
            random.clone(),
        );
        let renewal = RenewalClient::new(
            Arc::clone(&directory),
            users,
            accounts,
            store.clone(),
            clock.clone(),
            random.clone(),
        );
        let logout = LogoutVerifier::new(
            Arc::clone(&directory),
            Arc::clone(&bindings),
            verifier,
            store.clone(),
            clock,
        );
        Self {
            directory,
            bindings,
            sign_in: Arc::new(sign_in),
            renewal: Arc::new(renewal),
            logout: Arc::new(logout),
            reencryption: Arc::new(TokenReencryption::new(store, keys, random)),
        }
    }
}

/// The stored digest of a provider's `sub`. If `sub` is the subject claim, it equals the principal's id.
fn account_key(provider: &str, sub: &str) -> String {
    PrincipalId::of(provider, sub).as_str().to_owned()
}

/// The stored digest of a provider's `sid`. It cannot collide with [`account_key`], because provider names
/// have no spaces.
fn session_key(provider: &str, sid: &str) -> String {
    PrincipalId::of(&format!("{provider} session"), sid).as_str().to_owned()
}
