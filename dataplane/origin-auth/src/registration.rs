//! Registers the gateway as a client of an origin's authorization server: by hand, by its metadata document,
//! or by dynamic registration, in this order (MCP, basic/authorization/client-registration).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_config::{TokenEndpointAuthMethod as AuthMethod, is_loopback};
use portcullis_egress::HttpClient;
use portcullis_keyring::Purpose;
use portcullis_policy::{Gateway, Origin};
use portcullis_store::OriginClientRow;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;
use zeroize::Zeroizing;

use crate::client::{
    ClientAuth, OriginClient, REGISTRATION_AUTH_METHODS, RegistrationMethod, auth_method_by_name,
    auth_method_name,
};
use crate::discovery::AuthorizationServerMetadata;
use crate::token::{self, TokenRequestError, sanitize};
use crate::{ConnectError, Inner};

/// Maximum size of a registration response, in bytes.
const MAX_RESPONSE_LEN: usize = 128 * 1024;

/// A registration is not used if its secret expires within this time.
const MIN_SECRET_LIFETIME_SECONDS: u64 = 900;

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

/// `{publicUrl}/connect/{id}/callback`: one per origin, so a response cannot be used for another origin.
pub(crate) fn redirect_uri(gateway: &Gateway, origin: &Origin) -> String {
    format!("{}/connect/{}/callback", gateway.public_url, origin.id)
}

fn client_metadata_url(gateway: &Gateway, origin: &Origin) -> String {
    format!("{}/connect/{}/client.json", gateway.public_url, origin.id)
}

/// The client ID metadata document (draft-ietf-oauth-client-id-metadata-document).
pub(crate) fn client_metadata_document(gateway: &Gateway, origin: &Origin) -> Value {
    json!({
        "client_id": client_metadata_url(gateway, origin),
        "client_name": client_name(gateway),
        "client_uri": &*gateway.public_url,
        "redirect_uris": [redirect_uri(gateway, origin)],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "application_type": "web",
        "token_endpoint_auth_method": "none",
    })
}

fn client_name(gateway: &Gateway) -> String {
    let host = gateway.public_url.parse::<Url>().ok().and_then(|url| url.host_str().map(str::to_owned));
    format!("Portcullis ({})", host.as_deref().unwrap_or(&gateway.name))
}

/// Whether authorization servers on the internet can fetch the gateway's metadata document.
fn is_public_https(public_url: &str) -> bool {
    public_url.parse::<Url>().is_ok_and(|url| url.scheme() == "https" && !is_loopback(&url))
}

impl Inner {
    /// The gateway as a client of a server. Registers it if necessary.
    pub(crate) async fn client(
        &self,
        http: &HttpClient,
        gateway: &Gateway,
        origin: &Origin,
        server: &AuthorizationServerMetadata,
    ) -> Result<OriginClient, ConnectError> {
        if let Some(client) = self
            .configured_client(origin, &server.issuer, &server.token_endpoint)
            .map_err(ConnectError::Registration)?
        {
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
            self.parts.store.remove_origin_client(&origin.uid, &server.issuer, &client.id).await?;
        }
        let Some(endpoint) = &server.registration_endpoint else {
            return Err(ConnectError::Registration(format!(
                "{} supports no registration that the gateway can use (metadata document or dynamic registration); an administrator has to register a client by hand, with the redirect URI {redirect_uri}, and set registration.client in spec.auth of the origin {}",
                server.issuer, origin.name
            )));
        };
        let method = REGISTRATION_AUTH_METHODS.into_iter().find(|method| offers(*method)).ok_or_else(|| {
            ConnectError::Registration(format!(
                "{} supports none of the client authentication methods of the gateway (none, client_secret_basic, client_secret_post)",
                server.issuer
            ))
        })?;
        let answer = register(http, endpoint, gateway, &redirect_uri, method).await?;
        self.store_registration(origin, server, &redirect_uri, method, answer).await
    }

    async fn stored_registration(
        &self,
        origin: &Origin,
        server: &AuthorizationServerMetadata,
        redirect_uri: &str,
    ) -> Result<Option<OriginClient>, ConnectError> {
        let Some(row) = self.parts.store.origin_client(&origin.uid, &server.issuer, redirect_uri).await?
        else {
            return Ok(None);
        };
        let soon = self.parts.clock.now().after_seconds(MIN_SECRET_LIFETIME_SECONDS);
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
        asked: AuthMethod,
        answer: RegistrationResponse,
    ) -> Result<OriginClient, ConnectError> {
        let broken = |problem: &str| {
            ConnectError::Registration(format!("{} registered the gateway, but {problem}", server.issuer))
        };
        let id =
            answer.client_id.filter(|id| !id.is_empty()).ok_or_else(|| broken("returned no client_id"))?;
        let secret = answer.client_secret.filter(|secret| !secret.expose_secret().is_empty());
        // The server may choose another method than requested. A secret without a method means Basic (RFC
        // 7591).
        let method = match &answer.token_endpoint_auth_method {
            Some(name) => auth_method_by_name(name).ok_or_else(|| {
                broken("requires an authentication method that the gateway does not support")
            })?,
            None if secret.is_some() && asked == AuthMethod::None => AuthMethod::ClientSecretBasic,
            None => asked,
        };
        if secret.is_none() && method != AuthMethod::None {
            return Err(broken("returned no client_secret"));
        }
        // An unused secret is not stored, so its expiry does not cause another registration.
        let secret = secret.filter(|_| method != AuthMethod::None);
        let now = self.parts.clock.now();
        let mut row = OriginClientRow {
            origin_uid: origin.uid.to_string(),
            issuer: server.issuer.clone(),
            redirect_uri: redirect_uri.to_owned(),
            client_id: id.clone(),
            sealed_secret: None,
            auth_method: auth_method_name(method).to_owned(),
            secret_expires_at: answer
                .client_secret_expires_at
                .filter(|seconds| *seconds > 0 && secret.is_some())
                .map(|seconds| seconds.saturating_mul(1000)),
            registered_at: now.0,
        };
        if let Some(secret) = &secret {
            row.sealed_secret = Some(self.seal_secret(&row, secret)?);
        }
        self.parts.store.put_origin_client(&row).await?;
        self.verified_clients.insert((server.issuer.clone(), id.clone()), ());
        Ok(OriginClient {
            id,
            proof: ClientAuth::new(method, secret),
            registration: RegistrationMethod::Dynamic,
        })
    }

    fn seal_secret(&self, row: &OriginClientRow, secret: &SecretString) -> Result<String, ConnectError> {
        let text = secret.expose_secret().as_bytes();
        let sealed = self
            .parts
            .keys
            .sealing
            .seal(&self.parts.random, Purpose::Credential, &associated_data(row), text)
            .map_err(|error| ConnectError::Unavailable(error.to_string()))?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    fn open_secret(&self, row: &OriginClientRow, sealed: &str) -> Option<SecretString> {
        let envelope = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let text =
            self.parts.keys.sealing.open(Purpose::Credential, &associated_data(row), &envelope).ok()?;
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
    let mut refusal = String::new();
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
        let answer = http.send(http.post(endpoint.clone()).json(&request), MAX_RESPONSE_LEN).await?;
        let status = answer.status;
        if status.is_success() {
            return Ok(answer.json()?);
        }
        let body = answer.json::<RegistrationResponse>().ok();
        refusal = body
            .and_then(|body| body.error_description.or(body.error))
            .map_or_else(|| format!("status {}", status.as_u16()), |text| sanitize(&text));
        if status.as_u16() != 400 {
            break;
        }
    }
    Err(ConnectError::Registration(format!(
        "{} refused to register the gateway ({refusal}); an administrator can register a client by hand, with the redirect URI {redirect_uri}",
        endpoint.host_str().unwrap_or_default()
    )))
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
