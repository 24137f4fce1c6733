//! `McpGateway`: one installation and its settings.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Status;
use super::workload::Workload;
use crate::values::{Cidr, Duration, Empty, SecretRef, syntax};

/// Settings of one installation: public URL, identity providers, clients and tenancy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "portcullis.dev",
    version = "v1alpha1",
    kind = "McpGateway",
    plural = "mcpgateways",
    shortname = "mcpgw",
    category = "mcp",
    namespaced,
    status = "Status",
    derive = "PartialEq",
    doc = "Settings of one Portcullis installation.",
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
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.publicUrl"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[cfg_attr(test, kube(cel))]
#[serde(rename_all = "camelCase")]
pub struct McpGatewaySpec {
    /// Scheme and host that clients use, without a path: `https://mcp.example.com`. Plain http is valid only
    /// on loopback.
    #[schemars(length(min = 8, max = 512))]
    #[x_kube(
        validation = Rule::new(r"self.matches('^https?://[^/?#@]+/?$')").message("publicUrl must be a scheme and a host, without user, path, query or fragment: https://mcp.example.com"),
        validation = Rule::new(r"self.startsWith('https://') || self.matches('^http://(localhost|127\\.[0-9.]+|\\[::1\\])(:[0-9]+)?/?$')").message("publicUrl must be https because clients send tokens to it; plain http is allowed only on loopback")
    )]
    pub public_url: String,
    /// Identity providers that users sign in with. The first is the default; a VirtualMcp may select another
    /// one.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub identity_providers: Vec<IdentityProvider>,
    /// Lifetimes of the tokens and browser sessions that the gateway issues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
    /// How long calls are still served while the store is unavailable. Replicas see no new revocations during
    /// that time. Default: 15m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_outage_grace: Option<Duration>,
    /// Administrators of the gateway. They see and revoke the access of other users at `{publicUrl}/admin`.
    /// Only users of the first identity provider can be administrators. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admins: Option<Admins>,
    /// OAuth clients: which may register themselves (default: all), and which are registered by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<Clients>,
    /// Namespaces that the gateway serves, and what their resources may do. Absent: only the gateway's own
    /// namespace, without private networks. Present: only the listed namespaces and permissions.
    #[schemars(length(max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenancy: Option<Vec<Tenancy>>,
    /// Proxies (networks) whose `X-Forwarded-For` header is trusted. Default: none.
    #[schemars(length(max = 64))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_proxies: Vec<Cidr>,
    /// Audit events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
}

/// Audit events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
    /// What a replica does while events are written more slowly than they occur. Default: Drop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_overload: Option<OnOverload>,
}

/// What a replica does while events are written more slowly than they occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnOverload {
    /// Continue to serve. Events that do not fit into the queue are dropped and counted.
    Drop,
    /// Refuse requests with 503 until events are written again, so each request has its event.
    Refuse,
}

/// One identity provider: a name and exactly one protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.oidc), has(self.oauth), has(self.development)].filter(set, set).size() == 1").message("an identity provider must have exactly one of oidc, oauth, development"),
    validation = Rule::new("has(self.development) == has(oldSelf.development)").message("an identity provider cannot change from or to development: users are identified by its name, so another provider's users could get the same identities; add the other provider under a new name"),
    validation = Rule::new("has(oldSelf.development) || has(self.development) || (has(self.oidc) ? self.oidc.issuer : has(self.oauth) ? self.oauth.issuer : '') == (has(oldSelf.oidc) ? oldSelf.oidc.issuer : has(oldSelf.oauth) ? oldSelf.oauth.issuer : '') || (has(self.previousIssuers) && (has(oldSelf.oidc) ? oldSelf.oidc.issuer : has(oldSelf.oauth) ? oldSelf.oauth.issuer : '') in self.previousIssuers)").message("the issuer of an identity provider cannot change: users are identified by its name, so another provider's users could get the same identities; add the other provider under a new name, or list the old issuer in previousIssuers if it is the same provider")
)]
#[cfg_attr(test, x_kube(cel))]
pub struct IdentityProvider {
    /// Name, unique within the gateway. It is part of the identity of every user who signs in through this
    /// provider. Do not reuse it for another provider.
    #[schemars(length(min = 1, max = 63), regex(pattern = syntax::DNS_LABEL))]
    pub name: String,
    /// Earlier issuers of the same provider, after it moved. The first sign-in binds the name to the issuer and
    /// the subject claim. Sign-ins with another issuer or subject claim are rejected, unless the issuer that the
    /// name is bound to is listed here. List only issuers that give the same subject to the same user.
    #[schemars(length(max = 8), inner(length(min = 8, max = 512), regex(pattern = syntax::HTTP_URL)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub previous_issuers: Vec<String>,
    /// OpenID Connect provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<Oidc>,
    /// OAuth 2.0 server without OpenID Connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth: Option<Oauth>,
    /// A list of users without passwords, for development. Valid only if `publicUrl` is on loopback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub development: Option<Development>,
}

/// The gateway's client registration at an OpenID Connect provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Oidc {
    /// Issuer identifier, byte for byte as in the provider's discovery document.
    #[schemars(length(min = 8, max = 512), regex(pattern = syntax::HTTP_URL))]
    pub issuer: String,
    /// Client id of the gateway. Register the redirect URI `{publicUrl}/login/callback`.
    #[schemars(length(min = 1, max = 512))]
    pub client_id: String,
    /// Client secret of the gateway. Leave it out for a public client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_ref: Option<SecretRef>,
    /// Scopes to request. Default: openid, profile, email.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Names of the claims that describe a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<Claims>,
    /// Trust email addresses even if the provider does not report `email_verified`. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trust_email: bool,
    /// Keep the refresh token of each sign-in. The gateway requests `offline_access` if the provider lists
    /// that scope. Changed groups then take effect within the lifetime of an access token, and users whose
    /// renewal the provider rejects are signed out. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew: Option<bool>,
    /// Accept this provider's identity assertions (ID-JAG, MCP enterprise-managed authorization). A client
    /// that the provider lets act for a user gets an access token without a browser, for the same user
    /// identity as after a sign-in. Absent: assertions are rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_jag: Option<Empty>,
    /// Additional CA certificates (PEM) for TLS to the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle_ref: Option<SecretRef>,
}

/// The gateway's client registration at an OAuth 2.0 server that issues no id_token. The server publishes
/// metadata (RFC 8414) and returns the user of an access token at a userinfo endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Oauth {
    /// Issuer identifier, byte for byte as in the server's metadata.
    #[schemars(length(min = 8, max = 512), regex(pattern = syntax::HTTP_URL))]
    pub issuer: String,
    /// Userinfo endpoint: returns the claims of the access token's user as JSON.
    #[schemars(length(min = 8, max = 2048), regex(pattern = syntax::HTTP_URL))]
    pub userinfo_url: String,
    /// Client id of the gateway. Register the redirect URI `{publicUrl}/login/callback`.
    #[schemars(length(min = 1, max = 512))]
    pub client_id: String,
    /// Client secret of the gateway. Leave it out for a public client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_ref: Option<SecretRef>,
    /// Scopes to request. Default: none, so the server chooses.
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Names of the claims that describe a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<Claims>,
    /// Trust email addresses even if the server does not report `email_verified`. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trust_email: bool,
    /// Keep the refresh token of each sign-in. Changed groups then take effect within the lifetime of an
    /// access token, and users whose renewal the server rejects are signed out. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew: Option<bool>,
    /// Additional CA certificates (PEM) for TLS to the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle_ref: Option<SecretRef>,
}

/// Names of the claims that describe a user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Claims {
    /// Claim with the stable identifier of a user: a string or an integer. Default: sub.
    #[schemars(length(min = 1, max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Claim with the email address. Default: email.
    #[schemars(length(min = 1, max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Claim with the display name. Default: name.
    #[schemars(length(min = 1, max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Claim with the group names. Default: groups.
    #[schemars(length(min = 1, max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<String>,
}

/// The development sign-in: the visitor selects one of the listed users. There is no password.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Development {
    /// Users that can be selected.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["email".into()]))]
    pub users: Vec<DevelopmentUser>,
}

/// A user of the development sign-in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DevelopmentUser {
    /// Email address. It is also the subject.
    #[schemars(length(min = 3, max = 254))]
    pub email: String,
    /// Display name. Default: the email address.
    #[schemars(length(max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Groups, as an identity provider would report them.
    #[schemars(length(max = 256), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// Lifetimes of tokens and browser sessions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    /// Lifetime of access tokens. Default: 15m. Maximum: 1d.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Duration>,
    /// Lifetime of refresh tokens, counted from the first sign-in of a client. Renewal does not extend it.
    /// Default: 30d.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<Duration>,
    /// Lifetime of browser sessions. Default: 8h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Duration>,
}

/// Administrators of the gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Admins {
    /// Groups, as the identity provider names them.
    #[schemars(length(max = 256), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Verified email addresses.
    #[schemars(length(max = 256), inner(length(min = 3, max = 254)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
}

/// OAuth clients: which may register themselves, and which are registered by hand.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Clients {
    /// Clients that identify themselves with a client ID metadata document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_documents: Option<MetadataDocuments>,
    /// Whether dynamic client registration (RFC 7591) is open. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamic_registration: Option<bool>,
    /// Clients that are registered by hand. A Team gives a workload access to virtual MCPs by its name in
    /// `members.workloads`.
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<Workload>,
}

/// Hosts from which client ID metadata documents are fetched.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetadataDocuments {
    /// Hosts or globs. Absent: all (`["*"]`). `[]`: none.
    #[schemars(length(max = 256), inner(length(min = 1, max = 253)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_hosts: Option<Vec<String>>,
}

/// Permissions of the resources in some namespaces, which are selected by name or by label.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.namespaces) != has(self.namespaceSelector)").message("a tenancy entry must have exactly one of namespaces, namespaceSelector"))]
#[cfg_attr(test, x_kube(cel))]
pub struct Tenancy {
    /// Namespaces whose resources the gateway serves.
    #[schemars(
        length(min = 1, max = 256),
        inner(length(min = 1, max = 63), regex(pattern = syntax::DNS_LABEL))
    )]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Selects the namespaces by their labels. Anyone who may label a namespace decides whether it is served and
    /// gets these permissions. Not available in folder mode, which has no namespaces with labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<NamespaceSelector>,
    /// Slugs that virtual MCPs in these namespaces may have. `*` matches any number of characters. Absent: any.
    /// `[]`: none.
    #[schemars(length(max = 256), inner(length(min = 1, max = 63)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slugs: Option<Vec<String>>,
    /// Whether virtual MCPs in these namespaces may use `access: Everyone`. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub everyone: bool,
    /// Private networks that resources of these namespaces may connect to: origins, authorization servers and
    /// identity providers. Default: none.
    #[schemars(length(max = 64))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub private_networks: Vec<Cidr>,
    /// Hosts of authorization servers that may receive users' identity provider tokens for origins of these
    /// namespaces (`auth.tokenExchange`). `*` matches any number of characters. Default: none.
    #[schemars(length(max = 256), inner(length(min = 1, max = 253)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identity_token_hosts: Vec<String>,
}

/// Labels that a namespace must have. All requirements must hold. `{}` selects every namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceSelector {
    /// Labels with these values.
    #[schemars(extend("maxProperties" = 16))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements for single labels.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelRequirement>,
}

/// A requirement for one label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)").message("values are required for In and NotIn, and invalid for Exists and DoesNotExist"))]
#[cfg_attr(test, x_kube(cel))]
pub struct LabelRequirement {
    /// Label.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// Relation between the label and the values.
    pub operator: LabelOperator,
    /// Values for In and NotIn.
    #[schemars(length(max = 64), inner(length(max = 63)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// Relation between a label and the values of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LabelOperator {
    /// The label has one of the values.
    In,
    /// The label has none of the values, or is missing.
    NotIn,
    /// The label exists.
    Exists,
    /// The label is missing.
    DoesNotExist,
}

impl NamespaceSelector {
    /// Whether labels meet all requirements.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| requirement.matches(labels))
    }
}

impl LabelRequirement {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        let listed = value.is_some_and(|value| self.values.contains(value));
        match self.operator {
            LabelOperator::In => listed,
            LabelOperator::NotIn => !listed,
            LabelOperator::Exists => value.is_some(),
            LabelOperator::DoesNotExist => value.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn gateway(public_url: &str) -> McpGateway {
        let users = vec![DevelopmentUser { email: "ana@example.com".into(), name: None, groups: vec![] }];
        let provider = IdentityProvider {
            name: "dev".into(),
            previous_issuers: Vec::new(),
            oidc: None,
            oauth: None,
            development: Some(Development { users }),
        };
        let spec = json!({"publicUrl": public_url, "identityProviders": [provider]});
        McpGateway::new("gateway", serde_json::from_value(spec).unwrap())
    }

    fn refused(result: Result<(), kube::core::cel::ValidationErrors>) -> String {
        result.map_or_else(|errors| errors.to_string(), |()| String::new())
    }

    #[test]
    fn given_a_public_url_of_scheme_and_host_when_validated_then_it_is_taken() {
        for url in [
            "https://mcp.example.com",
            "https://mcp.example.com:8443/",
            "http://127.0.0.1:8080",
            "http://localhost:1",
            "http://[::1]:8080",
        ] {
            assert_eq!(refused(gateway(url).validate_cel()), "", "{url}");
        }
    }

    #[test]
    fn given_more_than_scheme_and_host_when_validated_then_it_is_refused() {
        for url in [
            "https://mcp.example.com/gateway",
            "https://mcp.example.com?x",
            "https://u@mcp.example.com",
            "ftp://mcp.example.com",
        ] {
            assert!(refused(gateway(url).validate_cel()).contains("must be a scheme and a host"), "{url}");
        }
    }

    #[test]
    fn given_plain_http_beyond_loopback_when_validated_then_it_is_refused() {
        for url in [
            "http://mcp.example.com",
            "http://10.0.0.1:8080",
            "http://localhost.example.com",
            "http://127.example.com",
        ] {
            assert!(
                refused(gateway(url).validate_cel()).contains("plain http is allowed only on loopback"),
                "{url}"
            );
        }
    }

    fn provider(provider: Value, old: Option<Value>) -> String {
        refused(IdentityProvider::validate_cel(&provider, old.as_ref()))
    }

    fn oidc(issuer: &str) -> Value {
        json!({"name": "company", "oidc": {"issuer": issuer, "clientId": "portcullis"}})
    }

    fn oauth(issuer: &str) -> Value {
        json!({"name": "company", "oauth": {"issuer": issuer, "clientId": "portcullis", "userinfoUrl": "https://api.example.com/user"}})
    }

    #[test]
    fn given_an_identity_provider_when_it_has_not_exactly_one_protocol_then_it_is_refused() {
        assert_eq!(provider(oidc("https://idp.example.com"), None), "");
        assert!(
            provider(json!({"name": "company"}), None).contains("exactly one of oidc, oauth, development")
        );
        let mut both = oidc("https://idp.example.com");
        both["development"] = json!({"users": [{"email": "ana@example.com"}]});
        assert!(provider(both, None).contains("exactly one of oidc, oauth, development"));
        let mut both = oidc("https://idp.example.com");
        both["oauth"] = oauth("https://idp.example.com")["oauth"].clone();
        assert!(provider(both, None).contains("exactly one of oidc, oauth, development"));
        assert_eq!(provider(oauth("https://idp.example.com"), None), "");
    }

    #[test]
    fn given_an_identity_provider_when_it_becomes_another_one_then_it_is_refused() {
        let old = oidc("https://idp.example.com");
        let mut with_scopes = old.clone();
        with_scopes["oidc"]["scopes"] = json!(["openid"]);
        assert_eq!(provider(with_scopes, Some(old.clone())), "");
        assert!(provider(oidc("https://other.example.com"), Some(old.clone())).contains("under a new name"));
        let development =
            json!({"name": "company", "development": {"users": [{"email": "ana@example.com"}]}});
        assert!(provider(development, Some(old.clone())).contains("under a new name"));
        assert_eq!(provider(oauth("https://idp.example.com"), Some(old.clone())), "", "the same issuer");
        assert!(provider(oauth("https://other.example.com"), Some(old)).contains("under a new name"));
        let old = oauth("https://idp.example.com");
        assert!(provider(oauth("https://other.example.com"), Some(old)).contains("under a new name"));
    }

    #[test]
    fn given_an_identity_provider_that_moved_when_the_old_issuer_is_listed_then_it_may_change() {
        let old = oidc("https://idp.example.com");
        for mut moved in [oidc("https://login.example.com"), oauth("https://login.example.com")] {
            moved["previousIssuers"] = json!(["https://another.example.com"]);
            assert!(provider(moved.clone(), Some(old.clone())).contains("previousIssuers"));
            moved["previousIssuers"] = json!(["https://another.example.com", "https://idp.example.com"]);
            assert_eq!(provider(moved, Some(old.clone())), "");
        }
        let mut development =
            json!({"name": "company", "development": {"users": [{"email": "ana@example.com"}]}});
        development["previousIssuers"] = json!(["https://idp.example.com"]);
        assert!(provider(development, Some(old)).contains("under a new name"));
    }

    #[test]
    fn given_a_tenancy_entry_when_it_has_not_exactly_one_way_to_select_then_it_is_refused() {
        let check = |entry: Value| refused(Tenancy::validate_cel(&entry, None));
        assert_eq!(check(json!({"namespaces": ["mcp"]})), "");
        assert_eq!(check(json!({"namespaceSelector": {}})), "");
        for entry in [json!({}), json!({"namespaces": ["mcp"], "namespaceSelector": {}})] {
            assert!(check(entry).contains("exactly one of namespaces, namespaceSelector"));
        }
        let requirement = |value: Value| refused(LabelRequirement::validate_cel(&value, None));
        assert_eq!(requirement(json!({"key": "team", "operator": "In", "values": ["a"]})), "");
        assert_eq!(requirement(json!({"key": "team", "operator": "Exists"})), "");
        for (operator, values) in [("In", json!([])), ("DoesNotExist", json!(["a"]))] {
            let value = json!({"key": "team", "operator": operator, "values": values});
            assert!(requirement(value).contains("values are required"), "{operator}");
        }
    }

    #[test]
    fn given_labels_then_every_requirement_of_a_selector_must_hold() {
        let labels =
            BTreeMap::from([("team".to_owned(), "a".to_owned()), ("env".to_owned(), "prod".to_owned())]);
        let matches =
            |selector: Value| serde_json::from_value::<NamespaceSelector>(selector).unwrap().matches(&labels);
        let one = |operator: &str, key: &str, values: Value| {
            matches(json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]}))
        };
        assert!(matches(json!({})) && matches(json!({"matchLabels": {"team": "a", "env": "prod"}})));
        assert!(!matches(json!({"matchLabels": {"team": "a", "env": "test"}})));
        assert!(one("In", "team", json!(["b", "a"])) && !one("In", "team", json!(["b"])));
        assert!(!one("In", "other", json!(["a"])) && one("NotIn", "other", json!(["a"])));
        assert!(one("NotIn", "team", json!(["b"])) && !one("NotIn", "team", json!(["a"])));
        assert!(one("Exists", "team", json!([])) && !one("Exists", "other", json!([])));
        assert!(one("DoesNotExist", "other", json!([])) && !one("DoesNotExist", "team", json!([])));
        assert!(!matches(json!({
            "matchLabels": {"team": "a"}, "matchExpressions": [{"key": "env", "operator": "DoesNotExist"}],
        })));
    }
}
