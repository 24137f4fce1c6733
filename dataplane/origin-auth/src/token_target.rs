//! Where tokens for an origin come from when no person is asked: the server that the configuration names, or the origin does.

use portcullis_config::AuthorizationServer;
use portcullis_egress::HttpClient;
use portcullis_policy::Origin;
use url::Url;

use crate::ConnectError;
use crate::discovery::{RequiredEndpoints, discover, fetch_server_metadata};

/// A token endpoint, and what to ask it for.
pub(crate) struct TokenTarget {
    /// The server's identifier; its token endpoint where only that is known.
    pub(crate) issuer: String,
    pub(crate) token_endpoint: Url,
    /// The `resource` that tokens are asked for (RFC 8707).
    pub(crate) resource: String,
    /// Separated by spaces; empty where none are asked for.
    pub(crate) scope: String,
}

impl TokenTarget {
    /// The parameter that asks for its scopes; without any the server decides.
    pub(crate) fn scope_parameter(&self) -> Option<(&'static str, &str)> {
        (!self.scope.is_empty()).then_some(("scope", &self.scope))
    }

    /// Finds it. Scopes that are configured count before those that the origin names.
    pub(crate) async fn find(
        http: &HttpClient,
        origin: &Origin,
        configured: &AuthorizationServer,
        scopes: &[String],
    ) -> Result<Self, ConnectError> {
        let resource = origin.url.to_string();
        let scope = scopes.join(" ");
        match configured {
            AuthorizationServer::OfOrigin => {
                let found = discover(http, origin, RequiredEndpoints::Token).await?;
                Ok(Self {
                    scope: if scope.is_empty() { found.scopes.join(" ") } else { scope },
                    resource: found.resource,
                    issuer: found.server.issuer,
                    token_endpoint: found.server.token_endpoint,
                })
            }
            AuthorizationServer::Issuer(issuer) => {
                let server = fetch_server_metadata(http, issuer, RequiredEndpoints::Token).await?;
                Ok(Self { issuer: server.issuer, token_endpoint: server.token_endpoint, resource, scope })
            }
            AuthorizationServer::TokenEndpoint(endpoint) => {
                let (issuer, token_endpoint) = (endpoint.to_string(), endpoint.clone());
                Ok(Self { issuer, token_endpoint, resource, scope })
            }
        }
    }
}
