//! How the gateway authenticates to an origin: a union of which an `OriginMcp` has one member.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::values::{Empty, SecretRef, syntax};

/// How the gateway authenticates to an origin: exactly one member.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.none), has(self.header), has(self.queryParameter), has(self.userOAuth), has(self.sharedOAuth), has(self.clientCredentials), has(self.tokenExchange), has(self.idJag)].filter(set, set).size() == 1").message("auth has exactly one of none, header, queryParameter, userOAuth, sharedOAuth, clientCredentials, tokenExchange, idJag")
)]
#[cfg_attr(test, x_kube(cel))]
pub struct OriginAuth {
    /// Nothing is sent: `none: {}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub none: Option<Empty>,
    /// One header, the same for every user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderAuth>,
    /// One parameter of the URL's query, the same for every user. URLs lie about in logs more often than headers do: where the
    /// origin takes a header as well, use that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_parameter: Option<QueryParameterAuth>,
    /// Each user connects an account of their own (OAuth 2.1).
    #[serde(default, rename = "userOAuth", skip_serializing_if = "Option::is_none")]
    pub user_oauth: Option<UserOAuth>,
    /// One account for everybody, which an administrator of the gateway connects on its page `/admin/origins` (OAuth 2.1).
    #[serde(default, rename = "sharedOAuth", skip_serializing_if = "Option::is_none")]
    pub shared_oauth: Option<UserOAuth>,
    /// The gateway gets a token in its own name (RFC 6749, section 4.4), the same for every user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_credentials: Option<ClientCredentials>,
    /// The token of each user's identity provider is exchanged for one of the origin's (RFC 8693): nobody has anything to connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_exchange: Option<TokenExchange>,
    /// Each user's identity provider asserts who they are to the origin's authorization server (ID-JAG, the enterprise-managed
    /// authorization of MCP): nobody has anything to connect.
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
        validation = Rule::new(r"!self.matches('^(?i)(accept(-encoding)?|connection|content-(encoding|length|type)|(set-)?cookie|expect|forwarded|host|keep-alive|last-event-id|mcp-.*|origin|proxy-(authenticate|authorization|connection)|te|trailer|transfer-encoding|upgrade|www-authenticate)$')").message("this header belongs to the protocol and cannot carry a credential")
    )]
    pub name: String,
    /// The value. The Secret names the hosts that it may go to in its annotation `portcullis.dev/allowed-hosts`.
    pub value_ref: SecretRef,
    /// Put before the value: `"Bearer "`.
    #[schemars(length(max = 64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

/// A query parameter with a static credential.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueryParameterAuth {
    /// The parameter's name: `api_key`. What the origin's URL has of that name is replaced.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// The value, as it is before it is encoded. The Secret names the hosts that it may go to in its annotation
    /// `portcullis.dev/allowed-hosts`.
    pub value_ref: SecretRef,
}

/// OAuth with an account of a person's: each user's own, or one for all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserOAuth {
    /// Asked for at consent where the origin's challenge names none.
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// How the gateway becomes a client of the origin's authorization server. Default: `auto: {}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<Registration>,
}

/// OAuth in the gateway's own name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.issuer) || !has(self.tokenEndpoint)").message("name the issuer, from whose metadata the token endpoint follows, or the tokenEndpoint of a server without metadata"),
    validation = Rule::new("has(self.client.secretRef)").message("a client that gets tokens in its own name has a secretRef")
)]
#[cfg_attr(test, x_kube(cel))]
pub struct ClientCredentials {
    /// Who gives the tokens: an issuer identifier, as its metadata states it (RFC 8414). Default: whom the origin's own metadata names.
    #[schemars(length(min = 8, max = 512), regex(pattern = syntax::HTTP_URL))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Where tokens are given, for a server without metadata.
    #[schemars(length(min = 8, max = 2048), regex(pattern = syntax::HTTP_URL))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint: Option<String>,
    /// The gateway, as that server knows it. Its Secret names the server's hosts.
    pub client: RegisteredClient,
    /// Asked for. Default: those of the origin's challenge, else of its metadata.
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// The token of a user's identity provider, exchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.issuer) != has(self.tokenEndpoint)").message("name who exchanges: the issuer, from whose metadata the token endpoint follows, or the tokenEndpoint of a server without metadata")
)]
#[cfg_attr(test, x_kube(cel))]
pub struct TokenExchange {
    /// Who exchanges: an issuer identifier, as its metadata states it (RFC 8414).
    #[schemars(length(min = 8, max = 512), regex(pattern = syntax::HTTP_URL))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Where tokens are exchanged, at a server without metadata.
    #[schemars(length(min = 8, max = 2048), regex(pattern = syntax::HTTP_URL))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint: Option<String>,
    /// The gateway, as that server knows it.
    pub client: RegisteredClient,
    /// `audience`, where the server wants one besides the `resource`, which is the origin's URL.
    #[schemars(length(min = 1, max = 2048))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Asked for. Default: none.
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Which token of the user's identity provider is exchanged. Default: `access_token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_token_type: Option<SubjectTokenType>,
}

/// A token that speaks of a user (RFC 8693, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubjectTokenType {
    /// OAuth's.
    AccessToken,
    /// OpenID Connect's.
    IdToken,
}

/// What a user's identity provider asserts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdJag {
    /// The origin's authorization server: an issuer identifier, as its metadata states it (RFC 8414). The identity provider makes
    /// the assertion for it and for no other.
    #[schemars(length(min = 8, max = 512), regex(pattern = syntax::HTTP_URL))]
    pub issuer: String,
    /// The gateway, as that server knows it.
    pub client: RegisteredClient,
    /// Asked for. Default: none.
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// How the gateway becomes a client: exactly one member.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.auto), has(self.client)].filter(set, set).size() == 1").message("registration has exactly one of auto, client")
)]
#[cfg_attr(test, x_kube(cel))]
pub struct Registration {
    /// By a client ID metadata document where that is supported, else by dynamic registration (RFC 7591).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto: Option<Empty>,
    /// By hand, with the redirect URI that the portal shows on `/admin/origins`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<RegisteredClient>,
}

/// A client that was registered by hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.tokenEndpointAuthMethod) || (self.tokenEndpointAuthMethod == 'none') != has(self.secretRef)").message("tokenEndpointAuthMethod is none for a public client, and client_secret_basic, client_secret_post or private_key_jwt for one with a secretRef"),
    validation = Rule::new("!has(self.keyId) || (has(self.tokenEndpointAuthMethod) && self.tokenEndpointAuthMethod == 'private_key_jwt')").message("a keyId goes with tokenEndpointAuthMethod: private_key_jwt")
)]
#[cfg_attr(test, x_kube(cel))]
pub struct RegisteredClient {
    /// Client id.
    #[schemars(length(min = 1, max = 2048))]
    pub id: String,
    /// Client secret, or the private key for `private_key_jwt`; absent for a public client. The Secret names the hosts of the
    /// authorization server in its annotation `portcullis.dev/allowed-hosts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// How the secret is presented. Default: `client_secret_basic` with a secret, else `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_method: Option<TokenEndpointAuthMethod>,
    /// The `kid` of what the private key signs, where the server tells keys apart by it. Default: none is stated.
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
    /// In the form body.
    ClientSecretPost,
    /// Not at all: an assertion that the key signs is (RFC 7523, section 2.2). The Secret has the private key in PEM (PKCS #8): EC of
    /// P-256 (ES256) or P-384 (ES384), Ed25519 (`EdDSA`) or RSA of 2048 bits or more (RS256).
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
        assert!(validated(json!({})).contains("name who exchanges"));
        assert!(
            validated(json!({"issuer": issuer, "tokenEndpoint": endpoint})).contains("name who exchanges")
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
        assert!(validated(json!({"issuer": issuer, "tokenEndpoint": endpoint})).contains("name the issuer"));
        assert!(validated(json!({"client": {"id": "gateway"}})).contains("has a secretRef"));
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
            assert!(refused(header(name)).contains("belongs to the protocol"), "{name}");
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
            assert!(client(method).contains("a keyId goes with"));
        }
    }
}
