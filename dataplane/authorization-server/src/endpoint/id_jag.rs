//! MCP enterprise-managed authorization: an identity assertion (ID-JAG) from the identity provider lets a
//! client act for a user without a browser (MCP "Enterprise-Managed Authorization", section 5).

use std::sync::Arc;

use portcullis_clock::Clock;
use portcullis_config::{IdentityProviderKind, ProviderClient};
use portcullis_identity_providers::{IssuerBindings, ProviderDirectory, UserProfile};
use portcullis_jwt_verification::{JwtError, JwtVerifier, UnverifiedJwt};
use portcullis_policy::{IdentityProvider, PrincipalId};

use super::headless::{HeadlessGrants, TokenClient};
use super::token_error::TokenEndpointError;
use super::token_request::{IssuedGrant, TokenRequest};
use crate::Principals;
use crate::issuer::is_route_url;

/// Grants for identity assertions.
pub(super) struct IdJagGrant {
    providers: Arc<ProviderDirectory>,
    bindings: Arc<IssuerBindings>,
    verifier: Arc<JwtVerifier>,
    clock: Clock,
    principals: Arc<Principals>,
    headless: Arc<HeadlessGrants>,
}

impl IdJagGrant {
    pub(super) const fn new(
        providers: Arc<ProviderDirectory>,
        bindings: Arc<IssuerBindings>,
        verifier: Arc<JwtVerifier>,
        clock: Clock,
        principals: Arc<Principals>,
        headless: Arc<HeadlessGrants>,
    ) -> Self {
        Self { providers, bindings, verifier, clock, principals, headless }
    }

    pub(super) async fn issue(
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
        let keys = self.providers.key_source(trusted).await?;
        let claims = self.verifier.verify(&keys, assertion).await?;
        claims.check_text("iss", &trusted.issuer)?;
        if claims.audience()? != request.issuer_id {
            return Err(JwtError::Mismatch("aud").into());
        }
        claims.check_text("client_id", &client.id)?;
        if !is_route_url(request.table, &route, claims.single_text("resource")?) {
            return Err(JwtError::Mismatch("resource").into());
        }
        claims.time("iat")?.ok_or(JwtError::Claim("iat"))?;
        let until = claims.check_times(self.clock.now())?;
        let described = UserProfile::read(claims.all(), trusted).map_err(|_| JwtError::Claim("sub"))?;
        self.bindings.check_and_bind(&route.identity_provider).await?;
        let unused = self.verifier.unused(&claims, until).await?;
        let provider = &route.identity_provider.name;
        let known = self.principals.load(&PrincipalId::of(provider, described.subject())).await?;
        let principal = described.principal(provider, known.as_deref());
        let holder = TokenClient { id: &client.id, name: &client.name };
        self.headless.issue(request, &route, &principal, holder, Some(&unused)).await
    }
}

/// The settings of a provider that has `idJag` enabled.
pub(super) fn id_jag_provider(provider: &IdentityProvider) -> Option<&ProviderClient> {
    match &provider.kind {
        IdentityProviderKind::Oidc(oidc) if oidc.id_jag => Some(oidc),
        _ => None,
    }
}
