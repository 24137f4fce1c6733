//! Registers the gateway as a client of an origin's authorization server: by hand, by its metadata document,
//! or by dynamic registration, in this order (MCP, basic/authorization/client-registration).

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use portcullis_clock::Clock;
use portcullis_config::{TokenEndpointAuthMethod as AuthMethod, is_loopback};
use portcullis_egress::HttpClient;
use portcullis_keyring::SealError;
use portcullis_policy::{Gateway, Origin};
use portcullis_store::{OriginClientRow, Store, StoreError};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use url::Url;
use zeroize::Zeroizing;

use crate::client::{
    ClientAuth, ConfiguredClients, OriginClient, REGISTRATION_AUTH_METHODS, RegistrationMethod,
    auth_method_by_name, auth_method_name,
};
use crate::client_metadata::{client_metadata_url, client_name, redirect_uri};
use crate::discovery::AuthorizationServerMetadata;
use crate::sealer::CredentialSealer;
use crate::token::{self, TokenRequestError, sanitize};
use crate::{BrokerDependencies, ConnectError};

/// Maximum size of a registration response, in bytes.
const MAX_RESPONSE_LEN: usize = 128 * 1024;

/// A registration is not used if its secret expires within this time.
const MIN_SECRET_LIFETIME_SECONDS: u64 = 900;

/// How long a dynamic registration counts as verified.
const VERIFIED_CLIENT_TTL: Duration = Duration::from_secs(3600);

/// Maximum number of registrations that count as verified.
const MAX_VERIFIED_CLIENTS: u64 = 10_000;

/// RFC 7591 section 3.2.
#[derive(Deserialize)]
struct RegistrationResponse {
    client_id: Option<String>,
    client_secret: Option<SecretString>,
    /// Unix seconds; 0 for never.
    client_secret_expires_at: Option<i64>,
    token_endpoint_auth_method: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

impl RegistrationResponse {
    /// The registered client. The server may choose another authentication method than requested.
    fn into_client(self, issuer: &str, requested: AuthMethod) -> Result<OriginClient, RegistrationError> {
        let invalid = |problem| RegistrationError::InvalidResponse { issuer: issuer.to_owned(), problem };
        let id = self.client_id.filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| invalid("returned no client_id"))?;
        let secret = self.client_secret.filter(|secret| !secret.expose_secret().is_empty());
        let method = match &self.token_endpoint_auth_method {
            Some(name) => auth_method_by_name(name).ok_or_else(|| {
                invalid("requires an authentication method that the gateway does not support")
            })?,
            // A secret without a method means Basic (RFC 7591).
            None if secret.is_some() && requested == AuthMethod::None => AuthMethod::ClientSecretBasic,
            None => requested,
        };
        if secret.is_none() && method != AuthMethod::None {
            return Err(invalid("returned no client_secret"));
        }
        // `ClientAuth` drops an unused secret.
        Ok(OriginClient {
            id,
            proof: ClientAuth::new(method, secret),
            registration: RegistrationMethod::Dynamic,
        })
    }
}

/// The gateway is not a client of the authorization server, and cannot register as one.
#[derive(Debug, thiserror::Error)]
enum RegistrationError {
    #[error(
        "{issuer} supports no registration that the gateway can use (metadata document or dynamic registration); an administrator has to register a client by hand, with the redirect URI {redirect_uri}, and set registration.client in spec.auth of the origin {origin}"
    )]
    Unsupported { issuer: String, redirect_uri: String, origin: Arc<str> },
    #[error(
        "{issuer} supports none of the client authentication methods of the gateway (none, client_secret_basic, client_secret_post)"
    )]
    NoAuthMethod { issuer: String },
    #[error("{issuer} registered the gateway, but {problem}")]
    InvalidResponse { issuer: String, problem: &'static str },
    #[error(
        "{host} refused to register the gateway ({reason}); an administrator can register a client by hand, with the redirect URI {redirect_uri}"
    )]
    Refused { host: String, reason: String, redirect_uri: String },
}

impl From<RegistrationError> for ConnectError {
    fn from(error: RegistrationError) -> Self {
        Self::Registration(error.into())
    }
}

/// Whether authorization servers on the internet can fetch the gateway's metadata document.
fn is_public_https(public_url: &str) -> bool {
    public_url.parse::<Url>().is_ok_and(|url| url.scheme() == "https" && !is_loopback(&url))
}

/// Key of a registration in the cache of verified ones: issuer and client id.
type VerifiedClientKey = (String, String);

/// The gateway's clients at authorization servers, and their dynamic registrations in the store.
pub(crate) struct ClientRegistry {
    store: Store,
    clock: Clock,
    sealer: Arc<CredentialSealer>,
    clients: Arc<ConfiguredClients>,
    /// Dynamic registrations that the issuer recently recognized.
    verified_clients: Cache<VerifiedClientKey, ()>,
}

impl ClientRegistry {
    pub(crate) fn new(
        dependencies: &BrokerDependencies,
        sealer: &Arc<CredentialSealer>,
        clients: &Arc<ConfiguredClients>,
    ) -> Self {
        Self {
            store: dependencies.store.clone(),
            clock: dependencies.clock.clone(),
            sealer: Arc::clone(sealer),
            clients: Arc::clone(clients),
            verified_clients: Cache::builder()
                .max_capacity(MAX_VERIFIED_CLIENTS)
                .time_to_live(VERIFIED_CLIENT_TTL)
                .build(),
        }
    }

    /// The gateway as a client of a server. Registers it if necessary.
    pub(crate) async fn client(
        &self,
        http: &HttpClient,
        gateway: &Gateway,
        origin: &Origin,
        server: &AuthorizationServerMetadata,
    ) -> Result<OriginClient, ConnectError> {
        if let Some(client) = self.clients.find(origin, &server.issuer, &server.token_endpoint)? {
            return Ok(client);
        }
        let methods = server.token_endpoint_auth_methods_supported.as_deref();
        let offers = |method| {
            methods.is_none_or(|methods| methods.iter().any(|name| name == auth_method_name(method)))
        };
        if server.client_id_metadata_document_supported
            && offers(AuthMethod::None)
            && is_public_https(&gateway.public_url)
        {
            return Ok(OriginClient {
                id: client_metadata_url(gateway, origin),
                proof: ClientAuth::Public,
                registration: RegistrationMethod::Document,
            });
        }
        let redirect_uri = redirect_uri(gateway, origin);
        if let Some(client) = self.stored_registration(origin, server, &redirect_uri).await? {
            if self.is_still_registered(http, &client, server, &redirect_uri).await {
                return Ok(client);
            }
            self.remove(&origin.uid, &server.issuer, &client.id).await?;
        }
        let issuer = || server.issuer.clone();
        let Some(endpoint) = &server.registration_endpoint else {
            let origin = Arc::clone(&origin.name);
            return Err(RegistrationError::Unsupported { issuer: issuer(), redirect_uri, origin }.into());
        };
        let method = REGISTRATION_AUTH_METHODS
            .into_iter()
            .find(|method| offers(*method))
            .ok_or_else(|| RegistrationError::NoAuthMethod { issuer: issuer() })?;
        let response = register(http, endpoint, gateway, &redirect_uri, method).await?;
        self.store_registration(origin, server, &redirect_uri, method, response).await
    }

    /// Removes a registration that the server no longer recognizes.
    pub(crate) async fn remove(
        &self,
        origin_uid: &str,
        issuer: &str,
        client_id: &str,
    ) -> Result<(), StoreError> {
        self.verified_clients.invalidate(&(issuer.to_owned(), client_id.to_owned()));
        self.store.remove_origin_client(origin_uid, issuer, client_id).await
    }

    async fn stored_registration(
        &self,
        origin: &Origin,
        server: &AuthorizationServerMetadata,
        redirect_uri: &str,
    ) -> Result<Option<OriginClient>, ConnectError> {
        let row = self.store.origin_client(&origin.uid, &server.issuer, redirect_uri).await?;
        let Some(row) = row else { return Ok(None) };
        let soon = self.clock.now().after_seconds(MIN_SECRET_LIFETIME_SECONDS);
        if row.secret_expires_at.is_some_and(|expires_at| expires_at <= soon.0) {
            return Ok(None);
        }
        let Some(method) = auth_method_by_name(&row.auth_method) else { return Ok(None) };
        let secret = match &row.sealed_secret {
            None => None,
            // It does not decrypt if its sealing key is gone. The gateway then registers again.
            Some(sealed) => match self.open_secret(&row, sealed) {
                Some(secret) => Some(secret),
                None => return Ok(None),
            },
        };
        let proof = ClientAuth::new(method, secret);
        Ok(Some(OriginClient { id: row.client_id, proof, registration: RegistrationMethod::Dynamic }))
    }

    /// Whether the server still recognizes a dynamic registration. A deleted registration would lead the
    /// person to an error page of the server, with no way back. The check sends an invalid authorization
    /// code, at most once an hour. Only the error `invalid_client` (RFC 6749 section 5.2) means that the
    /// registration is gone.
    async fn is_still_registered(
        &self,
        http: &HttpClient,
        client: &OriginClient,
        server: &AuthorizationServerMetadata,
        redirect_uri: &str,
    ) -> bool {
        let key = (server.issuer.clone(), client.id.clone());
        if self.verified_clients.contains_key(&key) {
            return true;
        }
        let verifier = "is-this-client-still-known-is-this-client-still-known";
        let form = [
            ("grant_type", "authorization_code"),
            ("code", "is-this-client-still-known"),
            ("code_verifier", verifier),
            ("redirect_uri", redirect_uri),
        ];
        match token::request_token(http, &server.token_endpoint, client, &form).await {
            Err(TokenRequestError::Refused { code, .. }) if code == "invalid_client" => false,
            Err(TokenRequestError::Unavailable(_)) => true,
            _ => {
                self.verified_clients.insert(key, ());
                true
            }
        }
    }

    async fn store_registration(
        &self,
        origin: &Origin,
        server: &AuthorizationServerMetadata,
        redirect_uri: &str,
        requested_method: AuthMethod,
        response: RegistrationResponse,
    ) -> Result<OriginClient, ConnectError> {
        let expires_at = response.client_secret_expires_at.filter(|seconds| *seconds > 0);
        let client = response.into_client(&server.issuer, requested_method)?;
        let secret = client.proof.secret();
        let mut row = OriginClientRow {
            origin_uid: origin.uid.to_string(),
            issuer: server.issuer.clone(),
            redirect_uri: redirect_uri.to_owned(),
            client_id: client.id.clone(),
            sealed_secret: None,
            auth_method: auth_method_name(client.proof.method()).to_owned(),
            // Without a secret nothing expires.
            secret_expires_at: secret.and(expires_at).map(|seconds| seconds.saturating_mul(1000)),
            registered_at: self.clock.now().0,
        };
        row.sealed_secret = secret.map(|secret| self.seal_secret(&row, secret)).transpose()?;
        self.store.put_origin_client(&row).await?;
        self.verified_clients.insert((row.issuer, row.client_id), ());
        Ok(client)
    }

    fn seal_secret(&self, row: &OriginClientRow, secret: &SecretString) -> Result<String, SealError> {
        self.sealer.seal(&associated_data(row), secret.expose_secret().as_bytes())
    }

    fn open_secret(&self, row: &OriginClientRow, sealed: &str) -> Option<SecretString> {
        let text = self.sealer.open(&associated_data(row), sealed)?;
        Some(SecretString::from(std::str::from_utf8(&text).ok()?))
    }
}

pub(crate) fn associated_data(row: &OriginClientRow) -> [&str; 4] {
    ["origin client", &row.origin_uid, &row.issuer, &row.client_id]
}

/// RFC 7591, with the `application_type` of OpenID Connect Registration: native if the redirect URI is
/// loopback. If the server rejects it, the request is repeated once with the other type.
async fn register(
    http: &HttpClient,
    endpoint: &Url,
    gateway: &Gateway,
    redirect_uri: &str,
    method: AuthMethod,
) -> Result<RegistrationResponse, ConnectError> {
    let native = redirect_uri.parse::<Url>().is_ok_and(|url| is_loopback(&url));
    let kinds = if native { ["native", "web"] } else { ["web", "native"] };
    let mut reason = String::new();
    for kind in kinds {
        let request = json!({
            "client_name": client_name(gateway),
            "client_uri": &*gateway.public_url,
            "redirect_uris": [redirect_uri],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": auth_method_name(method),
            "application_type": kind,
        });
        let response = http.send(http.post(endpoint.clone()).json(&request), MAX_RESPONSE_LEN).await?;
        let status = response.status;
        if status.is_success() {
            return Ok(response.json()?);
        }
        let body = response.json::<RegistrationResponse>().ok();
        reason = body
            .and_then(|body| body.error_description.or(body.error))
            .map_or_else(|| format!("status {}", status.as_u16()), |text| sanitize(&text));
        if status.as_u16() != 400 {
            break;
        }
    }
    let host = endpoint.host_str().unwrap_or_default().to_owned();
    Err(RegistrationError::Refused { host, reason, redirect_uri: redirect_uri.to_owned() }.into())
}

/// Copies a secret into a string that is zeroed when dropped.
pub(crate) fn zeroizing(secret: &SecretString) -> Zeroizing<String> {
    Zeroizing::new(secret.expose_secret().to_owned())
}

#[cfg(test)]
mod golden;

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirements: client.registration.order
    #[test]
    fn given_a_public_url_then_a_document_is_offered_only_where_others_can_fetch_it() {
        assert!(is_public_https("https://mcp.example.com"));
        for url in [
            "http://mcp.example.com",
            "https://localhost:8443",
            "https://a.localhost",
            "https://127.0.0.5",
            "https://[::1]",
        ] {
            assert!(!is_public_https(url), "{url}");
        }
    }
}
