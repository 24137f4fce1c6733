//! The portal as JSON for other user interfaces: `/api/…`, with the session of the browser. `docs/portal.md`
//! describes the requests.
//!
//! ```text
//! request.rs    the session of a request, and the check that a change comes from the same web origin
//! response.rs   responses and errors
//! account.rs    /api/me, /api/servers, /api/connections, /api/clients
//! admin.rs      /api/admin/…
//! ```

mod account;
mod admin;
mod request;
mod response;

use axum::Router;
use axum::routing::{any, delete, get, post};

use crate::Portal;

/// All routes of the API.
pub(crate) fn router() -> Router<Portal> {
    Router::new()
        .route("/api/me", get(account::me))
        .route("/api/servers", get(account::servers))
        .route("/api/connections", get(account::connections))
        .route("/api/connections/{origin}", delete(account::disconnect))
        .route("/api/connections/{origin}/connect", post(account::connect))
        .route("/api/clients", get(account::clients))
        .route("/api/clients/{grant}", delete(account::revoke))
        .route("/api/admin/people", get(admin::people))
        .route("/api/admin/people/{id}", get(admin::person))
        .route("/api/admin/people/{id}/revoke", post(admin::revoke_person))
        .route("/api/admin/clients", get(admin::clients))
        .route("/api/admin/clients/revoke", post(admin::revoke_client))
        .route("/api/admin/teams", get(admin::teams))
        .route("/api/admin/teams/revoke", post(admin::revoke_team))
        .route("/api/admin/origins", get(admin::origins))
        .route("/api/admin/origins/{id}/connect", post(admin::connect_origin))
        .route("/api/admin/origins/{id}/revoke", post(admin::revoke_origin))
        .route("/api/admin/grants/{id}", delete(admin::revoke_grant))
        .route("/api/{*rest}", any(response::not_found))
}
