//! Common parts of the grants without a browser. They issue no refresh tokens: the client can repeat the
//! request instead.

use portcullis_policy::{Principal, Route};
use portcullis_store::GrantRow;

use super::token::{IssuedGrant, TokenEndpointError, TokenRequest};
use crate::issue_token::SCOPE;
use crate::{AuthorizationServer, InternalError, Issuer, TargetError};

/// The client that the token is issued to.
pub(super) struct TokenClient<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
}

impl AuthorizationServer {
    /// Grants a principal access to a route for the lifetime of one access token, if a team gives the
    /// principal access or the route is open to everyone.
    pub(super) async fn grant_headless(
        &self,
        request: &TokenRequest<'_>,
        route: &Route,
        principal: &Principal,
        holder: TokenClient<'_>,
    ) -> Result<IssuedGrant, TokenEndpointError> {
        if route.authorize(principal).is_none() {
            return Err(TokenEndpointError::NoAccess(principal.subject.to_string()));
        }
        self.save_principal(principal).await?;
        let now = self.clock().now();
        let grant = GrantRow {
            id: self.random().token().map_err(InternalError::from)?,
            principal: principal.id.as_str().to_owned(),
            client_id: holder.id.to_owned(),
            client_name: holder.name.to_owned(),
            issuer: request.issuer_id.clone(),
            route_uid: route.uid.to_string(),
            resource: route.url.to_string(),
            scope: SCOPE.to_owned(),
            created_at: now.0,
            expires_at: now.after_seconds(request.table.gateway.tokens.access_seconds).0,
            revoked_at: None,
            provider_session: None,
        };
        self.store().add_grant(&grant).await?;
        Ok(IssuedGrant { grant, refresh_token: None })
    }
}

impl TokenRequest<'_> {
    /// The route that the request names in `resource` (RFC 8707).
    pub(super) fn target(&self) -> Result<std::sync::Arc<Route>, TokenEndpointError> {
        let resource = self.form.get("resource");
        self.issuer.target(self.table, resource).map_err(|error| match (error, self.issuer) {
            (TargetError::NotThisRoute(url), Issuer::Route(_)) => TokenEndpointError::TargetMismatch(url),
            (error, _) => TokenEndpointError::InvalidTarget(error),
        })
    }
}
