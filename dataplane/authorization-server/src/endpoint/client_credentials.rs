//! `grant_type=client_credentials` (RFC 6749, section 4.4; MCP extension
//! `io.modelcontextprotocol/oauth-client-credentials`): a workload from the gateway's settings signs in as
//! itself.

use std::sync::Arc;

use portcullis_policy::Principal;

use super::headless::{HeadlessGrants, TokenClient};
use super::token_error::TokenEndpointError;
use super::token_request::{IssuedGrant, TokenRequest};

/// Grants for workloads.
pub(super) struct ClientCredentialsGrant {
    headless: Arc<HeadlessGrants>,
}

impl ClientCredentialsGrant {
    pub(super) const fn new(headless: Arc<HeadlessGrants>) -> Self {
        Self { headless }
    }

    pub(super) async fn issue(&self, request: &TokenRequest<'_>) -> Result<IssuedGrant, TokenEndpointError> {
        let client = request.client()?;
        let Some(workload) = &client.workload else {
            return Err(TokenEndpointError::UnauthorizedClient(
                "client_credentials requires a workload declared in spec.clients.workloads of the McpGateway",
            ));
        };
        let route = request.target()?;
        let principal = Principal::workload(&workload.name, &workload.display_name);
        let holder = TokenClient { id: &client.id, name: &client.name };
        self.headless.issue(request, &route, &principal, holder, None).await
    }
}
