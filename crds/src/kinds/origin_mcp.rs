//! `OriginMcp`: an upstream MCP server.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::words::{ByteSize, Condition, Duration, Empty, SecretRef, syntax};

/// An upstream MCP server: where it is, and how the gateway authenticates there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "portcullis.dev",
    version = "v1alpha1",
    kind = "OriginMcp",
    plural = "originmcps",
    shortname = "omcp",
    category = "mcp",
    namespaced,
    status = "OriginMcpStatus",
    derive = "PartialEq",
    doc = "An upstream MCP server.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.url"),
    printcolumn(name = "Tools", type_ = "integer", json_path = ".status.catalog.tools"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[cfg_attr(test, kube(cel))]
#[serde(rename_all = "camelCase")]
pub struct OriginMcpSpec {
    /// For people. Default: the name.
    #[schemars(length(max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The Streamable HTTP endpoint. Plain http only within the private networks that tenancy allows.
    #[schemars(length(min = 8, max = 2048), regex(pattern = syntax::HTTP_URL))]
    pub url: String,
    /// Kill switch: no traffic, and open streams end. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// How the gateway authenticates there: exactly one member.
    pub auth: OriginAuth,
    /// Other namespaces whose virtual MCPs may use this origin; `*` for all that the gateway's tenancy serves. Default: none.
    #[schemars(
        length(max = 256),
        inner(length(min = 1, max = 63), regex(pattern = syntax::LABEL_OR_ALL))
    )]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_namespaces: Vec<String>,
    /// Whom it must prove to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// What one call may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// How the gateway authenticates to an origin: exactly one member.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("[has(self.none), has(self.header), has(self.userOAuth)].filter(set, set).size() == 1").message("auth has exactly one of none, header, userOAuth")
)]
#[cfg_attr(test, x_kube(cel))]
pub struct OriginAuth {
    /// Nothing is sent: `none: {}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub none: Option<Empty>,
    /// One header, the same for every user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderAuth>,
    /// Each user connects an account of their own (OAuth 2.1).
    #[serde(default, rename = "userOAuth", skip_serializing_if = "Option::is_none")]
    pub user_oauth: Option<UserOAuth>,
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

/// OAuth with each user's own account.
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
    /// By hand, with the redirect URI that the portal shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<RegisteredClient>,
}

/// A client that was registered by hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.tokenEndpointAuthMethod) || (self.tokenEndpointAuthMethod == 'none') != has(self.secretRef)").message("tokenEndpointAuthMethod is none for a public client, and client_secret_basic or client_secret_post for one with a secretRef")
)]
#[cfg_attr(test, x_kube(cel))]
pub struct RegisteredClient {
    /// Client id.
    #[schemars(length(min = 1, max = 2048))]
    pub id: String,
    /// Client secret; absent for a public client. The Secret names the hosts of the authorization server in its annotation
    /// `portcullis.dev/allowed-hosts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// How the secret is presented. Default: `client_secret_basic` with a secret, else `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_method: Option<TokenEndpointAuthMethod>,
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
}

/// Whom an origin must prove to be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// Extra trust anchors for TLS with the origin, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle_ref: Option<SecretRef>,
}

/// What one call may cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Time until the head of the answer. Streams have no idle limit. Default: 60s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_timeout: Option<Duration>,
    /// Largest answer to one request, and on a stream the largest single event. Default: 10Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_bytes: Option<ByteSize>,
}

/// What the operator last found out about an origin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OriginMcpStatus {
    /// The generation of the resource that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The MCP revision that the origin speaks with the operator, or with the data plane where only people may ask.
    #[schemars(length(max = 64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<String>,
    /// What it offers; where only people with an account may ask, what they were shown lately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog: Option<Catalog>,
    /// `Accepted`, `ResolvedRefs`, `Programmed`, `Reachable`, `CatalogSynced`, and `Ready`, which sums them up.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// What an origin offers, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Catalog {
    /// Tools.
    pub tools: i64,
    /// Prompts.
    pub prompts: i64,
    /// Resources; absent where each person has their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<i64>,
    /// Resource templates.
    pub resource_templates: i64,
    /// Changes whenever a definition does.
    #[schemars(length(max = 64))]
    pub hash: String,
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
        assert_eq!(auth(json!({"userOAuth": {"registration": {"client": {"id": "x"}}}})), "");
        assert_eq!(auth(json!({"header": {"name": "X-Api-Key", "valueRef": {"name": "a", "key": "b"}}})), "");
    }

    #[test]
    fn given_none_or_two_ways_to_authenticate_when_validated_then_it_is_refused() {
        for two in [json!({}), json!({"none": {}, "userOAuth": {}})] {
            assert!(auth(two).contains("exactly one of none, header, userOAuth"));
        }
        assert!(auth(json!({"userOAuth": {"registration": {}}})).contains("exactly one of auto, client"));
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
    }
}
