use portcullis_contract::{ClaimNames, OidcProvider};
use portcullis_crds::kinds::mcp_gateway::Oidc;

use super::case::Case;
use super::credential::{Credentials, Use};
use super::endpoint;
use super::surroundings::Surroundings;

pub(super) fn compile(
    case: &mut Case,
    field: &str,
    oidc: &Oidc,
    surroundings: &Surroundings<'_>,
    credentials: &Credentials<'_>,
) -> Option<OidcProvider> {
    let issuer_field = format!("{field}.issuer");
    let issuer = endpoint::read(case, &issuer_field, &oidc.issuer, surroundings)?;
    if issuer.query().is_some() {
        let message = format!(
            "'{}' has a query; an issuer has none (OpenID Connect Discovery 1.0, section 3)",
            oidc.issuer
        );
        case.error(issuer_field, "InvalidUrl", message);
    }
    let client_secret = match &oidc.client_secret_ref {
        Some(reference) => {
            let host = issuer.host_str().unwrap_or_default();
            let purpose = Use::ProviderClient { host };
            Some(credentials.take(case, &format!("{field}.clientSecretRef"), reference, purpose)?)
        }
        None => None,
    };
    let scopes =
        oidc.scopes.clone().unwrap_or_else(|| ["openid", "profile", "email"].map(str::to_owned).to_vec());
    if !scopes.iter().any(|scope| scope == "openid") {
        let message = "OpenID Connect needs the scope 'openid'; add it";
        case.error(format!("{field}.scopes"), "InvalidValue", message);
    }
    check_scopes(case, &format!("{field}.scopes"), &scopes);
    let claims = oidc.claims.clone().unwrap_or_default();
    let claim = |name: Option<String>, default: &str| name.unwrap_or_else(|| default.to_owned());
    let ca_bundle_pem = match &oidc.ca_bundle_ref {
        Some(reference) => Some(credentials.pem(case, &format!("{field}.caBundleRef"), reference)?),
        None => None,
    };
    Some(OidcProvider {
        issuer: oidc.issuer.clone(),
        client_id: oidc.client_id.clone(),
        client_secret,
        scopes,
        claims: ClaimNames {
            subject: claim(claims.subject, "sub"),
            email: claim(claims.email, "email"),
            name: claim(claims.name, "name"),
            groups: claim(claims.groups, "groups"),
        },
        trust_email: oidc.trust_email,
        id_jag: oidc.id_jag.is_some(),
        private_networks: surroundings.networks(case.namespace()),
        ca_bundle_pem,
    })
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
