//! The token endpoint (RFC 6749, section 3.2).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, PRAGMA};
use http::{HeaderMap, StatusCode};
use portcullis_events::{Event, EventKind, FailureOrigin, Outcome};
use portcullis_policy::{Route, RouteTable};
use portcullis_store::{GrantRow, StoreError};
use serde::Serialize;

use super::client_authentication::{AuthenticatedClient, ClientAuthError, IssuerContext};
use super::form::{Form, FormError};
use super::oauth_error::OAuthError;
use crate::issue_token::SCOPE;
use crate::issuer::is_route_url;
use crate::{AuthorizationServer, InternalError, Issuer, TargetError, TokenReviewError};
use portcullis_jwt_verification::JwtError;

/// RFC 6749, section 4.4.
pub(super) const CLIENT_CREDENTIALS: &str = "client_credentials";
/// RFC 7523, section 2.1.
pub(super) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// A token request was rejected or failed.
#[derive(Debug)]
pub(super) enum TokenEndpointError {
    NotReady,
    Form(FormError),
    Missing(&'static str),
    GrantType,
    Client(ClientAuthError),
    /// The code or refresh token is invalid for this client and issuer. `reason` is the reason in events.
    Grant {
        reason: &'static str,
        description: &'static str,
    },
    /// The client may not use this grant.
    UnauthorizedClient(&'static str),
    /// The grant type is not enabled here.
    GrantDisabled(&'static str),
    /// The assertion of a headless grant is invalid.
    Assertion(JwtError),
    /// No team gives this subject access to the route.
    NoAccess(String),
    /// Too many reviews of service account tokens.
    RateLimited,
    /// The cluster failed to review a service account token.
    Review(TokenReviewError),
    /// `resource` differs from the granted resource (RFC 8707, section 2.2).
    TargetMismatch(Arc<str>),
    /// `resource` names no route of this authorization server.
    InvalidTarget(TargetError),
    Gateway(InternalError),
}

impl From<InternalError> for TokenEndpointError {
    fn from(error: InternalError) -> Self {
        Self::Gateway(error)
    }
}

impl From<StoreError> for TokenEndpointError {
    fn from(error: StoreError) -> Self {
        Self::Gateway(error.into())
    }
}

impl TokenEndpointError {
    /// Reason in events.
    fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Grant { reason, .. } => Some(reason),
            Self::Client(error) => error.reason(),
            Self::Assertion(error) => Some(error.reason()),
            Self::NoAccess(_) => Some("no_access"),
            Self::RateLimited => Some("too_many_reviews"),
            Self::Review(_) => Some("review_unavailable"),
            _ => None,
        }
    }

    fn into_oauth_error(self) -> OAuthError {
        match self {
            Self::NotReady => OAuthError::not_ready(),
            Self::Form(error) => OAuthError::bad_request("invalid_request", error.to_string()),
            Self::Missing(name) => OAuthError::bad_request("invalid_request", format!("{name} is missing")),
            Self::GrantType => OAuthError::bad_request(
                "unsupported_grant_type",
                "grant_type is not supported; use one of grant_types_supported in the metadata",
            ),
            Self::GrantDisabled(why) => OAuthError::bad_request("unsupported_grant_type", why),
            Self::UnauthorizedClient(why) => OAuthError::bad_request("unauthorized_client", why),
            Self::Assertion(error @ JwtError::KeysUnavailable(_)) => {
                OAuthError::temporarily_unavailable(error.to_string())
            }
            Self::Assertion(error) => {
                OAuthError::bad_request("invalid_grant", format!("the assertion is invalid: {error}"))
            }
            // The same code as at the token endpoint of RFC 8628, section 3.5.
            Self::NoAccess(subject) => OAuthError::bad_request(
                "access_denied",
                format!(
                    "no team gives {subject} access to this virtual MCP; an administrator must add it to a Team"
                ),
            ),
            Self::RateLimited => OAuthError::new(
                StatusCode::TOO_MANY_REQUESTS,
                "temporarily_unavailable",
                "too many reviews of service account tokens; try again shortly",
            )
            .retry_after("1"),
            Self::Review(error) => {
                tracing::error!(%error, "failed to review a service account token");
                OAuthError::unavailable()
            }
            Self::InvalidTarget(error) => OAuthError::bad_request("invalid_target", error.to_string()),
            Self::Client(error) => error.into_oauth_error(),
            Self::Grant { description, .. } => OAuthError::bad_request("invalid_grant", description),
            Self::TargetMismatch(granted) => OAuthError::bad_request(
                "invalid_target",
                format!("resource differs from the granted one; it must be {granted} or be omitted"),
            ),
            Self::Gateway(error) => {
                tracing::error!(%error, "failed to issue a token");
                OAuthError::unavailable()
            }
        }
    }
}

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

/// A grant with its new refresh token, if it has one.
pub(super) struct IssuedGrant {
    pub(super) grant: GrantRow,
    pub(super) refresh_token: Option<String>,
}

pub(super) async fn at_route(
    State(identity): State<AuthorizationServer>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    serve(&identity, Some(&slug), &headers, &body).await
}

pub(super) async fn at_root(
    State(identity): State<AuthorizationServer>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    serve(&identity, None, &headers, &body).await
}

async fn serve(
    identity: &AuthorizationServer,
    slug: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
) -> Response {
    let table = identity.tables().current();
    let mut event = Event::new(identity.clock().now(), EventKind::Token, Outcome::Success);
    event.gateway = table.as_ref().map(|table| Arc::clone(&table.gateway.name));
    event.route = slug.and_then(|slug| Some(Arc::clone(&table.as_ref()?.route(slug)?.slug)));
    let response = match issue(identity, table.as_deref(), slug, headers, body, &mut event).await {
        Ok(response) => ([(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")], Json(response)).into_response(),
        Err(error) => {
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
    identity.events().record(event);
    response
}

async fn issue(
    identity: &AuthorizationServer,
    table: Option<&RouteTable>,
    slug: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
    event: &mut Event,
) -> Result<TokenResponse, TokenEndpointError> {
    let table = table.ok_or(TokenEndpointError::NotReady)?;
    let form = Form::parse(headers, body).map_err(TokenEndpointError::Form)?;
    // invalid_grant if the route does not exist any more: with another error the client would retry forever.
    let issuer = identity.issuer(table, slug).ok_or(ROUTE_GONE)?;
    let grant_type = form.get("grant_type").ok_or(TokenEndpointError::Missing("grant_type"))?.to_owned();
    let at = IssuerContext { table, issuer: &issuer };
    let client = match identity.authenticate_client(at, headers, &form).await {
        Ok(client) => Some(client),
        // Client authentication is optional: the assertion identifies the subject (RFC 7521, section 4.1).
        Err(ClientAuthError::MissingClientId) if grant_type == JWT_BEARER => None,
        Err(error) => return Err(TokenEndpointError::Client(error)),
    };
    event.client_id = client.as_ref().map(|client| client.id.as_str().into());
    let client_id = client.as_ref().map(|client| client.id.clone()).unwrap_or_default();
    let request =
        TokenRequest { table, issuer: &issuer, issuer_id: issuer.identifier(table), client_id, client, form };
    let granted = match grant_type.as_str() {
        "authorization_code" => identity.redeem(&request).await?,
        "refresh_token" => identity.refresh(&request).await?,
        CLIENT_CREDENTIALS => identity.client_credentials(&request).await?,
        JWT_BEARER => identity.jwt_bearer(&request).await?,
        _ => return Err(TokenEndpointError::GrantType),
    };
    identity.add_grant_to_event(event, table, &granted.grant).await;
    let access = identity.sign_access_token(table, &granted.grant, identity.clock().now())?;
    Ok(TokenResponse {
        access_token: access.token,
        token_type: "Bearer",
        expires_in: access.expires_in,
        refresh_token: granted.refresh_token,
        scope: SCOPE,
    })
}

pub(super) const ROUTE_GONE: TokenEndpointError = TokenEndpointError::Grant {
    reason: "route_gone",
    description: "the virtual MCP of this grant is no longer served; authorize again",
};

/// A token request after client authentication.
pub(super) struct TokenRequest<'a> {
    pub(super) table: &'a RouteTable,
    /// Issuer of the endpoint.
    pub(super) issuer: &'a Issuer,
    pub(super) issuer_id: String,
    /// The client's id; empty for a request without a client.
    pub(super) client_id: String,
    pub(super) client: Option<AuthenticatedClient>,
    pub(super) form: Form,
}

impl TokenRequest<'_> {
    pub(super) fn require(&self, name: &'static str) -> Result<&str, TokenEndpointError> {
        self.form.get(name).ok_or(TokenEndpointError::Missing(name))
    }

    /// The client, or an error if the request has none.
    pub(super) fn client(&self) -> Result<&AuthenticatedClient, TokenEndpointError> {
        self.client.as_ref().ok_or(TokenEndpointError::Client(ClientAuthError::MissingClientId))
    }

    /// The granted route. It must still exist with the same URL, and `resource` must be absent or name it.
    pub(super) fn check_target(&self, route_uid: &str, resource: &str) -> Result<&Route, TokenEndpointError> {
        let route =
            self.table.route_by_uid(route_uid).filter(|route| *route.url == *resource).ok_or(ROUTE_GONE)?;
        match self.form.get("resource") {
            Some(asked) if !is_route_url(self.table, route, asked) => {
                Err(TokenEndpointError::TargetMismatch(Arc::clone(&route.url)))
            }
            _ => Ok(route),
        }
    }
}
