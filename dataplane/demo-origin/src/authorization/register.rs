//! Dynamic client registration (RFC 7591) of public clients.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use portcullis_config::is_loopback;
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::token_store::Client;
use crate::app_state::{AppState, SCOPE};

/// Maximum number of redirect URIs per client.
const MAX_REDIRECT_URIS: usize = 10;

#[derive(Deserialize)]
pub(crate) struct Registration {
    client_name: Option<String>,
    redirect_uris: Vec<String>,
}

/// Registers a public client for the authorization code flow. Other requested metadata is replaced (RFC 7591,
/// section 3.2.1).
pub(crate) async fn register(
    State(site): State<Arc<AppState>>,
    body: Result<Json<Registration>, JsonRejection>,
) -> Response {
    let Ok(Json(registration)) = body else {
        return registration_error(
            "invalid_client_metadata",
            "the body must be a JSON object with redirect_uris",
        );
    };
    let uris = registration.redirect_uris;
    if uris.is_empty()
        || uris.len() > MAX_REDIRECT_URIS
        || !uris.iter().all(|uri| is_allowed_redirect_uri(uri))
    {
        return registration_error(
            "invalid_redirect_uri",
            "redirect_uris must be https, or http on a loopback host, without a fragment",
        );
    }
    let name = registration.client_name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let client = Client { name: name.unwrap_or("A client").chars().take(80).collect(), redirect_uris: uris };
    match site.store.register(client.clone()) {
        Ok(id) => {
            let registered = json!({
                "client_id": id,
                "client_name": client.name,
                "redirect_uris": client.redirect_uris,
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
                "token_endpoint_auth_method": "none",
                "scope": SCOPE,
            });
            (StatusCode::CREATED, Json(registered)).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn registration_error(error: &str, description: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({"error": error, "error_description": description}))).into_response()
}

fn is_allowed_redirect_uri(uri: &str) -> bool {
    let Ok(url) = Url::parse(uri) else { return false };
    url.fragment().is_none() && (url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_redirect_uris_then_only_https_and_loopback_are_taken() {
        for good in [
            "http://127.0.0.1:8080/connect/x/callback",
            "http://[::1]/cb",
            "http://localhost:1/cb",
            "http://gateway.localhost:8080/cb",
            "https://a.example/cb",
        ] {
            assert!(is_allowed_redirect_uri(good), "{good}");
        }
        for bad in [
            "http://a.example/cb",
            "https://a.example/cb#x",
            "javascript:alert(1)",
            "cb",
            "http://127.0.0.1.a.example/",
        ] {
            assert!(!is_allowed_redirect_uri(bad), "{bad}");
        }
    }
}
