use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use portcullis_policy::{Principal, RouteTable};

use crate::Portal;
use crate::api::answer::Problem;
use crate::failure::Failure;
use crate::forms::check_same_origin;
use crate::visitor::Visitor;

/// What whoever changes something has to send, with any value. No form and no link can, and a script of another site's only
/// where it is let (CORS), which nobody is here.
const HEADER: HeaderName = HeaderName::from_static("portcullis-request");

/// A request with its session.
pub(crate) struct Ask {
    pub(crate) portal: Portal,
    pub(crate) table: Arc<RouteTable>,
    pub(crate) visitor: Visitor,
    pub(crate) headers: HeaderMap,
}

/// The same, of somebody who wants to change something, from a page of this very origin.
pub(crate) struct Change(pub(crate) Ask);

impl Ask {
    async fn of(portal: &Portal, headers: &HeaderMap) -> Result<Self, Failure> {
        let table = portal.table()?;
        let visitor = Visitor::of(portal, &table.gateway, headers).await?;
        if visitor.people().next().is_none() {
            return Err(Failure::NotSignedIn);
        }
        Ok(Self { portal: portal.clone(), table, visitor, headers: headers.clone() })
    }

    /// As whom: the person of an identity provider, or the only one who has signed in.
    pub(crate) fn person(&self, identity_provider: Option<&str>) -> Result<&Principal, Problem> {
        match identity_provider {
            Some(provider) => self
                .visitor
                .signed_in(provider)
                .map(|it| &it.principal)
                .ok_or_else(|| Failure::NotSignedIn.into()),
            None => {
                let mut people = self.visitor.people();
                match (people.next(), people.next()) {
                    (Some(person), None) => Ok(person),
                    _ => Err(Problem::Ambiguous),
                }
            }
        }
    }
}

impl FromRequestParts<Portal> for Ask {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, portal: &Portal) -> Result<Self, Problem> {
        Ok(Self::of(portal, &parts.headers).await?)
    }
}

impl FromRequestParts<Portal> for Change {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, portal: &Portal) -> Result<Self, Problem> {
        let table = portal.table()?;
        if check_same_origin(&table.gateway, &parts.headers).is_err() || !parts.headers.contains_key(&HEADER)
        {
            return Err(Problem::NotFromHere);
        }
        Ok(Self(Ask::of(portal, &parts.headers).await?))
    }
}

/// A query or a body that may be anything; what does not read is a [`Problem`] of ours.
pub(crate) struct Read<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for Read<axum::extract::Query<T>>
where
    T: serde::de::DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Query::from_request_parts(parts, state)
            .await
            .map(Read)
            .map_err(|error| Problem::Unreadable(error.body_text()))
    }
}

impl<T, S> axum::extract::FromRequest<S> for Read<axum::Json<T>>
where
    T: serde::de::DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Self, Problem> {
        axum::Json::from_request(request, state)
            .await
            .map(Read)
            .map_err(|error| Problem::Unreadable(error.body_text()))
    }
}
