//! Metadata documents: protected resource (RFC 9728) and authorization server (RFC 8414).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::app_state::{AppState, SCOPE};

pub(crate) async fn protected_resource(State(site): State<Arc<AppState>>) -> Json<Value> {
    Json(json!({
        "resource": site.resource,
        "authorization_servers": [site.issuer],
        "scopes_supported": [SCOPE],
        "bearer_methods_supported": ["header"],
        "resource_name": "Portcullis demo origin",
    }))
}

pub(crate) async fn authorization_server(State(site): State<Arc<AppState>>) -> Json<Value> {
    let endpoint = |path: &str| format!("{}{path}", site.issuer);
    Json(json!({
        "issuer": site.issuer,
        "authorization_endpoint": endpoint("/authorize"),
        "token_endpoint": endpoint("/token"),
        "registration_endpoint": endpoint("/register"),
        "revocation_endpoint": endpoint("/revoke"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "scopes_supported": [SCOPE],
        "authorization_response_iss_parameter_supported": true,
    }))
}
