//! The authorization server of the demo: OAuth 2.1 for public clients with dynamic registration. One file per
//! endpoint; `token_store` holds clients, codes and tokens.

mod authorize;
mod metadata;
mod register;
mod revoke;
mod token;
pub(crate) mod token_store;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use crate::app_state::AppState;
use crate::pages;

/// Maximum size of a request body, in bytes.
const MAX_BODY_LEN: usize = 16 * 1024;

/// Routes for metadata, registration, authorization, tokens and revocation.
pub(crate) fn router(site: Arc<AppState>) -> Router {
    Router::new()
        .route("/.well-known/oauth-protected-resource", get(metadata::protected_resource))
        .route("/.well-known/oauth-protected-resource/mcp", get(metadata::protected_resource))
        .route("/.well-known/oauth-authorization-server", get(metadata::authorization_server))
        .route("/register", post(register::register))
        .route("/authorize", get(authorize::show_consent).post(authorize::submit_consent))
        .route("/token", post(token::token))
        .route("/revoke", post(revoke::revoke))
        .route("/style.css", get(pages::style))
        .layer(DefaultBodyLimit::max(MAX_BODY_LEN))
        .with_state(site)
}
