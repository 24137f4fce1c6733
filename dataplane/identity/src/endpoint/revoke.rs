//! Token revocation (RFC 7009): whichever of its tokens is shown, the whole grant ends.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CACHE_CONTROL;
use portcullis_store::GrantRow;

use super::authentication::{At, AuthenticationError};
use super::form::{Form, FormError};
use super::oauth_error::OAuthError;
use crate::claims::{ACCESS_TOKEN, AccessClaims};
use crate::digest::digest;
use crate::issue::REFRESH_PREFIX;
use crate::{Identity, IdentityError};

/// Why nothing was revoked.
#[derive(Debug)]
pub(super) enum RouteError {
    Answered(OAuthError),
    Form(FormError),
    NoToken,
    Client(AuthenticationError),
    OtherClient,
    Gateway(IdentityError),
}

impl From<IdentityError> for RouteError {
    fn from(error: IdentityError) -> Self {
        Self::Gateway(error)
    }
}

impl IntoResponse for RouteError {
    fn into_response(self) -> Response {
        match self {
            Self::Answered(answer) => answer,
            Self::Form(error) => OAuthError::bad("invalid_request", error.to_string()),
            Self::NoToken => OAuthError::bad("invalid_request", "token is missing"),
            Self::Client(error) => error.answer(),
            Self::OtherClient => OAuthError::bad("invalid_grant", "the token was issued to another client"),
            Self::Gateway(error) => {
                tracing::error!(%error, "a grant could not be revoked");
                OAuthError::unavailable()
            }
        }
        .into_response()
    }
}

pub(super) async fn at_route(
    State(identity): State<Identity>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RouteError> {
    revoke(&identity, Some(&slug), &headers, &body).await
}

pub(super) async fn at_root(
    State(identity): State<Identity>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RouteError> {
    revoke(&identity, None, &headers, &body).await
}

async fn revoke(
    identity: &Identity,
    slug: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, RouteError> {
    let table = identity.table().map_err(RouteError::Answered)?;
    let issuer =
        identity.issuer(&table, slug).ok_or_else(|| RouteError::Answered(OAuthError::no_such_route()))?;
    let form = Form::parse(headers, body).map_err(RouteError::Form)?;
    let token = form.get("token").ok_or(RouteError::NoToken)?;
    let at = At { table: &table, issuer: &issuer };
    let client = identity.authenticate_client(at, headers, &form).await.map_err(RouteError::Client)?;
    let issuer = issuer.identifier(&table);
    // A token that is not known, or not this issuer's, is as good as revoked (section 2.2).
    if let Some(grant) = identity.grant_of(token).await?.filter(|grant| grant.issuer == issuer) {
        if grant.client_id != client.id {
            return Err(RouteError::OtherClient);
        }
        identity.end_grant(&table, &grant, "requested").await?;
    }
    Ok([(CACHE_CONTROL, "no-store")].into_response())
}

impl Identity {
    /// The grant that a token belongs to, of either kind, expired or not.
    async fn grant_of(&self, token: &str) -> Result<Option<GrantRow>, IdentityError> {
        let grant = if token.starts_with(REFRESH_PREFIX) {
            self.store().refresh_token(&digest(token)).await?.map(|row| row.grant_id)
        } else {
            self.keys().signing.verify::<AccessClaims>(ACCESS_TOKEN, token).ok().map(|claims| claims.grant)
        };
        let Some(grant) = grant else { return Ok(None) };
        Ok(self.store().grant(&grant).await?)
    }
}
