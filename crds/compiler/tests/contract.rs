//! A valid folder compiles to config documents with the values of the manifests and defaults. A route table
//! can be built from them.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::path::Path;

use portcullis_compiler::{Diagnostic, ResourceId, compile, read};
use portcullis_config::{
    Access, ClientRegistration, Config, EventOverload, IdentityProviderKind, OriginAuth, RegisteredClient,
    SecretKey, TokenEndpointAuthMethod,
};
use portcullis_policy::RouteTable;
use secrecy::ExposeSecret as _;
use support::{Folder, ORIGIN, VIRTUAL};

fn config(folder: &Folder) -> Config {
    let compiled = folder.compile();
    let errors: Vec<_> =
        compiled.diagnostics.iter().filter(|it| it.is_error()).map(Diagnostic::to_string).collect();
    assert_eq!(errors, Vec::<String>::new());
    compiled.config.unwrap()
}

#[test]
fn given_a_sound_folder_then_a_route_table_can_be_built() {
    let config = config(&Folder::sound());
    let table = RouteTable::build(&config, 1).unwrap();
    let route = table.route("linear-read").unwrap();
    assert_eq!(&*route.url, "http://127.0.0.1:8080/mcp/linear-read");
    assert_eq!(&*route.origin.name, "default/linear");
}

#[test]
fn given_a_gateway_that_says_little_then_the_defaults_of_the_design_hold() {
    let gateway = config(&Folder::sound()).gateway;
    assert_eq!((gateway.name.as_str(), gateway.public_url.as_str()), ("gateway", "http://127.0.0.1:8080/"));
    let tokens = gateway.tokens;
    assert_eq!(
        (tokens.access_seconds, tokens.refresh_seconds, tokens.session_seconds),
        (15 * 60, 30 * 24 * 3600, 8 * 3600)
    );
    assert_eq!(gateway.store_outage_grace_seconds, 15 * 60);
    assert_eq!(gateway.clients.metadata_document_hosts, ["*"]);
    assert!(gateway.clients.dynamic_registration);
    assert!(gateway.trusted_proxies.is_empty());
    assert_eq!(gateway.event_overload, EventOverload::Drop);
    assert!(gateway.admins.groups.is_empty() && gateway.admins.users.is_empty());
    let IdentityProviderKind::Oidc(provider) = &gateway.identity_providers[0].kind else {
        panic!("not oidc")
    };
    assert_eq!(provider.issuer, "https://idp.example.com");
    assert_eq!(provider.client_secret, Some(SecretKey("default/idp/clientSecret".into())));
    assert_eq!(provider.scopes, ["openid", "profile", "email"]);
    let claims = &provider.claims;
    assert_eq!(
        [&claims.subject, &claims.email, &claims.name, &claims.groups],
        ["sub", "email", "name", "groups"]
    );
    assert!(!provider.trust_email && provider.renew);
    assert_eq!(provider.private_networks, ["127.0.0.0/8".parse().unwrap()]);
}

#[test]
fn given_an_oauth_provider_then_it_is_a_client_without_openid_and_with_an_address_for_who_somebody_is() {
    let folder = Folder::sound().edit(
        "oidc: {issuer",
        "oauth: {userinfoUrl: 'https://api.example.com/user', claims: {subject: id}, renew: false, issuer",
    );
    let config = config(&folder);
    let IdentityProviderKind::Oauth { client, userinfo_url } = &config.gateway.identity_providers[0].kind
    else {
        panic!("not oauth")
    };
    assert_eq!(userinfo_url.as_str(), "https://api.example.com/user");
    assert_eq!(client.client_secret, Some(SecretKey("default/idp/clientSecret".into())));
    assert!(client.scopes.is_empty() && !client.renew && !client.id_jag);
    assert_eq!((client.claims.subject.as_str(), client.claims.email.as_str()), ("id", "email"));
}

#[test]
fn given_an_origin_and_a_route_that_say_little_then_the_defaults_of_the_design_hold() {
    let config = config(&Folder::sound().edit(", access: Everyone", ""));
    let origin = &config.origins[0];
    assert_eq!((origin.name.as_str(), origin.display_name.as_str()), ("default/linear", "linear"));
    assert_eq!((origin.limits.request_timeout_ms, origin.limits.response_bytes), (60_000, 10 << 20));
    assert_eq!(origin.network.private_networks, ["127.0.0.0/8".parse().unwrap()]);
    assert!(!origin.suspended);
    let route = &config.routes[0];
    assert_eq!((route.slug.as_str(), route.display_name.as_str()), ("linear-read", "linear-read"));
    assert_eq!(route.access, Access::Teams);
    assert_eq!(route.identity_provider, "company");
    assert_eq!(route.origin, origin.uid);
    assert_eq!(route.capabilities.tools.include, None);
    assert_eq!(config.teams[0].access[0].route, route.uid);
}

#[test]
fn given_settings_then_they_are_in_the_contract() {
    let config = config(
        &Folder::sound()
            .edit("  tenancy:", "  tokens: {access: 5m, refresh: 7d, session: 1h}\n  storeOutageGrace: 0s\n  clients: {dynamicRegistration: false, metadataDocuments: {allowedHosts: []}}\n  tenancy:")
            .edit("auth: {none: {}}", "suspend: true, auth: {userOAuth: {scopes: [read]}}, limits: {requestTimeout: 500ms, responseBytes: 1Ki}")
            .edit("access: Everyone", "slug: read, capabilities: {tools: {include: ['list_*'], overrides: [{name: list_issues, as: issues, annotations: {readOnlyHint: true}}]}}"),
    );
    let gateway = &config.gateway;
    assert_eq!((gateway.tokens.access_seconds, gateway.store_outage_grace_seconds), (300, 0));
    assert!(gateway.clients.metadata_document_hosts.is_empty() && !gateway.clients.dynamic_registration);
    let origin = &config.origins[0];
    assert!(origin.suspended);
    assert_eq!((origin.limits.request_timeout_ms, origin.limits.response_bytes), (500, 1024));
    assert_eq!(
        origin.auth,
        OriginAuth::UserOAuth { scopes: vec!["read".into()], registration: ClientRegistration::Auto }
    );
    let tools = &config.routes[0].capabilities.tools;
    assert_eq!(config.routes[0].slug, "read");
    assert_eq!(tools.include.as_deref(), Some(&["list_*".to_owned()][..]));
    assert_eq!(tools.overrides[0].exposed.as_deref(), Some("issues"));
    assert_eq!(tools.overrides[0].annotations["readOnlyHint"], true);
}

#[test]
fn given_credentials_then_those_that_are_referred_to_are_there_with_their_hosts() {
    let key = "
apiVersion: v1
kind: Secret
metadata:
  name: key
  labels: {portcullis.dev/credential: 'true'}
  annotations: {portcullis.dev/allowed-hosts: 'mcp.linear.app, *.example.com'}
data: {value: aHVudGVyMg==}
stringData: {unused: x}
";
    let header =
        "auth: {header: {name: Authorization, prefix: 'Bearer ', valueRef: {name: key, key: value}}}";
    let folder = Folder::sound().edit("auth: {none: {}}", header).add(key);
    let config = config(&folder);
    let names: Vec<_> = config.secrets.iter().map(|(key, _)| key.0.as_str()).collect();
    assert_eq!(names, ["default/idp/clientSecret", "default/key/value"]);
    let secret = config.secrets.get(&SecretKey("default/key/value".into())).unwrap();
    assert_eq!(secret.value.expose_secret(), "hunter2");
    assert_eq!(secret.allowed_hosts, ["mcp.linear.app", "*.example.com"]);
    assert!(RouteTable::build(&config, 1).is_ok());
    assert!(!serde_json::to_string(&config).unwrap().contains("hunter2"));
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn given_a_client_by_hand_then_its_secret_is_sent_by_http_basic_unless_told_otherwise() {
    let folder = |method: &str| {
        let client = format!("{{id: x, secretRef: {{name: idp, key: clientSecret}}{method}}}");
        Folder::sound()
            .edit("auth: {none: {}}", &format!("auth: {{userOAuth: {{registration: {{client: {client}}}}}}}"))
            .edit("labels: {", "annotations: {portcullis.dev/allowed-hosts: '*'}, labels: {")
    };
    for (method, expected) in [
        ("", TokenEndpointAuthMethod::ClientSecretBasic),
        (", tokenEndpointAuthMethod: client_secret_post", TokenEndpointAuthMethod::ClientSecretPost),
    ] {
        let config = config(&folder(method));
        let OriginAuth::UserOAuth { registration, .. } = &config.origins[0].auth else { panic!("not OAuth") };
        let ClientRegistration::Client(RegisteredClient { token_endpoint_auth_method, .. }) = registration
        else {
            panic!("not by hand")
        };
        assert_eq!(*token_endpoint_auth_method, expected);
        assert!(RouteTable::build(&config, 1).is_ok());
    }
}

#[test]
fn given_an_unsound_resource_then_the_contract_holds_the_others() {
    let broken = ORIGIN.replace("name: linear", "name: broken").replace("none: {}", "");
    let lost = VIRTUAL.replace("linear-read", "lost").replace("name: linear}", "name: broken}");
    let compiled = Folder::sound().add(&broken).add(&lost).compile();
    let config = compiled.config.unwrap();
    assert_eq!((config.origins.len(), config.routes.len(), config.teams.len()), (1, 1, 1));
    assert!(RouteTable::build(&config, 1).is_ok());
}

#[test]
fn given_an_unsound_gateway_then_there_is_no_contract_and_the_others_are_examined_all_the_same() {
    let compiled = Folder::sound()
        .edit("http://127.0.0.1:8080", "http://mcp.example.com")
        .edit("none: {}", "")
        .compile();
    assert!(compiled.config.is_none());
    assert!(
        compiled
            .diagnostics
            .iter()
            .any(|it| it.resource == Some(ResourceId::new("OriginMcp", "default", "linear")))
    );
}

#[test]
fn given_a_credential_of_an_unsound_origin_then_it_is_not_in_the_contract() {
    let key = "{apiVersion: v1, kind: Secret, metadata: {name: key, labels: {portcullis.dev/credential: 'true'}, \
               annotations: {portcullis.dev/allowed-hosts: '*'}}, stringData: {value: hunter2}}";
    let header = "auth: {header: {name: Host, valueRef: {name: key, key: value}}}";
    let compiled = Folder::sound().edit("auth: {none: {}}", header).add(key).compile();
    let names: Vec<_> = compiled.config.unwrap().secrets.iter().map(|(key, _)| key.0.clone()).collect();
    assert_eq!(names, ["default/idp/clientSecret"]);
}

#[test]
fn given_identities_then_the_documents_are_bound_to_them_and_the_opaque_id_follows() {
    let texts = [support::GATEWAY, support::IDP, ORIGIN, VIRTUAL];
    let compiled_with = |prefix: &str| {
        let (mut resources, _) = read(texts.map(|text| ("all.yaml", text)));
        for (id, uid) in resources.uids_mut() {
            *uid = Some(format!("{prefix}-{}", id.name));
        }
        compile(&resources).config.unwrap()
    };
    let (first, second) = (compiled_with("a"), compiled_with("b"));
    assert_eq!(first.origins[0].uid, "a-linear");
    assert_eq!(
        (first.routes[0].uid.as_str(), first.routes[0].origin.as_str()),
        ("a-linear-read", "a-linear")
    );
    assert_ne!(first.origins[0].id, second.origins[0].id);
    assert_eq!(first.origins[0].id, compiled_with("a").origins[0].id);
}

#[test]
fn given_the_same_resources_in_another_order_then_the_contract_is_the_same() {
    let more = [ORIGIN.replace("name: linear", "name: a"), VIRTUAL.replace("linear-read", "b")];
    let forward = more.iter().fold(Folder::sound(), |folder, text| folder.add(text));
    let json = |folder: &Folder| serde_json::to_string(&config(folder)).unwrap();
    assert_eq!(json(&forward), json(&forward.clone().reversed()));
}

#[test]
fn given_the_quickstart_then_it_is_sound_and_a_route_table_can_be_built() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/quickstart");
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        texts.push((
            path.file_name().unwrap().to_string_lossy().into_owned(),
            std::fs::read_to_string(path).unwrap(),
        ));
    }
    let (resources, mut diagnostics) = read(texts.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    let compiled = compile(&resources);
    diagnostics.extend(compiled.diagnostics);
    assert_eq!(diagnostics, Vec::new(), "no diagnostics, not even a warning");
    let table = RouteTable::build(&compiled.config.unwrap(), 1).unwrap();
    assert_eq!(table.routes().count(), 2);
}
