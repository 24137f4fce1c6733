//! Issues access tokens and refresh tokens.

use std::sync::Arc;

use portcullis_clock::UnixMillis;
use portcullis_events::Event;
use portcullis_policy::{PrincipalId, RouteTable};
use portcullis_store::GrantRow;

use crate::claims::{ACCESS_TOKEN_TYPE, AccessClaims};
use crate::{AuthorizationServer, InternalError};

/// The only scope. Teams decide what a user may do, not the requested scope.
pub(crate) const SCOPE: &str = "mcp";
/// Prefix of refresh tokens. Secret scanners can find leaked tokens by it.
pub(crate) const REFRESH_PREFIX: &str = "pc_refresh_";

/// An access token with its lifetime in seconds.
pub(crate) struct AccessToken {
    pub(crate) token: String,
    pub(crate) expires_in: i64,
}

impl AuthorizationServer {
    /// Signs an access token for a grant. It expires no later than the grant.
    pub(crate) fn sign_access_token(
        &self,
        table: &RouteTable,
        grant: &GrantRow,
        now: UnixMillis,
    ) -> Result<AccessToken, InternalError> {
        let iat = now.seconds();
        let exp = now
            .after_seconds(table.gateway.tokens.access_seconds)
            .seconds()
            .min(UnixMillis(grant.expires_at).seconds());
        let claims = AccessClaims {
            iss: grant.issuer.clone(),
            aud: grant.resource.clone(),
            sub: grant.principal.clone(),
            client_id: grant.client_id.clone(),
            client_name: grant.client_name.clone(),
            jti: self.random().token()?,
            iat,
            exp,
            scope: grant.scope.clone(),
            grant: grant.id.clone(),
            route: grant.route_uid.clone(),
        };
        Ok(AccessToken {
            token: self.keys().signing.sign(ACCESS_TOKEN_TYPE, &claims)?,
            expires_in: exp - iat,
        })
    }

    pub(crate) fn new_refresh_token(&self) -> Result<String, InternalError> {
        Ok(format!("{REFRESH_PREFIX}{}", self.random().token()?))
    }

    /// Sets the fields of an event that describe a grant.
    pub(crate) async fn add_grant_to_event(&self, event: &mut Event, table: &RouteTable, grant: &GrantRow) {
        event.gateway = Some(Arc::clone(&table.gateway.name));
        event.client_id = Some(grant.client_id.as_str().into());
        event.client_name = Some(grant.client_name.as_str().into());
        if let Some(route) = table.route_by_uid(&grant.route_uid) {
            event.route = Some(Arc::clone(&route.slug));
            event.origin = Some(Arc::clone(&route.origin.name));
        }
        // If the lookup fails, record the event without its subject.
        if let Ok(Some(person)) = self.load_principal(&PrincipalId::from_stored(&grant.principal)).await {
            event.subject = Some(Arc::clone(&person.subject));
        }
    }
}
