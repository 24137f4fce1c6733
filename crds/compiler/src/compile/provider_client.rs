//! The gateway as a client of identity providers: what OpenID providers and other OAuth servers have in common, and what not.

use portcullis_contract::{ClaimNames, IdentityProviderKind, ProviderClient};
use portcullis_crds::kinds::mcp_gateway::{Claims, Oauth, Oidc};
use portcullis_crds::words::SecretRef;
use url::Url;

use super::case::Case;
use super::credential::{Credentials, Use};
use super::endpoint;
use super::surroundings::Surroundings;

/// What a provider's settings are compiled with.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) surroundings: &'a Surroundings<'a>,
    pub(super) credentials: &'a Credentials<'a>,
}

/// What both kinds of settings say.
struct Settings<'a> {
    issuer: &'a str,
    client_id: &'a str,
    client_secret_ref: Option<&'a SecretRef>,
    scopes: Vec<String>,
    claims: Option<&'a Claims>,
    trust_email: bool,
    renew: Option<bool>,
    id_jag: bool,
    ca_bundle_ref: Option<&'a SecretRef>,
}

pub(super) fn oidc(
    case: &mut Case,
    field: &str,
    oidc: &Oidc,
    around: Around<'_>,
) -> Option<IdentityProviderKind> {
    let scopes =
        oidc.scopes.clone().unwrap_or_else(|| ["openid", "profile", "email"].map(str::to_owned).to_vec());
    if !scopes.iter().any(|scope| scope == "openid") {
        let message = "OpenID Connect needs the scope 'openid'; add it";
        case.error(format!("{field}.scopes"), "InvalidValue", message);
    }
    let settings = Settings {
        issuer: &oidc.issuer,
        client_id: &oidc.client_id,
        client_secret_ref: oidc.client_secret_ref.as_ref(),
        scopes,
        claims: oidc.claims.as_ref(),
        trust_email: oidc.trust_email,
        renew: oidc.renew,
        id_jag: oidc.id_jag.is_some(),
        ca_bundle_ref: oidc.ca_bundle_ref.as_ref(),
    };
    client(case, field, settings, around).map(IdentityProviderKind::Oidc)
}

pub(super) fn oauth(
    case: &mut Case,
    field: &str,
    oauth: &Oauth,
    around: Around<'_>,
) -> Option<IdentityProviderKind> {
    let settings = Settings {
        issuer: &oauth.issuer,
        client_id: &oauth.client_id,
        client_secret_ref: oauth.client_secret_ref.as_ref(),
        scopes: oauth.scopes.clone(),
        claims: oauth.claims.as_ref(),
        trust_email: oauth.trust_email,
        renew: oauth.renew,
        id_jag: false,
        ca_bundle_ref: oauth.ca_bundle_ref.as_ref(),
    };
    let userinfo_url =
        endpoint::read(case, &format!("{field}.userinfoUrl"), &oauth.userinfo_url, around.surroundings);
    let client = client(case, field, settings, around);
    Some(IdentityProviderKind::Oauth { client: client?, userinfo_url: userinfo_url? })
}

fn client(
    case: &mut Case,
    field: &str,
    settings: Settings<'_>,
    around: Around<'_>,
) -> Option<ProviderClient> {
    let issuer = issuer(case, &format!("{field}.issuer"), settings.issuer, around.surroundings)?;
    let client_secret = match settings.client_secret_ref {
        Some(reference) => {
            let host = issuer.host_str().unwrap_or_default();
            let purpose = Use::ProviderClient { host };
            Some(around.credentials.take(case, &format!("{field}.clientSecretRef"), reference, purpose)?)
        }
        None => None,
    };
    check_scopes(case, &format!("{field}.scopes"), &settings.scopes);
    let claims = settings.claims.cloned().unwrap_or_default();
    let claim = |name: Option<String>, default: &str| name.unwrap_or_else(|| default.to_owned());
    let ca_bundle_pem = match settings.ca_bundle_ref {
        Some(reference) => Some(around.credentials.pem(case, &format!("{field}.caBundleRef"), reference)?),
        None => None,
    };
    Some(ProviderClient {
        issuer: settings.issuer.to_owned(),
        client_id: settings.client_id.to_owned(),
        client_secret,
        scopes: settings.scopes,
        claims: ClaimNames {
            subject: claim(claims.subject, "sub"),
            email: claim(claims.email, "email"),
            name: claim(claims.name, "name"),
            groups: claim(claims.groups, "groups"),
        },
        trust_email: settings.trust_email,
        renew: settings.renew.unwrap_or(true),
        id_jag: settings.id_jag,
        private_networks: around.surroundings.networks(case.namespace()),
        ca_bundle_pem,
    })
}

fn issuer(case: &mut Case, field: &str, text: &str, surroundings: &Surroundings<'_>) -> Option<Url> {
    let issuer = endpoint::read(case, field, text, surroundings)?;
    if issuer.query().is_some() {
        let message = format!(
            "'{text}' has a query; an issuer has none (OpenID Connect Discovery 1.0, section 3; RFC 8414, section 2)"
        );
        case.error(field, "InvalidUrl", message);
    }
    Some(issuer)
}

/// `scope-token` of RFC 6749, section 3.3.
pub(super) fn check_scopes(case: &mut Case, field: &str, scopes: &[String]) {
    for (index, scope) in scopes.iter().enumerate() {
        let token = |byte: u8| (0x21..=0x7e).contains(&byte) && byte != b'"' && byte != b'\\';
        if scope.is_empty() || !scope.bytes().all(token) {
            let message = format!("'{scope}' is not one scope; write each as an entry of its own");
            case.error(format!("{field}[{index}]"), "InvalidValue", message);
        }
    }
}
