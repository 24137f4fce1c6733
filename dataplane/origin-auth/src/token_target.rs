//! Token endpoint for tokens that need no consent: the server in the configuration, or the one that the
//! origin names.

use portcullis_config::AuthorizationServer;
use portcullis_egress::HttpClient;
use portcullis_policy::Origin;
use url::Url;

use crate::ConnectError;
use crate::discovery::{RequiredEndpoints, discover, fetch_server_metadata};

/// A token endpoint and the parameters of requests to it.
pub(crate) struct TokenTarget {
    /// Issuer identifier of the server; the token endpoint's URL if only that is configured.
    pub(crate) issuer: String,
    pub(crate) token_endpoint: Url,
    /// The `resource` of token requests (RFC 8707).
    pub(crate) resource: String,
    /// Scopes, separated by spaces. May be empty.
    pub(crate) scope: String,
}

impl TokenTarget {
    /// The `scope` parameter. Without it the server decides.
    pub(crate) fn scope_parameter(&self) -> Option<(&'static str, &str)> {
        (!self.scope.is_empty()).then_some(("scope", &self.scope))
    }

    /// Finds the token endpoint. Configured scopes take precedence over those that the origin names.
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
