//! The authorization server of the demo: OAuth 2.1 for public clients that register themselves.
//!
//! One endpoint a file; what has been given out is in the `ledger`.

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

/// The most that any of these endpoints reads.
const MAX_BODY_LEN: usize = 16 * 1024;

/// Metadata, registration, the authorization page, tokens.
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
