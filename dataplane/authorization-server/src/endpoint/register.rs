//! Dynamic client registration (RFC 7591). It needs no authentication: a registration only holds a name and
//! redirect URIs, and every user must approve the client before they are used.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::CACHE_CONTROL;
use portcullis_events::{Event, EventKind, FailureOrigin, Outcome};
use portcullis_policy::RouteTable;
use serde_json::json;

use super::oauth_error::OAuthError;
use crate::client::{MetadataError, RequestedMetadata};
use crate::{AuthorizationServer, InternalError};

/// A registration was rejected or failed.
#[derive(Debug)]
pub(super) enum RegistrationError {
    NotReady,
    NoSuchRoute,
    Disabled,
    RateLimited,
    NotJson(serde_json::Error),
    Metadata(MetadataError),
    Gateway(InternalError),
}

impl RegistrationError {
    fn to_oauth_error(&self) -> OAuthError {
        match self {
            Self::NotReady => OAuthError::not_ready(),
            Self::NoSuchRoute => OAuthError::no_such_route(),
            Self::Disabled => OAuthError::new(
                StatusCode::FORBIDDEN,
                "access_denied",
                "dynamic client registration is disabled on this gateway; use a client ID metadata document",
            ),
            Self::RateLimited => OAuthError::new(
                StatusCode::TOO_MANY_REQUESTS,
                "temporarily_unavailable",
                "too many client registrations; try again in 10 seconds",
            )
            .retry_after("10"),
            Self::NotJson(error) => OAuthError::bad_request(
                "invalid_client_metadata",
                format!("the body is not a JSON object of client metadata: {error}"),
            ),
            Self::Metadata(error @ (MetadataError::RedirectCount | MetadataError::Redirect { .. })) => {
                OAuthError::bad_request("invalid_redirect_uri", error.to_string())
            }
            Self::Metadata(error @ (MetadataError::Keys(_) | MetadataError::Other(_))) => {
                OAuthError::bad_request("invalid_client_metadata", error.to_string())
            }
            Self::Gateway(error) => {
                tracing::error!(%error, "failed to register a client");
                OAuthError::unavailable()
            }
        }
    }
}

pub(super) async fn at_route(
    State(identity): State<AuthorizationServer>,
    Path(slug): Path<String>,
    body: Bytes,
) -> Response {
    serve(&identity, Some(&slug), &body).await
}

pub(super) async fn at_root(State(identity): State<AuthorizationServer>, body: Bytes) -> Response {
    serve(&identity, None, &body).await
}

async fn serve(identity: &AuthorizationServer, slug: Option<&str>, body: &[u8]) -> Response {
    let table = identity.tables().current();
    let mut event = Event::new(identity.clock().now(), EventKind::ClientRegistered, Outcome::Success);
    event.gateway = table.as_ref().map(|table| Arc::clone(&table.gateway.name));
    event.route = slug.and_then(|slug| Some(Arc::clone(&table.as_ref()?.route(slug)?.slug)));
    let response = match register(identity, table.as_deref(), slug, body, &mut event).await {
        Ok(response) => response,
        Err(error) => {
            let answer = error.to_oauth_error();
            event.reason = Some(answer.error);
            (event.outcome, event.failure_origin) = match answer.status.is_server_error() {
                true => (Outcome::GatewayError, Some(FailureOrigin::Gateway)),
                false => (Outcome::ClientError, Some(FailureOrigin::Client)),
            };
            answer.into_response()
        }
    };
    event.status = Some(response.status().as_u16());
    identity.events().record(event);
    response
}

async fn register(
    identity: &AuthorizationServer,
    table: Option<&RouteTable>,
    slug: Option<&str>,
    body: &[u8],
    event: &mut Event,
) -> Result<Response, RegistrationError> {
    let table = table.ok_or(RegistrationError::NotReady)?;
    if slug.is_some_and(|slug| table.route(slug).is_none()) {
        return Err(RegistrationError::NoSuchRoute);
    }
    if !table.gateway.clients.dynamic_registration {
        return Err(RegistrationError::Disabled);
    }
    let requested: RequestedMetadata =
        portcullis_egress::parse_json_object(body).map_err(RegistrationError::NotJson)?;
    let metadata = requested.accept().map_err(RegistrationError::Metadata)?;
    // Only valid registrations count against the limit.
    if !identity.registration_limit().take(identity.clock().now()) {
        return Err(RegistrationError::RateLimited);
    }
    let (registration, secret) = identity.register(metadata).await.map_err(RegistrationError::Gateway)?;
    event.client_id = Some(registration.client.id.as_str().into());
    event.client_name = Some(registration.client.name.as_str().into());
    let mut answer = json!(registration.metadata);
    answer["client_id"] = json!(registration.client.id);
    answer["client_id_issued_at"] = json!(identity.clock().now().seconds());
    if let Some(secret) = secret {
        answer["client_secret"] = json!(secret);
        // 0: it does not expire (RFC 7591, section 3.2.1).
        answer["client_secret_expires_at"] = json!(0);
    }
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}
