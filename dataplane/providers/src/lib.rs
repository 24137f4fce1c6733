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

mod account;
mod begin;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
#[cfg(test)]
mod golden;
mod id_token;
mod logout;
mod metadata;
mod person;
mod provider;
mod renewal;
mod reseal;
mod sign_in;
mod token;
mod userinfo;
mod who;

use std::sync::Arc;

use moka::sync::Cache;
use portcullis_ambient::{Clock, Random};
use portcullis_assertions::{Place, Verifier};
use portcullis_keys::Keys;
use portcullis_outbound::Clients;
use portcullis_policy::PrincipalId;
use portcullis_store::Store;

use crate::id_token::IdKeys;
use crate::metadata::Discovered;
use crate::renewal::Memory;

pub use begin::{Begin, Proof};
pub use error::ProviderError;
pub use logout::{Logout, LogoutError};
pub use person::{Claims, Description, NoSubject};
pub use renewal::{IdentityTokens, RenewalError, Renewed};
pub use sign_in::{Answer, SignedIn};

/// How many providers are remembered.
const PROVIDERS: u64 = 64;

/// What it takes to speak with identity providers.
pub struct ProvidersParts {
    /// Verifies what they sign, and fetches their documents within bounds.
    pub verifier: Arc<Verifier>,
    /// Where accounts are kept.
    pub store: Store,
    /// Seals them.
    pub keys: Arc<Keys>,
    /// Reaches the providers.
    pub http: Clients,
    /// The time.
    pub clock: Clock,
    /// Secrets.
    pub random: Random,
}

/// The identity providers. Cheap to clone.
#[derive(Clone)]
pub struct Providers(Arc<Inner>);

struct Inner {
    parts: ProvidersParts,
    discovered: Cache<Place, Arc<Discovered>>,
    id_keys: Cache<Place, Arc<IdKeys>>,
    memory: Memory,
}

impl Providers {
    /// With nothing known of any yet.
    #[must_use]
    pub fn new(parts: ProvidersParts) -> Self {
        Self(Arc::new(Inner {
            parts,
            discovered: Cache::new(PROVIDERS),
            id_keys: Cache::new(PROVIDERS),
            memory: Memory::new(),
        }))
    }

    fn parts(&self) -> &ProvidersParts {
        &self.0.parts
    }
}

/// What a provider's `sub` is kept as; where `sub` is the subject, the principal's own id.
fn account_of(provider: &str, sub: &str) -> String {
    PrincipalId::of(provider, sub).as_str().to_owned()
}

/// What a provider's `sid` is kept as. No provider's name has a space in it.
fn session_of(provider: &str, sid: &str) -> String {
    PrincipalId::of(&format!("{provider} session"), sid).as_str().to_owned()
}
