//! Compiles `spec.auth` of an `OriginMcp`.

use portcullis_config as config;
use portcullis_config::{AuthorizationServer, ClientRegistration, CredentialDestination, SubjectToken};
use portcullis_crds::kinds::origin_auth::{
    ClientCredentials, HeaderAuth, IdJag, OriginAuth, QueryParameterAuth, RegisteredClient, Registration,
    SubjectTokenType, TokenEndpointAuthMethod, TokenExchange, UserOAuth,
};
use portcullis_crds::values;
use portcullis_crds::values::syntax::{HEADER_NAME, is_reserved_header};
use url::Url;

use super::credential::{SecretResolver, SecretUse};
use super::diagnostics::ResourceDiagnostics;
use super::endpoint;
use super::provider_client::check_scopes;
use super::selection::glob_matches;
use super::tenancy::TenancyRules;

/// Shared inputs for compiling the members of the union.
struct AuthCompiler<'a, 'c> {
    diagnostics: &'a mut ResourceDiagnostics,
    /// URL of the origin. `None` if it is invalid, which is already reported.
    url: Option<&'a Url>,
    tenancy: &'a TenancyRules<'c>,
    credentials: &'a SecretResolver<'c>,
}

pub(super) fn compile(
    diagnostics: &mut ResourceDiagnostics,
    auth: &OriginAuth,
    url: Option<&Url>,
    tenancy: &TenancyRules<'_>,
    credentials: &SecretResolver<'_>,
) -> Option<config::OriginAuth> {
    let OriginAuth {
        none,
        header,
        query_parameter,
        user_oauth,
        shared_oauth,
        client_credentials,
        token_exchange,
        id_jag,
    } = auth;
    let members = [
        ("none", none.is_some()),
        ("header", header.is_some()),
        ("queryParameter", query_parameter.is_some()),
        ("userOAuth", user_oauth.is_some()),
        ("sharedOAuth", shared_oauth.is_some()),
        ("clientCredentials", client_credentials.is_some()),
        ("tokenExchange", token_exchange.is_some()),
        ("idJag", id_jag.is_some()),
    ];
    let found: Vec<_> = members.iter().filter_map(|(name, is_there)| is_there.then_some(*name)).collect();
    if found.len() != 1 {
        let found = if found.is_empty() {
            "found none; write 'none: {}' to send no credential".to_owned()
        } else {
            format!("found {}", found.join(", "))
        };
        let all = members.map(|(name, _)| name).join(", ");
        let message = format!("auth must have exactly one of {all}; {found}");
        diagnostics.error("spec.auth", "NotExactlyOne", message);
        return None;
    }
    let mut compiler = AuthCompiler { diagnostics, url, tenancy, credentials };
    if let Some(header) = header {
        return compiler.header(header);
    }
    if let Some(parameter) = query_parameter {
        return compiler.query_parameter(parameter);
    }
    if let Some(oauth) = user_oauth {
        let (scopes, registration) = compiler.oauth("spec.auth.userOAuth", oauth)?;
        return Some(config::OriginAuth::UserOAuth { scopes, registration });
    }
    if let Some(oauth) = shared_oauth {
        let (scopes, registration) = compiler.oauth("spec.auth.sharedOAuth", oauth)?;
        return Some(config::OriginAuth::SharedOAuth { scopes, registration });
    }
    if let Some(credentials) = client_credentials {
        return compiler.client_credentials(credentials);
    }
    if let Some(exchange) = token_exchange {
        return compiler.token_exchange(exchange);
    }
    if let Some(id_jag) = id_jag {
        return compiler.id_jag(id_jag);
    }
    Some(config::OriginAuth::None)
}

impl AuthCompiler<'_, '_> {
    fn header(&mut self, header: &HeaderAuth) -> Option<config::OriginAuth> {
        let field = "spec.auth.header.name";
        if let Some(Err(error)) = values::check_pattern(HEADER_NAME, &header.name) {
            self.diagnostics.error(field, "InvalidValue", error.to_string());
        } else if is_reserved_header(&header.name) {
            let message = format!(
                "the header {} is reserved for HTTP or MCP and cannot carry a credential; use the header that the origin \
                 documents, like Authorization or X-Api-Key",
                header.name
            );
            self.diagnostics.error(field, "ReservedHeader", message);
        }
        let prefix = header.prefix.clone().unwrap_or_default();
        let purpose = SecretUse::Header { url: self.url?, prefix: &prefix };
        let value = self.credentials.resolve(
            self.diagnostics,
            "spec.auth.header.valueRef",
            &header.value_ref,
            purpose,
        )?;
        Some(config::OriginAuth::Header { name: header.name.clone(), prefix, value })
    }

    fn query_parameter(&mut self, parameter: &QueryParameterAuth) -> Option<config::OriginAuth> {
        if parameter.name.is_empty() {
            let message = "the parameter name is empty; write the name from the origin's documentation";
            self.diagnostics.error("spec.auth.queryParameter.name", "InvalidValue", message);
        }
        let field = "spec.auth.queryParameter.valueRef";
        let purpose = SecretUse::QueryParameter { url: self.url? };
        let value = self.credentials.resolve(self.diagnostics, field, &parameter.value_ref, purpose)?;
        Some(config::OriginAuth::QueryParameter { name: parameter.name.clone(), value })
    }

    fn oauth(&mut self, field: &str, oauth: &UserOAuth) -> Option<(Vec<String>, ClientRegistration)> {
        check_scopes(self.diagnostics, &format!("{field}.scopes"), &oauth.scopes);
        let registration =
            self.registration(&format!("{field}.registration"), oauth.registration.as_ref())?;
        Some((oauth.scopes.clone(), registration))
    }

    fn client_credentials(&mut self, given: &ClientCredentials) -> Option<config::OriginAuth> {
        let field = "spec.auth.clientCredentials";
        check_scopes(self.diagnostics, &format!("{field}.scopes"), &given.scopes);
        let server = self.server(field, given.issuer.as_deref(), given.token_endpoint.as_deref());
        let client = self.client(&format!("{field}.client"), &given.client);
        if given.client.secret_ref.is_none() {
            let message = "clientCredentials requires a client that authenticates; add a secretRef";
            self.diagnostics.error(format!("{field}.client.secretRef"), "Required", message);
        }
        let scopes = given.scopes.clone();
        Some(config::OriginAuth::ClientCredentials { server: server?, client: client?, scopes })
    }

    fn token_exchange(&mut self, given: &TokenExchange) -> Option<config::OriginAuth> {
        let field = "spec.auth.tokenExchange";
        check_scopes(self.diagnostics, &format!("{field}.scopes"), &given.scopes);
        let server = self.server(field, given.issuer.as_deref(), given.token_endpoint.as_deref());
        let client = self.client(&format!("{field}.client"), &given.client);
        let (server, client) = (server?, client?);
        let namespace = self.diagnostics.namespace().to_owned();
        let subject_hosts = self.tenancy.identity_token_hosts(&namespace);
        let may_go = |url: &Url| {
            CredentialDestination::of(url)
                .is_allowed(|name| subject_hosts.iter().flatten().any(|pattern| glob_matches(pattern, name)))
        };
        let elsewhere = match &server {
            AuthorizationServer::OfOrigin => {
                let message = "the authorization server that exchanges tokens is missing; add its issuer or tokenEndpoint";
                self.diagnostics.error(field, "Required", message);
                None
            }
            // The token endpoint of an issuer is only known at runtime.
            AuthorizationServer::Issuer(issuer) => {
                let nowhere = subject_hosts.as_ref().is_some_and(Vec::is_empty);
                Url::parse(issuer).ok().filter(|_| nowhere)
            }
            AuthorizationServer::TokenEndpoint(endpoint) => {
                (subject_hosts.is_some() && !may_go(endpoint)).then(|| endpoint.clone())
            }
        };
        if let Some(url) = elsewhere {
            let host = CredentialDestination::of(&url);
            let message = format!(
                "users' identity tokens may not be sent to {host}; ask the owner of the gateway to allow it in {}: an entry for \
                 '{namespace}' with identityTokenHosts: [\"{host}\"]",
                self.tenancy.tenancy_location()
            );
            self.diagnostics.error(field, "HostNotAllowed", message);
        }
        Some(config::OriginAuth::TokenExchange {
            server,
            client,
            audience: given.audience.clone(),
            scopes: given.scopes.clone(),
            subject_token: match given.subject_token_type {
                Some(SubjectTokenType::IdToken) => SubjectToken::IdToken,
                Some(SubjectTokenType::AccessToken) | None => SubjectToken::AccessToken,
            },
            subject_hosts,
        })
    }

    fn id_jag(&mut self, given: &IdJag) -> Option<config::OriginAuth> {
        let field = "spec.auth.idJag";
        check_scopes(self.diagnostics, &format!("{field}.scopes"), &given.scopes);
        let server = self.server(field, Some(&given.issuer), None);
        let client = self.client(&format!("{field}.client"), &given.client);
        let AuthorizationServer::Issuer(issuer) = server? else { return None };
        Some(config::OriginAuth::IdJag { issuer, client: client?, scopes: given.scopes.clone() })
    }

    /// The authorization server that issues tokens.
    fn server(
        &mut self,
        field: &str,
        issuer: Option<&str>,
        token_endpoint: Option<&str>,
    ) -> Option<AuthorizationServer> {
        match (issuer, token_endpoint) {
            (None, None) => Some(AuthorizationServer::OfOrigin),
            (Some(issuer), None) => {
                let field = format!("{field}.issuer");
                let url = endpoint::parse_endpoint(self.diagnostics, &field, issuer, self.tenancy)?;
                if url.query().is_some() {
                    let message = format!(
                        "'{issuer}' has a query, which an issuer must not have (RFC 8414, section 2)"
                    );
                    self.diagnostics.error(field, "InvalidUrl", message);
                }
                Some(AuthorizationServer::Issuer(issuer.to_owned()))
            }
            (None, Some(text)) => {
                let field = format!("{field}.tokenEndpoint");
                endpoint::parse_endpoint(self.diagnostics, &field, text, self.tenancy)
                    .map(AuthorizationServer::TokenEndpoint)
            }
            (Some(_), Some(_)) => {
                let message = "both issuer and tokenEndpoint are set; keep issuer if the server has metadata, otherwise tokenEndpoint";
                self.diagnostics.error(field, "NotExactlyOne", message);
                None
            }
        }
    }

    fn registration(
        &mut self,
        field: &str,
        registration: Option<&Registration>,
    ) -> Option<ClientRegistration> {
        match registration {
            None | Some(Registration { auto: Some(_), client: None }) => Some(ClientRegistration::Auto),
            Some(Registration { auto: None, client: Some(client) }) => {
                self.client(&format!("{field}.client"), client).map(ClientRegistration::Client)
            }
            Some(Registration { auto, .. }) => {
                let found = if auto.is_some() { "both" } else { "none" };
                let message =
                    format!("registration must have exactly one of auto, client; this one has {found}");
                self.diagnostics.error(field, "NotExactlyOne", message);
                None
            }
        }
    }

    fn client(&mut self, field: &str, client: &RegisteredClient) -> Option<config::RegisteredClient> {
        use config::TokenEndpointAuthMethod as Method;
        let has_key = client.token_endpoint_auth_method == Some(TokenEndpointAuthMethod::PrivateKeyJwt);
        let secret = match &client.secret_ref {
            Some(reference) => {
                let field = format!("{field}.secretRef");
                let purpose = if has_key { SecretUse::OriginClientKey } else { SecretUse::OriginClient };
                Some(self.credentials.resolve(self.diagnostics, &field, reference, purpose)?)
            }
            None => None,
        };
        let method = match client.token_endpoint_auth_method {
            Some(TokenEndpointAuthMethod::None) => Method::None,
            Some(TokenEndpointAuthMethod::ClientSecretBasic) => Method::ClientSecretBasic,
            Some(TokenEndpointAuthMethod::ClientSecretPost) => Method::ClientSecretPost,
            Some(TokenEndpointAuthMethod::PrivateKeyJwt) => Method::PrivateKeyJwt,
            None if secret.is_some() => Method::ClientSecretBasic,
            None => Method::None,
        };
        if secret.is_some() == (method == Method::None) {
            let message = "tokenEndpointAuthMethod and secretRef do not match; use none without a secretRef, and \
                           client_secret_basic, client_secret_post or private_key_jwt with one";
            self.diagnostics.error(format!("{field}.tokenEndpointAuthMethod"), "InvalidValue", message);
        }
        if client.key_id.is_some() && !has_key {
            let message = "keyId has no effect without a private key; write tokenEndpointAuthMethod: private_key_jwt, or remove \
                           keyId";
            self.diagnostics.error(format!("{field}.keyId"), "InvalidValue", message);
        }
        let (id, key_id) = (client.id.clone(), client.key_id.clone());
        Some(config::RegisteredClient { id, secret, token_endpoint_auth_method: method, key_id })
    }
}
