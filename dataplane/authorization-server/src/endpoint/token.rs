//! The token endpoint (RFC 6749, section 3.2).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CACHE_CONTROL, PRAGMA};
use portcullis_clock::Clock;
use portcullis_events::{Event, EventKind, EventSink, FailureOrigin, Outcome};
use portcullis_policy::{RouteTable, RouteTableHandle};
use serde::Serialize;

use super::client_authentication::{ClientAuthError, ClientAuthenticator, IssuerContext};
use super::form::Form;
use super::grant_types::{GrantTypes, JWT_BEARER};
use super::token_error::{ROUTE_GONE, TokenEndpointError};
use super::token_request::TokenRequest;
use crate::grant_event::add_grant_to_event;
use crate::issue_token::{SCOPE, TokenIssuer};
use crate::{Issuer, Principals};

/// Successful response (RFC 6749, section 5.1).
#[derive(Serialize)]
struct TokenResponse {
    access_token: String,
    token_type: &'static str,
    expires_in: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    scope: &'static str,
}

pub(super) async fn at_route(
    State(endpoint): State<Arc<TokenEndpoint>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    endpoint.serve(Some(&slug), &headers, &body).await
}

pub(super) async fn at_root(
    State(endpoint): State<Arc<TokenEndpoint>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    endpoint.serve(None, &headers, &body).await
}

/// Issues tokens for grants.
pub(super) struct TokenEndpoint {
    tables: RouteTableHandle,
    clock: Clock,
    events: EventSink,
    clients: Arc<ClientAuthenticator>,
    grant_types: GrantTypes,
    tokens: Arc<TokenIssuer>,
    principals: Arc<Principals>,
}

impl TokenEndpoint {
    pub(super) const fn new(
        tables: RouteTableHandle,
        clock: Clock,
        events: EventSink,
        clients: Arc<ClientAuthenticator>,
        grant_types: GrantTypes,
        tokens: Arc<TokenIssuer>,
        principals: Arc<Principals>,
    ) -> Self {
        Self { tables, clock, events, clients, grant_types, tokens, principals }
    }

    async fn serve(&self, slug: Option<&str>, headers: &HeaderMap, body: &[u8]) -> Response {
        let table = self.tables.current();
        let mut event = Event::new(self.clock.now(), EventKind::Token, Outcome::Success);
        event.gateway = table.as_ref().map(|table| Arc::clone(&table.gateway.name));
        event.route = slug.and_then(|slug| Some(Arc::clone(&table.as_ref()?.route(slug)?.slug)));
        let response = match self.issue(table.as_deref(), slug, headers, body, &mut event).await {
            Ok(response) => {
                ([(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")], Json(response)).into_response()
            }
            Err(error) => {
                if error.counts_as_failure() {
                    self.clients.failures.count();
                }
                let (reason, denied) = (error.reason(), matches!(error, TokenEndpointError::NoAccess(_)));
                let answer = error.into_oauth_error();
                event.reason = reason.or(Some(answer.error));
                (event.outcome, event.failure_origin) = match answer.status.is_server_error() {
                    _ if denied => (Outcome::Denied, Some(FailureOrigin::Client)),
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

    async fn issue(
        &self,
        table: Option<&RouteTable>,
        slug: Option<&str>,
        headers: &HeaderMap,
        body: &[u8],
        event: &mut Event,
    ) -> Result<TokenResponse, TokenEndpointError> {
        let table = table.ok_or(TokenEndpointError::NotReady)?;
        if !self.clients.failures.allows() {
            return Err(TokenEndpointError::TooManyFailures);
        }
        let form = Form::parse(headers, body).map_err(TokenEndpointError::Form)?;
        // invalid_grant if the route does not exist any more: with another error the client would retry
        // forever.
        let issuer = Issuer::at(table, slug).ok_or(ROUTE_GONE)?;
        let grant_type = form.get("grant_type").ok_or(TokenEndpointError::Missing("grant_type"))?.to_owned();
        let at = IssuerContext { table, issuer: &issuer };
        let client = match self.clients.authenticate(at, headers, &form).await {
            Ok(client) => Some(client),
            // Client authentication is optional: the assertion identifies the subject (RFC 7521, section
            // 4.1).
            Err(ClientAuthError::MissingClientId) if grant_type == JWT_BEARER => None,
            Err(error) => return Err(TokenEndpointError::Client(error)),
        };
        event.client_id = client.as_ref().map(|client| client.id.as_str().into());
        let client_id = client.as_ref().map(|client| client.id.clone()).unwrap_or_default();
        let request = TokenRequest {
            table,
            issuer: &issuer,
            issuer_id: issuer.identifier(table),
            client_id,
            client,
            form,
        };
        let granted = self.grant_types.issue(&grant_type, &request).await?;
        event.reason = granted.note;
        add_grant_to_event(event, table, &granted.grant, &self.principals).await;
        let access = self.tokens.sign_access_token(table, &granted.grant, self.clock.now())?;
        Ok(TokenResponse {
            access_token: access.token,
            token_type: "Bearer",
            expires_in: access.expires_in,
            refresh_token: granted.refresh_token,
            scope: SCOPE,
        })
    }
}
