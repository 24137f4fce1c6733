//! Protected resource metadata (RFC 9728).

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use portcullis_policy::Route;
use serde_json::{Value, json};

use super::oauth_error::OAuthError;
use crate::Identity;
use crate::issue::SCOPE;
use crate::issuer::only;

/// Why there is no metadata.
pub(super) enum RouteError {
    NotReady,
    NoSuchRoute,
    WhichRoute,
}

impl IntoResponse for RouteError {
    fn into_response(self) -> Response {
        match self {
            Self::NotReady => OAuthError::not_ready(),
            Self::NoSuchRoute => OAuthError::no_such_route(),
            Self::WhichRoute => OAuthError::new(
                StatusCode::NOT_FOUND,
                "not_found",
                "this gateway does not serve exactly one virtual MCP; each has its own metadata at \
                 /.well-known/oauth-protected-resource/mcp/{slug}",
            ),
        }
        .into_response()
    }
}

/// Of the route at `/mcp/{slug}`.
pub(super) async fn of_route(
    State(identity): State<Identity>,
    Path(slug): Path<String>,
) -> Result<Json<Value>, RouteError> {
    let table = identity.tables().current().ok_or(RouteError::NotReady)?;
    table.route(&slug).map(|route| Json(document(route))).ok_or(RouteError::NoSuchRoute)
}

/// For clients that ask the bare origin: unambiguous where there is one route.
pub(super) async fn only_route(State(identity): State<Identity>) -> Result<Json<Value>, RouteError> {
    let table = identity.tables().current().ok_or(RouteError::NotReady)?;
    only(&table).map(|route| Json(document(&route))).ok_or(RouteError::WhichRoute)
}

fn document(route: &Route) -> Value {
    json!({
        "resource": route.url,
        "resource_name": route.display_name,
        "authorization_servers": [route.url],
        "bearer_methods_supported": ["header"],
        "scopes_supported": [SCOPE],
    })
}
