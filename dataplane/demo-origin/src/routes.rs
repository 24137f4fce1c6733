//! The router of the demo origin.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::HOST;

use crate::app_state::AppState;
use crate::{authorization, bearer, notebook};

/// The MCP endpoint and the authorization server, behind a check of `Host`.
pub(crate) fn router(site: Arc<AppState>) -> Router {
    let protected = Router::new()
        .route_service("/mcp", notebook::service(&site))
        .route_layer(from_fn_with_state(site.clone(), bearer::require_token));
    Router::new()
        .merge(protected)
        .merge(authorization::router(site.clone()))
        .layer(from_fn_with_state(site, check_host))
}

/// Rejects requests with a foreign `Host`: with DNS rebinding, a page of another site resolves its name to
/// loopback.
async fn check_host(State(site): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    if request.headers().get(HOST).is_none_or(|host| *host != site.authority) {
        let message = format!("Invalid Host header. Use http://{}.\n", site.authority);
        return (StatusCode::MISDIRECTED_REQUEST, message).into_response();
    }
    next.run(request).await
}
