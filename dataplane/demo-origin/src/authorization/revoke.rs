//! Token revocation (RFC 7009): revoking either token of a grant revokes the grant.

use std::sync::Arc;

use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use http::StatusCode;
use serde::Deserialize;

use crate::app_state::AppState;

#[derive(Deserialize)]
pub(crate) struct Revocation {
    token: String,
    client_id: Option<String>,
}

/// Returns 200 even for an unknown token (section 2.2). Only the client that received the token can revoke
/// it.
pub(crate) async fn revoke(
    State(site): State<Arc<AppState>>,
    form: Result<Form<Revocation>, FormRejection>,
) -> StatusCode {
    let Ok(Form(given)) = form else { return StatusCode::BAD_REQUEST };
    site.store.revoke(&given.token, &given.client_id.unwrap_or_default());
    StatusCode::OK
}
