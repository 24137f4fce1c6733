//! The HTTP endpoints: one per file, each with its own errors.

mod client_authentication;
mod client_credentials;
mod form;
mod headless;
mod id_jag;
mod jwks;
mod jwt_bearer;
mod oauth_error;
mod redeem;
mod refresh;
mod register;
mod resource_metadata;
mod revoke;
mod server_metadata;
mod service_account;
mod token;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use http::Method;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use portcullis_policy::RouteTable;
use tower_http::cors::{AllowHeaders, Any, CorsLayer};

use crate::AuthorizationServer;
use crate::endpoint::oauth_error::OAuthError;

/// Maximum size of a request body, in bytes.
const MAX_BODY_LEN: usize = 64 * 1024;

impl AuthorizationServer {
    /// Routes for metadata at every path that clients try, for registration, token and revocation of every
    /// issuer, and for the keys. The authorization endpoint is in the portal.
    ///
    /// CORS allows scripts of any site, because browser-based clients need it and these endpoints use no
    /// cookies.
    pub fn router(&self) -> Router {
        let cors = CorsLayer::new()
            .allow_origin(Any)
            .allow_methods([Method::GET, Method::POST])
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers([WWW_AUTHENTICATE, RETRY_AFTER])
            .max_age(Duration::from_secs(3600));
        Router::new()
            .route("/.well-known/oauth-protected-resource", get(resource_metadata::only_route))
            .route("/.well-known/oauth-protected-resource/mcp/{slug}", get(resource_metadata::of_route))
            .route("/.well-known/oauth-authorization-server", get(server_metadata::oauth_root))
            .route("/.well-known/oauth-authorization-server/mcp/{slug}", get(server_metadata::oauth_route))
            .route("/mcp/{slug}/.well-known/oauth-authorization-server", get(server_metadata::oauth_route))
            .route("/.well-known/openid-configuration", get(server_metadata::openid_root))
            .route("/.well-known/openid-configuration/mcp/{slug}", get(server_metadata::openid_route))
            .route("/mcp/{slug}/.well-known/openid-configuration", get(server_metadata::openid_route))
            .route("/mcp/{slug}/oauth/register", post(register::at_route))
            .route("/oauth/register", post(register::at_root))
            // Default path of clients that do not read metadata.
            .route("/register", post(register::at_root))
            .route("/mcp/{slug}/oauth/token", post(token::at_route))
            .route("/oauth/token", post(token::at_root))
            .route("/mcp/{slug}/oauth/revoke", post(revoke::at_route))
            .route("/oauth/revoke", post(revoke::at_root))
            .route("/oauth/jwks", get(jwks::keys))
            .route_layer(DefaultBodyLimit::max(MAX_BODY_LEN))
            .route_layer(cors)
            .with_state(self.clone())
    }

    /// The current route table, or the error to return while there is none.
    fn table(&self) -> Result<Arc<RouteTable>, OAuthError> {
        self.tables().current().ok_or_else(OAuthError::not_ready)
    }
}

#[cfg(test)]
mod tests;

/// Reads a form parameter as these endpoints do.
#[cfg(fuzzing)]
pub(crate) fn parameter(body: &[u8], name: &str) -> Option<String> {
    let kind = http::HeaderValue::from_static("application/x-www-form-urlencoded");
    let headers = http::HeaderMap::from_iter([(http::header::CONTENT_TYPE, kind)]);
    form::Form::parse(&headers, body).ok()?.get(name).map(ToOwned::to_owned)
}

/// Reads the id and secret of a Basic header as these endpoints do.
#[cfg(fuzzing)]
pub(crate) fn basic(header: &str) -> Option<(String, String)> {
    client_authentication::basic(header)
}
