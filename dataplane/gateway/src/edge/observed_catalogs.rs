//! Tells the operator what this replica's users were shown of origins: sealed, and to nobody else.

use std::sync::{Arc, OnceLock};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use portcullis_clock::Random;
use portcullis_config_distribution::{CatalogRequest, MAC_HEADER, NONCE_HEADER};
use portcullis_keyring::Keyring;

use crate::catalog::Catalogs;

/// Whom the operator may ask, once the rooms are open.
#[derive(Clone, Default)]
pub(crate) struct CatalogEndpoint(Arc<OnceLock<CatalogEndpointState>>);

/// What an answer takes.
pub(crate) struct CatalogEndpointState {
    /// This replica's name: nobody else's question is answered.
    pub(crate) replica: String,
    pub(crate) catalogs: Catalogs,
    pub(crate) keys: Arc<Keyring>,
    pub(crate) random: Random,
}

impl CatalogEndpoint {
    /// From now on it answers.
    pub(crate) fn enable(&self, testimony: CatalogEndpointState) {
        self.0.set(testimony).ok();
    }
}

/// `GET /catalogs`, see [`CatalogRequest`].
pub(super) async fn observed_catalogs(
    State(witness): State<CatalogEndpoint>,
    headers: HeaderMap,
) -> Response {
    let Some(testimony) = witness.0.get() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response();
    };
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (nonce, mac) = (text(NONCE_HEADER), text(MAC_HEADER));
    let Ok(inquiry) = CatalogRequest::authenticate(&testimony.keys, &testimony.replica, nonce, mac) else {
        return (StatusCode::FORBIDDEN, "only this installation's operator is answered\n").into_response();
    };
    match inquiry.seal_reply(&testimony.keys, &testimony.random, &testimony.catalogs.observations()) {
        Ok(sealed) => ([(header::CONTENT_TYPE, "application/octet-stream")], sealed).into_response(),
        Err(error) => {
            tracing::warn!("the operator asked what users were shown, and could not be answered: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
