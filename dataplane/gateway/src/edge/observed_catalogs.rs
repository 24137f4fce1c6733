//! Serves the catalogs that this replica observed to the operator. Replies are sealed, and only the operator
//! can request them.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use portcullis_clock::Random;
use portcullis_config_distribution::{CatalogRequest, MAC_HEADER, NONCE_HEADER, ObservedCatalogs};
use portcullis_keyring::Keyring;
use portcullis_policy::RouteTableHandle;

use crate::catalog::Catalogs;

/// Endpoint for the operator. It returns 503 until it is enabled.
#[derive(Clone, Default)]
pub(crate) struct CatalogEndpoint(Arc<OnceLock<CatalogEndpointState>>);

/// State of the endpoint once services are started.
pub(crate) struct CatalogEndpointState {
    /// Name of this replica. Requests for another replica are rejected.
    pub(crate) replica: String,
    pub(crate) catalogs: Catalogs,
    /// Says whose catalogs are private.
    pub(crate) tables: RouteTableHandle,
    pub(crate) keys: Arc<Keyring>,
    pub(crate) random: Random,
}

impl CatalogEndpointState {
    /// What the operator may know. The names of private catalogs stay in this process.
    fn observations(&self) -> ObservedCatalogs {
        let table = self.tables.current();
        let shared: HashSet<&str> = table
            .iter()
            .flat_map(|table| table.routes())
            .map(|route| &route.origin)
            .filter(|origin| !origin.has_private_catalog())
            .map(|origin| &*origin.uid)
            .collect();
        self.catalogs.observations(|origin| shared.contains(origin))
    }
}

impl CatalogEndpoint {
    /// Starts to serve requests.
    pub(crate) fn enable(&self, state: CatalogEndpointState) {
        self.0.set(state).ok();
    }
}

/// `GET /catalogs`, see [`CatalogRequest`].
pub(super) async fn observed_catalogs(
    State(endpoint): State<CatalogEndpoint>,
    headers: HeaderMap,
) -> Response {
    let Some(state) = endpoint.0.get() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response();
    };
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (nonce, mac) = (text(NONCE_HEADER), text(MAC_HEADER));
    let Ok(request) = CatalogRequest::authenticate(&state.keys, &state.replica, nonce, mac) else {
        return (StatusCode::FORBIDDEN, "Only the operator of this installation can call this endpoint.\n")
            .into_response();
    };
    match request.seal_reply(&state.keys, &state.random, &state.observations()) {
        Ok(sealed) => ([(header::CONTENT_TYPE, "application/octet-stream")], sealed).into_response(),
        Err(error) => {
            tracing::warn!(%error, "failed to seal observed catalogs for the operator");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
