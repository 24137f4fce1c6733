//! Asking a provider again, with the refresh token of a sign-in: who is this person now, if anybody?
//!
//! One at a time for a person, across all replicas: many providers take each refresh token once, and hold its second use for theft.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use portcullis_clock::UnixMillis;
use portcullis_policy::{Gateway, PrincipalId};
use portcullis_store::{ProviderAccountRow, StoreError};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::identify::ExpectedUser;
use crate::provider::Provider;
use crate::stored_account::StoredAccount;
use crate::token_endpoint::{TokenRequestError, Tokens};
use crate::{IdentityProviders, ProviderError, UserProfile};

/// How long a replica has the renewing for itself. Longer than [`crate::token_endpoint::REQUEST_TIMEOUT`], and by more than clocks differ.
const LEASE_DURATION: Duration = Duration::from_secs(12);
/// How often a replica looks whether another has finished, and how many times. All looks together take longer than a [`LEASE_DURATION`].
const LEASE_POLL_INTERVAL: Duration = Duration::from_millis(100);
const MAX_LEASE_POLLS: u32 = 130;
/// After a provider did not answer it is left alone for so long, for one person.
const RETRY_DELAY: Duration = Duration::from_secs(30);
/// After which pauses a write of a new refresh token is tried again: the one before may already be spent.
const WRITE_RETRY_DELAYS: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(300)];
/// For how long given tokens are used again, at most, and how long each must be good for then.
const MAX_TOKEN_REUSE: Duration = Duration::from_secs(300);
const EXPIRY_MARGIN: Duration = Duration::from_secs(60);
/// How many people's tokens are remembered.
const MAX_CACHED_PRINCIPALS: u64 = 10_000;

/// Somebody is still who they were, and the provider has said so just now.
pub struct Renewed {
    /// As it describes them now.
    pub description: UserProfile,
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
    pub use_until: UnixMillis,
}

/// Why nobody was renewed.
#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    /// There is nothing to ask with: the provider gave no refresh token, the settings forbid to keep it, or it was of another client.
    #[error(
        "no refresh token of this person is kept; signing in again gets one, if the identity provider gives any"
    )]
    NoRefreshToken,
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
pub(crate) struct RenewalCache {
    tokens: Cache<PrincipalId, Arc<IdentityTokens>>,
    failed: Cache<PrincipalId, (UnixMillis, Arc<str>)>,
}

impl RenewalCache {
    pub(crate) fn new() -> Self {
        Self { tokens: Cache::new(MAX_CACHED_PRINCIPALS), failed: Cache::new(MAX_CACHED_PRINCIPALS) }
    }

    pub(crate) fn remove(&self, who: &PrincipalId) {
        self.tokens.invalidate(who);
    }
}

impl IdentityProviders {
    /// Asks a person's provider who they are, unless it has said so since `asked_since`. To be run to its end: an answer that nobody
    /// stores costs the person their sign-in.
    ///
    /// # Errors
    /// Above. Only [`RenewalError::Ended`] says anything of the person.
    pub async fn renew(
        &self,
        gateway: &Gateway,
        who: &PrincipalId,
        asked_since: Option<UnixMillis>,
    ) -> Result<Renewed, RenewalError> {
        let row = self
            .dependencies()
            .store
            .provider_account(who.as_str())
            .await?
            .ok_or(RenewalError::NoRefreshToken)?;
        let sealed = row.sealed.as_deref().ok_or(RenewalError::NoRefreshToken)?;
        let known =
            gateway.identity_providers.iter().find(|provider| *provider.name == *row.identity_provider);
        let known = known.ok_or(RenewalError::NoRefreshToken)?;
        let client = known.kind.client().filter(|client| client.renew).ok_or(RenewalError::NoRefreshToken)?;
        if asked_since.is_some_and(|since| row.renewed_at > since.0) {
            return Err(RenewalError::NotDue);
        }
        let now = self.dependencies().clock.now();
        if let Some((until, problem)) = self.0.renewals.failed.get(who)
            && now < until
        {
            return Err(RenewalError::Postponed(problem.to_string()));
        }
        let kept = self.open_account(who, &known.name, client, sealed).ok_or(RenewalError::NoRefreshToken)?;
        let renewed = match self.provider(known).await {
            Ok(provider) => self.renew_with_lease(&provider, who, &row, kept).await,
            Err(error) => Err(error.into()),
        };
        if let Err(RenewalError::Failed(error)) = &renewed {
            let until = self.dependencies().clock.now().after(RETRY_DELAY);
            self.0.renewals.failed.insert(who.clone(), (until, error.to_string().into()));
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
        for _ in 0..MAX_LEASE_POLLS {
            if let Some(tokens) = self.0.renewals.tokens.get(who)
                && self.dependencies().clock.now() < tokens.use_until
            {
                return Ok((tokens, None));
            }
            match self.renew(gateway, who, None).await {
                Ok(renewed) => return Ok((Arc::clone(&renewed.tokens), Some(renewed))),
                Err(RenewalError::Busy) => tokio::time::sleep(LEASE_POLL_INTERVAL).await,
                Err(error) => return Err(error),
            }
        }
        Err(RenewalError::Busy)
    }

    async fn renew_with_lease(
        &self,
        provider: &Provider<'_>,
        who: &PrincipalId,
        row: &ProviderAccountRow,
        kept: StoredAccount,
    ) -> Result<Renewed, RenewalError> {
        let store = &self.dependencies().store;
        let now = self.dependencies().clock.now();
        let until = now.after(LEASE_DURATION);
        if !store.lease_provider_account(row, now.0, until.0).await? {
            return Err(RenewalError::Busy);
        }
        let form = [("grant_type", "refresh_token"), ("refresh_token", kept.refresh_token.as_str())];
        let tokens = match provider.tokens(&form).await {
            Ok(tokens) => tokens,
            Err(TokenRequestError::Refused { code, description }) if is_sign_in_revoked(&code) => {
                self.0.renewals.remove(who);
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
                    TokenRequestError::Refused { .. } => ProviderError::InvalidResponse(format!(
                        "the identity provider refuses to renew, as the gateway is registered there: {error}"
                    )),
                    error => error.into(),
                }
                .into());
            }
        };
        // First: the token before may be spent.
        let StoredAccount { refresh_token, sub, nonce } = kept;
        let next = tokens
            .refresh
            .as_ref()
            .map_or(refresh_token, |token| Zeroizing::new(token.expose_secret().to_owned()));
        let next = StoredAccount { refresh_token: next, sub, nonce };
        self.save_renewed_account(provider, who, row, &next).await?;
        let asked = ExpectedUser::Renewal { sub: &next.sub, nonce: next.nonce.as_deref() };
        let found = self.identify(provider, &tokens, asked).await?;
        if PrincipalId::of(provider.name, found.description.subject()) != *who {
            let problem = "the renewed sign-in has another subject; the gateway's claims.subject setting has changed, perhaps";
            return Err(ProviderError::InvalidResponse(problem.to_owned()).into());
        }
        let tokens = Arc::new(self.to_identity_tokens(provider.name, tokens));
        self.0.renewals.tokens.insert(who.clone(), Arc::clone(&tokens));
        Ok(Renewed {
            description: found.description,
            is_whole: found.is_whole,
            identity_provider: provider.name.into(),
            tokens,
        })
    }

    async fn save_renewed_account(
        &self,
        provider: &Provider<'_>,
        who: &PrincipalId,
        row: &ProviderAccountRow,
        next: &StoredAccount,
    ) -> Result<(), RenewalError> {
        let dependencies = self.dependencies();
        let sealed = self.seal_account(who, provider.name, provider.client, next)?;
        let revision = dependencies.random.token().map_err(ProviderError::from)?;
        let now = dependencies.clock.now().0;
        let mut written = dependencies.store.renew_provider_account(row, &sealed, &revision, now).await;
        for pause in WRITE_RETRY_DELAYS {
            if written.is_ok() {
                break;
            }
            tokio::time::sleep(pause).await;
            written = dependencies.store.renew_provider_account(row, &sealed, &revision, now).await;
        }
        // Another sign-in has brought another token meanwhile, or all is over: what is stored counts.
        if written? { Ok(()) } else { Err(RenewalError::Busy) }
    }

    fn to_identity_tokens(&self, identity_provider: &str, tokens: Tokens) -> IdentityTokens {
        let now = self.dependencies().clock.now();
        let lifetime =
            tokens.lifetime.map_or(MAX_TOKEN_REUSE, Duration::from_secs).saturating_sub(EXPIRY_MARGIN);
        IdentityTokens {
            identity_provider: identity_provider.into(),
            id_token: tokens.id_token,
            access_token: tokens.access,
            use_until: now.after(lifetime.min(MAX_TOKEN_REUSE)),
        }
    }
}

/// Whether it is the sign-in that is over, and not the gateway that is refused. The second is GitHub's word for the first.
fn is_sign_in_revoked(code: &str) -> bool {
    matches!(code, "invalid_grant" | "bad_refresh_token")
}
