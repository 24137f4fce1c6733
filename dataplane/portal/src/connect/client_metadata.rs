use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, header};

use crate::Portal;
use crate::error::PortalError;

/// `GET /connect/{origin}/client.json`: the gateway's client ID metadata document at one origin. One per origin, each with a
/// redirect URI of its own, so that an answer from one authorization server is never taken for another's (mix-up).
pub(crate) async fn get(
    State(portal): State<Portal>,
    Path(origin): Path<String>,
) -> Result<Response, PortalError> {
    let table = portal.table()?;
    let origin = table.origin(&origin).ok_or(PortalError::NotFound)?;
    let mut response = Json(portal.vault.client_document(&table.gateway, origin)).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    Ok(response)
}
