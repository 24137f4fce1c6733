//! MCP enterprise-managed authorization: the identity provider lets a client act for a person by an assertion (ID-JAG), so that
//! no browser is needed (MCP "Enterprise-Managed Authorization", section 5).

use portcullis_contract::{IdentityProviderKind, ProviderClient};
use portcullis_policy::{IdentityProvider, PrincipalId};
use portcullis_providers::Description;

use super::headless::Holder;
use super::token::{Granted, Request, RouteError};
use crate::Identity;
use crate::issuer::names;
use portcullis_assertions::{AssertionError, Unverified};

impl Identity {
    pub(super) async fn id_jag(
        &self,
        request: &Request<'_>,
        assertion: &Unverified<'_>,
    ) -> Result<Granted, RouteError> {
        let client = request.client()?;
        if !client.is_confidential {
            return Err(RouteError::UnauthorizedClient(
                "identity assertions are for clients that authenticate with a secret or a key",
            ));
        }
        let route = request.target()?;
        let trusted = trusted(&route.identity_provider).ok_or(RouteError::GrantClosed(
            "this virtual MCP takes no identity assertions: its identity provider has no idJag in the McpGateway",
        ))?;
        // Before any key is fetched: only the route's own provider speaks of its people.
        assertion.says().check_text("iss", &trusted.issuer)?;
        let keys = self.providers().keys(trusted).await?;
        let claims = self.verifier().verify(&keys, assertion).await?;
        claims.check_text("iss", &trusted.issuer)?;
        if claims.audience()? != request.issuer_id {
            return Err(AssertionError::Mismatch("aud").into());
        }
        claims.check_text("client_id", &client.id)?;
        if !names(request.table, &route, claims.one("resource")?) {
            return Err(AssertionError::Mismatch("resource").into());
        }
        claims.time("iat")?.ok_or(AssertionError::Claim("iat"))?;
        let until = claims.check_times(self.clock().now())?;
        let described = Description::read(claims.all(), trusted).map_err(|_| AssertionError::Claim("sub"))?;
        self.verifier().use_once(&claims, until).await?;
        let provider = &route.identity_provider.name;
        let known = self.person(&PrincipalId::of(provider, described.subject())).await?;
        let principal = described.principal(provider, known.as_deref());
        let holder = Holder { id: &client.id, name: &client.name };
        self.grant_headless(request, &route, &principal, holder).await
    }
}

/// The settings of a provider whose assertions are taken.
pub(super) fn trusted(provider: &IdentityProvider) -> Option<&ProviderClient> {
    match &provider.kind {
        IdentityProviderKind::Oidc(oidc) if oidc.id_jag => Some(oidc),
        _ => None,
    }
}
