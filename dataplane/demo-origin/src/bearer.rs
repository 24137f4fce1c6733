//! The check of the bearer token in front of the MCP endpoint (RFC 6750; MCP authorization, "Token
//! Handling").

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};

use crate::app_state::{AppState, SCOPE};

/// Accepts requests with a valid access token. Replaces the `Authorization` header by the token's account, as
/// an extension.
pub(crate) async fn require_token(
    State(site): State<Arc<AppState>>,
    mut request: Request,
    next: Next,
) -> Response {
    let account = bearer(request.headers()).map(|token| site.store.account(token));
    match account {
        Some(Some(account)) => {
            request.headers_mut().remove(AUTHORIZATION);
            request.extensions_mut().insert(account);
            next.run(request).await
        }
        Some(None) => unauthorized(
            &site,
            ", error=\"invalid_token\", error_description=\"the token is unknown, expired or revoked\"",
        ),
        None => unauthorized(&site, ""),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// 401 with the challenge that leads a client to the authorization server (RFC 9728, section 5.1).
fn unauthorized(site: &AppState, error: &str) -> Response {
    let metadata = format!("{}/.well-known/oauth-protected-resource/mcp", site.issuer);
    let challenge = format!("Bearer resource_metadata=\"{metadata}\", scope=\"{SCOPE}\"{error}");
    (
        StatusCode::UNAUTHORIZED,
        [(WWW_AUTHENTICATE, challenge)],
        "A valid access token of the demo is required.\n",
    )
        .into_response()
}
