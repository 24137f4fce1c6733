//! The token endpoint for public clients: codes with PKCE, and refresh tokens (RFC 6749 sections 4.1.3 and
//! 6).

use std::sync::Arc;

use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::response::{IntoResponse, Response};
use axum::{Form, Json};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use serde::Deserialize;
use serde_json::json;

use super::token_store::{ACCESS_LIFETIME, IssuedTokens, TokenError};
use crate::app_state::{AppState, SCOPE};

#[derive(Deserialize)]
pub(crate) struct TokenRequest {
    grant_type: Option<String>,
    client_id: Option<String>,
    code: Option<String>,
    code_verifier: Option<String>,
    redirect_uri: Option<String>,
    refresh_token: Option<String>,
    resource: Option<String>,
}

pub(crate) async fn token(
    State(site): State<Arc<AppState>>,
    form: Result<Form<TokenRequest>, FormRejection>,
) -> Response {
    let Ok(Form(given)) = form else {
        return error_response("invalid_request", "the body must be a form");
    };
    let client_id = given.client_id.unwrap_or_default();
    if site.store.client(&client_id).is_none() {
        return json_response(StatusCode::UNAUTHORIZED, json!({"error": "invalid_client"}));
    }
    if given.resource.is_some_and(|resource| resource != site.resource) {
        return error_response("invalid_target", "resource must be the demo's MCP endpoint");
    }
    let issued = match (given.grant_type.as_deref(), given.code, given.refresh_token) {
        (Some("authorization_code"), Some(code), _) => {
            let verifier = given.code_verifier.unwrap_or_default();
            site.store.redeem(&code, &client_id, &given.redirect_uri.unwrap_or_default(), &verifier)
        }
        (Some("refresh_token"), _, Some(token)) => site.store.refresh(&token, &client_id),
        (Some("authorization_code" | "refresh_token"), ..) => {
            return error_response("invalid_request", "code or refresh_token is missing");
        }
        _ => {
            return error_response(
                "unsupported_grant_type",
                "grant_type must be authorization_code or refresh_token",
            );
        }
    };
    match issued {
        Ok(IssuedTokens { access, refresh }) => json_response(
            StatusCode::OK,
            json!({
                "access_token": access,
                "token_type": "Bearer",
                "expires_in": ACCESS_LIFETIME.as_secs(),
                "refresh_token": refresh,
                "scope": SCOPE,
            }),
        ),
        Err(TokenError::InvalidGrant(why)) => error_response("invalid_grant", why),
        Err(TokenError::NoRandomness) => {
            json_response(StatusCode::INTERNAL_SERVER_ERROR, json!({"error": "server_error"}))
        }
    }
}

fn error_response(error: &str, description: &str) -> Response {
    json_response(StatusCode::BAD_REQUEST, json!({"error": error, "error_description": description}))
}

fn json_response(status: StatusCode, body: serde_json::Value) -> Response {
    (status, [(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}
