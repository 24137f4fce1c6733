//! Dynamic client registration (RFC 7591). It needs no authentication: a registration only holds a name and
//! redirect URIs, and every user must approve the client before they are used.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::CACHE_CONTROL;
use portcullis_clock::Clock;
use portcullis_events::{Event, EventKind, EventSink, FailureOrigin, Outcome};
use portcullis_policy::{RouteTable, RouteTableHandle};
use portcullis_rate_limit::RateLimit;
use serde_json::json;

use super::oauth_error::OAuthError;
use crate::InternalError;
use crate::client::{MetadataError, Registrations, RequestedMetadata};

/// Client registrations per IP address: burst, and rate per second. All clients behind an untrusted proxy
/// share one address.
const REGISTRATION_LIMIT: (u32, u32) = (60, 1);
/// The same for all addresses together.
const TOTAL_REGISTRATION_LIMIT: (u32, u32) = (300, 5);

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
            Self::Metadata(
                error @ (MetadataError::TooLarge | MetadataError::Keys(_) | MetadataError::Other(_)),
            ) => OAuthError::bad_request("invalid_client_metadata", error.to_string()),
            Self::Gateway(error) => {
                tracing::error!(%error, "failed to register a client");
                OAuthError::unavailable()
            }
        }
    }
}

pub(super) async fn at_route(
    State(endpoint): State<Arc<RegistrationEndpoint>>,
    Path(slug): Path<String>,
    body: Bytes,
) -> Response {
    endpoint.serve(Some(&slug), &body).await
}

pub(super) async fn at_root(State(endpoint): State<Arc<RegistrationEndpoint>>, body: Bytes) -> Response {
    endpoint.serve(None, &body).await
}

/// Registers clients.
pub(super) struct RegistrationEndpoint {
    tables: RouteTableHandle,
    clock: Clock,
    events: EventSink,
    registrations: Arc<Registrations>,
    limit: RateLimit,
}

impl RegistrationEndpoint {
    pub(super) fn new(
        tables: RouteTableHandle,
        clock: Clock,
        events: EventSink,
        registrations: Arc<Registrations>,
    ) -> Self {
        let limit = RateLimit::new(REGISTRATION_LIMIT, TOTAL_REGISTRATION_LIMIT);
        Self { tables, clock, events, registrations, limit }
    }

    async fn serve(&self, slug: Option<&str>, body: &[u8]) -> Response {
        let table = self.tables.current();
        let mut event = Event::new(self.clock.now(), EventKind::ClientRegistered, Outcome::Success);
        event.gateway = table.as_ref().map(|table| Arc::clone(&table.gateway.name));
        event.route = slug.and_then(|slug| Some(Arc::clone(&table.as_ref()?.route(slug)?.slug)));
        let response = match self.register(table.as_deref(), slug, body, &mut event).await {
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
        self.events.record(event);
        response
    }

    async fn register(
        &self,
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
        if !self.limit.take(self.clock.now()) {
            return Err(RegistrationError::RateLimited);
        }
        let (registration, secret) =
            self.registrations.register(metadata).await.map_err(RegistrationError::Gateway)?;
        event.client_id = Some(registration.client.id.as_str().into());
        event.client_name = Some(registration.client.name.as_str().into());
        let mut answer = json!(registration.metadata);
        answer["client_id"] = json!(registration.client.id);
        answer["client_id_issued_at"] = json!(self.clock.now().seconds());
        if let Some(secret) = secret {
            answer["client_secret"] = json!(secret);
            // 0: it does not expire (RFC 7591, section 3.2.1).
            answer["client_secret_expires_at"] = json!(0);
        }
        Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(answer)).into_response())
    }
}
