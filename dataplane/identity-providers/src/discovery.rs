//! Fetches and caches providers' metadata (OpenID Connect Discovery 1.0, section 4; RFC 8414, section 3).

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use portcullis_clock::{Clock, UnixMillis};
use portcullis_config::{IdentityProviderKind, ProviderClient};
use portcullis_egress::{HttpClients, parse_json_object};
use portcullis_jwt_verification::{FetchBudget, JwksEndpoint, JwksSource, JwtError, JwtVerifier};
use portcullis_policy::IdentityProvider;
use serde::Deserialize;
use url::Url;

use crate::MAX_CACHED_PROVIDERS;
use crate::error::{Problem, ProviderError};
use crate::provider::Provider;

/// How long a provider's metadata is cached.
const METADATA_TTL: Duration = Duration::from_secs(3600);

/// The members of a provider's metadata that the gateway uses.
#[derive(Deserialize)]
pub(crate) struct ProviderMetadata {
    issuer: String,
    pub(crate) authorization_endpoint: Option<Url>,
    pub(crate) token_endpoint: Option<Url>,
    pub(crate) userinfo_endpoint: Option<Url>,
    jwks_uri: Option<Url>,
    scopes_supported: Option<Vec<String>>,
    pub(crate) id_token_signing_alg_values_supported: Option<Vec<String>>,
    pub(crate) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    authorization_response_iss_parameter_supported: Option<bool>,
}

impl ProviderMetadata {
    /// Whether `scopes_supported` lists a scope.
    pub(crate) fn supports_scope(&self, scope: &str) -> bool {
        self.scopes_supported.iter().flatten().any(|offered| offered == scope)
    }

    /// Whether authorization responses of this provider must contain `iss` (RFC 9207, section 3).
    pub(crate) fn sends_iss(&self) -> bool {
        self.authorization_response_iss_parameter_supported.unwrap_or_default()
    }
}

/// Metadata of a provider, with the time when it was fetched.
pub(crate) struct DiscoveredProvider {
    fetched_at: UnixMillis,
    pub(crate) metadata: ProviderMetadata,
}

impl DiscoveredProvider {
    /// The address of the provider's keys (`jwks_uri`).
    pub(crate) fn jwks_location(&self, client: &ProviderClient) -> Option<JwksEndpoint> {
        Some(remote_document(client, self.metadata.jwks_uri.clone()?))
    }
}

/// Looks up providers: their metadata and their keys.
pub struct ProviderDirectory {
    verifier: Arc<JwtVerifier>,
    http: HttpClients,
    clock: Clock,
    discovered: Cache<JwksEndpoint, Arc<DiscoveredProvider>>,
}

impl ProviderDirectory {
    pub(crate) fn new(verifier: Arc<JwtVerifier>, http: HttpClients, clock: Clock) -> Self {
        Self { verifier, http, clock, discovered: Cache::new(MAX_CACHED_PROVIDERS) }
    }

    /// A provider with its metadata.
    pub(crate) async fn provider<'a>(
        &self,
        provider: &'a IdentityProvider,
    ) -> Result<Provider<'a>, ProviderError> {
        let (client, userinfo_url) = match &provider.kind {
            IdentityProviderKind::Oidc(client) => (client, None),
            IdentityProviderKind::Oauth { client, userinfo_url } => (client, Some(userinfo_url)),
            IdentityProviderKind::Development { .. } => {
                return Err(ProviderError::invalid("the development sign-in has no identity provider"));
            }
        };
        let http = self.http.http(&client.private_networks, client.ca_bundle_pem.as_deref())?;
        let discovered = self.discover(client, userinfo_url.is_none()).await?;
        let secret = provider.client_secret.as_ref();
        Ok(Provider { name: &provider.name, client, secret, discovered, http, userinfo_url })
    }

    /// The metadata of a provider, at most an hour old unless the provider is unavailable.
    async fn discover(
        &self,
        client: &ProviderClient,
        openid: bool,
    ) -> Result<Arc<DiscoveredProvider>, ProviderError> {
        let place = remote_document(
            client,
            if openid { openid_metadata_url(client)? } else { oauth_metadata_url(client)? },
        );
        let now = self.clock.now();
        let known = self.discovered.get(&place);
        if let Some(known) = known.as_ref().filter(|known| now.since(known.fetched_at) < METADATA_TTL) {
            return Ok(Arc::clone(known));
        }
        let answer = match (self.verifier.fetch_json(&place).await, known) {
            // Use the cached metadata: the provider may work although its metadata cannot be fetched.
            (Err(JwtError::KeysUnavailable(_)), Some(known)) => return Ok(known),
            (answer, _) => answer?,
        };
        let metadata: ProviderMetadata = parse_json_object(&answer.body).map_err(|error| {
            ProviderError::InvalidResponse(Problem::caused_by("its metadata is invalid", error))
        })?;
        if metadata.issuer != client.issuer {
            return Err(ProviderError::invalid(format!(
                "its metadata has the issuer {:?}, but the gateway is configured with {:?}",
                metadata.issuer, client.issuer
            )));
        }
        let discovered = Arc::new(DiscoveredProvider { fetched_at: now, metadata });
        self.discovered.insert(place, Arc::clone(&discovered));
        Ok(discovered)
    }

    /// The signing keys of an OpenID provider.
    ///
    /// # Errors
    /// When the provider's metadata cannot be fetched, or has no `jwks_uri`.
    pub async fn key_source(&self, client: &ProviderClient) -> Result<JwksSource, JwtError> {
        let discovered = self.discover(client, true).await.map_err(|error| match error {
            ProviderError::Unavailable(problem) => JwtError::KeysUnavailable(problem.into()),
            error => JwtError::KeysUnusable(error.into()),
        })?;
        let place = discovered.jwks_location(client);
        place
            .map(JwksSource::Remote)
            .ok_or_else(|| JwtError::KeysUnusable("the provider's metadata has no jwks_uri".into()))
    }
}

fn remote_document(client: &ProviderClient, url: Url) -> JwksEndpoint {
    let ProviderClient { private_networks, ca_bundle_pem, .. } = client;
    JwksEndpoint {
        url,
        private_networks: private_networks.clone(),
        ca_bundle_pem: ca_bundle_pem.clone(),
        budget: FetchBudget::Configured,
    }
}

/// Appended to the issuer's path (OpenID Connect Discovery 1.0, section 4.1).
fn openid_metadata_url(client: &ProviderClient) -> Result<Url, ProviderError> {
    let text = format!("{}/.well-known/openid-configuration", client.issuer.trim_end_matches('/'));
    Url::parse(&text).map_err(invalid_issuer)
}

/// Inserted between the issuer's host and path (RFC 8414, section 3.1).
fn oauth_metadata_url(client: &ProviderClient) -> Result<Url, ProviderError> {
    let mut url = Url::parse(&client.issuer).map_err(invalid_issuer)?;
    let path = format!("/.well-known/oauth-authorization-server{}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

/// The issuer in the settings is not a URL.
pub(crate) fn invalid_issuer(error: url::ParseError) -> ProviderError {
    ProviderError::InvalidResponse(Problem::caused_by("its issuer is not a valid URL", error))
}
