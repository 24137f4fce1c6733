//! Dynamically registered clients (RFC 7591).

use portcullis_clock::{Clock, Random};
use portcullis_rate_limit::client_site;
use portcullis_store::{ClientRow, Store, StoreError, UnusedClientLimits};
use serde::{Deserialize, Serialize};

use super::Client;
use super::client_auth::{ClientAuth, SecretMethod};
use super::metadata::{MetadataError, check_redirects, https_url, sanitize_name};
use super::public_keys::PublicKeys;
use crate::InternalError;
use portcullis_keyring::digest;

/// Prefix of the ids of registered clients. Document URLs and names of workloads never have it.
pub(crate) const CLIENT_ID_PREFIX: &str = "pc_client_";
/// A registration expires if the client is not used for this time.
pub(crate) const UNUSED_CLIENT_SECONDS: u64 = 90 * 24 * 3600;
/// The same for a client that never had a grant. Strangers can register any number of them.
pub(crate) const NEVER_GRANTED_CLIENT_SECONDS: u64 = 24 * 3600;
/// Minimum time between two updates of a client's last use.
const LAST_USED_RESOLUTION_SECONDS: u64 = 24 * 3600;
/// The same for a client that never had a grant.
const NEVER_GRANTED_RESOLUTION_SECONDS: u64 = 300;
/// Clients that never had a grant: how many are kept. Beyond that the least recently used one of the network
/// with the most is forgotten. All clients behind an untrusted proxy share one network.
const UNUSED_CLIENT_LIMITS: UnusedClientLimits = UnusedClientLimits { per_network: 1_000, total: 10_000 };
/// Maximum size of the stored metadata of a client, in bytes of JSON.
const MAX_METADATA_LEN: usize = 4 * 1024;

/// How a registered client authenticates at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AuthMethod {
    /// A public client, protected by PKCE and refresh token rotation.
    None,
    /// A secret in the `Authorization` header (RFC 6749, section 2.3.1).
    ClientSecretBasic,
    /// A secret in the form (the same section).
    ClientSecretPost,
    /// A signed assertion (RFC 7523, section 2.2; OpenID Connect Core, section 9).
    PrivateKeyJwt,
}

impl AuthMethod {
    /// All methods, as metadata lists them.
    pub(crate) const NAMES: [&str; 4] =
        ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"];
}

/// The metadata in a registration request. Unknown members are ignored (RFC 7591, section 2).
#[derive(Debug, Default, Deserialize)]
pub(crate) struct RequestedMetadata {
    redirect_uris: Option<Vec<String>>,
    token_endpoint_auth_method: Option<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    client_name: Option<String>,
    client_uri: Option<String>,
    logo_uri: Option<String>,
    application_type: Option<String>,
    #[serde(flatten)]
    keys: PublicKeys,
}

/// The registered metadata, which is stored and returned to the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClientMetadata {
    client_name: String,
    redirect_uris: Vec<String>,
    grant_types: Vec<String>,
    response_types: Vec<String>,
    pub(crate) token_endpoint_auth_method: AuthMethod,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logo_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application_type: Option<String>,
    #[serde(flatten)]
    keys: PublicKeys,
}

impl RequestedMetadata {
    /// Validates the request, and replaces values that the gateway does not support (RFC 7591, section
    /// 3.2.1).
    pub(crate) fn accept(self) -> Result<ClientMetadata, MetadataError> {
        let redirect_uris = self.redirect_uris.unwrap_or_default();
        check_redirects(&redirect_uris)?;
        let token_endpoint_auth_method = match self.token_endpoint_auth_method.as_deref() {
            Some("none") => AuthMethod::None,
            // client_secret_basic is the RFC's default.
            None | Some("client_secret_basic") => AuthMethod::ClientSecretBasic,
            Some("client_secret_post") => AuthMethod::ClientSecretPost,
            Some("private_key_jwt") => AuthMethod::PrivateKeyJwt,
            Some(_) => {
                return Err(MetadataError::Other(
                    "token_endpoint_auth_method must be none, client_secret_basic, client_secret_post or private_key_jwt",
                ));
            }
        };
        // Other methods do not use keys, so they are not stored.
        let keys = match token_endpoint_auth_method {
            AuthMethod::PrivateKeyJwt => self.keys,
            _ => PublicKeys::default(),
        };
        if token_endpoint_auth_method == AuthMethod::PrivateKeyJwt {
            keys.check()?;
        }
        let asks = |list: &Option<Vec<String>>, value: &str| {
            list.as_ref().is_none_or(|list| list.iter().any(|each| each == value))
        };
        if !asks(&self.grant_types, "authorization_code") {
            return Err(MetadataError::Other("grant_types must include authorization_code"));
        }
        if !asks(&self.response_types, "code") {
            return Err(MetadataError::Other("response_types must include code"));
        }
        let metadata = ClientMetadata {
            client_name: self
                .client_name
                .as_deref()
                .and_then(sanitize_name)
                .unwrap_or_else(|| "Unnamed client".to_owned()),
            redirect_uris,
            grant_types: vec!["authorization_code".to_owned(), "refresh_token".to_owned()],
            response_types: vec!["code".to_owned()],
            token_endpoint_auth_method,
            scope: "mcp".to_owned(),
            client_uri: https_url(self.client_uri.as_deref()),
            logo_uri: https_url(self.logo_uri.as_deref()),
            application_type: self.application_type.filter(|kind| kind == "native" || kind == "web"),
            keys,
        };
        if serde_json::to_vec(&metadata).is_ok_and(|json| json.len() <= MAX_METADATA_LEN) {
            Ok(metadata)
        } else {
            Err(MetadataError::TooLarge)
        }
    }
}

/// A registered client.
pub(crate) struct Registration {
    /// The client.
    pub(crate) client: Client,
    /// Its registered metadata.
    pub(crate) metadata: ClientMetadata,
    secret_digest: Option<String>,
    last_used_at: i64,
    /// Whether the client never had a grant, as far as its row says.
    is_unused: bool,
}

impl Registration {
    fn from_row(row: ClientRow) -> Result<Self, StoreError> {
        let metadata: ClientMetadata = serde_json::from_str(&row.metadata)
            .map_err(|source| StoreError::Corrupt { what: "client registration", source })?;
        let client = Client {
            id: row.id,
            name: metadata.client_name.clone(),
            redirect_uris: metadata.redirect_uris.clone(),
            from_document: false,
            authenticates: metadata.token_endpoint_auth_method != AuthMethod::None,
            client_uri: metadata.client_uri.clone(),
            logo_uri: metadata.logo_uri.clone(),
        };
        Ok(Self {
            client,
            metadata,
            secret_digest: row.secret_digest,
            last_used_at: row.last_used_at,
            is_unused: row.registered_from.is_some(),
        })
    }

    /// The credential that the client must present. `None` if the row lacks the data that its method needs.
    pub(super) fn client_auth(&self) -> Option<ClientAuth> {
        let secret = |by| Some(ClientAuth::Secret { digest: self.secret_digest.clone()?, by });
        match self.metadata.token_endpoint_auth_method {
            AuthMethod::None => Some(ClientAuth::Nothing),
            AuthMethod::ClientSecretBasic => secret(SecretMethod::Basic),
            AuthMethod::ClientSecretPost => secret(SecretMethod::Post),
            AuthMethod::PrivateKeyJwt => ClientAuth::assertion(&self.metadata.keys, false),
        }
    }
}

/// The registrations in the store.
pub(crate) struct Registrations {
    store: Store,
    clock: Clock,
    random: Random,
}

impl Registrations {
    pub(crate) const fn new(store: Store, clock: Clock, random: Random) -> Self {
        Self { store, clock, random }
    }

    /// Registers a client. Returns it with its secret; only the digest of the secret is stored.
    pub(crate) async fn register(
        &self,
        metadata: ClientMetadata,
    ) -> Result<(Registration, Option<String>), InternalError> {
        let now = self.clock.now();
        let secret = match metadata.token_endpoint_auth_method {
            AuthMethod::None | AuthMethod::PrivateKeyJwt => None,
            AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost => {
                Some(format!("pc_secret_{}", self.random.token()?))
            }
        };
        let row = ClientRow {
            id: format!("{CLIENT_ID_PREFIX}{}", self.random.token()?),
            secret_digest: secret.as_deref().map(digest),
            metadata: serde_json::to_string(&metadata)
                .map_err(|source| StoreError::Corrupt { what: "client registration", source })?,
            created_at: now.0,
            last_used_at: now.0,
            registered_from: Some(client_site().to_string()),
        };
        self.store.add_client(&row).await?;
        self.store.evict_unused_clients(&row, UNUSED_CLIENT_LIMITS).await?;
        Ok((Registration::from_row(row)?, secret))
    }

    /// A registered client, unless its registration has expired.
    pub(crate) async fn get(&self, client_id: &str) -> Result<Option<Registration>, InternalError> {
        let now = self.clock.now().0;
        let ago = |seconds: u64| now.saturating_sub(1000 * seconds.cast_signed());
        let Some(row) = self.store.client(client_id, ago(UNUSED_CLIENT_SECONDS)).await? else {
            return Ok(None);
        };
        let registration = Registration::from_row(row)?;
        // An older version does not record the first grant in the client's row.
        if registration.is_unused
            && registration.last_used_at < ago(NEVER_GRANTED_CLIENT_SECONDS)
            && !self.store.has_grants(client_id).await?
        {
            return Ok(None);
        }
        Ok(Some(registration))
    }

    /// Updates the last use of a client, at most once a day; before its first grant, every few minutes.
    pub(crate) async fn record_use(&self, registration: &Registration) -> Result<(), InternalError> {
        let now = self.clock.now();
        let resolution = if registration.is_unused {
            NEVER_GRANTED_RESOLUTION_SECONDS
        } else {
            LAST_USED_RESOLUTION_SECONDS
        };
        if now.0.saturating_sub(registration.last_used_at) >= 1000 * resolution.cast_signed() {
            self.store.touch_client(&registration.client.id, now.0).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::TestServer;

    fn accept(document: Value) -> Result<ClientMetadata, MetadataError> {
        serde_json::from_value::<RequestedMetadata>(document).unwrap().accept()
    }

    /// Requirements: as.registration.sets
    #[test]
    fn given_three_redirects_with_a_private_scheme_and_no_scope_when_registered_then_the_set_is_taken() {
        let uris = [
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "https://www.cursor.com/agents/mcp/oauth/callback",
            "http://localhost:8787/callback",
        ];
        let metadata = accept(json!({"redirect_uris": uris, "token_endpoint_auth_method": "none", "scope": null, "contacts": []})).unwrap();
        assert_eq!(metadata.redirect_uris, uris);
        assert_eq!(metadata.token_endpoint_auth_method, AuthMethod::None);
        assert_eq!(metadata.client_name, "Unnamed client");
    }

    #[test]
    fn given_an_authentication_method_or_none_when_registered_then_it_is_that_or_the_default_of_the_rfc() {
        for (asked, method) in [
            (json!(null), AuthMethod::ClientSecretBasic),
            (json!("client_secret_basic"), AuthMethod::ClientSecretBasic),
            (json!("client_secret_post"), AuthMethod::ClientSecretPost),
            (json!("none"), AuthMethod::None),
        ] {
            let metadata = accept(
                json!({"redirect_uris": ["https://a.example/cb"], "token_endpoint_auth_method": asked}),
            )
            .unwrap();
            assert_eq!(metadata.token_endpoint_auth_method, method);
            let answered = serde_json::to_value(&metadata).unwrap();
            assert!(asked.is_null() || answered["token_endpoint_auth_method"] == asked, "{answered}");
        }
    }

    /// Requirements: as.client.keys
    #[test]
    fn given_a_client_with_keys_when_registered_then_one_source_of_public_keys_is_taken() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let key = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "a"});
        let with = |more: Value| {
            let mut document = json!({"redirect_uris": ["https://a.example/cb"], "token_endpoint_auth_method": "private_key_jwt"});
            document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            accept(document)
        };
        let metadata =
            with(json!({"jwks": {"keys": [key]}, "token_endpoint_auth_signing_alg": "EdDSA"})).unwrap();
        assert_eq!(metadata.token_endpoint_auth_method, AuthMethod::PrivateKeyJwt);
        assert_eq!(serde_json::to_value(&metadata).unwrap()["jwks"]["keys"][0]["x"], x);
        assert!(with(json!({"jwks_uri": "https://a.example/keys"})).is_ok());
        let mut private = key.clone();
        private["d"] = json!("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
        for more in [
            json!({}),
            json!({"jwks": {"keys": [key]}, "jwks_uri": "https://a.example/keys"}),
            json!({"jwks": {"keys": []}}),
            json!({"jwks": {"keys": [private]}}),
            json!({"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}}),
            json!({"jwks": "https://a.example/keys"}),
            json!({"jwks_uri": "http://a.example/keys"}),
            json!({"jwks_uri": "https://me@a.example/keys"}),
            json!({"jwks_uri": "https://a.example/keys", "token_endpoint_auth_signing_alg": "HS256"}),
        ] {
            assert!(with(more.clone()).is_err(), "{more}");
        }
    }

    /// Requirements: as.registration.refused
    #[test]
    fn given_metadata_that_cannot_work_when_registered_then_it_is_refused() {
        for document in [
            json!({}),
            json!({"redirect_uris": []}),
            json!({"redirect_uris": ["javascript:alert(1)"]}),
            json!({"redirect_uris": ["https://a.example/cb", "http://a.example/cb"]}),
            json!({"redirect_uris": ["https://a.example/cb"], "token_endpoint_auth_method": "private_key_jwt"}),
            json!({"redirect_uris": ["https://a.example/cb"], "grant_types": ["client_credentials"]}),
            json!({"redirect_uris": ["https://a.example/cb"], "response_types": ["token"]}),
        ] {
            assert!(accept(document.clone()).is_err(), "{document}");
        }
    }

    #[test]
    fn given_the_kind_of_an_application_when_it_is_one_that_there_is_then_it_is_repeated() {
        for (said, kept) in
            [(json!("native"), true), (json!("web"), true), (json!("toaster"), false), (json!(null), false)]
        {
            let metadata =
                accept(json!({"redirect_uris": ["https://a.example/cb"], "application_type": said})).unwrap();
            let answered = serde_json::to_value(&metadata).unwrap();
            assert_eq!(answered.get("application_type"), Some(&said).filter(|_| kept));
        }
    }

    /// Requirements: as.registration.bounded
    #[test]
    fn given_metadata_of_more_than_4_kib_when_registered_then_it_is_refused() {
        let redirects = |count: usize| {
            let uris: Vec<_> = (0..count).map(|at| format!("https://a.example/{at:0>500}")).collect();
            accept(json!({"redirect_uris": uris, "token_endpoint_auth_method": "none"}))
        };
        assert!(redirects(7).is_ok());
        assert_eq!(redirects(8).unwrap_err(), MetadataError::TooLarge);
        let long = "https://a.example/".to_owned() + &"x".repeat(2_000);
        let document =
            json!({"redirect_uris": ["https://a.example/cb"], "client_uri": long, "logo_uri": long});
        assert_eq!(accept(document).unwrap_err(), MetadataError::TooLarge);
        let keys: Vec<_> = (0..40)
            .map(|at| {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": at.to_string(),
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "use": "sig"})
            })
            .collect();
        let document = json!({"redirect_uris": ["https://a.example/cb"],
            "token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": keys}});
        assert_eq!(accept(document).unwrap_err(), MetadataError::TooLarge);
        // What is not stored does not count.
        let document =
            json!({"redirect_uris": ["https://a.example/cb"], "software_statement": "x".repeat(5_000)});
        assert!(accept(document).is_ok());
    }

    /// Requirements: as.registration.persists
    #[tokio::test]
    async fn given_a_client_with_a_grant_when_it_is_used_then_that_is_noted_once_a_day() {
        const DAY: u64 = 24 * 3600;
        let world = TestServer::new(&["a"]).await;
        let registered_at = world.clock.now().0;
        let client = world.client().await;
        world.tokens(&client, "a").await;
        let registrations = &world.identity.clients.registrations;
        let used_at = async || {
            let registration = registrations.get(&client.id).await.unwrap().unwrap();
            registrations.record_use(&registration).await.unwrap();
            registrations.get(&client.id).await.unwrap().unwrap().last_used_at
        };
        world.advance(DAY - 1);
        assert_eq!(used_at().await, registered_at);
        world.advance(1);
        assert_eq!(used_at().await, registered_at + 1000 * DAY.cast_signed());
        world.advance(UNUSED_CLIENT_SECONDS - DAY);
        assert!(registrations.get(&client.id).await.unwrap().is_some());
        world.advance(DAY + 1);
        assert!(registrations.get(&client.id).await.unwrap().is_none());
    }

    /// Requirements: as.registration.persists
    #[tokio::test]
    async fn given_a_client_without_a_grant_when_it_is_not_used_for_a_day_then_it_is_forgotten() {
        let world = TestServer::new(&["a"]).await;
        let (idle, waiting) = (world.client().await, world.client().await);
        let registrations = &world.identity.clients.registrations;
        world.advance(NEVER_GRANTED_CLIENT_SECONDS - 1);
        assert!(
            world.identity.clients.client(&waiting.id).await.is_ok(),
            "an authorization request is a use"
        );
        world.advance(2);
        assert!(registrations.get(&idle.id).await.unwrap().is_none());
        assert!(registrations.get(&waiting.id).await.unwrap().is_some());
        world.prune().await;
        let stored = async |id: &str| world.store.client(id, 0).await.unwrap().is_some();
        assert_eq!((stored(&idle.id).await, stored(&waiting.id).await), (false, true));
    }
}
