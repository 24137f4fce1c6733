//! Asking a provider again, with the refresh token of a sign-in: who is this person now, if anybody?
//!
//! One at a time for a person, across all replicas: many providers take each refresh token once, and hold its second use for theft.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use portcullis_ambient::Instant;
use portcullis_policy::{Gateway, PrincipalId};
use portcullis_store::{ProviderAccountRow, StoreError};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::account::Kept;
use crate::provider::Provider;
use crate::token::{TokenError, Tokens};
use crate::who::Asked;
use crate::{Description, ProviderError, Providers};

/// How long a replica has the renewing for itself. Longer than [`crate::token::DEADLINE`], and by more than clocks differ.
const LEASE: Duration = Duration::from_secs(12);
/// How often a replica looks whether another has finished, and how many times. All looks together take longer than a [`LEASE`].
const LOOK_AGAIN: Duration = Duration::from_millis(100);
const LOOKS: u32 = 130;
/// After a provider did not answer it is left alone for so long, for one person.
const POSTPONED: Duration = Duration::from_secs(30);
/// After which pauses a write of a new refresh token is tried again: the one before may already be spent.
const WRITE_AGAIN: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(300)];
/// For how long given tokens are used again, at most, and how long each must be good for then.
const REUSED: Duration = Duration::from_secs(300);
const LAST_MOMENTS: Duration = Duration::from_secs(60);
/// How many people's tokens are remembered.
const PEOPLE: u64 = 10_000;

/// Somebody is still who they were, and the provider has said so just now.
pub struct Renewed {
    /// As it describes them now.
    pub description: Description,
    /// Whether what it left out is not so; otherwise it is as it was known.
    pub is_whole: bool,
    /// Name of the provider.
    pub identity_provider: Arc<str>,
    /// What it gave besides.
    pub tokens: Arc<IdentityTokens>,
}

/// Tokens of a person at their identity provider, for whoever acts for them there (RFC 8693, ID-JAG). Never for a client.
pub struct IdentityTokens {
    /// Name of the provider.
    pub identity_provider: Arc<str>,
    /// Says who they are, to the gateway.
    pub id_token: Option<SecretString>,
    /// Of the gateway's own scopes there.
    pub access_token: SecretString,
    /// Until when both are to be used, at most.
    pub use_until: Instant,
}

/// Why nobody was renewed.
#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    /// There is nothing to ask with: the provider gave no refresh token, the settings forbid to keep it, or it was of another client.
    #[error(
        "no refresh token of this person is kept; signing in again gets one, if the identity provider gives any"
    )]
    Nothing,
    /// Not long enough ago.
    #[error("the identity provider was asked lately")]
    NotDue,
    /// Another replica is asking.
    #[error("another replica is asking the identity provider")]
    Busy,
    /// The provider has ended the sign-in (`invalid_grant`). Whoever hears this signs the person out, and lets the refresh token be
    /// forgotten then.
    #[error("the identity provider has ended the sign-in: {0}")]
    Ended(String),
    /// It does not answer, or something that cannot be believed, or refuses the gateway itself. The person is as they were.
    #[error("{0}")]
    Failed(ProviderError),
    /// It was so a moment ago.
    #[error("{0}")]
    Postponed(String),
}

impl From<ProviderError> for RenewalError {
    fn from(error: ProviderError) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for RenewalError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// What a process remembers of renewals.
pub(crate) struct Memory {
    tokens: Cache<PrincipalId, Arc<IdentityTokens>>,
    failed: Cache<PrincipalId, (Instant, Arc<str>)>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self { tokens: Cache::new(PEOPLE), failed: Cache::new(PEOPLE) }
    }

    pub(crate) fn forget(&self, who: &PrincipalId) {
        self.tokens.invalidate(who);
    }
}

impl Providers {
    /// Asks a person's provider who they are, unless it has said so since `asked_since`. To be run to its end: an answer that nobody
    /// stores costs the person their sign-in.
    ///
    /// # Errors
    /// Above. Only [`RenewalError::Ended`] says anything of the person.
    pub async fn renew(
        &self,
        gateway: &Gateway,
        who: &PrincipalId,
        asked_since: Option<Instant>,
    ) -> Result<Renewed, RenewalError> {
        let row = self.parts().store.provider_account(who.as_str()).await?.ok_or(RenewalError::Nothing)?;
        let sealed = row.sealed.as_deref().ok_or(RenewalError::Nothing)?;
        let known =
            gateway.identity_providers.iter().find(|provider| *provider.name == *row.identity_provider);
        let known = known.ok_or(RenewalError::Nothing)?;
        let client = known.kind.client().filter(|client| client.renew).ok_or(RenewalError::Nothing)?;
        if asked_since.is_some_and(|since| row.renewed_at > since.0) {
            return Err(RenewalError::NotDue);
        }
        let now = self.parts().clock.now();
        if let Some((until, problem)) = self.0.memory.failed.get(who)
            && now < until
        {
            return Err(RenewalError::Postponed(problem.to_string()));
        }
        let kept = self.open_account(who, &known.name, client, sealed).ok_or(RenewalError::Nothing)?;
        let renewed = match self.provider(known).await {
            Ok(provider) => self.renew_alone(&provider, who, &row, kept).await,
            Err(error) => Err(error.into()),
        };
        if let Err(RenewalError::Failed(error)) = &renewed {
            let until = self.parts().clock.now().after(POSTPONED);
            self.0.memory.failed.insert(who.clone(), (until, error.to_string().into()));
        }
        renewed
    }

    /// Tokens of a person at their provider: such as were given some moments ago, or new ones.
    ///
    /// # Errors
    /// Above.
    pub async fn identity_tokens(
        &self,
        gateway: &Gateway,
        who: &PrincipalId,
    ) -> Result<(Arc<IdentityTokens>, Option<Renewed>), RenewalError> {
        for _ in 0..LOOKS {
            if let Some(tokens) = self.0.memory.tokens.get(who)
                && self.parts().clock.now() < tokens.use_until
            {
                return Ok((tokens, None));
            }
            match self.renew(gateway, who, None).await {
                Ok(renewed) => return Ok((Arc::clone(&renewed.tokens), Some(renewed))),
                Err(RenewalError::Busy) => tokio::time::sleep(LOOK_AGAIN).await,
                Err(error) => return Err(error),
            }
        }
        Err(RenewalError::Busy)
    }

    async fn renew_alone(
        &self,
        provider: &Provider<'_>,
        who: &PrincipalId,
        row: &ProviderAccountRow,
        kept: Kept,
    ) -> Result<Renewed, RenewalError> {
        let store = &self.parts().store;
        let now = self.parts().clock.now();
        let until = now.after(LEASE);
        if !store.lease_provider_account(row, now.0, until.0).await? {
            return Err(RenewalError::Busy);
        }
        let form = [("grant_type", "refresh_token"), ("refresh_token", kept.refresh_token.as_str())];
        let tokens = match provider.tokens(&form).await {
            Ok(tokens) => tokens,
            Err(TokenError::Refused { code, description }) if is_over(&code) => {
                self.0.memory.forget(who);
                // The token stays until all is over, so that what fails halfway is found again. Another sign-in may have brought another.
                let is_last = store.release_provider_account(row, until.0).await?;
                return Err(if is_last {
                    RenewalError::Ended(description.unwrap_or(code))
                } else {
                    RenewalError::Busy
                });
            }
            Err(error) => {
                store.release_provider_account(row, until.0).await.ok();
                return Err(match error {
                    TokenError::Refused { .. } => ProviderError::Wrong(format!(
                        "the identity provider refuses to renew, as the gateway is registered there: {error}"
                    )),
                    error => error.into(),
                }
                .into());
            }
        };
        // First: the token before may be spent.
        let Kept { refresh_token, sub, nonce } = kept;
        let next = tokens
            .refresh
            .as_ref()
            .map_or(refresh_token, |token| Zeroizing::new(token.expose_secret().to_owned()));
        let next = Kept { refresh_token: next, sub, nonce };
        self.store_next(provider, who, row, &next).await?;
        let asked = Asked::Renewal { sub: &next.sub, nonce: next.nonce.as_deref() };
        let found = self.who(provider, &tokens, asked).await?;
        if PrincipalId::of(provider.name, found.description.subject()) != *who {
            let problem = "the renewed sign-in has another subject; the gateway's claims.subject setting has changed, perhaps";
            return Err(ProviderError::Wrong(problem.to_owned()).into());
        }
        let tokens = Arc::new(self.given(provider.name, tokens));
        self.0.memory.tokens.insert(who.clone(), Arc::clone(&tokens));
        Ok(Renewed {
            description: found.description,
            is_whole: found.is_whole,
            identity_provider: provider.name.into(),
            tokens,
        })
    }

    async fn store_next(
        &self,
        provider: &Provider<'_>,
        who: &PrincipalId,
        row: &ProviderAccountRow,
        next: &Kept,
    ) -> Result<(), RenewalError> {
        let parts = self.parts();
        let sealed = self.seal_account(who, provider.name, provider.client, next)?;
        let revision = parts.random.token().map_err(ProviderError::from)?;
        let now = parts.clock.now().0;
        let mut written = parts.store.renew_provider_account(row, &sealed, &revision, now).await;
        for pause in WRITE_AGAIN {
            if written.is_ok() {
                break;
            }
            tokio::time::sleep(pause).await;
            written = parts.store.renew_provider_account(row, &sealed, &revision, now).await;
        }
        // Another sign-in has brought another token meanwhile, or all is over: what is stored counts.
        if written? { Ok(()) } else { Err(RenewalError::Busy) }
    }

    fn given(&self, identity_provider: &str, tokens: Tokens) -> IdentityTokens {
        let now = self.parts().clock.now();
        let lifetime = tokens.lifetime.map_or(REUSED, Duration::from_secs).saturating_sub(LAST_MOMENTS);
        IdentityTokens {
            identity_provider: identity_provider.into(),
            id_token: tokens.id_token,
            access_token: tokens.access,
            use_until: now.after(lifetime.min(REUSED)),
        }
    }
}

/// Whether it is the sign-in that is over, and not the gateway that is refused. The second is GitHub's word for the first.
fn is_over(code: &str) -> bool {
    matches!(code, "invalid_grant" | "bad_refresh_token")
}
