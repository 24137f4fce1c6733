//! `McpGateway`: one installation and its settings.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::Status;
use super::workload::Workload;
use crate::values::{Cidr, Duration, Empty, SecretRef, syntax};

/// One installation and its settings: where it is reached, who signs in and how, who may attach what.
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
    doc = "One installation of Portcullis and its settings.",
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
    /// Scheme and host that clients use, no path: `https://mcp.example.com`. Plain http only on loopback.
    #[schemars(length(min = 8, max = 512))]
    #[x_kube(
        validation = Rule::new(r"self.matches('^https?://[^/?#@]+/?$')").message("publicUrl is a scheme and a host, without user, path, query or fragment: https://mcp.example.com"),
        validation = Rule::new(r"self.startsWith('https://') || self.matches('^http://(localhost|127\\.[0-9.]+|\\[::1\\])(:[0-9]+)?/?$')").message("publicUrl is https, but on loopback: clients send tokens to it")
    )]
    pub public_url: String,
    /// How people sign in. The first is the default; a VirtualMcp may name another.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub identity_providers: Vec<IdentityProvider>,
    /// How long what the gateway issues is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
    /// How long calls go on while the store, and with it news of revocations, is away. Default: 15m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_outage_grace: Option<Duration>,
    /// Who administers the gateway: sees and ends what others have been given, at `{publicUrl}/admin`. People of the first identity
    /// provider only. Default: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admins: Option<Admins>,
    /// Which OAuth clients may introduce themselves (default: all), and those that are registered by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<Clients>,
    /// Who may attach what. Absent: resources of this namespace only, and no private networks. Present: what it lists, and
    /// nothing else.
    #[schemars(length(max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenancy: Option<Vec<Tenancy>>,
    /// Peers whose `X-Forwarded-For` is believed. Default: nobody's.
    #[schemars(length(max = 64))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_proxies: Vec<Cidr>,
}

/// One way to sign in: a name, and exactly one protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.oidc), has(self.oauth), has(self.development)].filter(set, set).size() == 1").message("an identity provider has exactly one of oidc, oauth, development"),
    validation = Rule::new("has(self.oidc) == has(oldSelf.oidc) && has(self.oauth) == has(oldSelf.oauth) && (!has(self.oidc) || self.oidc.issuer == oldSelf.oidc.issuer) && (!has(self.oauth) || self.oauth.issuer == oldSelf.oauth.issuer)").message("an identity provider stays the one that it is: its users are known by its name, and another provider's users would be taken for them; add the other one under a new name")
)]
#[cfg_attr(test, x_kube(cel))]
pub struct IdentityProvider {
    /// Unique within the gateway, and part of every subject that signs in through it: it is not to be reused for another provider.
    #[schemars(length(min = 1, max = 63), regex(pattern = syntax::DNS_LABEL))]
    pub name: String,
    /// OpenID Connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<Oidc>,
    /// OAuth 2.0 without OpenID Connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth: Option<Oauth>,
    /// A list of users without passwords. Only where `publicUrl` is on loopback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub development: Option<Development>,
}

/// The gateway's client registration at an OpenID provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Oidc {
    /// Issuer identifier, byte for byte as the provider's discovery document states it.
    #[schemars(length(min = 8, max = 512), regex(pattern = syntax::HTTP_URL))]
    pub issuer: String,
    /// Client id of the gateway. Its redirect URI is `{publicUrl}/login/callback`.
    #[schemars(length(min = 1, max = 512))]
    pub client_id: String,
    /// Client secret of the gateway. Absent for a public client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_ref: Option<SecretRef>,
    /// Scopes that are asked for. Default: openid, profile, email.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Where a person's properties are found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<Claims>,
    /// Believe emails although the provider does not say `email_verified`. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trust_email: bool,
    /// Keep the refresh token that it gives with a sign-in (`offline_access` is asked for where it lists that): changed groups then count
    /// within the lifetime of an access token, and whoever it does not renew any more is signed out. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew: Option<bool>,
    /// Take this provider's identity assertions (ID-JAG, MCP enterprise-managed authorization): a client that it lets act for a
    /// person gets an access token without a browser, for the same person as who signs in. Absent: none are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_jag: Option<Empty>,
    /// Extra trust anchors for TLS with the provider, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle_ref: Option<SecretRef>,
}

/// The gateway's client registration at an OAuth 2.0 server that gives no id_token: it publishes its metadata (RFC 8414), and says at an
/// address of its own who holds an access token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Oauth {
    /// Issuer identifier, byte for byte as the server's metadata states it.
    #[schemars(length(min = 8, max = 512), regex(pattern = syntax::HTTP_URL))]
    pub issuer: String,
    /// Answers to an access token with claims of whoever it was given for, as JSON.
    #[schemars(length(min = 8, max = 2048), regex(pattern = syntax::HTTP_URL))]
    pub userinfo_url: String,
    /// Client id of the gateway. Its redirect URI is `{publicUrl}/login/callback`.
    #[schemars(length(min = 1, max = 512))]
    pub client_id: String,
    /// Client secret of the gateway. Absent for a public client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_ref: Option<SecretRef>,
    /// Scopes that are asked for. Default: none, which lets the server choose.
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Where a person's properties are found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<Claims>,
    /// Believe emails although the server does not say `email_verified`. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trust_email: bool,
    /// Keep the refresh token that it gives with a sign-in: changed groups then count within the lifetime of an access token, and whoever
    /// it does not renew any more is signed out. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew: Option<bool>,
    /// Extra trust anchors for TLS with the server, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle_ref: Option<SecretRef>,
}

/// Names of claims.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Claims {
    /// Stable identifier of a person: a text or a whole number. Default: sub.
    #[schemars(length(min = 1, max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Email address. Default: email.
    #[schemars(length(min = 1, max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Display name. Default: name.
    #[schemars(length(min = 1, max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Names of groups. Default: groups.
    #[schemars(length(min = 1, max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<String>,
}

/// The development sign-in: whoever comes chooses who to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Development {
    /// Who may be chosen.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["email".into()]))]
    pub users: Vec<DevelopmentUser>,
}

/// Somebody who can be chosen in the development sign-in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DevelopmentUser {
    /// Email address, also the subject.
    #[schemars(length(min = 3, max = 254))]
    pub email: String,
    /// Display name. Default: the email.
    #[schemars(length(max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Groups, as an identity provider would report them.
    #[schemars(length(max = 256), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// Lifetimes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    /// Access tokens. Default: 15m. At most 1d.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Duration>,
    /// Refresh tokens, absolute from the first sign-in of a client. Default: 30d.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<Duration>,
    /// Browser sessions. Default: 8h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Duration>,
}

/// People who administer the gateway.
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

/// Which OAuth clients may introduce themselves, and those that are registered by hand.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Clients {
    /// Client ID metadata documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_documents: Option<MetadataDocuments>,
    /// Whether clients may register by themselves (RFC 7591). Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamic_registration: Option<bool>,
    /// Programs that sign in as themselves. A Team lets them use a virtual MCP by naming them in `members.workloads`.
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<Workload>,
}

/// Whose client ID metadata documents are fetched.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetadataDocuments {
    /// Hosts or globs. Absent: all (`["*"]`). `[]`: none.
    #[schemars(length(max = 256), inner(length(min = 1, max = 253)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_hosts: Option<Vec<String>>,
}

/// What resources of some namespaces may do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tenancy {
    /// The namespaces whose resources are served.
    #[schemars(
        length(min = 1, max = 256),
        inner(length(min = 1, max = 63), regex(pattern = syntax::DNS_LABEL))
    )]
    pub namespaces: Vec<String>,
    /// Whether virtual MCPs there may say `access: Everyone`. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub everyone: bool,
    /// Networks beyond the public internet in which their origins may live.
    #[schemars(length(max = 64))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub private_networks: Vec<Cidr>,
    /// Hosts of authorization servers to which their origins may send the tokens of users' identity providers
    /// (`auth.tokenExchange`); `*` stands for any run of characters. Default: none.
    #[schemars(length(max = 256), inner(length(min = 1, max = 253)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identity_token_hosts: Vec<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn gateway(public_url: &str) -> McpGateway {
        let users = vec![DevelopmentUser { email: "ana@example.com".into(), name: None, groups: vec![] }];
        let provider = IdentityProvider {
            name: "dev".into(),
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
            assert!(refused(gateway(url).validate_cel()).contains("a scheme and a host"), "{url}");
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
            assert!(refused(gateway(url).validate_cel()).contains("https, but on loopback"), "{url}");
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
        assert!(provider(oauth("https://idp.example.com"), Some(old)).contains("under a new name"));
        let old = oauth("https://idp.example.com");
        assert!(provider(oauth("https://other.example.com"), Some(old)).contains("under a new name"));
    }
}
