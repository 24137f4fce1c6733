//! Extractors for API requests: session, same-origin check, and input.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use portcullis_policy::{Principal, RouteTable};

use crate::Portal;
use crate::api::response::ApiError;
use crate::error::PortalError;
use crate::forms::check_same_origin;
use crate::visitor::Visitor;

/// Required in requests that change something, with any value. Forms and links cannot set it, and scripts of
/// other sites only with CORS headers, which the gateway does not send.
const REQUEST_HEADER: HeaderName = HeaderName::from_static("portcullis-request");

/// A request with its session.
pub(crate) struct ApiRequest {
    pub(crate) portal: Portal,
    pub(crate) table: Arc<RouteTable>,
    pub(crate) visitor: Visitor,
    pub(crate) headers: HeaderMap,
}

/// A request that changes something, from a page of the same web origin.
pub(crate) struct ApiWriteRequest(pub(crate) ApiRequest);

impl ApiRequest {
    async fn of(portal: &Portal, headers: &HeaderMap) -> Result<Self, PortalError> {
        let table = portal.table()?;
        let visitor = Visitor::of(portal, &table.gateway, headers).await?;
        if visitor.people().next().is_none() {
            return Err(PortalError::NotSignedIn);
        }
        Ok(Self { portal: portal.clone(), table, visitor, headers: headers.clone() })
    }

    /// The user of the given identity provider, or the only signed-in user.
    pub(crate) fn person(&self, identity_provider: Option<&str>) -> Result<&Principal, ApiError> {
        match identity_provider {
            Some(provider) => self
                .visitor
                .signed_in(provider)
                .map(|it| &it.principal)
                .ok_or_else(|| PortalError::NotSignedIn.into()),
            None => {
                let mut people = self.visitor.people();
                match (people.next(), people.next()) {
                    (Some(person), None) => Ok(person),
                    _ => Err(ApiError::Ambiguous),
                }
            }
        }
    }
}

impl FromRequestParts<Portal> for ApiRequest {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, portal: &Portal) -> Result<Self, ApiError> {
        Ok(Self::of(portal, &parts.headers).await?)
    }
}

impl FromRequestParts<Portal> for ApiWriteRequest {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, portal: &Portal) -> Result<Self, ApiError> {
        let table = portal.table()?;
        if check_same_origin(&table.gateway, &parts.headers).is_err()
            || !parts.headers.contains_key(&REQUEST_HEADER)
        {
            return Err(ApiError::CrossOrigin);
        }
        Ok(Self(ApiRequest::of(portal, &parts.headers).await?))
    }
}

/// A query or a body. Invalid input becomes [`ApiError::InvalidInput`].
pub(crate) struct ApiInput<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for ApiInput<axum::extract::Query<T>>
where
    T: serde::de::DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        axum::extract::Query::from_request_parts(parts, state)
            .await
            .map(ApiInput)
            .map_err(|error| ApiError::InvalidInput(error.body_text()))
    }
}

impl<T, S> axum::extract::FromRequest<S> for ApiInput<axum::Json<T>>
where
    T: serde::de::DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Self, ApiError> {
        axum::Json::from_request(request, state)
            .await
            .map(ApiInput)
            .map_err(|error| ApiError::InvalidInput(error.body_text()))
    }
}
