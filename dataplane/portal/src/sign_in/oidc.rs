use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moka::sync::Cache;
use openidconnect::core::{
    CoreAuthPrompt, CoreAuthenticationFlow, CoreClient, CoreIdToken, CoreProviderMetadata,
};
use openidconnect::{
    AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken, DiscoveryError,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl, Nonce,
    OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope,
    SignatureVerificationError, TokenResponse as _,
};
use portcullis_ambient::{Clock, Instant};
use portcullis_contract::OidcProvider;
use portcullis_outbound::{Http, OutboundError};
use portcullis_policy::{Gateway, IdentityProvider, Principal};
use secrecy::ExposeSecret as _;
use url::Url;

use crate::Portal;
use crate::failure::Failure;
use crate::sign_in::claims::{self, Claims};
use crate::sign_in::start::Details;

/// How long a provider's metadata and keys are believed.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// A key that nobody knows makes us look again, but not more often than this.
const LOOKED_AGAIN: Duration = Duration::from_secs(10);
/// How many providers are remembered.
const PROVIDERS: u64 = 64;
/// Largest answer of a provider, in bytes.
const LARGEST: usize = 512 * 1024;

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// What OpenID providers have said of themselves (OpenID Connect Discovery 1.0).
pub(crate) struct Providers(Cache<String, Arc<Discovered>>);

struct Discovered {
    at: Instant,
    metadata: CoreProviderMetadata,
}

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub(super) enum OidcError {
    /// It does not answer, or says that it cannot now.
    #[error("the identity provider does not answer: {0}")]
    Away(String),
    /// It answers something that cannot be believed, or the gateway is not set up for it.
    #[error("{0}")]
    Wrong(String),
}

impl OidcError {
    /// The page for it; `back` is where one can try again.
    pub(super) fn page(self, provider: &str, back: Option<&str>) -> Failure {
        tracing::warn!(provider, error = %self, "sign-in at the identity provider failed");
        let provider = provider.to_owned();
        match self {
            Self::Away(_) => Failure::ProviderAway { provider, back: back.map(ToOwned::to_owned) },
            Self::Wrong(reason) => Failure::ProviderWrong { provider, reason },
        }
    }

    /// For events.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::Away(_) => "provider_away",
            Self::Wrong(_) => "provider_wrong",
        }
    }
}

impl From<OutboundError> for OidcError {
    fn from(error: OutboundError) -> Self {
        Self::Away(error.to_string())
    }
}

impl Default for Providers {
    fn default() -> Self {
        Self(Cache::new(PROVIDERS))
    }
}

/// The gateway as a client of one provider.
pub(super) struct ProviderClient<'a> {
    client: Client,
    settings: &'a OidcProvider,
    http: Http,
    clock: Clock,
}

impl Providers {
    /// The gateway as this provider's client, with metadata that is at most an hour old.
    pub(super) async fn client<'a>(
        &self,
        portal: &Portal,
        gateway: &Gateway,
        provider: &IdentityProvider,
        settings: &'a OidcProvider,
    ) -> Result<ProviderClient<'a>, OidcError> {
        let http = portal.http.http(&settings.private_networks, settings.ca_bundle_pem.as_deref())?;
        let discovered = self.discover(portal, &http, settings, REMEMBERED).await?;
        ProviderClient::new(portal, gateway, provider, settings, http, &discovered)
    }

    async fn discover(
        &self,
        portal: &Portal,
        http: &Http,
        settings: &OidcProvider,
        at_most: Duration,
    ) -> Result<Arc<Discovered>, OidcError> {
        let now = portal.clock.now();
        if let Some(known) = self.0.get(&settings.issuer)
            && now.since(known.at) < at_most
        {
            return Ok(known);
        }
        let issuer = IssuerUrl::new(settings.issuer.clone())
            .map_err(|error| OidcError::Wrong(format!("its issuer is not a URL: {error}")))?;
        let send = |request| send(http.clone(), request);
        let metadata =
            CoreProviderMetadata::discover_async(issuer, &send).await.map_err(|error| match error {
                DiscoveryError::Request(error) => OidcError::from(error),
                DiscoveryError::Response(status, _, _) if status.is_server_error() => {
                    OidcError::Away(format!("its metadata is not available (status {status})"))
                }
                DiscoveryError::Validation(problem) => OidcError::Wrong(problem),
                error => OidcError::Wrong(format!("its metadata cannot be used: {error}")),
            })?;
        let discovered = Arc::new(Discovered { at: now, metadata });
        self.0.insert(settings.issuer.clone(), Arc::clone(&discovered));
        Ok(discovered)
    }

    /// Redeems the code of a sign-in and says who it was.
    pub(super) async fn sign_in(
        &self,
        portal: &Portal,
        gateway: &Gateway,
        provider: &IdentityProvider,
        settings: &OidcProvider,
        code: String,
        details: &Details,
    ) -> Result<Principal, OidcError> {
        let mut client = self.client(portal, gateway, provider, settings).await?;
        let tokens = client.redeem(code, details).await?;
        let id_token = tokens.id_token().ok_or_else(|| OidcError::Wrong("it sent no id_token".to_owned()))?;
        let nonce = Nonce::new(details.nonce.clone());
        let mut verified = client.verify(id_token, &nonce);
        if let Err(ClaimsVerificationError::SignatureVerification(
            SignatureVerificationError::NoMatchingKey,
        )) = verified
        {
            // The provider has changed its keys since we looked.
            let discovered = self.discover(portal, &client.http, settings, LOOKED_AGAIN).await?;
            client =
                ProviderClient::new(portal, gateway, provider, settings, client.http.clone(), &discovered)?;
            verified = client.verify(id_token, &nonce);
        }
        verified.map_err(|error| OidcError::Wrong(format!("its id_token does not hold: {error}")))?;
        let mut claims = claims_of(id_token)?;
        if claims::incomplete(&claims, settings)
            && let Some(userinfo) = client.userinfo(tokens.access_token().secret(), claims.get("sub")).await?
        {
            claims::complete(&mut claims, userinfo);
        }
        claims::principal(&provider.name, &claims, settings)
            .map_err(|error| OidcError::Wrong(error.to_string()))
    }
}

impl<'a> ProviderClient<'a> {
    fn new(
        portal: &Portal,
        gateway: &Gateway,
        provider: &IdentityProvider,
        settings: &'a OidcProvider,
        http: Http,
        discovered: &Discovered,
    ) -> Result<Self, OidcError> {
        let secret = provider
            .client_secret
            .as_ref()
            .map(|secret| ClientSecret::new(secret.expose_secret().to_owned()));
        let redirect = RedirectUrl::new(format!("{}/login/callback", gateway.public_url))
            .map_err(|error| OidcError::Wrong(format!("the gateway's public URL is not one: {error}")))?;
        let id = ClientId::new(settings.client_id.clone());
        let client = CoreClient::from_provider_metadata(discovered.metadata.clone(), id, secret)
            .set_redirect_uri(redirect);
        Ok(Self { client, settings, http, clock: portal.clock.clone() })
    }

    /// Where the browser signs in. Never with `resource`: the provider's token is for the gateway alone, and some refuse it.
    pub(super) fn authorization_url(&self, state: &str, details: &Details, another_account: bool) -> String {
        let verifier = PkceCodeVerifier::new(details.verifier.clone());
        let state = CsrfToken::new(state.to_owned());
        let nonce = Nonce::new(details.nonce.clone());
        let mut request = self
            .client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, move || state, move || nonce)
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        // `openid` is always there.
        for scope in self.settings.scopes.iter().filter(|scope| *scope != "openid") {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        if another_account {
            request = request.add_prompt(CoreAuthPrompt::Login);
        }
        request.url().0.into()
    }

    async fn redeem(
        &self,
        code: String,
        details: &Details,
    ) -> Result<openidconnect::core::CoreTokenResponse, OidcError> {
        let send = |request| send(self.http.clone(), request);
        let request = self
            .client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|_| OidcError::Wrong("its metadata names no token endpoint".to_owned()))?
            .set_pkce_verifier(PkceCodeVerifier::new(details.verifier.clone()));
        request.request_async(&send).await.map_err(|error| match error {
            RequestTokenError::Request(error) => OidcError::from(error),
            RequestTokenError::ServerResponse(answer) => {
                OidcError::Wrong(format!("it did not accept the sign-in: {answer}"))
            }
            // The answer itself may hold tokens: it is not repeated.
            _ => OidcError::Wrong("the answer of its token endpoint does not read".to_owned()),
        })
    }

    /// OpenID Connect Core, section 3.1.3.7.
    fn verify(&self, id_token: &CoreIdToken, nonce: &Nonce) -> Result<(), ClaimsVerificationError> {
        let clock = self.clock.clone();
        let verifier = self.client.id_token_verifier().set_time_fn(move || {
            chrono::DateTime::from_timestamp_millis(clock.now().0)
                .unwrap_or(chrono::DateTime::<chrono::Utc>::MAX_UTC)
        });
        id_token.claims(&verifier, nonce).map(|_| ())
    }

    /// What the provider says of the person there (OpenID Connect Core, section 5.3), if it says anything.
    async fn userinfo(
        &self,
        access_token: &str,
        subject: Option<&serde_json::Value>,
    ) -> Result<Option<Claims>, OidcError> {
        let Some(url) = self.client.user_info_url() else { return Ok(None) };
        let request = self.http.get(url.url().clone()).bearer_auth(access_token);
        let answer = self.http.send(request, LARGEST).await?;
        if answer.status.is_server_error() {
            return Err(OidcError::Away(format!("userinfo is not available (status {})", answer.status)));
        }
        let claims: Option<Claims> = answer.json().ok().filter(|_| answer.status.is_success());
        match claims {
            None => {
                tracing::warn!(status = %answer.status, "the identity provider's userinfo was not usable; only the id_token counts");
                Ok(None)
            }
            // Section 5.3.2: another person's claims would otherwise be taken for this one's.
            Some(claims) if subject.is_none() || claims.get("sub") != subject => {
                Err(OidcError::Wrong("userinfo speaks of somebody else".to_owned()))
            }
            Some(claims) => Ok(Some(claims)),
        }
    }
}

/// All claims of an id_token that was verified.
fn claims_of(id_token: &CoreIdToken) -> Result<Claims, OidcError> {
    let text = id_token.to_string();
    text.split('.')
        .nth(1)
        .and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok())
        .and_then(|payload| serde_json::from_slice(&payload).ok())
        .ok_or_else(|| OidcError::Wrong("its id_token does not read".to_owned()))
}

/// Carries the library's requests over our guarded client.
async fn send(http: Http, request: HttpRequest) -> Result<HttpResponse, OutboundError> {
    let (head, body) = request.into_parts();
    let url = Url::parse(&head.uri.to_string()).map_err(|_| OutboundError::Url("it is not a URL"))?;
    let request = http.request(head.method, url).headers(head.headers).body(body);
    let answer = http.send(request, LARGEST).await?;
    let mut response = http::Response::new(answer.body.to_vec());
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    Ok(response)
}
