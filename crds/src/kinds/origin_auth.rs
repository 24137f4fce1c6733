//! `OriginMcp.spec.auth`: how the gateway authenticates to an origin. A union with exactly one member set.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::values::{Empty, SecretRef, syntax};

/// How the gateway authenticates to the origin. Exactly one member must be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.none), has(self.header), has(self.queryParameter), has(self.userOAuth), has(self.sharedOAuth), has(self.clientCredentials), has(self.tokenExchange), has(self.idJag)].filter(set, set).size() == 1").message("auth must have exactly one of none, header, queryParameter, userOAuth, sharedOAuth, clientCredentials, tokenExchange, idJag")
)]
#[cfg_attr(test, x_kube(cel))]
pub struct OriginAuth {
    /// No credential is sent: `none: {}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub none: Option<Empty>,
    /// A static header, the same for every user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderAuth>,
    /// A static query parameter, the same for every user. Use `header` if the origin supports it: URLs are
    /// logged more often than headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_parameter: Option<QueryParameterAuth>,
    /// Each user connects a personal account (OAuth 2.1).
    #[serde(default, rename = "userOAuth", skip_serializing_if = "Option::is_none")]
    pub user_oauth: Option<UserOAuth>,
    /// One account that all users share (OAuth 2.1). An administrator connects it at
    /// `{publicUrl}/admin/origins`.
    #[serde(default, rename = "sharedOAuth", skip_serializing_if = "Option::is_none")]
    pub shared_oauth: Option<UserOAuth>,
    /// The gateway gets a token for itself with client credentials (RFC 6749, section 4.4). The token is the
    /// same for every user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_credentials: Option<ClientCredentials>,
    /// The gateway exchanges each user's identity provider token for a token of the origin (RFC 8693). Users
    /// connect nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_exchange: Option<TokenExchange>,
    /// Each user's identity provider issues an identity assertion for the origin's authorization server
    /// (ID-JAG, MCP enterprise-managed authorization). Users connect nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_jag: Option<IdJag>,
}

/// A header with a static credential.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, x_kube(cel))]
pub struct HeaderAuth {
    /// Header name: `Authorization`, `X-Api-Key`.
    #[schemars(length(min = 1, max = 128), regex(pattern = syntax::HEADER_NAME))]
    #[x_kube(
        validation = Rule::new(r"!self.matches('^(?i)(accept(-encoding)?|connection|content-(encoding|length|type)|(set-)?cookie|expect|forwarded|host|keep-alive|last-event-id|mcp-.*|origin|proxy-(authenticate|authorization|connection)|te|trailer|transfer-encoding|upgrade|www-authenticate)$')").message("this header is reserved for HTTP or MCP and cannot carry a credential")
    )]
    pub name: String,
    /// Secret key with the header value. The Secret's annotation `portcullis.dev/allowed-hosts` must list the
    /// origin's host.
    pub value_ref: SecretRef,
    /// Text in front of the value: `"Bearer "`.
    #[schemars(length(max = 64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

/// A query parameter with a static credential.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueryParameterAuth {
    /// Name of the parameter: `api_key`. It replaces parameters with the same name in the origin's URL.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// Secret key with the parameter value, not URL-encoded. The Secret's annotation
    /// `portcullis.dev/allowed-hosts` must list the origin's host.
    pub value_ref: SecretRef,
}

/// OAuth with an account: one for each user, or one for all users.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserOAuth {
    /// Scopes to request if the origin's challenge names none.
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// How the gateway is registered as a client of the origin's authorization server. Default: `auto: {}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<Registration>,
}

/// OAuth client credentials of the gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.issuer) || !has(self.tokenEndpoint)").message("set either issuer, whose metadata contains the token endpoint, or tokenEndpoint if the server has no metadata"),
    validation = Rule::new("has(self.client.secretRef)").message("clientCredentials requires client.secretRef")
)]
#[cfg_attr(test, x_kube(cel))]
pub struct ClientCredentials {
    /// Issuer identifier of the authorization server, as in its metadata (RFC 8414). Default: the server that
    /// the origin's metadata names.
    #[schemars(length(min = 8, max = 512), regex(pattern = syntax::HTTP_URL))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Token endpoint of an authorization server without metadata.
    #[schemars(length(min = 8, max = 2048), regex(pattern = syntax::HTTP_URL))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint: Option<String>,
    /// The gateway's client registration at that server. The annotation `portcullis.dev/allowed-hosts` of its
    /// Secret must list the server's hosts.
    pub client: RegisteredClient,
    /// Scopes to request. Default: the scopes of the origin's challenge, otherwise those of its metadata.
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// Token exchange (RFC 8693) with the token of a user's identity provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.issuer) != has(self.tokenEndpoint)").message("set exactly one of issuer, whose metadata contains the token endpoint, and tokenEndpoint, for a server without metadata")
)]
#[cfg_attr(test, x_kube(cel))]
pub struct TokenExchange {
    /// Issuer identifier of the authorization server that exchanges tokens, as in its metadata (RFC 8414).
    #[schemars(length(min = 8, max = 512), regex(pattern = syntax::HTTP_URL))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Token endpoint of an authorization server without metadata.
    #[schemars(length(min = 8, max = 2048), regex(pattern = syntax::HTTP_URL))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint: Option<String>,
    /// The gateway's client registration at that server.
    pub client: RegisteredClient,
    /// `audience` parameter, if the server requires it in addition to `resource`, which is the origin's URL.
    #[schemars(length(min = 1, max = 2048))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Scopes to request. Default: none.
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Type of the identity provider token that is exchanged. Default: `access_token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_token_type: Option<SubjectTokenType>,
}

/// Type of a user's token (RFC 8693, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubjectTokenType {
    /// OAuth access token.
    AccessToken,
    /// OpenID Connect id_token.
    IdToken,
}

/// Identity assertion (ID-JAG) of a user's identity provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdJag {
    /// Issuer identifier of the origin's authorization server, as in its metadata (RFC 8414). The identity
    /// provider issues the assertion for this server only.
    #[schemars(length(min = 8, max = 512), regex(pattern = syntax::HTTP_URL))]
    pub issuer: String,
    /// The gateway's client registration at that server.
    pub client: RegisteredClient,
    /// Scopes to request. Default: none.
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// How the gateway is registered as a client. Exactly one member must be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.auto), has(self.client)].filter(set, set).size() == 1").message("registration must have exactly one of auto, client")
)]
#[cfg_attr(test, x_kube(cel))]
pub struct Registration {
    /// Client ID metadata document if the server supports it, otherwise dynamic registration (RFC 7591).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto: Option<Empty>,
    /// Client that is registered by hand, with the redirect URI that the portal shows at `/admin/origins`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<RegisteredClient>,
}

/// A client that is registered by hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.tokenEndpointAuthMethod) || (self.tokenEndpointAuthMethod == 'none') != has(self.secretRef)").message("tokenEndpointAuthMethod and secretRef do not match: use none without a secretRef, and client_secret_basic, client_secret_post or private_key_jwt with one"),
    validation = Rule::new("!has(self.keyId) || (has(self.tokenEndpointAuthMethod) && self.tokenEndpointAuthMethod == 'private_key_jwt')").message("keyId requires tokenEndpointAuthMethod: private_key_jwt")
)]
#[cfg_attr(test, x_kube(cel))]
pub struct RegisteredClient {
    /// Client id.
    #[schemars(length(min = 1, max = 2048))]
    pub id: String,
    /// Client secret, or private key for `private_key_jwt`. Leave it out for a public client. The Secret's
    /// annotation `portcullis.dev/allowed-hosts` must list the hosts of the authorization server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// How the client authenticates. Default: `client_secret_basic` with a secret, otherwise `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_method: Option<TokenEndpointAuthMethod>,
    /// `kid` header of signed assertions, if the server needs it to select the key. Default: no `kid`.
    #[schemars(length(min = 1, max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
}

/// RFC 7591 section 2, `token_endpoint_auth_method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenEndpointAuthMethod {
    /// Public client.
    None,
    /// HTTP Basic.
    ClientSecretBasic,
    /// Secret in the form body.
    ClientSecretPost,
    /// A signed assertion instead of a secret (RFC 7523, section 2.2). The Secret contains the private key in
    /// PEM (PKCS #8): EC with P-256 (ES256) or P-384 (ES384), Ed25519 (`EdDSA`), or RSA with at least 2048
    /// bits (RS256).
    PrivateKeyJwt,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn refused(result: Result<(), kube::core::cel::ValidationErrors>) -> String {
        result.map_or_else(|errors| errors.to_string(), |()| String::new())
    }

    fn auth(auth: Value) -> String {
        refused(OriginAuth::validate_cel(&auth, None))
    }

    #[test]
    fn given_exactly_one_way_to_authenticate_when_validated_then_it_is_taken() {
        assert_eq!(auth(json!({"none": {}})), "");
        assert_eq!(auth(json!({"userOAuth": {}})), "");
        assert_eq!(auth(json!({"sharedOAuth": {"scopes": ["read"]}})), "");
        assert_eq!(auth(json!({"userOAuth": {"registration": {"client": {"id": "x"}}}})), "");
        let parameter = json!({"name": "key", "valueRef": {"name": "a", "key": "b"}});
        assert_eq!(auth(json!({"queryParameter": parameter})), "");
        assert_eq!(auth(json!({"header": {"name": "X-Api-Key", "valueRef": {"name": "a", "key": "b"}}})), "");
    }

    #[test]
    fn given_none_or_two_ways_to_authenticate_when_validated_then_it_is_refused() {
        for two in [json!({}), json!({"none": {}, "userOAuth": {}})] {
            assert!(auth(two).contains(
                "exactly one of none, header, queryParameter, userOAuth, sharedOAuth, clientCredentials"
            ));
        }
        assert!(auth(json!({"userOAuth": {"registration": {}}})).contains("exactly one of auto, client"));
    }

    #[test]
    fn given_an_exchange_when_validated_then_it_names_who_exchanges() {
        let validated = |more: Value| {
            let mut given = json!({"client": {"id": "gateway"}});
            given.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            refused(TokenExchange::validate_cel(&given, None))
        };
        let (issuer, endpoint) = ("https://auth.example.com", "https://auth.example.com/token");
        assert_eq!(validated(json!({"issuer": issuer, "subjectTokenType": "id_token"})), "");
        assert_eq!(validated(json!({"tokenEndpoint": endpoint})), "");
        assert!(validated(json!({})).contains("set exactly one of issuer"));
        assert!(
            validated(json!({"issuer": issuer, "tokenEndpoint": endpoint}))
                .contains("set exactly one of issuer")
        );
        assert_eq!(auth(json!({"idJag": {"issuer": issuer, "client": {"id": "gateway"}}})), "");
    }

    #[test]
    fn given_client_credentials_when_validated_then_they_have_a_secret_and_one_server() {
        let validated = |more: Value| {
            let mut given = json!({"client": {"id": "gateway", "secretRef": {"name": "a", "key": "b"}}, "scopes": ["read"]});
            given.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            refused(ClientCredentials::validate_cel(&given, None))
        };
        let (issuer, endpoint) = ("https://auth.example.com", "https://auth.example.com/token");
        for sound in [json!({}), json!({"issuer": issuer}), json!({"tokenEndpoint": endpoint})] {
            assert_eq!(validated(sound), "");
        }
        assert!(
            validated(json!({"issuer": issuer, "tokenEndpoint": endpoint})).contains("set either issuer")
        );
        assert!(validated(json!({"client": {"id": "gateway"}})).contains("requires client.secretRef"));
    }

    #[test]
    fn given_a_header_of_the_protocol_when_validated_then_it_is_refused() {
        let header = |name| {
            HeaderAuth::validate_cel(&json!({"name": name, "valueRef": {"name": "a", "key": "b"}}), None)
        };
        let reserved = [
            "Host",
            "cookie",
            "Set-Cookie",
            "Mcp-Session-Id",
            "CONTENT-LENGTH",
            "TE",
            "Accept",
            "Upgrade",
            "Proxy-Authorization",
        ];
        for name in reserved {
            assert!(refused(header(name)).contains("is reserved for HTTP or MCP"), "{name}");
            assert!(syntax::is_reserved_header(name), "{name}");
        }
        for name in ["Authorization", "X-Api-Key", "X-Host", "Accept-Token", "Mcp"] {
            assert_eq!(refused(header(name)), "", "{name}");
            assert!(!syntax::is_reserved_header(name), "{name}");
        }
    }

    #[test]
    fn given_a_client_when_its_method_and_its_secret_disagree_then_it_is_refused() {
        let client = |client: Value| refused(RegisteredClient::validate_cel(&client, None));
        let secret = json!({"name": "a", "key": "b"});
        assert_eq!(client(json!({"id": "x", "tokenEndpointAuthMethod": "none"})), "");
        assert_eq!(
            client(json!({"id": "x", "tokenEndpointAuthMethod": "client_secret_post", "secretRef": secret})),
            ""
        );
        assert_ne!(client(json!({"id": "x", "tokenEndpointAuthMethod": "client_secret_basic"})), "");
        assert_ne!(client(json!({"id": "x", "tokenEndpointAuthMethod": "none", "secretRef": secret})), "");
        assert_ne!(client(json!({"id": "x", "tokenEndpointAuthMethod": "private_key_jwt"})), "");
    }

    #[test]
    fn given_a_key_id_when_no_key_signs_then_it_is_refused() {
        let client = |method: Value| {
            let mut client = json!({"id": "x", "secretRef": {"name": "a", "key": "b"}, "keyId": "k1"});
            client.as_object_mut().unwrap().extend(method.as_object().unwrap().clone());
            refused(RegisteredClient::validate_cel(&client, None))
        };
        assert_eq!(client(json!({"tokenEndpointAuthMethod": "private_key_jwt"})), "");
        for method in [json!({}), json!({"tokenEndpointAuthMethod": "client_secret_post"})] {
            assert!(client(method).contains("keyId requires tokenEndpointAuthMethod"));
        }
    }
}
