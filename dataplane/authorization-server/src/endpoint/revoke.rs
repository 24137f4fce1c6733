//! Token revocation (RFC 7009). Revoking any token of a grant revokes the whole grant.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CACHE_CONTROL;
use portcullis_keyring::{Keyring, digest};
use portcullis_policy::RouteTableHandle;
use portcullis_store::{GrantRow, Store};

use super::client_authentication::{ClientAuthError, ClientAuthenticator, IssuerContext};
use super::form::{Form, FormError};
use super::oauth_error::OAuthError;
use crate::claims::{ACCESS_TOKEN_TYPE, AccessClaims};
use crate::issue_token::REFRESH_PREFIX;
use crate::{GrantRevocation, InternalError, Issuer};

/// A revocation request was rejected or failed.
#[derive(Debug)]
pub(super) enum RevocationError {
    NotReady,
    NoSuchRoute,
    Form(FormError),
    NoToken,
    Client(ClientAuthError),
    OtherClient,
    TooManyFailures,
    Gateway(InternalError),
}

impl From<InternalError> for RevocationError {
    fn from(error: InternalError) -> Self {
        Self::Gateway(error)
    }
}

impl IntoResponse for RevocationError {
    fn into_response(self) -> Response {
        match self {
            Self::NotReady => OAuthError::not_ready(),
            Self::NoSuchRoute => OAuthError::no_such_route(),
            Self::Form(error) => OAuthError::bad_request("invalid_request", error.to_string()),
            Self::NoToken => OAuthError::bad_request("invalid_request", "token is missing"),
            Self::Client(error) => error.into_oauth_error(),
            Self::OtherClient => {
                OAuthError::bad_request("invalid_grant", "the token was issued to another client")
            }
            Self::TooManyFailures => OAuthError::too_many_failures(),
            Self::Gateway(error) => {
                tracing::error!(%error, "failed to revoke a grant");
                OAuthError::unavailable()
            }
        }
        .into_response()
    }
}

pub(super) async fn at_route(
    State(endpoint): State<Arc<RevocationEndpoint>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RevocationError> {
    endpoint.serve(Some(&slug), &headers, &body).await
}

pub(super) async fn at_root(
    State(endpoint): State<Arc<RevocationEndpoint>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RevocationError> {
    endpoint.serve(None, &headers, &body).await
}

/// Revokes grants for clients.
pub(super) struct RevocationEndpoint {
    tables: RouteTableHandle,
    store: Store,
    keys: Arc<Keyring>,
    clients: Arc<ClientAuthenticator>,
    revocation: Arc<GrantRevocation>,
}

impl RevocationEndpoint {
    pub(super) const fn new(
        tables: RouteTableHandle,
        store: Store,
        keys: Arc<Keyring>,
        clients: Arc<ClientAuthenticator>,
        revocation: Arc<GrantRevocation>,
    ) -> Self {
        Self { tables, store, keys, clients, revocation }
    }

    /// Counts requests that revoke nothing, successful ones included: anybody can send them.
    async fn serve(
        &self,
        slug: Option<&str>,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Response, RevocationError> {
        if !self.clients.failures.allows() {
            return Err(RevocationError::TooManyFailures);
        }
        let revoked = self.revoke(slug, headers, body).await;
        let is_ours = matches!(
            &revoked,
            Err(RevocationError::NotReady
                | RevocationError::Client(ClientAuthError::Gateway(_))
                | RevocationError::Gateway(_))
        );
        if !is_ours && !matches!(&revoked, Ok(true)) {
            self.clients.failures.count();
        }
        revoked.map(|_| [(CACHE_CONTROL, "no-store")].into_response())
    }

    /// Revokes the grant of a token. Returns whether there was one that had not been revoked.
    async fn revoke(
        &self,
        slug: Option<&str>,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<bool, RevocationError> {
        let table = self.tables.current().ok_or(RevocationError::NotReady)?;
        let issuer = Issuer::at(&table, slug).ok_or(RevocationError::NoSuchRoute)?;
        let form = Form::parse(headers, body).map_err(RevocationError::Form)?;
        let token = form.get("token").ok_or(RevocationError::NoToken)?;
        let at = IssuerContext { table: &table, issuer: &issuer };
        let client = self.clients.authenticate(at, headers, &form).await.map_err(RevocationError::Client)?;
        let issuer = issuer.identifier(&table);
        // An unknown token, or one of another issuer, counts as revoked (section 2.2).
        let Some(grant) = self.grant_of(token).await?.filter(|grant| grant.issuer == issuer) else {
            return Ok(false);
        };
        if grant.client_id != client.id {
            return Err(RevocationError::OtherClient);
        }
        if let Some(assertion) = &client.assertion {
            assertion.use_up().await.map_err(ClientAuthError::from).map_err(RevocationError::Client)?;
        }
        self.revocation.revoke_grant(&table, &grant, "requested").await?;
        Ok(grant.revoked_at.is_none())
    }

    /// The grant of an access or refresh token, even if it has expired.
    async fn grant_of(&self, token: &str) -> Result<Option<GrantRow>, InternalError> {
        let grant = if token.starts_with(REFRESH_PREFIX) {
            self.store.refresh_token(&digest(token)).await?.map(|row| row.grant_id)
        } else {
            self.keys.signing.verify::<AccessClaims>(ACCESS_TOKEN_TYPE, token).ok().map(|claims| claims.grant)
        };
        let Some(grant) = grant else { return Ok(None) };
        Ok(self.store.grant(&grant).await?)
    }
}
