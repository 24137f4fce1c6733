use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use http::{HeaderMap, StatusCode, header};
use openidconnect::core::{
    CoreGenderClaim, CoreHmacKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm,
};
use openidconnect::{AdditionalClaims, IdToken, IdTokenClaims};
use portcullis_clock::{Random, UnixMillis};
use portcullis_keyring::Keyring;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

pub(crate) const SECRET: &str = "the gateway's own secret there";

/// An OpenID provider on loopback; at `/mcp` also an origin that wants an account there.
#[derive(Clone)]
pub(crate) struct OpenIdProvider {
    pub(crate) issuer: String,
    /// What it signs its logout tokens with.
    keys: Arc<Keyring>,
    state: Arc<Mutex<ProviderState>>,
}

#[derive(Default)]
struct ProviderState {
    /// What the next id_token says besides the usual.
    claims: Value,
    /// What userinfo says.
    userinfo: Value,
    nonce: String,
    token_requests: Vec<(String, HashMap<String, String>)>,
    discoveries: usize,
}

impl OpenIdProvider {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let keys = Keyring::from_json(&Keyring::generate(&Random::system()).unwrap()).unwrap();
        let provider = Self { issuer, keys: Arc::new(keys), state: Arc::default() };
        provider.set_claims(json!({}), json!({"sub": "1"}));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/.well-known/oauth-authorization-server", get(metadata))
            .route("/.well-known/oauth-protected-resource/mcp", get(resource))
            .route("/mcp", post(challenge))
            .route("/jwks", get(jwks))
            .route("/register", post(|| async { (StatusCode::CREATED, Json(json!({"client_id": "us"}))) }))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    pub(crate) fn set_claims(&self, claims: Value, userinfo: Value) {
        let mut seen = self.state.lock().unwrap();
        seen.claims = claims;
        seen.userinfo = userinfo;
    }

    /// What a person does in between: signs in or agrees, and is sent back. The path of ours to go to.
    pub(crate) fn complete_authorization(&self, url: &str) -> String {
        assert!(url.starts_with(&format!("{}/authorize?", self.issuer)), "{url}");
        let url = Url::parse(url).unwrap();
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(asked["code_challenge_method"], "S256");
        self.state.lock().unwrap().nonce = asked.get("nonce").cloned().unwrap_or_default();
        let mut back = Url::parse(&asked["redirect_uri"]).unwrap();
        back.query_pairs_mut().append_pair("code", "a-code").append_pair("state", &asked["state"]);
        back.query_pairs_mut().append_pair("iss", &self.issuer);
        format!("{}?{}", back.path(), back.query().unwrap())
    }

    /// Its word that somebody has left, with these claims besides the usual.
    pub(crate) fn logout_token(&self, now: UnixMillis, more: &Value) -> String {
        let now = now.seconds();
        let mut claims = json!({
            "iss": self.issuer, "aud": "portcullis", "sub": "1", "iat": now, "exp": now + 120, "jti": "j",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        });
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.keys.signing.sign("logout+jwt", &claims).unwrap()
    }

    pub(crate) fn token_requests(&self) -> Vec<(String, HashMap<String, String>)> {
        self.state.lock().unwrap().token_requests.clone()
    }

    pub(crate) fn discoveries(&self) -> usize {
        self.state.lock().unwrap().discoveries
    }
}

/// What an id_token says beyond OpenID Connect Core.
#[derive(Debug, Serialize, Deserialize)]
struct Session {
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
}

impl AdditionalClaims for Session {}

async fn jwks(State(provider): State<OpenIdProvider>) -> Json<Value> {
    Json(provider.keys.signing.jwks())
}

async fn metadata(State(provider): State<OpenIdProvider>) -> Json<Value> {
    provider.state.lock().unwrap().discoveries += 1;
    let issuer = &provider.issuer;
    Json(json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"), "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"), "jwks_uri": format!("{issuer}/jwks"),
        "registration_endpoint": format!("{issuer}/register"),
        "response_types_supported": ["code"], "subject_types_supported": ["public"], "grant_types_supported": ["authorization_code", "refresh_token"],
        "id_token_signing_alg_values_supported": ["HS256"], "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "none"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

async fn resource(State(provider): State<OpenIdProvider>) -> Json<Value> {
    let issuer = &provider.issuer;
    Json(json!({"resource": format!("{issuer}/mcp"), "authorization_servers": [issuer]}))
}

async fn challenge(State(provider): State<OpenIdProvider>) -> Response {
    let metadata = format!("{}/.well-known/oauth-protected-resource/mcp", provider.issuer);
    let challenge = format!("Bearer resource_metadata=\"{metadata}\"");
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
}

async fn token(
    State(provider): State<OpenIdProvider>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Json<Value> {
    let authorization = headers
        .get(header::AUTHORIZATION)
        .map(|value| value.to_str().unwrap().to_owned())
        .unwrap_or_default();
    let mut seen = provider.state.lock().unwrap();
    let nonce = seen.nonce.clone();
    seen.token_requests.push((authorization, form));
    let mut claims = json!({
        "iss": provider.issuer, "aud": ["portcullis"], "sub": "1", "iat": 1_600_000_000, "exp": 4_000_000_000_i64, "nonce": nonce,
    });
    for (name, value) in seen.claims.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let claims: IdTokenClaims<Session, CoreGenderClaim> = serde_json::from_value(claims).unwrap();
    let key = CoreHmacKey::new(SECRET);
    let id_token = IdToken::<_, _, CoreJweContentEncryptionAlgorithm, _>::new(
        claims,
        &key,
        CoreJwsSigningAlgorithm::HmacSha256,
        None,
        None,
    )
    .unwrap()
    .to_string();
    Json(
        json!({"access_token": "an-access-token", "token_type": "Bearer", "expires_in": 3600, "id_token": id_token}),
    )
}

async fn userinfo(State(provider): State<OpenIdProvider>, headers: HeaderMap) -> Json<Value> {
    assert_eq!(headers[header::AUTHORIZATION], "Bearer an-access-token");
    Json(provider.state.lock().unwrap().userinfo.clone())
}
