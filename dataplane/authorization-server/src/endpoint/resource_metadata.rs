//! Protected resource metadata (RFC 9728).

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use portcullis_policy::{Route, RouteTableHandle};
use serde_json::{Value, json};

use super::oauth_error::OAuthError;
use crate::issue_token::SCOPE;
use crate::issuer::sole_route;

/// No metadata can be returned.
pub(super) enum ResourceMetadataError {
    NotReady,
    NoSuchRoute,
    AmbiguousRoute,
}

impl IntoResponse for ResourceMetadataError {
    fn into_response(self) -> Response {
        match self {
            Self::NotReady => OAuthError::not_ready(),
            Self::NoSuchRoute => OAuthError::no_such_route(),
            Self::AmbiguousRoute => OAuthError::new(
                StatusCode::NOT_FOUND,
                "not_found",
                "this gateway does not serve exactly one virtual MCP; read the metadata of one at \
                 /.well-known/oauth-protected-resource/mcp/{slug}",
            ),
        }
        .into_response()
    }
}

/// Metadata of the route at `/mcp/{slug}`.
pub(super) async fn of_route(
    State(tables): State<RouteTableHandle>,
    Path(slug): Path<String>,
) -> Result<Json<Value>, ResourceMetadataError> {
    let table = tables.current().ok_or(ResourceMetadataError::NotReady)?;
    table.route(&slug).map(|route| Json(document(route))).ok_or(ResourceMetadataError::NoSuchRoute)
}

/// Metadata at the gateway's base URL, available if the gateway has exactly one route.
pub(super) async fn only_route(
    State(tables): State<RouteTableHandle>,
) -> Result<Json<Value>, ResourceMetadataError> {
    let table = tables.current().ok_or(ResourceMetadataError::NotReady)?;
    sole_route(&table).map(|route| Json(document(&route))).ok_or(ResourceMetadataError::AmbiguousRoute)
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
