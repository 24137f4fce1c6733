//! OpenID Connect Back-Channel Logout 1.0: the provider says by itself that somebody has left.

use portcullis_clock::UnixMillis;
use portcullis_config::{IdentityProviderKind, ProviderClient};
use portcullis_jwt_verification::{Claims, JwtError, ReplayError, UnverifiedJwt};
use portcullis_policy::{IdentityProvider, PrincipalId};
use portcullis_store::StoreError;
use serde_json::Value;

use crate::{IdentityProviders, account_key, session_key};

/// What makes a token one for logging out (section 2.4).
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// `typ` of logout tokens. Those of before the specification was final are plain JWTs, and told by their event.
const LOGOUT_TOKEN_TYPES: [&str; 2] = ["logout+jwt", "jwt"];

/// Whom a provider has logged out.
pub struct LogoutRequest {
    /// The person, where it names one. More than one where the settings have come to name another claim as the subject.
    pub people: Vec<PrincipalId>,
    /// A digest of the provider's session, where it names one: only what was begun in it is meant then (section 2.4).
    pub provider_session: Option<String>,
    claims: Claims,
    until: UnixMillis,
}

/// Why nobody was logged out.
#[derive(Debug, thiserror::Error)]
pub enum LogoutError {
    /// It does not speak OpenID Connect.
    #[error("no OpenID provider of this name is set up here")]
    NotOpenId,
    /// The token does not count.
    #[error("the logout token does not count: {0}")]
    Token(#[from] JwtError),
    /// The store does not answer.
    #[error("the gateway cannot log anybody out right now; try again")]
    Store(#[from] StoreError),
}

impl LogoutError {
    /// For events.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NotOpenId => "not_openid",
            Self::Token(error) => error.reason(),
            Self::Store(_) => "store_unavailable",
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

impl IdentityProviders {
    /// Reads and verifies a logout token (section 2.6), and says whom it is about. It is not used up yet: whoever has carried it out says
    /// [`carried_out`](Self::carried_out), so that one that failed halfway can come again.
    ///
    /// # Errors
    /// When it is not this provider's word to this gateway, now and for the first time.
    pub async fn verify_logout_token(
        &self,
        provider: &IdentityProvider,
        token: &str,
    ) -> Result<LogoutRequest, LogoutError> {
        let IdentityProviderKind::Oidc(client) = &provider.kind else { return Err(LogoutError::NotOpenId) };
        let unverified = UnverifiedJwt::read(token)?;
        if unverified.typ().is_some_and(|typ| !LOGOUT_TOKEN_TYPES.contains(&typ.as_str())) {
            return Err(JwtError::WrongType.into());
        }
        // Before any key is fetched: nobody else's token is of interest.
        unverified.claims().check_text("iss", &client.issuer)?;
        let verifier = &self.dependencies().verifier;
        let claims = verifier.verify(&self.key_source(client).await?, &unverified).await?;
        let until = check(&claims, client, self.dependencies().clock.now())?;
        verifier.check_unused(&claims).await?;
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

    /// A logout was carried out: its token does not count again.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn mark_logout_done(&self, logout: &LogoutRequest) -> Result<(), LogoutError> {
        match self.dependencies().verifier.use_once(&logout.claims, logout.until).await {
            // Twice at the same moment: what it says has been done, all the same.
            Ok(()) | Err(ReplayError::Assertion(_)) => Ok(()),
            Err(ReplayError::Store(error)) => Err(error.into()),
        }
    }

    /// Whom a provider knows by this `sub`.
    async fn principals_of(
        &self,
        provider: &str,
        client: &ProviderClient,
        sub: &str,
    ) -> Result<Vec<PrincipalId>, StoreError> {
        let known = self.dependencies().store.principals_of_account(&account_key(provider, sub)).await?;
        let mut people: Vec<_> = known.iter().map(|id| PrincipalId::from_stored(id)).collect();
        let themselves = PrincipalId::of(provider, sub);
        if client.claims.subject == "sub" && !people.contains(&themselves) {
            people.push(themselves);
        }
        Ok(people)
    }
}

/// What a logout token must say whoever it is about (sections 2.4 and 2.6). Returns until when it is remembered.
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
    // What is prohibited in it keeps it from passing for an id_token, and an id_token from passing for it.
    if claims.all().contains_key("nonce") {
        return Err(JwtError::Mismatch("nonce"));
    }
    claims.check_times(now)
}

/// A claim that need not be there, but has to name somebody if it is.
fn optional_text<'a>(claims: &'a Claims, name: &'static str) -> Result<Option<&'a str>, JwtError> {
    claims.all().contains_key(name).then(|| claims.text(name)).transpose()
}
