use std::collections::BTreeSet;

use portcullis_contract::{
    DevelopmentUser, GatewayDoc, IdentityProviderDoc, IdentityProviderKind, Members, TokenLifetimes,
};
use portcullis_crds::McpGateway;
use portcullis_crds::kinds::mcp_gateway::{Development, IdentityProvider, McpGatewaySpec, Tokens};
use portcullis_crds::words::Duration;
use url::Url;

use super::case::Case;
use super::credential::Credentials;
use super::provider_client::{self, Around};
use super::surroundings::{Surroundings, is_loopback};
use super::{address, clients};

const DAY: u64 = 24 * 60 * 60;

pub(super) fn compile(
    case: &mut Case,
    gateway: &McpGateway,
    surroundings: &Surroundings<'_>,
    credentials: &Credentials<'_>,
) -> Option<GatewayDoc> {
    let spec = &gateway.spec;
    let public_url = public_url(case, &spec.public_url);
    check_tenancy(case, spec);
    let identity_providers = identity_providers(case, spec, public_url.as_ref(), surroundings, credentials);
    let admins = spec.admins.clone().unwrap_or_default();
    check_emails(case, "spec.admins.users", &admins.users);
    Some(GatewayDoc {
        name: case.id().name.clone(),
        tokens: tokens(case, spec.tokens.as_ref()),
        store_outage_grace_seconds: spec.store_outage_grace.map_or(15 * 60, Duration::as_secs),
        admins: Members { groups: admins.groups, users: admins.users, ..Members::default() },
        clients: clients::compile(case, spec, surroundings, credentials),
        trusted_proxies: spec.trusted_proxies.iter().map(|cidr| cidr.0).collect(),
        identity_providers,
        public_url: public_url?,
    })
}

fn public_url(case: &mut Case, text: &str) -> Option<Url> {
    let field = "spec.publicUrl";
    let url = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "https" | "http") && url.has_host() => url,
        _ => {
            let message =
                format!("publicUrl '{text}' is not scheme and host; write it like https://mcp.example.com");
            case.error(field, "InvalidUrl", message);
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
            format!("publicUrl has {what}, but routes are served at the root of a host; write {origin}");
        case.error(field, "InvalidUrl", message);
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        let message = format!(
            "publicUrl '{text}' is plain http, and clients would send tokens through it in the clear; write https (http is for \
             loopback: http://127.0.0.1:8080)"
        );
        case.error(field, "PlainHttp", message);
    }
    Some(url)
}

fn check_tenancy(case: &mut Case, spec: &McpGatewaySpec) {
    for (index, entry) in spec.tenancy.iter().flatten().enumerate() {
        for network in entry.private_networks.iter().filter(|network| address::is_never(network.0)) {
            let message = format!(
                "{network} is never reached: link-local and multicast addresses are no origins; remove it"
            );
            case.error(format!("spec.tenancy[{index}].privateNetworks"), "AddressNeverAllowed", message);
        }
    }
}

fn identity_providers(
    case: &mut Case,
    spec: &McpGatewaySpec,
    public_url: Option<&Url>,
    surroundings: &Surroundings<'_>,
    credentials: &Credentials<'_>,
) -> Vec<IdentityProviderDoc> {
    if spec.identity_providers.is_empty() {
        case.error(
            "spec.identityProviders",
            "Required",
            "nobody could sign in; write at least one identity provider",
        );
    }
    let around = Around { surroundings, credentials };
    let mut names = BTreeSet::new();
    let mut documents = Vec::new();
    for (index, provider) in spec.identity_providers.iter().enumerate() {
        let field = format!("spec.identityProviders[{index}]");
        if !names.insert(&provider.name) {
            let message =
                format!("another identity provider is named '{}' too; names are unique", provider.name);
            case.error(format!("{field}.name"), "Duplicate", message);
        }
        let kind = match provider {
            IdentityProvider { oidc: Some(oidc), oauth: None, development: None, .. } => {
                provider_client::oidc(case, &format!("{field}.oidc"), oidc, around)
            }
            IdentityProvider { oidc: None, oauth: Some(oauth), development: None, .. } => {
                provider_client::oauth(case, &format!("{field}.oauth"), oauth, around)
            }
            IdentityProvider { oidc: None, oauth: None, development: Some(development), .. } => {
                let users = development_users(case, &format!("{field}.development"), development, public_url);
                Some(IdentityProviderKind::Development { users })
            }
            IdentityProvider { oidc, oauth, development, .. } => {
                let there = [oidc.is_some(), oauth.is_some(), development.is_some()];
                let found = if there.contains(&true) { "several" } else { "none" };
                let message = format!(
                    "an identity provider has exactly one of oidc, oauth, development; this one has {found}"
                );
                case.error(field, "NotExactlyOne", message);
                None
            }
        };
        documents.extend(kind.map(|kind| IdentityProviderDoc { name: provider.name.clone(), kind }));
    }
    documents
}

fn development_users(
    case: &mut Case,
    field: &str,
    development: &Development,
    public_url: Option<&Url>,
) -> Vec<DevelopmentUser> {
    if let Some(url) = public_url.filter(|url| !is_loopback(url)) {
        let message = format!(
            "the development sign-in asks for no password, so that publicUrl must be on loopback, and {url} is not; use oidc: a real \
             identity provider"
        );
        case.error(field, "DevelopmentInPublic", message);
    }
    if development.users.is_empty() {
        case.error(format!("{field}.users"), "Required", "nobody could sign in; write at least one user");
    }
    let mut emails = BTreeSet::new();
    for (index, user) in development.users.iter().enumerate() {
        if !emails.insert(user.email.to_lowercase()) {
            let message = format!("'{}' is there twice; keep one of the two", user.email);
            case.error(format!("{field}.users[{index}].email"), "Duplicate", message);
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

fn tokens(case: &mut Case, tokens: Option<&Tokens>) -> TokenLifetimes {
    let seconds = |choose: fn(&Tokens) -> Option<Duration>, default| {
        tokens.and_then(choose).map_or(default, Duration::as_secs)
    };
    let lifetimes = TokenLifetimes {
        access_seconds: seconds(|tokens| tokens.access, 15 * 60),
        refresh_seconds: seconds(|tokens| tokens.refresh, 30 * DAY),
        session_seconds: seconds(|tokens| tokens.session, 8 * 60 * 60),
    };
    let TokenLifetimes { access_seconds, refresh_seconds, session_seconds } = lifetimes;
    for (name, seconds) in
        [("access", access_seconds), ("refresh", refresh_seconds), ("session", session_seconds)]
    {
        if seconds == 0 {
            let message = "it would be over at once; write a duration like 15m";
            case.error(format!("spec.tokens.{name}"), "InvalidValue", message);
        }
    }
    if access_seconds > DAY {
        let message = "an access token lives for 1d at most, because whoever finds one can use it; clients renew it silently";
        case.error("spec.tokens.access", "InvalidValue", message);
    }
    if refresh_seconds < access_seconds {
        let message =
            "refresh tokens would end before the access tokens that they renew; write a longer duration";
        case.error("spec.tokens.refresh", "InvalidValue", message);
    }
    lifetimes
}

/// What is no email address matches nobody.
pub(super) fn check_emails(case: &mut Case, field: &str, emails: &[String]) {
    for (index, email) in emails.iter().enumerate() {
        let is_email = email.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
        if !is_email || email.contains(char::is_whitespace) {
            let message = format!("'{email}' is no email address and matches nobody; groups go under groups");
            case.warning(format!("{field}[{index}]"), "InvalidValue", message);
        }
    }
}
