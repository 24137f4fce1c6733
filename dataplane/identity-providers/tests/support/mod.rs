//! Test fixture: configurable identity providers on loopback, and a gateway with a store in memory and a
//! manual clock.

#![allow(dead_code, reason = "each file of tests uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode, header};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use portcullis_clock::{Clock, Random, UnixMillis};
use portcullis_config::Config;
use portcullis_egress::HttpClients;
use portcullis_golden::config::{config, gateway, with};
use portcullis_identity_providers::{
    AuthorizationRequest, AuthorizationResponse, CompletedSignIn, IdentityProviders,
    IdentityProvidersDependencies, ProviderError, SignInSecrets,
};
use portcullis_jwt_verification::JwtVerifier;
use portcullis_keyring::Keyring;
use portcullis_policy::{Gateway, IdentityProvider, RouteTable};
use portcullis_store::{ProviderIssuerRow, Store};
use serde_json::{Value, json};
use url::Url;

/// Now.
pub(crate) const NOW: i64 = 1_790_000_000;

/// An identity provider.
#[derive(Clone)]
pub(crate) struct Provider {
    pub(crate) issuer: String,
    state: Arc<Mutex<ProviderState>>,
}

struct ProviderState {
    metadata: Value,
    id_token: Option<Value>,
    userinfo: Value,
    refresh_token: Option<String>,
    refused: Option<Value>,
    nonce: String,
    asked: Vec<HashMap<String, String>>,
    key: u8,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let said = ProviderState {
            metadata: json!({}),
            id_token: Some(json!({})),
            userinfo: json!({"sub": "1"}),
            refresh_token: Some("first".to_owned()),
            refused: None,
            nonce: String::new(),
            asked: Vec::new(),
            key: 7,
        };
        let provider = Self { issuer, state: Arc::new(Mutex::new(said)) };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/.well-known/oauth-authorization-server", get(metadata))
            .route("/jwks", get(keys))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    /// Sets extra members of its metadata. With `null`, metadata and keys are unavailable.
    pub(crate) fn metadata(&self, more: Value) {
        self.state.lock().unwrap().metadata = more;
    }

    /// Sets extra claims of the next id_token. With `None`, it issues no id_token.
    pub(crate) fn id_token(&self, more: Option<Value>) {
        self.state.lock().unwrap().id_token = more;
    }

    pub(crate) fn userinfo(&self, says: Value) {
        self.state.lock().unwrap().userinfo = says;
    }

    /// Sets the refresh token that it issues from now on.
    pub(crate) fn refresh_token(&self, token: Option<&str>) {
        self.state.lock().unwrap().refresh_token = token.map(str::to_owned);
    }

    /// Sets the error response of its token endpoint from now on.
    pub(crate) fn refuses(&self, with: Option<Value>) {
        self.state.lock().unwrap().refused = with;
    }

    /// Replaces its signing key.
    pub(crate) fn rotate(&self) {
        self.state.lock().unwrap().key += 1;
    }

    /// The requests to its token endpoint with this grant type.
    pub(crate) fn asked(&self, grant_type: &str) -> Vec<HashMap<String, String>> {
        let asked = self.state.lock().unwrap().asked.clone();
        asked.into_iter().filter(|form| form["grant_type"] == grant_type).collect()
    }

    /// Signs a JWT.
    pub(crate) fn sign(&self, typ: &str, claims: &Value) -> String {
        sign(self.state.lock().unwrap().key, typ, claims)
    }

    fn claims(&self, more: &Value) -> Value {
        let nonce = self.state.lock().unwrap().nonce.clone();
        let mut claims = json!({
            "iss": self.issuer, "aud": "portcullis", "sub": "1", "iat": NOW, "exp": NOW + 600, "nonce": nonce,
        });
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }
}

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

/// Signs with a key derived from a seed.
pub(crate) fn sign(seed: u8, typ: &str, claims: &Value) -> String {
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(typ.to_owned());
    header.kid = Some(seed.to_string());
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_ed_der(pair(seed).to_pkcs8().unwrap().as_ref()))
        .unwrap()
}

async fn metadata(State(provider): State<Provider>) -> Response {
    if provider.state.lock().unwrap().metadata == Value::Null {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let issuer = &provider.issuer;
    let mut metadata = json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"), "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"), "jwks_uri": format!("{issuer}/jwks"),
        "id_token_signing_alg_values_supported": ["none", "EdDSA"],
    });
    for (name, value) in provider.state.lock().unwrap().metadata.as_object().unwrap() {
        metadata[name] = value.clone();
    }
    Json(metadata).into_response()
}

async fn keys(State(provider): State<Provider>) -> Response {
    if provider.state.lock().unwrap().metadata == Value::Null {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let seed = provider.state.lock().unwrap().key;
    let public = URL_SAFE_NO_PAD.encode(pair(seed).public_key().as_ref());
    Json(
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": seed.to_string(), "x": public, "use": "sig", "alg": "EdDSA"}]}),
    )
    .into_response()
}

async fn token(State(provider): State<Provider>, Form(form): Form<HashMap<String, String>>) -> Response {
    provider.state.lock().unwrap().asked.push(form);
    if let Some(refused) = provider.state.lock().unwrap().refused.clone() {
        return (StatusCode::BAD_REQUEST, Json(refused)).into_response();
    }
    let more = provider.state.lock().unwrap().id_token.clone();
    let id_token = more.map(|more| provider.sign("JWT", &provider.claims(&more)));
    let refresh = provider.state.lock().unwrap().refresh_token.clone();
    Json(json!({
        "access_token": "an-access-token", "token_type": "Bearer", "expires_in": 3600, "id_token": id_token, "refresh_token": refresh,
    }))
    .into_response()
}

async fn userinfo(State(provider): State<Provider>, headers: HeaderMap) -> Json<Value> {
    assert_eq!(headers[header::AUTHORIZATION], "Bearer an-access-token");
    Json(provider.state.lock().unwrap().userinfo.clone())
}

/// A gateway with one identity provider, called `company`.
pub(crate) struct TestGateway {
    pub(crate) idp: Provider,
    pub(crate) providers: IdentityProviders,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) keys: Arc<Keyring>,
    folder: tempfile::TempDir,
    table: RouteTable,
}

impl TestGateway {
    pub(crate) async fn new() -> Self {
        Self::with(json!({})).await
    }

    /// Creates it with extra settings of the provider. `userinfoUrl` makes the provider an OAuth server.
    pub(crate) async fn with(settings: Value) -> Self {
        let idp = Provider::start().await;
        let folder = tempfile::tempdir().unwrap();
        let keys = Arc::new(Keyring::open_or_create(folder.path(), &Random::system()).unwrap());
        let store = Store::in_memory().await.unwrap();
        let clock = Clock::manual(UnixMillis(NOW * 1000));
        let providers = providers(&store, Arc::clone(&keys), &clock);
        let table = table(&idp.issuer, &settings);
        Self { idp, providers, store, clock, keys, folder, table }
    }

    pub(crate) fn keys_file(&self) -> Vec<u8> {
        std::fs::read(self.folder.path().join("keys.json")).unwrap()
    }

    /// Changes the provider's settings.
    pub(crate) fn set(&mut self, settings: Value) {
        self.table = table(&self.idp.issuer, &settings);
    }

    /// Binds the provider's name, as an earlier sign-in at another provider did.
    pub(crate) async fn bind_to(&self, issuer: &str, subject_claim: &str) {
        let row = ProviderIssuerRow {
            name: "company".to_owned(),
            issuer: issuer.to_owned(),
            subject_claim: subject_claim.to_owned(),
            bound_at: 1,
        };
        if let Some(before) = self.store.provider_issuer("company").await.unwrap() {
            assert!(self.store.rebind_provider_issuer(&before, &row).await.unwrap());
        } else {
            assert!(self.store.bind_provider_issuer(&row).await.unwrap());
        }
    }

    pub(crate) fn previous_issuers(&mut self, issuers: &[&str]) {
        self.set(json!({"previousIssuers": issuers}));
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        &self.table.gateway
    }

    pub(crate) fn provider(&self) -> &IdentityProvider {
        &self.table.gateway.identity_providers[0]
    }

    /// Starts a sign-in: its authorization URL and its secrets.
    pub(crate) async fn begin(&self) -> (Url, SignInSecrets) {
        let proof = self.providers.sign_in.new_secrets().unwrap();
        let request = AuthorizationRequest { state: "a-state", proof: &proof, another_account: false };
        let url = self
            .providers
            .sign_in
            .authorization_url(self.gateway(), self.provider(), &request)
            .await
            .unwrap();
        let url = Url::parse(&url).unwrap();
        let nonce = parameter(&url, "nonce").unwrap_or_default();
        self.idp.state.lock().unwrap().nonce = nonce;
        (url, proof)
    }

    /// Signs in. The provider's authorization response has these members in addition to the code.
    pub(crate) async fn sign_in(&self, more: Value) -> Result<CompletedSignIn, ProviderError> {
        let (_, proof) = self.begin().await;
        self.answer(&proof, more).await
    }

    pub(crate) async fn answer(
        &self,
        proof: &SignInSecrets,
        more: Value,
    ) -> Result<CompletedSignIn, ProviderError> {
        let mut answer = json!({"code": "a-code", "iss": self.idp.issuer});
        for (name, value) in more.as_object().unwrap() {
            answer[name] = value.clone();
        }
        let answer: AuthorizationResponse = serde_json::from_value(answer).unwrap();
        self.providers.sign_in.sign_in(self.gateway(), self.provider(), answer, proof).await
    }
}

pub(crate) fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(each, _)| each == name).map(|(_, value)| value.into_owned())
}

fn providers(store: &Store, keys: Arc<Keyring>, clock: &Clock) -> IdentityProviders {
    let verifier = Arc::new(JwtVerifier::new(HttpClients::new(), store.clone(), clock.clone()));
    IdentityProviders::new(IdentityProvidersDependencies {
        verifier,
        store: store.clone(),
        keys,
        http: HttpClients::new(),
        clock: clock.clone(),
        random: Random::system(),
    })
}

fn table(issuer: &str, settings: &Value) -> RouteTable {
    let mut client = json!({
        "issuer": issuer, "clientId": "portcullis", "clientSecret": null, "scopes": ["openid", "email"],
        "claims": {"subject": "sub", "email": "email", "name": "name", "groups": "groups"},
        "trustEmail": false, "privateNetworks": ["127.0.0.0/8"], "caBundlePem": null,
    });
    let mut kind = "oidc";
    for (name, value) in settings.as_object().unwrap() {
        match name.as_str() {
            "userinfo" => kind = "oauth",
            "previousIssuers" => {}
            name => client[name] = value.clone(),
        }
    }
    let kind = match kind {
        "oidc" => json!({"oidc": client}),
        _ => json!({"oauth": {"client": client, "userinfoUrl": format!("{issuer}/userinfo")}}),
    };
    let previous = settings.get("previousIssuers").cloned().unwrap_or_else(|| json!([]));
    let settings = json!({
        "identityProviders": [{"name": "company", "kind": kind, "previousIssuers": previous}],
        "tokens": {"accessSeconds": 900, "refreshSeconds": 30 * 24 * 3600, "sessionSeconds": 28_800},
        "clients": {"metadataDocumentHosts": ["*"], "dynamicRegistration": true},
    });
    let config = config(with(gateway(), settings), Vec::new(), Vec::new());
    let contract: Config = serde_json::from_value(config).unwrap();
    RouteTable::build(&contract, 1).unwrap()
}
