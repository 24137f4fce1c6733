//! MCP enterprise-managed authorization: an identity assertion (ID-JAG) from the identity provider lets a
//! client act for a user without a browser (MCP "Enterprise-Managed Authorization", section 5).

use portcullis_config::{IdentityProviderKind, ProviderClient};
use portcullis_identity_providers::UserProfile;
use portcullis_policy::{IdentityProvider, PrincipalId};

use super::headless::TokenClient;
use super::token::{IssuedGrant, TokenEndpointError, TokenRequest};
use crate::AuthorizationServer;
use crate::issuer::is_route_url;
use portcullis_jwt_verification::{JwtError, UnverifiedJwt};

impl AuthorizationServer {
    pub(super) async fn id_jag(
        &self,
        request: &TokenRequest<'_>,
        assertion: &UnverifiedJwt<'_>,
    ) -> Result<IssuedGrant, TokenEndpointError> {
        let client = request.client()?;
        if !client.is_confidential {
            return Err(TokenEndpointError::UnauthorizedClient(
                "identity assertions require a client that authenticates with a secret or a key",
            ));
        }
        let route = request.target()?;
        let trusted = id_jag_provider(&route.identity_provider).ok_or(TokenEndpointError::GrantDisabled(
            "this virtual MCP does not accept identity assertions; set idJag for its identity provider in the McpGateway",
        ))?;
        // Check the issuer before fetching keys: only the route's own provider may issue assertions for it.
        assertion.claims().check_text("iss", &trusted.issuer)?;
        let keys = self.providers().key_source(trusted).await?;
        let claims = self.verifier().verify(&keys, assertion).await?;
        claims.check_text("iss", &trusted.issuer)?;
        if claims.audience()? != request.issuer_id {
            return Err(JwtError::Mismatch("aud").into());
        }
        claims.check_text("client_id", &client.id)?;
        if !is_route_url(request.table, &route, claims.single_text("resource")?) {
            return Err(JwtError::Mismatch("resource").into());
        }
        claims.time("iat")?.ok_or(JwtError::Claim("iat"))?;
        let until = claims.check_times(self.clock().now())?;
        let described = UserProfile::read(claims.all(), trusted).map_err(|_| JwtError::Claim("sub"))?;
        self.verifier().use_once(&claims, until).await?;
        let provider = &route.identity_provider.name;
        let known = self.load_principal(&PrincipalId::of(provider, described.subject())).await?;
        let principal = described.principal(provider, known.as_deref());
        let holder = TokenClient { id: &client.id, name: &client.name };
        self.grant_headless(request, &route, &principal, holder).await
    }
}

/// The settings of a provider that has `idJag` enabled.
pub(super) fn id_jag_provider(provider: &IdentityProvider) -> Option<&ProviderClient> {
    match &provider.kind {
        IdentityProviderKind::Oidc(oidc) if oidc.id_jag => Some(oidc),
        _ => None,
    }
}
