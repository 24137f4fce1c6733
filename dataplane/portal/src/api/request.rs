//! Extractors for API requests: session, same-origin check, administrator, and input.

use axum::extract::FromRequestParts;
use http::HeaderName;
use http::request::Parts;
use portcullis_policy::Principal;

use crate::Portal;
use crate::admin::require_admin::AdminRequest;
use crate::api::response::ApiError;
use crate::error::PortalError;
use crate::forms::check_same_origin;
use crate::request::PortalRequest;
use crate::visitor::Visitor;

/// Required in requests that change something, with any value. Forms and links cannot set it, and scripts of
/// other sites only with CORS headers, which the gateway does not send.
const REQUEST_HEADER: HeaderName = HeaderName::from_static("portcullis-request");

/// A request of at least one signed-in user.
pub(crate) struct ApiRequest(pub(crate) PortalRequest);

/// A request that changes something, from a page of the same web origin.
pub(crate) struct ApiWriteRequest(pub(crate) PortalRequest);

/// Like [`ApiRequest`], of an administrator.
pub(crate) struct ApiAdminRequest(pub(crate) AdminRequest);

/// Like [`ApiWriteRequest`], of an administrator.
pub(crate) struct ApiAdminWriteRequest(pub(crate) AdminRequest);

/// The user of the given identity provider, or the only signed-in user.
pub(crate) fn select_user<'a>(
    visitor: &'a Visitor,
    identity_provider: Option<&str>,
) -> Result<&'a Principal, ApiError> {
    match identity_provider {
        Some(provider) => {
            visitor.signed_in(provider).map(|it| &it.principal).ok_or_else(|| PortalError::NotSignedIn.into())
        }
        None => {
            let mut people = visitor.people();
            match (people.next(), people.next()) {
                (Some(person), None) => Ok(person),
                _ => Err(ApiError::Ambiguous),
            }
        }
    }
}

impl FromRequestParts<Portal> for ApiRequest {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, portal: &Portal) -> Result<Self, ApiError> {
        let request = PortalRequest::of(portal, &parts.headers).await?;
        if request.visitor.people().next().is_none() {
            return Err(PortalError::NotSignedIn.into());
        }
        Ok(Self(request))
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
        let ApiRequest(request) = ApiRequest::from_request_parts(parts, portal).await?;
        Ok(Self(request))
    }
}

impl FromRequestParts<Portal> for ApiAdminRequest {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, portal: &Portal) -> Result<Self, ApiError> {
        let ApiRequest(request) = ApiRequest::from_request_parts(parts, portal).await?;
        Ok(Self(AdminRequest::of(request)?))
    }
}

impl FromRequestParts<Portal> for ApiAdminWriteRequest {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, portal: &Portal) -> Result<Self, ApiError> {
        let ApiWriteRequest(request) = ApiWriteRequest::from_request_parts(parts, portal).await?;
        Ok(Self(AdminRequest::of(request)?))
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
