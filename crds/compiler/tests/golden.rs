//! Golden files of compiled manifests and of the machine-readable parts of diagnostics.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use portcullis_compiler::{Catalog, Compiled, ResourceId, compile, read};
use portcullis_config::Config;
use portcullis_golden::assert_golden;
use serde::Serialize;
use support::{Folder, GATEWAY, IDP, ORIGIN, TEAM, VIRTUAL};

#[derive(Serialize)]
struct Published {
    #[serde(rename = "contract")]
    config: Config,
    /// Allowed hosts of each credential.
    credentials: BTreeMap<String, Vec<String>>,
    warnings: BTreeSet<String>,
}

fn published(files: &[(&str, String)]) -> Published {
    let (resources, problems) = read(files.iter().map(|(name, text)| (*name, text.as_str())));
    assert!(problems.is_empty(), "{problems:?}");
    let Compiled { config, diagnostics } = compile(&resources);
    assert!(!diagnostics.iter().any(|it| it.is_error()), "{diagnostics:?}");
    let config = config.unwrap();
    let credentials = config.secrets.iter();
    let credentials = credentials.map(|(key, value)| (key.0.clone(), value.allowed_hosts.clone())).collect();
    let warnings = diagnostics.iter().map(|it| it.reason.to_owned()).collect();
    Published { config, credentials, warnings }
}

fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

/// Clears display names and descriptions: they are prose and may change.
fn without_texts(mut published: Published) -> Published {
    let config = &mut published.config;
    config.origins.iter_mut().for_each(|origin| origin.display_name.clear());
    config.teams.iter_mut().for_each(|team| team.display_name.clear());
    for route in &mut config.routes {
        route.display_name.clear();
        route.description.clear();
        let capabilities = &mut route.capabilities;
        for selection in [&mut capabilities.tools, &mut capabilities.prompts] {
            selection.overrides.iter_mut().filter_map(|it| it.description.as_mut()).for_each(String::clear);
        }
    }
    published
}

fn example(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(path)).unwrap()
}

#[test]
fn the_quickstart_compiles_to_the_same_documents() {
    let files = ["gateway.yaml", "everything.yaml", "issues.yaml", "team.yaml"];
    let files = files.map(|name| (name, example(&format!("quickstart/{name}"))));
    assert_golden("config/compiled-quickstart.json", &pretty(&without_texts(published(&files))));
}

#[test]
fn the_gitops_example_compiles_to_the_same_documents() {
    // Sets the namespace as the kustomization does, and adds the Secret that is not in the repository.
    let namespaced = |text: String| text.replace("metadata:\n", "metadata:\n  namespace: mcp\n");
    let files = ["gateway.yaml", "linear.yaml", "platform.yaml"];
    let mut files = files.map(|name| (name, namespaced(example(&format!("gitops/gateway/{name}"))))).to_vec();
    files.push(("idp.yaml", IDP.replace("{name: idp,", "{name: idp, namespace: mcp,")));
    assert_golden("config/compiled-gitops.json", &pretty(&without_texts(published(&files))));
}

#[test]
fn manifests_with_every_field_compile_to_the_same_documents() {
    let text = include_str!("golden/every-field.yaml").to_owned();
    assert_golden("config/compiled-every-field.json", &pretty(&published(&[("every-field.yaml", text)])));
}

/// Edits of a valid folder. Each makes something invalid or ineffective.
const EDITS: &[(&str, &str)] = &[
    ("http://127.0.0.1:8080", "http://mcp.example.com"),
    ("http://127.0.0.1:8080", "https://mcp.example.com/path"),
    ("http://127.0.0.1:8080", "https://u@mcp.example.com"),
    ("name: company", "name: company\n      development: {users: [{email: ana@example.com}]}"),
    ("https://idp.example.com", "http://10.0.0.1"),
    ("https://idp.example.com", "https://idp.example.com?x=y"),
    ("clientId: portcullis,", "clientId: portcullis, scopes: [profile],"),
    ("clientId: portcullis,", "clientId: portcullis, scopes: [openid profile, openid],"),
    ("oidc: {issuer", "development: {users: []} # {issuer"),
    ("oidc: {issuer", "oauth: {issuer"),
    ("  tenancy:", "  tokens: {access: 2d, refresh: 1m, session: 0s}\n  tenancy:"),
    ("  tenancy:", "  clients: {metadataDocuments: {allowedHosts: ['https://claude.ai/x']}}\n  tenancy:"),
    ("  tenancy:", "  clients: {workloads: [{name: a}, {name: a}]}\n  tenancy:"),
    ("  tenancy:", "  clients: {workloads: [{name: a, jwks: {keys: [{kty: oct}]}}]}\n  tenancy:"),
    (
        "  tenancy:",
        "  clients: {workloads: [{name: a, secretRef: {name: idp, key: clientSecret}}]}\n  tenancy:",
    ),
    ("127.0.0.0/8", "169.254.0.0/16"),
    ("{name: idp, key", "{name: other, key"),
    ("dev/credential: 'true'", "dev/credential: 'false'"),
    ("{clientSecret: not very secret}", "{other: x}"),
    ("{clientSecret: not very secret}", "{clientSecret: 5}"),
    ("not very secret", r#""not very secret\n""#),
    ("{none: {}}", "{}"),
    ("{none: {}}", "{header: {name: X-Api-Key, valueRef: {name: idp, key: clientSecret}}}"),
    ("{none: {}}", "{header: {name: Host, valueRef: {name: idp, key: clientSecret}}}"),
    ("{none: {}}", "{header: {name: 'X Y', valueRef: {name: idp, key: clientSecret}}}"),
    ("{none: {}}", "{queryParameter: {name: '', valueRef: {name: idp, key: clientSecret}}}"),
    (
        "{none: {}}",
        "{userOAuth: {registration: {client: {id: x, tokenEndpointAuthMethod: private_key_jwt}}}}",
    ),
    (
        "{none: {}}",
        "{userOAuth: {registration: {client: {id: x, secretRef: {name: idp, key: clientSecret}}}}}",
    ),
    ("{none: {}}", "{userOAuth: {scopes: ['a b'], registration: {}}}"),
    ("{none: {}}", "{clientCredentials: {client: {id: x}, scopes: [a]}}"),
    ("{none: {}}", "{tokenExchange: {client: {id: x}}}"),
    (
        "{none: {}}",
        "{tokenExchange: {issuer: 'https://as.example.com', client: {id: x}, subjectTokenType: id_token}}",
    ),
    ("{none: {}}", "{idJag: {issuer: nothing, client: {id: x}}}"),
    ("{none: {}}", "{none: {}}, network: {caBundleRef: {name: idp, key: clientSecret}}"),
    ("{none: {}}", "{none: {}}, limits: {requestTimeout: 0s}"),
    ("{none: {}}", "{none: {}}, limits: {responseBytes: '0'}"),
    ("{none: {}}", "{none: {}}, allowedNamespaces: [default]"),
    ("https://mcp.linear.app/mcp", "http://8.8.8.8/mcp"),
    ("https://mcp.linear.app/mcp", "http://10.0.0.4/mcp"),
    ("https://mcp.linear.app/mcp", "http://169.254.169.254/mcp"),
    ("https://mcp.linear.app/mcp", "http://127.0.0.1:8080/mcp/x"),
    ("https://mcp.linear.app/mcp", "https://u:p@mcp.linear.app/mcp"),
    ("https://mcp.linear.app/mcp", "mcp.linear.app"),
    ("[{name: linear}]", "[{name: other}]"),
    ("[{name: linear}]", "[{name: linear, namespace: sales}]"),
    ("[{name: linear}]", "[]"),
    ("[{name: linear}]", "[{name: linear}, {name: linear}]"),
    ("linear-read", "linear.read"),
    ("access: Everyone", "identityProvider: other"),
    ("access: Everyone", "access: Nobody"),
    ("everyone: true, ", ""),
    ("namespaces: [default]", "namespaces: [other]"),
    ("access: Everyone", "capabilities: {tools: {include: [' a'], exclude: ['']}}"),
    ("access: Everyone", "capabilities: {tools: {include: ['a**', a, a], exclude: [a]}}"),
    (
        "access: Everyone",
        "capabilities: {tools: {overrides: [{name: a, as: c}, {name: b, as: c}, {name: b}]}}",
    ),
    (
        "access: Everyone",
        "capabilities: {tools: {overrides: [{name: a, as: x23456789012345678901234567890123456789012345678901234567890123456789}]}}",
    ),
    (
        "access: Everyone",
        "capabilities: {tools: {include: []}, prompts: {include: []}, resources: {include: []}, resourceTemplates: {include: []}}",
    ),
    ("virtualMcp: linear-read", "virtualMcp: other"),
    ("{virtualMcp: linear-read}", "{virtualMcp: linear-read}, {virtualMcp: linear-read}"),
    ("{virtualMcp: linear-read}", "{virtualMcp: linear-read, tools: {include: []}}"),
    ("[{virtualMcp: linear-read}]", "[]"),
    ("{groups: [finance]}", "{}"),
    ("{groups: [finance]}", "{workloads: [other]}"),
    ("{groups: [finance]}", "{users: [finance]}"),
    ("{groups: [finance]}", "{serviceAccounts: [finance]}"),
    ("{groups: [finance]}", "{groups: finance}"),
    ("{groups: [finance]}", "{unknown: [finance]}"),
    ("kind: Team", "kind: Taem"),
    ("kind: Team", "{"),
    ("kind: Team", "type: Team"),
    ("portcullis.dev/v1alpha1\nkind: Team", "portcullis.dev/v2\nkind: Team"),
    ("metadata: {name: finance}", "metadata: {}"),
    ("metadata: {name: finance}", "metadata: {name: Finance_, labels: [a]}"),
    ("spec: {members", "other: {members"),
];

/// Edits of a valid folder that add or remove documents.
fn additions() -> Vec<Folder> {
    let slug = VIRTUAL.replace("linear-read", "second").replace("spec: {", "spec: {slug: linear-read, ");
    let sound = || Folder::sound();
    vec![
        sound().without("McpGateway"),
        sound().without("Team").edit("access: Everyone", "access: Teams"),
        sound().add(&GATEWAY.replace("name: gateway", "name: second")),
        sound().add(&slug),
        sound().add(TEAM),
        sound().add("- a list"),
        sound()
            .edit("not very secret", "'-----BEGIN CERTIFICATE-----'")
            .edit("{none: {}}", "{none: {}}, network: {caBundleRef: {name: idp, key: clientSecret}}")
            .edit("https://mcp.linear.app/mcp", "http://127.0.0.4/mcp"),
        sound()
            .edit(
                "access: Everyone",
                "access: Everyone, capabilities: {tools: {overrides: [{name: a, as: b}]}}",
            )
            .edit("{virtualMcp: linear-read}", "{virtualMcp: linear-read, tools: {exclude: [a]}}"),
        sound()
            .edit("oidc: {issuer", "development: {users: [{email: ana@example.com}]} # {issuer")
            .edit("http://127.0.0.1:8080", "https://mcp.example.com"),
    ]
}

#[test]
fn diagnostics_keep_their_severities_fields_and_reasons() {
    let edits = EDITS.iter().map(|(from, to)| Folder::sound().edit(from, to));
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let compiled = edits.chain(additions()).map(|folder| folder.compile()).chain([unknown_tool()]);
    for diagnostic in compiled.flat_map(|compiled| compiled.diagnostics) {
        let kind = diagnostic.resource.map_or_else(|| "-".to_owned(), |id| id.kind);
        let field = diagnostic.field.unwrap_or_else(|| "-".to_owned());
        let place = format!("{} {kind} {field}", diagnostic.severity);
        found.entry(diagnostic.reason.to_owned()).or_default().insert(place);
    }
    assert_golden("config/diagnostic-reasons.json", &pretty(&found));
}

/// A selection of a tool that is not in the origin's catalog.
fn unknown_tool() -> Compiled {
    let curated =
        VIRTUAL.replace("access: Everyone", "access: Everyone, capabilities: {tools: {include: [a]}}");
    let (mut resources, _) = read([GATEWAY, IDP, ORIGIN, &curated].map(|text| ("all.yaml", text)));
    let catalog = Catalog { tools: Some(["b".to_owned()].into()), ..Catalog::default() };
    resources.catalogs.insert(ResourceId::new("OriginMcp", "default", "linear"), catalog);
    compile(&resources)
}
