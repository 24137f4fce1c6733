//! Golden file of the config documents with every variant. A data plane of another version must be able to
//! read them.

#![allow(clippy::unwrap_used, reason = "a test")]

use portcullis_config::{
    Access, AuthorizationServer, Capabilities, CatalogSharing, ClaimNames, ClientPolicy, ClientRegistration,
    Config, DevelopmentUser, EventOverload, GatewayConfig, IdentityProviderConfig, IdentityProviderKind,
    Members, Network, OriginAuth, OriginConfig, OriginLimits, Override, ProviderClient, RegisteredClient,
    RouteConfig, SecretKey, Secrets, Selection, SubjectToken, TeamAccess, TeamConfig,
    TokenEndpointAuthMethod, TokenLifetimes, WorkloadConfig, WorkloadCredential,
};
use portcullis_golden::assert_golden;
use serde_json::json;

#[test]
fn documents_with_every_field_keep_their_form_and_read_back() {
    let contract = Config {
        gateway: gateway(),
        origins: origins(),
        routes: routes(),
        teams: teams(),
        secrets: Secrets::default(),
    };
    let text = serde_json::to_string_pretty(&contract).unwrap();
    assert_golden("config/documents.json", &text);
    let read: Config = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string_pretty(&read).unwrap(), text);
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn secret(name: &str) -> SecretKey {
    SecretKey(format!("mcp/{name}/value"))
}

fn members() -> Members {
    Members {
        groups: strings(&["finance"]),
        users: strings(&["ana@example.com"]),
        workloads: strings(&["reporter"]),
        service_accounts: strings(&["mcp/reporter"]),
    }
}

fn gateway() -> GatewayConfig {
    GatewayConfig {
        name: "gateway".into(),
        public_url: "https://mcp.example.com".parse().unwrap(),
        identity_providers: identity_providers(),
        tokens: TokenLifetimes { access_seconds: 900, refresh_seconds: 2_592_000, session_seconds: 28_800 },
        store_outage_grace_seconds: 600,
        admins: members(),
        clients: ClientPolicy {
            metadata_document_hosts: strings(&["*.example.com"]),
            dynamic_registration: true,
            workloads: workloads(),
        },
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
        event_overload: EventOverload::Refuse,
    }
}

fn identity_providers() -> Vec<IdentityProviderConfig> {
    let full = ProviderClient {
        issuer: "https://idp.example.com".into(),
        client_id: "portcullis".into(),
        client_secret: Some(secret("idp")),
        scopes: strings(&["openid", "email"]),
        claims: ClaimNames {
            subject: "sub".into(),
            email: "email".into(),
            name: "name".into(),
            groups: "groups".into(),
        },
        trust_email: true,
        renew: false,
        id_jag: true,
        private_networks: vec!["10.0.0.0/8".parse().unwrap()],
        ca_bundle_pem: Some("PEM".into()),
    };
    let least = ProviderClient {
        client_secret: None,
        scopes: Vec::new(),
        trust_email: false,
        renew: true,
        id_jag: false,
        private_networks: Vec::new(),
        ca_bundle_pem: None,
        ..full.clone()
    };
    let userinfo_url = "https://idp.example.com/user".parse().unwrap();
    let user =
        DevelopmentUser { email: "ana@example.com".into(), name: "Ana".into(), groups: strings(&["a"]) };
    [
        ("oidc", IdentityProviderKind::Oidc(full)),
        ("oauth", IdentityProviderKind::Oauth { client: least, userinfo_url }),
        ("development", IdentityProviderKind::Development { users: vec![user] }),
    ]
    .map(|(name, kind)| IdentityProviderConfig {
        name: name.into(),
        previous_issuers: match name {
            "oidc" => strings(&["https://old-idp.example.com"]),
            _ => Vec::new(),
        },
        kind,
    })
    .into()
}

fn workloads() -> Vec<WorkloadConfig> {
    let url = "https://reporter.example.com/keys".parse().unwrap();
    let private_networks = vec!["10.0.0.0/8".parse().unwrap()];
    [
        ("secret", WorkloadCredential::Secret(secret("reporter"))),
        ("jwks", WorkloadCredential::Jwks(json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA"}]}))),
        ("jwks-uri", WorkloadCredential::JwksUri { url, private_networks }),
    ]
    .map(|(name, credential)| WorkloadConfig { name: name.into(), display_name: name.into(), credential })
    .into()
}

fn origins() -> Vec<OriginConfig> {
    let shared = |auth: &OriginAuth| matches!(auth, OriginAuth::UserOAuth { .. });
    let origin = |(number, auth): (usize, OriginAuth)| OriginConfig {
        catalog_sharing: if shared(&auth) { CatalogSharing::Shared } else { CatalogSharing::Private },
        uid: format!("uid-{number}"),
        id: format!("id-{number}"),
        name: format!("mcp/origin-{number}"),
        display_name: format!("Origin {number}"),
        url: format!("https://origin-{number}.example.com/mcp").parse().unwrap(),
        suspended: number == 0,
        auth,
        network: Network {
            private_networks: vec!["10.0.0.0/8".parse().unwrap()],
            ca_bundle_pem: (number == 0).then(|| "PEM".to_owned()),
        },
        limits: OriginLimits { request_timeout_ms: 60_000, response_bytes: 10_485_760 },
    };
    origin_auth().into_iter().enumerate().map(origin).collect()
}

fn client(method: TokenEndpointAuthMethod) -> RegisteredClient {
    let signs = method == TokenEndpointAuthMethod::PrivateKeyJwt;
    RegisteredClient {
        id: "gateway".into(),
        secret: (method != TokenEndpointAuthMethod::None).then(|| secret("client")),
        token_endpoint_auth_method: method,
        key_id: signs.then(|| "k1".to_owned()),
    }
}

fn origin_auth() -> Vec<OriginAuth> {
    let scopes = || strings(&["read", "write"]);
    let registration = |method| ClientRegistration::Client(client(method));
    let token_endpoint =
        || AuthorizationServer::TokenEndpoint("https://as.example.com/token".parse().unwrap());
    let issuer = || AuthorizationServer::Issuer("https://as.example.com".into());
    let credentials = |server| OriginAuth::ClientCredentials {
        server,
        client: client(TokenEndpointAuthMethod::PrivateKeyJwt),
        scopes: scopes(),
    };
    let exchange = |subject_token, audience: Option<&str>, subject_hosts| OriginAuth::TokenExchange {
        server: issuer(),
        client: client(TokenEndpointAuthMethod::ClientSecretPost),
        audience: audience.map(str::to_owned),
        scopes: scopes(),
        subject_token,
        subject_hosts,
    };
    vec![
        OriginAuth::None,
        OriginAuth::Header { name: "X-Api-Key".into(), prefix: "Bearer ".into(), value: secret("key") },
        OriginAuth::QueryParameter { name: "key".into(), value: secret("key") },
        OriginAuth::UserOAuth { scopes: scopes(), registration: ClientRegistration::Auto },
        OriginAuth::UserOAuth {
            scopes: scopes(),
            registration: registration(TokenEndpointAuthMethod::ClientSecretBasic),
        },
        OriginAuth::SharedOAuth {
            scopes: scopes(),
            registration: registration(TokenEndpointAuthMethod::None),
        },
        credentials(AuthorizationServer::OfOrigin),
        credentials(issuer()),
        credentials(token_endpoint()),
        exchange(SubjectToken::IdToken, Some("api"), Some(strings(&["as.example.com"]))),
        exchange(SubjectToken::AccessToken, None, None),
        OriginAuth::IdJag {
            issuer: "https://as.example.com".into(),
            client: client(TokenEndpointAuthMethod::ClientSecretBasic),
            scopes: scopes(),
        },
    ]
}

fn selection() -> Selection {
    let full = Override {
        name: "get_issue".into(),
        exposed: Some("issue".into()),
        title: Some("title".into()),
        description: Some("description".into()),
        annotations: [("readOnlyHint".to_owned(), json!(true))].into(),
    };
    let least = Override { name: "list_issues".into(), ..Override::default() };
    Selection {
        include: Some(strings(&["*"])),
        exclude: strings(&["delete_*"]),
        overrides: vec![full, least],
    }
}

fn routes() -> Vec<RouteConfig> {
    let full = RouteConfig {
        uid: "uid-route".into(),
        name: "mcp/read".into(),
        slug: "read".into(),
        display_name: "Read".into(),
        description: "description".into(),
        suspended: true,
        identity_provider: "oidc".into(),
        origin: "uid-0".into(),
        capabilities: Capabilities {
            tools: selection(),
            prompts: selection(),
            resources: selection(),
            resource_templates: selection(),
        },
        access: Access::Teams,
    };
    let least =
        RouteConfig { capabilities: Capabilities::default(), access: Access::Everyone, ..full.clone() };
    vec![full, least]
}

fn teams() -> Vec<TeamConfig> {
    let access = vec![TeamAccess { route: "uid-route".into(), tools: selection() }];
    let full = TeamConfig {
        uid: "uid-team".into(),
        name: "mcp/finance".into(),
        display_name: "Finance".into(),
        members: members(),
        access,
    };
    let least = TeamConfig { members: Members::default(), access: Vec::new(), ..full.clone() };
    vec![full, least]
}
