//! A token request after client authentication, and the grant that answers it.

use std::sync::Arc;

use portcullis_jwt_verification::UnusedAssertion;
use portcullis_policy::{Route, RouteTable};
use portcullis_store::GrantRow;

use super::client_authentication::{AuthenticatedClient, ClientAuthError};
use super::form::Form;
use super::token_error::{ROUTE_GONE, TokenEndpointError};
use crate::issuer::is_route_url;
use crate::{Issuer, TargetError};

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

    /// Marks the assertions of the request as used: the client's, and `more`. Call it after everything else was
    /// verified, and before anything is stored. A grant cannot be returned without it.
    pub(super) async fn use_up_assertions(
        &self,
        more: Option<&UnusedAssertion>,
    ) -> Result<AssertionsUsed, TokenEndpointError> {
        let of_client = self.client.as_ref().and_then(|client| client.assertion.as_ref());
        if let Some(assertion) = of_client {
            assertion.use_up().await.map_err(ClientAuthError::from)?;
        }
        if let Some(assertion) = more {
            assertion.use_up().await?;
        }
        Ok(AssertionsUsed(()))
    }

    /// The client, or an error if the request has none.
    pub(super) fn client(&self) -> Result<&AuthenticatedClient, TokenEndpointError> {
        self.client.as_ref().ok_or(TokenEndpointError::Client(ClientAuthError::MissingClientId))
    }

    /// The route that the request names in `resource` (RFC 8707).
    pub(super) fn target(&self) -> Result<Arc<Route>, TokenEndpointError> {
        let resource = self.form.get("resource");
        self.issuer.target(self.table, resource).map_err(|error| match (error, self.issuer) {
            (TargetError::NotThisRoute(url), Issuer::Route(_)) => TokenEndpointError::TargetMismatch(url),
            (error, _) => TokenEndpointError::InvalidTarget(error),
        })
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

/// Proof that the assertions of a request count as used. Built only by [`TokenRequest::use_up_assertions`].
pub(super) struct AssertionsUsed(());

/// A grant with its new refresh token, if it has one.
pub(super) struct IssuedGrant {
    pub(super) grant: GrantRow,
    pub(super) refresh_token: Option<String>,
    /// Reason in the event, if something is remarkable.
    pub(super) note: Option<&'static str>,
    _used: AssertionsUsed,
}

impl IssuedGrant {
    pub(super) const fn new(used: AssertionsUsed, grant: GrantRow, refresh_token: Option<String>) -> Self {
        Self { grant, refresh_token, note: None, _used: used }
    }

    pub(super) fn noting(self, reason: &'static str) -> Self {
        Self { note: Some(reason), ..self }
    }
}
