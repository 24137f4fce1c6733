//! `grant_type=client_credentials` (RFC 6749, section 4.4; MCP extension
//! `io.modelcontextprotocol/oauth-client-credentials`): a workload from the gateway's settings signs in as
//! itself.

use portcullis_policy::Principal;

use super::headless::TokenClient;
use super::token::{IssuedGrant, TokenEndpointError, TokenRequest};
use crate::AuthorizationServer;

impl AuthorizationServer {
    pub(super) async fn client_credentials(
        &self,
        request: &TokenRequest<'_>,
    ) -> Result<IssuedGrant, TokenEndpointError> {
        let client = request.client()?;
        let Some(workload) = &client.workload else {
            return Err(TokenEndpointError::UnauthorizedClient(
                "client_credentials requires a workload declared in spec.clients.workloads of the McpGateway",
            ));
        };
        let route = request.target()?;
        let principal = Principal::workload(&workload.name, &workload.display_name);
        let holder = TokenClient { id: &client.id, name: &client.name };
        self.grant_headless(request, &route, &principal, holder).await
    }
}
