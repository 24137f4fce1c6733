//! Client for the transit secrets engine of HashiCorp Vault and OpenBao (HTTP API,
//! `/v1/{mount}/encrypt/{key}` and `decrypt`), and for the Kubernetes auth method (`/v1/auth/{mount}/login`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode};
use ipnet::IpNet;
use portcullis_egress::{EgressError, HttpClient, HttpClients, HttpResponse};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use crate::KeyEncryptionError;
use crate::encrypted_keys::EncryptedKeys;
use crate::transit_login::{TransitLogin, read_secret};

/// Maximum size of a response, in bytes. Key rings are a few kilobytes.
const MAX_RESPONSE_LEN: usize = 1024 * 1024;
/// Maximum length of the service's error text in messages, in characters.
const MAX_ERROR_CHARS: usize = 300;
/// The administrator configures the service's address, so it may be in any private network.
const PRIVATE_NETWORKS: [&str; 7] =
    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "fc00::/7", "::1/128"];

/// The keys that the command line names.
pub(crate) struct TransitKeys {
    /// Encrypts, and decrypts.
    pub(crate) current: TransitKey,
    /// Only decrypts.
    pub(crate) previous: Option<TransitKey>,
}

/// A key of a transit engine.
#[derive(PartialEq, Eq)]
pub(crate) struct TransitKey {
    /// Path where the engine is mounted.
    pub(crate) mount: String,
    pub(crate) name: String,
}

impl TransitKey {
    fn has_encrypted(&self, stored: &EncryptedKeys) -> bool {
        (&stored.mount, &stored.key) == (&self.mount, &self.name)
    }
}

/// Client for one key of one transit service.
pub(crate) struct TransitClient {
    http: HttpClient,
    address: Url,
    host: String,
    keys: TransitKeys,
    namespace: Option<HeaderValue>,
    login: TransitLogin,
}

#[derive(Deserialize)]
struct ResponseData<Inner> {
    data: Inner,
}

#[derive(Deserialize)]
struct EncryptResponse {
    ciphertext: String,
}

#[derive(Deserialize)]
struct DecryptResponse {
    plaintext: Zeroizing<String>,
}

#[derive(Deserialize)]
struct LoginResponse {
    auth: LoginAuth,
}

#[derive(Deserialize)]
struct LoginAuth {
    client_token: SecretString,
}

#[derive(Default, Deserialize)]
struct ErrorResponse {
    #[serde(default)]
    errors: Vec<String>,
}

impl TransitClient {
    pub(crate) fn new(
        clients: &HttpClients,
        address: &Url,
        keys: TransitKeys,
        namespace: Option<String>,
        login: TransitLogin,
        ca: Option<&str>,
    ) -> Result<Self, KeyEncryptionError> {
        let wrong = |problem: &str| KeyEncryptionError::Arguments(problem.to_owned());
        let networks: Vec<IpNet> =
            PRIVATE_NETWORKS.iter().filter_map(|network| network.parse().ok()).collect();
        let host = address.host_str().ok_or_else(|| wrong("--transit-address contains no host"))?.to_owned();
        let namespace = namespace
            .map(|name| {
                HeaderValue::try_from(name).map_err(|_| wrong("--transit-namespace is not a valid name"))
            })
            .transpose()?;
        let http = clients.http(&networks, ca)?;
        Ok(Self { http, address: address.clone(), host, keys, namespace, login })
    }

    pub(crate) async fn encrypt(&self, text: &[u8]) -> Result<EncryptedKeys, KeyEncryptionError> {
        #[derive(Serialize)]
        struct RequestBody {
            plaintext: Zeroizing<String>,
        }
        let asked = RequestBody { plaintext: Zeroizing::new(STANDARD.encode(text)) };
        let TransitKey { mount, name } = &self.keys.current;
        let path = [mount.as_str(), "encrypt", name];
        let answer = self.request("encrypt the keys", &path, &asked).await?;
        let ResponseData { data: EncryptResponse { ciphertext } } =
            self.read(&answer, "data.ciphertext is missing")?;
        Ok(EncryptedKeys { mount: mount.clone(), key: name.clone(), ciphertext })
    }

    pub(crate) async fn decrypt(
        &self,
        stored: &EncryptedKeys,
    ) -> Result<Zeroizing<Vec<u8>>, KeyEncryptionError> {
        #[derive(Serialize)]
        struct RequestBody<'a> {
            ciphertext: &'a str,
        }
        // The stored document must not choose the path: its writer could have a key of their own there.
        let TransitKeys { current, previous } = &self.keys;
        let mut known = std::iter::once(current).chain(previous);
        let Some(TransitKey { mount, name }) = known.find(|key| key.has_encrypted(stored)) else {
            return Err(KeyEncryptionError::OtherKey {
                mount: stored.mount.clone(),
                key: stored.key.clone(),
            });
        };
        let path = [mount.as_str(), "decrypt", name];
        let answer =
            self.request("decrypt the keys", &path, &RequestBody { ciphertext: &stored.ciphertext }).await?;
        let ResponseData { data: DecryptResponse { plaintext } } =
            self.read(&answer, "data.plaintext is missing")?;
        let text = STANDARD.decode(plaintext.as_bytes());
        text.map(Zeroizing::new).map_err(|_| self.invalid_response("data.plaintext is not base64"))
    }

    /// Whether the rings were encrypted with the key of the command line.
    pub(crate) fn uses_current_key(&self, stored: &EncryptedKeys) -> bool {
        self.keys.current.has_encrypted(stored)
    }

    async fn request(
        &self,
        what: &'static str,
        path: &[&str],
        asked: &(impl Serialize + Sync),
    ) -> Result<HttpResponse, KeyEncryptionError> {
        let token = self.token().await?;
        self.post(what, path, Some(&token), asked).await
    }

    async fn token(&self) -> Result<SecretString, KeyEncryptionError> {
        #[derive(Serialize)]
        struct RequestBody<'a> {
            role: &'a str,
            jwt: &'a str,
        }
        match &self.login {
            TransitLogin::Token(file) => read_secret(file).await,
            TransitLogin::Kubernetes { mount, role, token } => {
                let token = read_secret(token).await?;
                let asked = RequestBody { role, jwt: token.expose_secret() };
                let answer = self.post("sign in this pod", &["auth", mount, "login"], None, &asked).await?;
                let LoginResponse { auth } = self.read(&answer, "auth.client_token is missing")?;
                Ok(auth.client_token)
            }
        }
    }

    async fn post(
        &self,
        what: &'static str,
        path: &[&str],
        token: Option<&SecretString>,
        asked: &(impl Serialize + Sync),
    ) -> Result<HttpResponse, KeyEncryptionError> {
        let mut url = self.address.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            // A mount path may contain slashes, which separate its segments.
            segments.pop_if_empty().push("v1").extend(path.iter().flat_map(|part| part.split('/')));
        }
        let mut request = self.http.post(url).header("X-Vault-Request", "true").json(asked);
        if let Some(namespace) = &self.namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        if let Some(token) = token {
            let mut value = HeaderValue::try_from(token.expose_secret()).map_err(|_| {
                KeyEncryptionError::Arguments(
                    "the token for the transit service is not a valid token".to_owned(),
                )
            })?;
            value.set_sensitive(true);
            request = request.header("X-Vault-Token", value);
        }
        let answer = self.http.send(request, MAX_RESPONSE_LEN).await?;
        if answer.status == StatusCode::OK { Ok(answer) } else { Err(self.request_error(what, &answer)) }
    }

    fn request_error(&self, what: &'static str, answer: &HttpResponse) -> KeyEncryptionError {
        let ErrorResponse { errors } = answer.json().unwrap_or_default();
        let details: String =
            errors.join("; ").chars().filter(|it| !it.is_control()).take(MAX_ERROR_CHARS).collect();
        let advice = match answer.status.as_u16() {
            400 => "check that the rings were encrypted with this key",
            403 => "check that the policy of the signed-in identity allows this",
            404 => "check that the transit engine is mounted there and has a key of this name",
            // https://openbao.org/api-docs/: 503, down for maintenance or sealed; 473, standby; 429, health
            // of a standby.
            429 | 472 | 473 | 500..=599 => "check that it is unsealed and healthy",
            _ => "check its audit log",
        };
        let details = if details.is_empty() { details } else { format!(": {details}") };
        KeyEncryptionError::Refused {
            host: self.host.clone(),
            what,
            status: answer.status.as_u16(),
            details,
            advice,
        }
    }

    fn read<T: serde::de::DeserializeOwned>(
        &self,
        answer: &HttpResponse,
        problem: &'static str,
    ) -> Result<T, KeyEncryptionError> {
        answer.json().map_err(|_: EgressError| self.invalid_response(problem))
    }

    fn invalid_response(&self, problem: &'static str) -> KeyEncryptionError {
        KeyEncryptionError::InvalidResponse { host: self.host.clone(), problem }
    }
}
