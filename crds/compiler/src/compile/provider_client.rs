//! Compiles the gateway's client registration at an identity provider: OpenID Connect and OAuth 2.0.

use portcullis_config::{ClaimNames, IdentityProviderKind, ProviderClient};
use portcullis_crds::kinds::mcp_gateway::{Claims, Oauth, Oidc};
use portcullis_crds::values::SecretRef;
use url::Url;

use super::credential::{SecretResolver, SecretUse};
use super::diagnostics::ResourceDiagnostics;
use super::endpoint;
use super::tenancy::TenancyRules;

/// Shared inputs for compiling identity providers.
#[derive(Clone, Copy)]
pub(super) struct CompileContext<'a> {
    pub(super) tenancy: &'a TenancyRules<'a>,
    pub(super) credentials: &'a SecretResolver<'a>,
}

/// Settings that both protocols share.
struct ProviderSettings<'a> {
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
    diagnostics: &mut ResourceDiagnostics,
    field: &str,
    oidc: &Oidc,
    context: CompileContext<'_>,
) -> Option<IdentityProviderKind> {
    let scopes =
        oidc.scopes.clone().unwrap_or_else(|| ["openid", "profile", "email"].map(str::to_owned).to_vec());
    if !scopes.iter().any(|scope| scope == "openid") {
        let message = "OpenID Connect requires the scope 'openid'; add it";
        diagnostics.error(format!("{field}.scopes"), "InvalidValue", message);
    }
    let settings = ProviderSettings {
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
    client(diagnostics, field, settings, context).map(IdentityProviderKind::Oidc)
}

pub(super) fn oauth(
    diagnostics: &mut ResourceDiagnostics,
    field: &str,
    oauth: &Oauth,
    context: CompileContext<'_>,
) -> Option<IdentityProviderKind> {
    let settings = ProviderSettings {
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
    let userinfo_url = endpoint::parse_endpoint(
        diagnostics,
        &format!("{field}.userinfoUrl"),
        &oauth.userinfo_url,
        context.tenancy,
    );
    let client = client(diagnostics, field, settings, context);
    Some(IdentityProviderKind::Oauth { client: client?, userinfo_url: userinfo_url? })
}

fn client(
    diagnostics: &mut ResourceDiagnostics,
    field: &str,
    settings: ProviderSettings<'_>,
    context: CompileContext<'_>,
) -> Option<ProviderClient> {
    let issuer = issuer(diagnostics, &format!("{field}.issuer"), settings.issuer, context.tenancy)?;
    let client_secret = match settings.client_secret_ref {
        Some(reference) => {
            let purpose = SecretUse::ProviderClient { url: &issuer };
            Some(context.credentials.resolve(
                diagnostics,
                &format!("{field}.clientSecretRef"),
                reference,
                purpose,
            )?)
        }
        None => None,
    };
    check_scopes(diagnostics, &format!("{field}.scopes"), &settings.scopes);
    let claims = settings.claims.cloned().unwrap_or_default();
    let claim = |name: Option<String>, default: &str| name.unwrap_or_else(|| default.to_owned());
    let ca_bundle_pem = match settings.ca_bundle_ref {
        Some(reference) => Some(context.credentials.resolve_ca_bundle(
            diagnostics,
            &format!("{field}.caBundleRef"),
            reference,
        )?),
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
        private_networks: context.tenancy.private_networks(diagnostics.namespace()),
        ca_bundle_pem,
    })
}

fn issuer(
    diagnostics: &mut ResourceDiagnostics,
    field: &str,
    text: &str,
    tenancy: &TenancyRules<'_>,
) -> Option<Url> {
    let issuer = endpoint::parse_endpoint(diagnostics, field, text, tenancy)?;
    if issuer.query().is_some() {
        let message = format!(
            "'{text}' has a query, which an issuer must not have (OpenID Connect Discovery 1.0, section 3; RFC 8414, section 2)"
        );
        diagnostics.error(field, "InvalidUrl", message);
    }
    Some(issuer)
}

/// Checks that each entry is one `scope-token` (RFC 6749, section 3.3).
pub(super) fn check_scopes(diagnostics: &mut ResourceDiagnostics, field: &str, scopes: &[String]) {
    for (index, scope) in scopes.iter().enumerate() {
        let token = |byte: u8| (0x21..=0x7e).contains(&byte) && byte != b'"' && byte != b'\\';
        if scope.is_empty() || !scope.bytes().all(token) {
            let message = format!("'{scope}' is not a single scope; write each scope as a separate entry");
            diagnostics.error(format!("{field}[{index}]"), "InvalidValue", message);
        }
    }
}
