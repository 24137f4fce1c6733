//! Compiles the `McpGateway`.

use std::collections::BTreeSet;

use portcullis_config::{
    DevelopmentUser, EventOverload, GatewayConfig, IdentityProviderConfig, IdentityProviderKind, Members,
    TokenLifetimes, is_loopback,
};
use portcullis_crds::McpGateway;
use portcullis_crds::kinds::mcp_gateway::{
    Audit, Development, IdentityProvider, McpGatewaySpec, OnOverload, Tokens,
};
use portcullis_crds::values::Duration;
use url::Url;

use super::credential::SecretResolver;
use super::diagnostics::ResourceDiagnostics;
use super::provider_client::{self, CompileContext};
use super::tenancy::TenancyRules;
use super::{address, clients};

const DAY_SECONDS: u64 = 24 * 60 * 60;

pub(super) fn compile(
    diagnostics: &mut ResourceDiagnostics,
    gateway: &McpGateway,
    tenancy: &TenancyRules<'_>,
    credentials: &SecretResolver<'_>,
) -> Option<GatewayConfig> {
    let spec = &gateway.spec;
    let public_url = public_url(diagnostics, &spec.public_url);
    check_tenancy(diagnostics, spec, tenancy);
    let identity_providers = identity_providers(diagnostics, spec, public_url.as_ref(), tenancy, credentials);
    let admins = spec.admins.clone().unwrap_or_default();
    check_emails(diagnostics, "spec.admins.users", &admins.users);
    Some(GatewayConfig {
        name: diagnostics.id().name.clone(),
        tokens: tokens(diagnostics, spec.tokens.as_ref()),
        store_outage_grace_seconds: spec.store_outage_grace.map_or(15 * 60, Duration::as_secs),
        admins: Members { groups: admins.groups, users: admins.users, ..Members::default() },
        clients: clients::compile(diagnostics, spec, tenancy, credentials),
        trusted_proxies: spec.trusted_proxies.iter().map(|cidr| cidr.0).collect(),
        event_overload: event_overload(spec.audit),
        identity_providers,
        public_url: public_url?,
    })
}

fn event_overload(audit: Option<Audit>) -> EventOverload {
    match audit.and_then(|audit| audit.on_overload) {
        None | Some(OnOverload::Drop) => EventOverload::Drop,
        Some(OnOverload::Refuse) => EventOverload::Refuse,
    }
}

fn public_url(diagnostics: &mut ResourceDiagnostics, text: &str) -> Option<Url> {
    let field = "spec.publicUrl";
    let url = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "https" | "http") && url.has_host() => url,
        _ => {
            let message = format!(
                "publicUrl '{text}' is not a scheme and a host; write it like https://mcp.example.com"
            );
            diagnostics.error(field, "InvalidUrl", message);
            return None;
        }
    };
    let more = [
        ("a path", url.path() != "/"),
        ("a query", url.query().is_some()),
        ("a fragment", url.fragment().is_some()),
        ("a user", !url.username().is_empty() || url.password().is_some()),
    ];
    for (what, _) in more.into_iter().filter(|(_, has)| *has) {
        let origin = url.origin().ascii_serialization();
        let message =
            format!("publicUrl has {what}, but routes are served at the root of the host; write {origin}");
        diagnostics.error(field, "InvalidUrl", message);
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        let message = format!(
            "publicUrl '{text}' is plain http, so clients would send tokens unencrypted; use https (http is allowed only on \
             loopback, like http://127.0.0.1:8080)"
        );
        diagnostics.error(field, "PlainHttp", message);
    }
    Some(url)
}

fn check_tenancy(diagnostics: &mut ResourceDiagnostics, spec: &McpGatewaySpec, tenancy: &TenancyRules<'_>) {
    for (index, entry) in spec.tenancy.iter().flatten().enumerate() {
        let field = format!("spec.tenancy[{index}]");
        if entry.namespaces.is_empty() == entry.namespace_selector.is_none() {
            let message =
                "a tenancy entry must have exactly one of namespaces, namespaceSelector; remove or add one";
            diagnostics.error(&field, "NotExactlyOne", message);
        }
        if entry.namespace_selector.is_some() && !tenancy.knows_namespaces() {
            let message = "the labels of namespaces are unknown here: in folder mode, and where the operator may watch only one \
                           namespace (operator.watchNamespace); list the namespaces by name";
            diagnostics.error(format!("{field}.namespaceSelector"), "SelectorNotSupported", message);
        }
        for network in
            entry.private_networks.iter().filter(|network| address::is_forbidden_network(network.0))
        {
            let message = format!(
                "connections to {network} are never allowed: its addresses are link-local, multicast, a cloud metadata service, \
                 or not valid destinations; remove it"
            );
            diagnostics.error(
                format!("spec.tenancy[{index}].privateNetworks"),
                "AddressNeverAllowed",
                message,
            );
        }
    }
}

fn identity_providers(
    diagnostics: &mut ResourceDiagnostics,
    spec: &McpGatewaySpec,
    public_url: Option<&Url>,
    tenancy: &TenancyRules<'_>,
    credentials: &SecretResolver<'_>,
) -> Vec<IdentityProviderConfig> {
    if spec.identity_providers.is_empty() {
        diagnostics.error(
            "spec.identityProviders",
            "Required",
            "without an identity provider users cannot sign in; add at least one",
        );
    }
    let context = CompileContext { tenancy, credentials };
    let mut names = BTreeSet::new();
    let mut documents = Vec::new();
    for (index, provider) in spec.identity_providers.iter().enumerate() {
        let field = format!("spec.identityProviders[{index}]");
        if !names.insert(&provider.name) {
            let message =
                format!("an earlier identity provider has the same name '{}'; choose another", provider.name);
            diagnostics.error(format!("{field}.name"), "Duplicate", message);
        }
        let kind = match provider {
            IdentityProvider { oidc: Some(oidc), oauth: None, development: None, .. } => {
                provider_client::oidc(diagnostics, &format!("{field}.oidc"), oidc, context)
            }
            IdentityProvider { oidc: None, oauth: Some(oauth), development: None, .. } => {
                provider_client::oauth(diagnostics, &format!("{field}.oauth"), oauth, context)
            }
            IdentityProvider { oidc: None, oauth: None, development: Some(development), .. } => {
                let users =
                    development_users(diagnostics, &format!("{field}.development"), development, public_url);
                Some(IdentityProviderKind::Development { users })
            }
            IdentityProvider { oidc, oauth, development, .. } => {
                let there = [oidc.is_some(), oauth.is_some(), development.is_some()];
                let found = if there.contains(&true) { "several" } else { "none" };
                let message = format!(
                    "an identity provider must have exactly one of oidc, oauth, development; this one has {found}"
                );
                diagnostics.error(field, "NotExactlyOne", message);
                None
            }
        };
        documents.extend(kind.map(|kind| IdentityProviderConfig {
            name: provider.name.clone(),
            previous_issuers: provider.previous_issuers.clone(),
            kind,
        }));
    }
    documents
}

fn development_users(
    diagnostics: &mut ResourceDiagnostics,
    field: &str,
    development: &Development,
    public_url: Option<&Url>,
) -> Vec<DevelopmentUser> {
    if let Some(url) = public_url.filter(|url| !is_loopback(url)) {
        let message = format!(
            "the development sign-in requires no password, so publicUrl must be on loopback, and {url} is not; use oidc with a \
             real identity provider"
        );
        diagnostics.error(field, "DevelopmentInPublic", message);
    }
    if development.users.is_empty() {
        diagnostics.error(
            format!("{field}.users"),
            "Required",
            "without a user the development sign-in is not usable; add at least one",
        );
    }
    let mut emails = BTreeSet::new();
    for (index, user) in development.users.iter().enumerate() {
        if !emails.insert(user.email.to_lowercase()) {
            let message = format!("an earlier user has the same email '{}'; keep one of the two", user.email);
            diagnostics.error(format!("{field}.users[{index}].email"), "Duplicate", message);
        }
    }
    development
        .users
        .iter()
        .map(|user| DevelopmentUser {
            email: user.email.clone(),
            name: user.name.clone().unwrap_or_else(|| user.email.clone()),
            groups: user.groups.clone(),
        })
        .collect()
}

fn tokens(diagnostics: &mut ResourceDiagnostics, tokens: Option<&Tokens>) -> TokenLifetimes {
    let seconds = |choose: fn(&Tokens) -> Option<Duration>, default| {
        tokens.and_then(choose).map_or(default, Duration::as_secs)
    };
    let lifetimes = TokenLifetimes {
        access_seconds: seconds(|tokens| tokens.access, 15 * 60),
        refresh_seconds: seconds(|tokens| tokens.refresh, 30 * DAY_SECONDS),
        session_seconds: seconds(|tokens| tokens.session, 8 * 60 * 60),
    };
    let TokenLifetimes { access_seconds, refresh_seconds, session_seconds } = lifetimes;
    for (name, seconds) in
        [("access", access_seconds), ("refresh", refresh_seconds), ("session", session_seconds)]
    {
        if seconds == 0 {
            let message = "the lifetime is zero; write a duration like 15m";
            diagnostics.error(format!("spec.tokens.{name}"), "InvalidValue", message);
        }
    }
    if access_seconds > DAY_SECONDS {
        let message = "an access token can be valid for at most 1d, because anyone who finds it can use it; write a shorter \
                       duration (clients renew tokens silently)";
        diagnostics.error("spec.tokens.access", "InvalidValue", message);
    }
    if refresh_seconds < access_seconds {
        let message =
            "refresh tokens would expire before the access tokens that they renew; write a longer duration";
        diagnostics.error("spec.tokens.refresh", "InvalidValue", message);
    }
    lifetimes
}

/// Warns about entries that are not email addresses and therefore match no user.
pub(super) fn check_emails(diagnostics: &mut ResourceDiagnostics, field: &str, emails: &[String]) {
    for (index, email) in emails.iter().enumerate() {
        let is_email = email.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
        if !is_email || email.contains(char::is_whitespace) {
            let message =
                format!("'{email}' is not an email address, so it matches no user; list groups under groups");
            diagnostics.warning(format!("{field}[{index}]"), "InvalidValue", message);
        }
    }
}
