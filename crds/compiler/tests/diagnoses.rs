//! A folder with one mistake compiles with a diagnostic that names the problem, the field and what to do.

mod support;

use support::{Folder, GATEWAY, ORIGIN, TEAM, VIRTUAL};

fn sound() -> Folder {
    Folder::sound()
}

/// Checks that a folder has exactly one error, which contains these words.
#[track_caller]
fn refused(folder: &Folder, words: &[&str]) {
    let report = folder.report();
    let errors: Vec<_> = report.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{report}");
    for word in words {
        assert!(errors[0].contains(word), "'{word}' is missing in: {report}");
    }
}

/// Checks that a folder has no errors, but warnings that contain these words.
#[track_caller]
fn warned(folder: &Folder, words: &[&str]) {
    let report = folder.report();
    assert!(!report.contains("error: "), "{report}");
    for word in words {
        assert!(report.contains(word), "'{word}' is missing in: {report}");
    }
}

#[test]
fn given_a_sound_folder_then_nothing_is_said() {
    assert_eq!(sound().report(), "");
}

// The gateway.

#[test]
fn given_no_gateway_then_one_is_asked_for() {
    refused(&sound().without("McpGateway"), &["error: McpGateway not found", "publicUrl", "(NoGateway)"]);
    refused(&Folder::sound().edit("kind: McpGateway", "kind: McpGatway"), &["did you mean 'McpGateway'"]);
}

#[test]
fn given_two_gateways_then_the_second_is_told_of_the_first() {
    let second = GATEWAY.replace("name: gateway", "name: second");
    refused(
        &sound().add(&second),
        &["McpGateway default/second", "McpGateway default/gateway already exists", "(AnotherGateway)"],
    );
}

#[test]
fn given_a_public_url_that_is_more_than_scheme_and_host_then_what_to_write_is_told() {
    let with = |url| sound().edit("http://127.0.0.1:8080", url);
    refused(
        &with("http://127.0.0.1:8080/gateway"),
        &["spec.publicUrl: publicUrl has a path", "write http://127.0.0.1:8080"],
    );
    refused(&with("https://mcp.example.com?x=y"), &["spec.publicUrl", "has a query"]);
    refused(&with("https://ana@mcp.example.com"), &["spec.publicUrl", "has a user"]);
    refused(
        &with("ftp://mcp.example.com"),
        &["spec.publicUrl", "'ftp://mcp.example.com' is not a scheme and a host"],
    );
}

#[test]
fn given_a_public_url_in_plain_http_then_only_loopback_is_taken() {
    refused(
        &sound().edit("http://127.0.0.1:8080", "http://mcp.example.com"),
        &["spec.publicUrl", "(PlainHttp)"],
    );
    for url in
        ["http://localhost:8080", "http://[::1]:8080", "https://mcp.example.com", "http://127.0.0.1:8080/"]
    {
        assert_eq!(
            sound().edit("publicUrl: http://127.0.0.1:8080", &format!("publicUrl: '{url}'")).report(),
            "",
            "{url}"
        );
    }
}

#[test]
fn given_an_identity_provider_without_exactly_one_protocol_then_the_choices_are_told() {
    let both = sound()
        .edit("- name: company", "- name: company\n      development: {users: [{email: ana@example.com}]}");
    refused(
        &both,
        &["spec.identityProviders[0]: ", "exactly one of oidc, oauth, development", "has several"],
    );
    let none = sound().edit("oidc: {issuer", "# oidc: {issuer");
    refused(&none, &["spec.identityProviders[0]: ", "has none"]);
}

#[test]
fn given_an_oauth_provider_then_the_address_of_its_userinfo_is_held_to_the_same_rules_as_others() {
    let oauth = |url: &str| sound().edit("oidc: {issuer", &format!("oauth: {{userinfoUrl: '{url}', issuer"));
    assert_eq!(oauth("https://api.example.com/user").report(), "");
    refused(&oauth("https://api.example.com/#user"), &["oauth.userinfoUrl", "(InvalidUrl)"]);
    refused(&oauth("https://ana:secret@api.example.com/"), &["oauth.userinfoUrl", "(CredentialInUrl)"]);
    refused(&oauth("http://169.254.169.254/user"), &["oauth.userinfoUrl", "(AddressNeverAllowed)"]);
    refused(&sound().edit("oidc: {issuer", "oauth: {issuer"), &["userinfoUrl"]);
}

#[test]
fn given_the_development_sign_in_then_the_public_url_must_be_on_loopback() {
    let development = || {
        let users = "development: {users: [{email: ana@example.com}]} # ";
        sound().edit("oidc: {issuer", &format!("{users}oidc: {{issuer"))
    };
    assert_eq!(development().report(), "");
    let public = development().edit("http://127.0.0.1:8080", "https://mcp.example.com");
    refused(
        &public,
        &["spec.identityProviders[0].development", "on loopback", "use oidc", "(DevelopmentInPublic)"],
    );
}

#[test]
fn given_an_issuer_that_cannot_be_called_then_it_is_told_why() {
    let with = |issuer| sound().edit("https://idp.example.com", issuer);
    refused(
        &with("http://10.0.0.1:9000"),
        &["identityProviders[0].oidc.issuer", "10.0.0.1 is a private address", "privateNetworks"],
    );
    refused(&with("https://idp.example.com?tenant=x"), &["oidc.issuer", "has a query"]);
    refused(&with("http://127.0.0.1:8080"), &["oidc.issuer", "the gateway's own publicUrl"]);
    assert_eq!(with("http://127.0.0.2:9000").report(), "");
}

#[test]
fn given_scopes_without_openid_then_it_is_asked_for() {
    refused(
        &sound().edit("clientId: portcullis,", "clientId: portcullis, scopes: [profile],"),
        &["oidc.scopes", "'openid'"],
    );
    refused(
        &sound().edit("clientId: portcullis,", "clientId: portcullis, scopes: [openid profile, openid],"),
        &["oidc.scopes[0]", "'openid profile' is not a single scope"],
    );
}

#[test]
fn given_lifetimes_that_make_no_sense_then_they_are_refused() {
    let with = |tokens: &str| sound().edit("  tenancy:", &format!("  tokens: {tokens}\n  tenancy:"));
    refused(
        &with("{access: 15 bananas}"),
        &["McpGateway default/gateway", "spec.tokens.access", "'15 bananas'"],
    );
    refused(&with("{access: 0s}"), &["spec.tokens.access", "the lifetime is zero"]);
    refused(&with("{access: 2d}"), &["spec.tokens.access", "at most 1d"]);
    refused(&with("{access: 15m, refresh: 5m}"), &["spec.tokens.refresh", "longer duration"]);
}

#[test]
fn given_a_network_that_is_never_reached_then_tenancy_is_refused() {
    refused(
        &sound().edit("127.0.0.0/8", "169.254.0.0/16"),
        &["spec.tenancy[0].privateNetworks", "connections to 169.254.0.0/16 are never allowed"],
    );
    refused(
        &sound().edit("127.0.0.0/8", "10.0.0.0/40"),
        &["privateNetworks[0]", "'10.0.0.0/40' is not a network"],
    );
}

#[test]
fn given_hosts_of_clients_that_are_no_hosts_then_they_are_refused() {
    let with = "  clients: {metadataDocuments: {allowedHosts: ['https://claude.ai/x']}}\n  tenancy:";
    refused(&sound().edit("  tenancy:", with), &["allowedHosts[0]", "'https://claude.ai/x' is not a host"]);
}

// Secrets.

#[test]
fn given_a_secret_that_is_not_there_then_it_is_named() {
    refused(
        &sound().without("Secret"),
        &[
            "McpGateway default/gateway",
            "oidc.clientSecretRef",
            "Secret default/idp not found",
            "portcullis.dev/credential: \"true\"",
        ],
    );
    refused(&sound().edit("{name: idp, key", "{name: ipd, key"), &["did you mean 'idp'?"]);
}

/// Requirements: advisory.foreign-secret
#[test]
fn given_a_secret_of_another_namespace_then_it_is_not_there() {
    refused(
        &sound().edit("{name: idp, labels", "{name: idp, namespace: other, labels"),
        &["Secret default/idp not found;"],
    );
}

/// Requirements: advisory.foreign-secret
#[test]
fn given_a_secret_that_does_not_opt_in_then_the_label_is_told() {
    for without in [", labels: {portcullis.dev/credential: 'true'}", "dev/credential: 'true'"] {
        refused(
            &sound().edit(without, if without.starts_with(',') { "" } else { "dev/credential: 'false'" }),
            &[
                "Secret default/idp has not opted in",
                "portcullis.dev/credential: \"true\"",
                "(SecretNotOptedIn)",
            ],
        );
    }
}

#[test]
fn given_a_secret_without_the_key_then_the_keys_that_it_has_are_told() {
    refused(
        &sound().edit("{clientSecret: not very secret}", "{other: x}"),
        &["Secret default/idp has no key 'clientSecret'; its keys are: other", "(SecretKeyNotFound)"],
    );
    refused(&sound().edit("not very secret", "''"), &["'clientSecret' in Secret default/idp is empty"]);
}

#[test]
fn given_a_secret_that_cannot_be_read_then_the_reference_says_so() {
    let report = sound().edit("{clientSecret: not very secret}", "{clientSecret: 5}").report();
    assert!(
        report.contains("Secret default/idp: stringData.clientSecret: the value is not a string"),
        "{report}"
    );
    assert!(report.contains("Secret default/idp is invalid; fix it first"), "{report}");
}

/// A folder with an origin that requires an API key.
fn keyed(annotation: &str) -> Folder {
    let key = "
apiVersion: v1
kind: Secret
metadata: {name: key, labels: {portcullis.dev/credential: 'true'}ANNOTATION}
stringData: {value: hunter2}
";
    sound()
        .edit("auth: {none: {}}", "auth: {header: {name: X-Api-Key, valueRef: {name: key, key: value}}}")
        .add(&key.replace("ANNOTATION", annotation))
}

fn allowed(hosts: &str) -> String {
    format!(", annotations: {{portcullis.dev/allowed-hosts: '{hosts}'}}")
}

#[test]
fn given_a_key_for_a_host_that_its_secret_allows_then_it_is_taken() {
    for hosts in ["mcp.linear.app", "a.example, MCP.linear.app", "*.linear.app"] {
        assert_eq!(keyed(&allowed(hosts)).report(), "", "{hosts}");
    }
}

/// Requirements: advisory.foreign-secret
#[test]
fn given_a_key_for_another_host_then_whoever_owns_it_is_asked() {
    for (annotation, says) in [
        (String::new(), "lists no host"),
        (allowed("a.example"), "lists only a.example"),
        (allowed("linear.app"), "lists only linear.app"),
    ] {
        let folder = keyed(&annotation);
        let report = folder.report();
        assert!(
            report
                .contains("spec.auth.header.valueRef: Secret default/key may not be sent to mcp.linear.app"),
            "{report}"
        );
        assert!(
            report.contains(says)
                && report.contains("portcullis.dev/allowed-hosts")
                && !report.contains("hunter2"),
            "{report}"
        );
    }
}

#[test]
fn given_an_origins_key_as_a_client_secret_then_its_hosts_hold_too() {
    let folder =
        keyed(&allowed("mcp.linear.app")).edit("{name: idp, key: clientSecret}", "{name: key, key: value}");
    refused(&folder, &["oidc.clientSecretRef", "may not be sent to idp.example.com"]);
}

#[test]
fn given_a_value_that_no_header_can_carry_then_it_is_refused_without_being_shown() {
    let folder = keyed(&allowed("*"));
    for (value, says) in
        [(r#""hunter2\n""#, "ends with a line break"), (r#""hünter2""#, "not printable ASCII")]
    {
        let report = folder.clone().edit("hunter2", value).report();
        assert!(report.contains(says) && !report.contains("nter2"), "{report}");
    }
}

// Origins.

#[test]
fn given_none_or_two_kinds_of_auth_then_the_choices_are_told() {
    let with = |auth| {
        let report = sound().edit("auth: {none: {}}", auth).report();
        assert!(
            report.contains(
                "OriginMcp default/linear: spec.auth: auth must have exactly one of none, header, queryParameter, userOAuth, sharedOAuth"
            ),
            "{report}"
        );
        report
    };
    assert!(with("auth: {none: {}, userOAuth: {}}").contains("found none, userOAuth"));
    assert!(with("auth: {}").contains("found none; write 'none: {}' to send no credential"));
    assert!(with("auth: {none: }").contains("found none;"));
}

#[test]
fn given_a_header_of_the_protocol_then_it_carries_no_credential() {
    for name in
        ["Host", "Cookie", "content-length", "Mcp-Session-Id", "MCP-Protocol-Version", "Transfer-Encoding"]
    {
        let report = keyed(&allowed("*")).edit("X-Api-Key", name).report();
        assert!(
            report.contains(&format!("spec.auth.header.name: the header {name} is reserved for HTTP or MCP")),
            "{report}"
        );
    }
    assert_eq!(keyed(&allowed("*")).edit("X-Api-Key", "Authorization").report(), "");
    let report = keyed(&allowed("*")).edit("name: X-Api-Key", "name: 'X Api Key'").report();
    assert!(report.contains("'X Api Key' is not a valid HTTP header name"), "{report}");
}

#[test]
fn given_an_origin_that_may_not_be_called_then_it_is_told_why() {
    let with = |url: &str| sound().edit("https://mcp.linear.app/mcp", url).report();
    for (url, says) in [
        (
            "http://10.0.0.4:9002/mcp",
            "10.0.0.4 is a private address; ask the owner of the gateway to allow it in spec.tenancy of McpGateway default/gateway: an entry for 'default' with privateNetworks: [\"10.0.0.4/32\"]",
        ),
        ("https://[::ffff:10.0.0.4]/mcp", "is a private address"),
        ("http://169.254.169.254/latest", "connections to 169.254.169.254 are never allowed"),
        ("http://8.8.8.8/mcp", "plain http to 8.8.8.8 is not encrypted; use https"),
        ("http://127.0.0.1:8080/mcp/linear-read", "under the gateway's own publicUrl"),
        ("https://user:hunter2@mcp.linear.app/mcp", "the URL contains a credential"),
        ("https://mcp.linear.app/mcp#x", "has a fragment"),
        ("mcp.linear.app", "is not a valid URL; start it with https://"),
    ] {
        let report = with(url);
        assert!(
            report.contains("OriginMcp default/linear: spec.url: ") && report.contains(says),
            "{url}: {report}"
        );
        assert!(!report.contains("hunter2"), "{report}");
    }
    for url in ["http://127.0.0.4:9002/mcp", "http://localhost:9002/mcp", "http://linear.internal/mcp"] {
        assert_eq!(with(url), "", "{url}");
    }
}

#[test]
fn given_no_private_networks_then_loopback_names_and_plain_http_are_refused() {
    let with = |url: &str| {
        sound().edit(", privateNetworks: [127.0.0.0/8]", "").edit("https://mcp.linear.app/mcp", url).report()
    };
    assert!(with("http://127.0.0.4:9002/mcp").contains("127.0.0.4 is a private address"));
    assert!(with("https://localhost:9002/mcp").contains("localhost is a private address"));
    assert!(with("http://linear.internal/mcp").contains("plain http is allowed only in private networks"));
}

#[test]
fn given_limits_of_nothing_then_they_are_refused() {
    let with =
        |limits: &str| sound().edit("auth: {none: {}}", &format!("auth: {{none: {{}}}}, limits: {limits}"));
    refused(
        &with("{requestTimeout: 0s}").without("VirtualMcp").without("Team"),
        &["spec.limits.requestTimeout"],
    );
    refused(
        &with("{responseBytes: '0'}").without("VirtualMcp").without("Team"),
        &["spec.limits.responseBytes"],
    );
}

#[test]
fn given_a_client_by_hand_then_its_secret_and_method_must_agree() {
    let with = |client: &str| {
        keyed(&allowed("linear.app")).edit(
            "auth: {header: {name: X-Api-Key, valueRef: {name: key, key: value}}}",
            &format!("auth: {{userOAuth: {{registration: {{client: {client}}}}}}}"),
        )
    };
    assert_eq!(with("{id: x}").report(), "");
    assert_eq!(with("{id: x, secretRef: {name: key, key: value}}").report(), "");
    assert!(
        with("{id: x, tokenEndpointAuthMethod: client_secret_post}")
            .report()
            .contains("client.tokenEndpointAuthMethod: tokenEndpointAuthMethod and secretRef do not match")
    );
    assert!(
        with("{id: x, secretRef: {name: key, key: value}, keyId: k1}")
            .report()
            .contains("client.keyId: keyId has no effect without a private key")
    );
    let unsent = with("{id: x, secretRef: {name: idp, key: clientSecret}}").report();
    assert!(
        unsent.contains("registration.client.secretRef: Secret default/idp does not list allowed hosts"),
        "{unsent}"
    );
}

#[test]
fn given_trust_anchors_that_are_none_then_pem_is_asked_for() {
    let report = sound()
        .edit("auth: {none: {}}", "auth: {none: {}}, network: {caBundleRef: {name: idp, key: clientSecret}}")
        .report();
    assert!(
        report.contains(
            "spec.network.caBundleRef: 'clientSecret' in Secret default/idp contains no PEM certificate"
        ),
        "{report}"
    );
}

// Virtual MCPs.

#[test]
fn given_an_origin_that_does_not_exist_then_the_nearest_is_told() {
    refused(
        &sound().edit("origins: [{name: linear}]", "origins: [{name: liner}]"),
        &[
            "VirtualMcp default/linear-read",
            "spec.origins[0].name",
            "OriginMcp default/liner not found; did you mean 'linear'?",
        ],
    );
}

#[test]
fn given_an_origin_with_errors_then_the_virtual_mcp_says_where_to_look() {
    let report = sound().edit("auth: {none: {}}", "auth: {}").report();
    assert!(
        report.contains("spec.origins[0].name: OriginMcp default/linear is invalid; fix it first"),
        "{report}"
    );
}

#[test]
fn given_a_slug_twice_then_the_first_keeps_it() {
    let second = VIRTUAL.replace("linear-read", "second").replace("spec: {", "spec: {slug: linear-read, ");
    refused(
        &sound().add(&second),
        &[
            "VirtualMcp default/second",
            "spec.slug",
            "'linear-read' is already used by VirtualMcp default/linear-read",
            "(SlugTaken)",
        ],
    );
    let older = second.replace("name: second", "name: second, creationTimestamp: '2026-01-01T00:00:00Z'");
    let folder = sound()
        .edit("{name: linear-read}", "{name: linear-read, creationTimestamp: '2026-02-01T00:00:00Z'}")
        .add(&older);
    assert!(folder.report().contains("VirtualMcp default/linear-read: spec.slug: the slug 'linear-read' is already used by VirtualMcp default/second"));
}

#[test]
fn given_a_name_that_is_no_slug_then_a_slug_is_asked_for() {
    let folder = sound().edit("linear-read", "linear.read");
    let report = folder.report();
    assert!(
        report.contains(
            "spec.slug: 'linear.read' is not a valid slug; the slug defaults to the name; set spec.slug"
        ),
        "{report}"
    );
    assert_eq!(folder.edit("spec: {origins", "spec: {slug: linear-read, origins").report(), "");
}

#[test]
fn given_an_identity_provider_that_does_not_exist_then_those_that_do_are_told() {
    let report = sound().edit("access: Everyone", "identityProvider: compny").report();
    assert!(
        report.contains(
            "spec.identityProvider: the gateway has no identity provider 'compny'; did you mean 'company'?"
        ),
        "{report}"
    );
}

fn curated(tools: &str) -> Folder {
    sound().edit("access: Everyone", &format!("access: Everyone, capabilities: {{tools: {tools}}}"))
}

#[test]
fn given_a_rename_onto_a_name_in_use_then_it_is_refused() {
    for (tools, says) in [
        (
            "{overrides: [{name: a, as: c}, {name: b, as: c}]}",
            "overrides[1].as: the name 'c' is in use: 'a' is also renamed to it",
        ),
        (
            "{include: [a, b], overrides: [{name: a, as: b}]}",
            "overrides[0].as: the name 'b' is in use: the origin's own 'b'",
        ),
        ("{overrides: [{name: a, as: b}, {name: b, title: B}]}", "overrides[0].as: the name 'b' is in use"),
    ] {
        let report = curated(tools).report();
        assert!(report.contains(says) && report.contains("(NameInUse)"), "{report}");
    }
    for tools in [
        "{include: [a, b], overrides: [{name: a, as: b}, {name: b, as: a}]}",
        "{include: [a, b], exclude: [b], overrides: [{name: a, as: b}]}",
    ] {
        assert!(!curated(tools).report().contains("error"), "{tools}");
    }
}

#[test]
fn given_lists_of_names_that_cannot_match_then_they_are_refused_or_warned_of() {
    assert!(curated("{include: [' list_*']}").report().contains("error: all.yaml: VirtualMcp default/linear-read: spec.capabilities.tools.include[0]: ' list_*' matches nothing"));
    assert!(
        curated("{exclude: ['']}")
            .report()
            .contains("spec.capabilities.tools.exclude[0]: the value is empty")
    );
    assert!(
        curated("{overrides: [{name: 'list_*', title: x}]}")
            .report()
            .contains("overrides[0].name: 'list_*' is a glob")
    );
    assert!(
        curated("{overrides: [{name: a, as: 'a b'}]}")
            .report()
            .contains("overrides[0].as: 'a b' is not a name that all clients accept")
    );
    warned(&curated("{include: ['list_**']}"), &["tools.include[0]", "write 'list_*'"]);
    warned(&curated("{include: ['list_?']}"), &["'?' matches only itself"]);
    warned(&curated("{include: [a, a]}"), &["'a' is in this list twice"]);
    warned(&curated("{include: [delete_x], exclude: ['delete_*']}"), &["'delete_x' is also excluded"]);
    warned(
        &curated("{include: [a], overrides: [{name: b, title: B}]}"),
        &["overrides[0].name", "'b' is not offered"],
    );
    warned(&curated(&format!("{{overrides: [{{name: a, as: {}}}]}}", "x".repeat(65))), &["65 characters"]);
}

#[test]
fn given_nothing_at_all_to_offer_then_it_is_warned_of() {
    let all = "capabilities: {tools: {include: []}, prompts: {include: []}, resources: {include: []}, resourceTemplates: {include: []}}";
    warned(
        &sound().edit("access: Everyone", &format!("access: Everyone, {all}")),
        &["clients see nothing", "(NothingOffered)"],
    );
    assert_eq!(curated("{include: []}").report(), "");
}

// Teams.

#[test]
fn given_a_team_that_names_no_virtual_mcp_then_the_nearest_is_told() {
    refused(
        &sound().edit("virtualMcp: linear-read", "virtualMcp: liner-read"),
        &[
            "Team default/finance",
            "spec.access[0].virtualMcp",
            "VirtualMcp default/liner-read not found; did you mean 'linear-read'?",
        ],
    );
}

#[test]
fn given_a_team_that_goes_by_the_origins_names_then_the_exposed_ones_are_told() {
    let folder = curated("{overrides: [{name: get_issue, as: issue}]}")
        .edit("{virtualMcp: linear-read}", "{virtualMcp: linear-read, tools: {exclude: [get_issue]}}");
    warned(&folder, &["spec.access[0].tools.exclude[0]", "'get_issue' is offered as 'issue'"]);
}

#[test]
fn given_teams_and_routes_for_nobody_then_it_is_warned_of() {
    warned(&sound().edit("members: {groups: [finance]}", "members: {}"), &["this team has no members"]);
    warned(&sound().edit("groups: [finance]", "users: [finance]"), &["'finance' is not an email address"]);
    warned(
        &sound().edit("access: Everyone", "access: Teams").without("Team"),
        &["no Team names this VirtualMcp", "(NobodyHasAccess)"],
    );
    warned(
        &sound().edit("{virtualMcp: linear-read}", "{virtualMcp: linear-read, tools: {include: []}}"),
        &["use no tool"],
    );
}

#[test]
fn given_service_accounts_then_they_are_namespace_and_name() {
    let with = |account: &str| sound().edit("groups: [finance]", &format!("serviceAccounts: [{account}]"));
    assert_eq!(with("mcp/reporter").report(), "");
    refused(
        &with("reporter"),
        &["members.serviceAccounts", "'reporter' is not a service account", "namespace/name"],
    );
}

// Workloads.

const REPORTER: &str = "
apiVersion: v1
kind: Secret
metadata: {name: reporter, labels: {portcullis.dev/credential: 'true'}}
stringData: {secret: 0123456789abcdef0123456789abcdef}
";

fn workloads(workloads: &str) -> Folder {
    sound().add(REPORTER).edit("  tenancy:", &format!("  clients: {{workloads: [{workloads}]}}\n  tenancy:"))
}

#[test]
fn given_a_workload_then_it_has_one_credential_that_can_be_used() {
    let secret = "{name: reporter, secretRef: {name: reporter, key: secret}}";
    let key = "{kty: OKP, crv: Ed25519, x: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo}";
    assert_eq!(workloads(secret).report(), "");
    assert_eq!(workloads(&format!("{{name: reporter, jwks: {{keys: [{key}]}}}}")).report(), "");
    assert_eq!(workloads("{name: reporter, jwksUri: 'https://reporter.example.com/keys'}").report(), "");
    refused(
        &workloads("{name: reporter}"),
        &["clients.workloads[0]", "exactly one of secretRef, jwks, jwksUri"],
    );
    refused(
        &workloads(&format!("{secret}, {secret}")),
        &["clients.workloads[1].name", "has the same name 'reporter'", "(Duplicate)"],
    );
    refused(
        &workloads(secret).edit("0123456789abcdef0123456789abcdef", "hunter2"),
        &["workloads[0].secretRef", "too short for a client secret", "openssl rand"],
    );
    let private = key.replace("{kty", "{d: x, kty");
    refused(&workloads(&format!("{{name: reporter, jwks: {{keys: [{private}]}}}}")), &["unknown field 'd'"]);
    let symmetric = "{kty: oct}";
    refused(
        &workloads(&format!("{{name: reporter, jwks: {{keys: [{symmetric}]}}}}")),
        &["workloads[0].jwks.keys[0]", "use kty RSA", "(InvalidKey)"],
    );
    refused(
        &workloads("{name: reporter, jwksUri: 'http://10.0.0.1/keys'}"),
        &["workloads[0].jwksUri", "10.0.0.1 is a private address"],
    );
}

#[test]
fn given_a_team_of_workloads_then_the_gateway_has_to_know_them() {
    let team = |name: &str| {
        workloads("{name: reporter, secretRef: {name: reporter, key: secret}}")
            .edit("groups: [finance]", &format!("workloads: [{name}]"))
    };
    assert_eq!(team("reporter").report(), "");
    warned(&team("reportr"), &["members.workloads[0]", "no workload 'reportr'; did you mean 'reporter'?"]);
}

// Namespaces.

/// A folder with everything except the gateway in the namespace `sales`.
fn tenant(tenancy: &str) -> Folder {
    [ORIGIN, VIRTUAL, TEAM]
        .iter()
        .fold(sound().without("OriginMcp").without("VirtualMcp").without("Team"), |folder, text| {
            folder.add(&text.replace("metadata: {", "metadata: {namespace: sales, "))
        })
        .edit("- {namespaces: [default], everyone: true, privateNetworks: [127.0.0.0/8]}", tenancy)
}

#[test]
fn given_a_namespace_that_tenancy_does_not_serve_then_its_resources_are_refused() {
    let report = tenant("- {namespaces: [default]}").report();
    for id in ["OriginMcp sales/linear", "VirtualMcp sales/linear-read", "Team sales/finance"] {
        let says = format!(
            "{id}: metadata.namespace: the gateway does not serve the namespace 'sales'; ask the owner of the gateway to add it to spec.tenancy of McpGateway default/gateway"
        );
        assert!(report.contains(&says), "{report}");
    }
    assert_eq!(tenant("- {namespaces: [sales], everyone: true}").report(), "");
}

#[test]
fn given_no_tenancy_then_only_the_gateways_own_namespace_is_served() {
    let listed =
        "  tenancy:\n    - {namespaces: [default], everyone: true, privateNetworks: [127.0.0.0/8]}\n";
    assert_eq!(sound().edit(listed, "").report(), "");
    let other = tenant("- {namespaces: [sales]}").edit("  tenancy:\n    - {namespaces: [sales]}\n", "");
    assert!(other.report().contains("does not serve the namespace 'sales'"));
}

#[test]
fn given_a_namespace_without_everyone_then_its_virtual_mcps_are_for_teams() {
    let folder = tenant("- {namespaces: [sales]}");
    let report = folder.report();
    assert!(report.contains("VirtualMcp sales/linear-read: spec.access: virtual MCPs of the namespace 'sales' may not use access: Everyone"), "{report}");
    assert_eq!(folder.edit("access: Everyone", "access: Teams").report(), "");
}

#[test]
fn given_private_networks_of_one_namespace_then_another_has_none_of_them() {
    let tenancy = "- {namespaces: [default], privateNetworks: [127.0.0.0/8]}\n    - {namespaces: [sales], everyone: true}";
    let report = tenant(tenancy).edit("https://mcp.linear.app/mcp", "http://127.0.0.4/mcp").report();
    assert!(
        report.contains("127.0.0.4 is a private address") && report.contains("an entry for 'sales'"),
        "{report}"
    );
}

/// Requirements: advisory.foreign-secret
#[test]
fn given_an_origin_of_another_namespace_then_its_owner_must_allow_it() {
    let folder = sound()
        .edit("- {namespaces: [default],", "- {namespaces: [default, sales],")
        .edit("metadata: {name: linear}", "metadata: {name: linear, namespace: sales}")
        .edit("origins: [{name: linear}]", "origins: [{name: linear, namespace: sales}]");
    refused(
        &folder,
        &[
            "spec.origins[0].namespace",
            "OriginMcp sales/linear not found, or it does not allow the namespace 'default'",
            "allowedNamespaces",
        ],
    );
    for allowed in ["[default]", "['*']"] {
        assert_eq!(
            folder
                .clone()
                .edit("auth: {none: {}}", &format!("auth: {{none: {{}}}}, allowedNamespaces: {allowed}"))
                .report(),
            ""
        );
    }
    let absent = folder.without("OriginMcp");
    refused(&absent, &["OriginMcp sales/linear not found, or it does not allow the namespace 'default'"]);
}

// Catalogs, which only the operator provides.

#[test]
fn given_a_known_catalog_when_a_curation_names_what_is_not_in_it_then_that_is_a_warning() {
    let virtual_mcp = VIRTUAL.replace(
        "access: Everyone",
        "capabilities: {tools: {include: [echo, ekko, 'list_*'], exclude: [ad], overrides: [{name: eco, as: e}]}}, access: Everyone",
    );
    let files = [GATEWAY, support::IDP, ORIGIN, &virtual_mcp];
    let (mut resources, problems) = portcullis_compiler::read(files.map(|text| ("folder.yaml", text)));
    assert!(problems.is_empty(), "{problems:?}");
    let tools = Some(["echo", "add"].map(str::to_owned).into());
    let catalog = portcullis_compiler::Catalog { tools, ..Default::default() };
    let id = portcullis_compiler::ResourceId::new("OriginMcp", "default", "linear");
    resources.catalogs.insert(id.clone(), catalog.clone());
    let compiled = portcullis_compiler::compile(&resources);
    let of_the_catalog = compiled.diagnostics.iter().filter(|diagnostic| diagnostic.reason == "NotInCatalog");
    let report: Vec<_> = of_the_catalog.map(ToString::to_string).collect();
    let expected = [
        "spec.capabilities.tools.include[1]: the origin has no tool 'ekko' (NotInCatalog)",
        "spec.capabilities.tools.exclude[0]: the origin has no tool 'ad'; did you mean 'add'? (NotInCatalog)",
        "spec.capabilities.tools.overrides[0].name: the origin has no tool 'eco'; did you mean 'echo'? (NotInCatalog)",
    ];
    assert_eq!(report.len(), expected.len(), "{report:?}");
    for (report, expected) in report.iter().zip(expected) {
        assert!(report.starts_with("warning: ") && report.ends_with(expected), "{report} is not {expected}");
    }
    assert_eq!(compiled.config.unwrap().routes.len(), 1);
    // An observed catalog may be incomplete.
    let observed = portcullis_compiler::Catalog { observed: true, ..catalog };
    resources.catalogs.insert(id, observed);
    let report = portcullis_compiler::compile(&resources).diagnostics;
    let expected = "the origin has not yet shown a tool 'ad' to any user; did you mean 'add'?";
    assert!(report.iter().any(|diagnostic| diagnostic.message == expected), "{report:?}");
}
