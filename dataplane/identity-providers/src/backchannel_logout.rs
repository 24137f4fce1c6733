//! Verifies logout tokens of identity providers (OpenID Connect Back-Channel Logout 1.0).

use std::sync::Arc;

use portcullis_clock::{Clock, UnixMillis};
use portcullis_config::{IdentityProviderKind, ProviderClient};
use portcullis_jwt_verification::{Claims, JwtError, JwtVerifier, ReplayError, UnverifiedJwt};
use portcullis_policy::{IdentityProvider, PrincipalId};
use portcullis_store::{Store, StoreError};
use serde_json::Value;

use crate::discovery::ProviderDirectory;
use crate::issuer_binding::{BindingError, IssuerBindings};
use crate::{account_key, session_key};

/// The member of `events` that identifies a logout token (section 2.4).
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// Accepted `typ` of logout tokens. Providers that implement a draft of the specification send `JWT`;
/// `events` then identifies the token.
const LOGOUT_TOKEN_TYPES: [&str; 2] = ["logout+jwt", "jwt"];

/// A verified logout token.
pub struct LogoutRequest {
    /// The principals of the token's `sub`; empty without `sub`. There can be several if `claims.subject` was
    /// changed.
    pub people: Vec<PrincipalId>,
    /// Digest of the token's `sid`. If present, only this session is logged out (section 2.4).
    pub provider_session: Option<String>,
    claims: Claims,
    until: UnixMillis,
}

/// A logout request was rejected or failed.
#[derive(Debug, thiserror::Error)]
pub enum LogoutError {
    /// The identity provider does not exist or does not use OpenID Connect.
    #[error("no OpenID provider with this name is configured")]
    NotOpenId,
    /// The logout token is invalid.
    #[error("the logout token is invalid: {0}")]
    Token(#[from] JwtError),
    /// The provider's name is bound to another issuer or subject claim.
    #[error("the name of this identity provider belongs to another issuer or subject claim")]
    IssuerChanged,
    /// The store is unavailable.
    #[error("logout is temporarily unavailable; try again")]
    Store(#[from] StoreError),
}

impl LogoutError {
    /// Reason in events.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NotOpenId => "not_openid",
            Self::Token(error) => error.reason(),
            Self::IssuerChanged => "issuer_changed",
            Self::Store(_) => "store_unavailable",
        }
    }
}

impl From<BindingError> for LogoutError {
    fn from(error: BindingError) -> Self {
        match error {
            BindingError::IssuerChanged => Self::IssuerChanged,
            BindingError::Store(error) => Self::Store(error),
        }
    }
}

impl From<ReplayError> for LogoutError {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Assertion(error) => Self::Token(error),
            ReplayError::Store(error) => Self::Store(error),
        }
    }
}

/// Verifies logout tokens of identity providers.
pub struct LogoutVerifier {
    directory: Arc<ProviderDirectory>,
    bindings: Arc<IssuerBindings>,
    verifier: Arc<JwtVerifier>,
    store: Store,
    clock: Clock,
}

impl LogoutVerifier {
    pub(crate) const fn new(
        directory: Arc<ProviderDirectory>,
        bindings: Arc<IssuerBindings>,
        verifier: Arc<JwtVerifier>,
        store: Store,
        clock: Clock,
    ) -> Self {
        Self { directory, bindings, verifier, store, clock }
    }

    /// Verifies a logout token (section 2.6) and returns the principals and session that it names.
    ///
    /// The token stays usable until the caller calls [`mark_done`](Self::mark_done), so the
    /// provider can retry a logout that failed halfway.
    ///
    /// # Errors
    /// When the token is not valid for this provider and this gateway, has expired, or was used before.
    pub async fn verify(
        &self,
        provider: &IdentityProvider,
        token: &str,
    ) -> Result<LogoutRequest, LogoutError> {
        let IdentityProviderKind::Oidc(client) = &provider.kind else { return Err(LogoutError::NotOpenId) };
        let unverified = UnverifiedJwt::read(token)?;
        if unverified.typ().is_some_and(|typ| !LOGOUT_TOKEN_TYPES.contains(&typ.as_str())) {
            return Err(JwtError::WrongType.into());
        }
        // Check the issuer before fetching keys: a token of another issuer must not cause a request.
        unverified.claims().check_text("iss", &client.issuer)?;
        let claims = self.verifier.verify(&self.directory.key_source(client).await?, &unverified).await?;
        let until = check(&claims, client, self.clock.now())?;
        self.bindings.check(provider).await?;
        self.verifier.check_unused(&claims).await?;
        let (sub, sid) = (optional_text(&claims, "sub")?, optional_text(&claims, "sid")?);
        if sub.is_none() && sid.is_none() {
            return Err(JwtError::Claim("sub").into());
        }
        let people = match sub {
            Some(sub) => self.principals_of(&provider.name, client, sub).await?,
            None => Vec::new(),
        };
        Ok(LogoutRequest {
            people,
            provider_session: sid.map(|sid| session_key(&provider.name, sid)),
            claims,
            until,
        })
    }

    /// Records that a logout is done. Its token is rejected from now on.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn mark_done(&self, logout: &LogoutRequest) -> Result<(), LogoutError> {
        match self.verifier.use_once(&logout.claims, logout.until).await {
            // A concurrent request used the same token. The logout is done in any case.
            Ok(()) | Err(ReplayError::Assertion(_)) => Ok(()),
            Err(ReplayError::Store(error)) => Err(error.into()),
        }
    }

    /// The principals that signed in at a provider with this `sub`.
    async fn principals_of(
        &self,
        provider: &str,
        client: &ProviderClient,
        sub: &str,
    ) -> Result<Vec<PrincipalId>, StoreError> {
        let known = self.store.principals_of_account(&account_key(provider, sub)).await?;
        let mut people: Vec<_> = known.iter().map(|id| PrincipalId::from_stored(id)).collect();
        let themselves = PrincipalId::of(provider, sub);
        if client.claims.subject == "sub" && !people.contains(&themselves) {
            people.push(themselves);
        }
        Ok(people)
    }
}

/// Checks the claims that every logout token must have (sections 2.4 and 2.6). Returns how long to remember
/// the token.
fn check(claims: &Claims, client: &ProviderClient, now: UnixMillis) -> Result<UnixMillis, JwtError> {
    claims.check_text("iss", &client.issuer)?;
    if claims.audience()? != client.client_id {
        return Err(JwtError::Mismatch("aud"));
    }
    claims.time("iat")?.ok_or(JwtError::Claim("iat"))?;
    claims.text("jti")?;
    let event = claims.all().get("events").and_then(|events| events.get(LOGOUT_EVENT));
    if !event.is_some_and(Value::is_object) {
        return Err(JwtError::Claim("events"));
    }
    // A logout token must not have a nonce. This keeps logout tokens and id_tokens apart.
    if claims.all().contains_key("nonce") {
        return Err(JwtError::Mismatch("nonce"));
    }
    claims.check_times(now)
}

/// An optional claim. If present, it must be a non-empty string.
fn optional_text<'a>(claims: &'a Claims, name: &'static str) -> Result<Option<&'a str>, JwtError> {
    claims.all().contains_key(name).then(|| claims.text(name)).transpose()
}
