//! The gateway's client ID metadata documents.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, header};
use portcullis_origin_auth::client_metadata_document;

use crate::Portal;
use crate::error::PortalError;

/// `GET /connect/{origin}/client.json`: the gateway's client ID metadata document at one origin. Each origin
/// has its own document and redirect URI, which prevents mix-up attacks between authorization servers.
pub(crate) async fn get(
    State(portal): State<Portal>,
    Path(origin): Path<String>,
) -> Result<Response, PortalError> {
    let table = portal.table()?;
    let origin = table.origin(&origin).ok_or(PortalError::NotFound)?;
    let mut response = Json(client_metadata_document(&table.gateway, origin)).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    Ok(response)
}
