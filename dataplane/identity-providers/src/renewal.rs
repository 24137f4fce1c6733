//! Renews sign-ins: uses the stored refresh token to get current claims and tokens from the provider.
//!
//! Across all replicas only one renewal runs per principal, because many providers accept a refresh token
//! once and treat a second use as theft.

use std::sync::Arc;
use std::time::Duration;

use backon::Retryable as _;
use moka::sync::Cache;
use portcullis_clock::{Clock, Random, UnixMillis};
use portcullis_policy::{Gateway, PrincipalId};
use portcullis_store::{ProviderAccountRow, Store, StoreError};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::discovery::ProviderDirectory;
use crate::error::Problem;
use crate::identify::{ExpectedUser, UserIdentifier};
use crate::provider::Provider;
use crate::stored_account::{StoredAccount, StoredAccounts};
use crate::token_endpoint::{TokenRequestError, Tokens};
use crate::{ProviderError, UserProfile};

/// How long a replica holds the lease of a renewal. Exceeds [`crate::token_endpoint::REQUEST_TIMEOUT`] by
/// more than the clock skew between replicas.
const LEASE_DURATION: Duration = Duration::from_secs(12);
/// How often, and how many times, a replica checks whether another replica has finished. In total longer than
/// [`LEASE_DURATION`].
const LEASE_POLL_INTERVAL: Duration = Duration::from_millis(100);
const MAX_LEASE_POLLS: u32 = 130;
/// After a failed renewal, no renewal is attempted for this principal for this time.
const RETRY_DELAY: Duration = Duration::from_secs(30);
/// Delays before retries of storing a new refresh token. Losing it can end the sign-in: the old one may be
/// spent.
const WRITE_RETRY_DELAYS: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(300)];
/// How long tokens are reused at most, and how long before their expiry reuse ends.
const MAX_TOKEN_REUSE: Duration = Duration::from_secs(300);
const EXPIRY_MARGIN: Duration = Duration::from_secs(60);
/// Maximum number of principals whose tokens are cached.
const MAX_CACHED_PRINCIPALS: u64 = 10_000;

/// A renewed sign-in.
pub struct Renewed {
    /// Current profile of the user.
    pub description: UserProfile,
    /// Whether the profile is complete. If not, missing values are unchanged.
    pub is_whole: bool,
    /// Name of the provider.
    pub identity_provider: Arc<str>,
    /// New tokens of the user.
    pub tokens: Arc<IdentityTokens>,
}

/// A user's tokens from their identity provider, for token exchange (RFC 8693) and ID-JAG. Never sent to a
/// client.
pub struct IdentityTokens {
    /// Name of the provider.
    pub identity_provider: Arc<str>,
    /// The id_token, whose audience is the gateway.
    pub id_token: Option<SecretString>,
    /// The access token, with the scopes of the gateway's client.
    pub access_token: SecretString,
    /// Until when both tokens may be used.
    pub use_until: UnixMillis,
}

/// A sign-in was not renewed.
#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    /// There is no usable refresh token: the provider issued none, the settings disable renewal, or the token
    /// was issued to another client.
    #[error(
        "no refresh token is stored for this user; sign in again to get one, if the identity provider issues them"
    )]
    NoRefreshToken,
    /// The last renewal is recent enough.
    #[error("the sign-in was renewed recently")]
    NotDue,
    /// Another replica is renewing this sign-in.
    #[error("another replica is renewing this sign-in; try again")]
    Busy,
    /// The provider ended the sign-in (`invalid_grant`). The caller must sign the user out, which also
    /// deletes the refresh token.
    #[error("the identity provider ended the sign-in: {0}")]
    Ended(String),
    /// The request failed, the response is invalid, or the provider rejected the gateway's client. The
    /// sign-in is unchanged.
    #[error(transparent)]
    Failed(Arc<ProviderError>),
    /// A renewal failed recently, with this error; the next attempt is later.
    #[error(transparent)]
    Postponed(Arc<ProviderError>),
    /// The task that renews the sign-in panicked, or the process is shutting down.
    #[error(transparent)]
    Aborted(#[from] tokio::task::JoinError),
}

impl From<ProviderError> for RenewalError {
    fn from(error: ProviderError) -> Self {
        Self::Failed(Arc::new(error))
    }
}

impl From<StoreError> for RenewalError {
    fn from(error: StoreError) -> Self {
        ProviderError::from(error).into()
    }
}

/// Renews sign-ins, and caches recent tokens and failures per principal.
pub struct RenewalClient {
    directory: Arc<ProviderDirectory>,
    users: Arc<UserIdentifier>,
    accounts: Arc<StoredAccounts>,
    store: Store,
    clock: Clock,
    random: Random,
    tokens: Cache<PrincipalId, Arc<IdentityTokens>>,
    failed: Cache<PrincipalId, (UnixMillis, Arc<ProviderError>)>,
}

impl RenewalClient {
    pub(crate) fn new(
        directory: Arc<ProviderDirectory>,
        users: Arc<UserIdentifier>,
        accounts: Arc<StoredAccounts>,
        store: Store,
        clock: Clock,
        random: Random,
    ) -> Self {
        let (tokens, failed) = (Cache::new(MAX_CACHED_PRINCIPALS), Cache::new(MAX_CACHED_PRINCIPALS));
        Self { directory, users, accounts, store, clock, random, tokens, failed }
    }

    /// Renews a sign-in, unless it was renewed after `asked_since`. The future must run to completion: if the
    /// new refresh token is not stored, the sign-in is lost.
    ///
    /// # Errors
    /// See [`RenewalError`]. Only [`RenewalError::Ended`] means that the sign-in has ended.
    pub async fn renew(
        &self,
        gateway: &Gateway,
        who: &PrincipalId,
        asked_since: Option<UnixMillis>,
    ) -> Result<Renewed, RenewalError> {
        let row = self.store.provider_account(who.as_str()).await?.ok_or(RenewalError::NoRefreshToken)?;
        let sealed = row.sealed.as_deref().ok_or(RenewalError::NoRefreshToken)?;
        let known =
            gateway.identity_providers.iter().find(|provider| *provider.name == *row.identity_provider);
        let known = known.ok_or(RenewalError::NoRefreshToken)?;
        let client = known.kind.client().filter(|client| client.renew).ok_or(RenewalError::NoRefreshToken)?;
        if asked_since.is_some_and(|since| row.renewed_at > since.0) {
            return Err(RenewalError::NotDue);
        }
        let now = self.clock.now();
        if let Some((until, problem)) = self.failed.get(who)
            && now < until
        {
            return Err(RenewalError::Postponed(problem));
        }
        let kept =
            self.accounts.open(who, &known.name, client, sealed).ok_or(RenewalError::NoRefreshToken)?;
        let renewed = match self.directory.provider(known).await {
            Ok(provider) => self.renew_with_lease(&provider, who, &row, kept).await,
            Err(error) => Err(error.into()),
        };
        if let Err(RenewalError::Failed(error)) = &renewed {
            let until = self.clock.now().after(RETRY_DELAY);
            self.failed.insert(who.clone(), (until, Arc::clone(error)));
        }
        renewed
    }

    /// A user's tokens from their provider: cached ones, or new ones from a renewal.
    ///
    /// # Errors
    /// See [`RenewalError`].
    pub async fn identity_tokens(
        &self,
        gateway: &Gateway,
        who: &PrincipalId,
    ) -> Result<(Arc<IdentityTokens>, Option<Renewed>), RenewalError> {
        for _ in 0..MAX_LEASE_POLLS {
            if let Some(tokens) = self.tokens.get(who)
                && self.clock.now() < tokens.use_until
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
        let store = &self.store;
        let now = self.clock.now();
        let until = now.after(LEASE_DURATION);
        if !store.lease_provider_account(row, now.0, until.0).await? {
            return Err(RenewalError::Busy);
        }
        let form = [("grant_type", "refresh_token"), ("refresh_token", kept.refresh_token.as_str())];
        let tokens = match provider.tokens(&form).await {
            Ok(tokens) => tokens,
            Err(TokenRequestError::Refused { code, description }) if is_sign_in_revoked(&code) => {
                self.tokens.invalidate(who);
                // Keep the refresh token until the sign-out is complete: a sign-out that failed halfway is
                // then retried. A new sign-in may have stored another token meanwhile.
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
                    TokenRequestError::Refused { .. } => ProviderError::InvalidResponse(
                        Problem::new(format!(
                            "the identity provider rejected the renewal: {error}; check the gateway's client registration there"
                        ))
                        .with_source(error),
                    ),
                    error => error.into(),
                }
                .into());
            }
        };
        // Store the new refresh token first: the old one may be spent.
        let StoredAccount { refresh_token, sub, nonce } = kept;
        let next = tokens
            .refresh
            .as_ref()
            .map_or(refresh_token, |token| Zeroizing::new(token.expose_secret().to_owned()));
        let next = StoredAccount { refresh_token: next, sub, nonce };
        self.save_renewed_account(provider, who, row, &next).await?;
        let asked = ExpectedUser::Renewal { sub: &next.sub, nonce: next.nonce.as_deref() };
        let found = self.users.identify(provider, &tokens, asked).await?;
        if PrincipalId::of(provider.name, found.description.subject()) != *who {
            let problem = "the renewed sign-in has another subject; check whether the gateway's claims.subject setting was changed";
            return Err(ProviderError::invalid(problem).into());
        }
        let tokens = Arc::new(self.to_identity_tokens(provider.name, tokens));
        self.tokens.insert(who.clone(), Arc::clone(&tokens));
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
        let sealed = self.accounts.seal(who, provider.name, provider.client, next)?;
        let revision = self.random.token().map_err(ProviderError::from)?;
        let now = self.clock.now().0;
        let write = || self.store.renew_provider_account(row, &sealed, &revision, now);
        let written = write.retry(WRITE_RETRY_DELAYS.into_iter()).await;
        // If the row changed meanwhile, a new sign-in stored another token, or the sign-in ended. Keep the
        // row.
        if written? { Ok(()) } else { Err(RenewalError::Busy) }
    }

    /// Deletes a principal's refresh token from the store, and their tokens from the cache.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_refresh_token(&self, who: &PrincipalId) -> Result<(), StoreError> {
        self.tokens.invalidate(who);
        self.store.clear_provider_token(who.as_str()).await
    }

    fn to_identity_tokens(&self, identity_provider: &str, tokens: Tokens) -> IdentityTokens {
        let now = self.clock.now();
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

/// Whether an error code means that the sign-in has ended, rather than that the provider rejected the
/// gateway's client. GitHub sends `bad_refresh_token` instead of `invalid_grant`.
fn is_sign_in_revoked(code: &str) -> bool {
    matches!(code, "invalid_grant" | "bad_refresh_token")
}
