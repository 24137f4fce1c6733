use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_contract as contract;
use portcullis_contract::{ClientRegistration, OriginDoc, OriginLimits};
use portcullis_crds::OriginMcp;
use portcullis_crds::kinds::origin_mcp::{
    HeaderAuth, Limits, OriginAuth, RegisteredClient, Registration, TokenEndpointAuthMethod, UserOAuth,
};
use portcullis_crds::words::syntax::{HEADER_NAME, is_reserved_header};
use portcullis_crds::words::{self, ByteSize, Duration};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::case::Case;
use super::credential::{Credentials, Use};
use super::endpoint;
use super::provider_client::check_scopes;
use super::surroundings::Surroundings;

pub(super) fn compile(
    case: &mut Case,
    origin: &OriginMcp,
    surroundings: &Surroundings<'_>,
    credentials: &Credentials<'_>,
) -> Option<OriginDoc> {
    let spec = &origin.spec;
    surroundings.check_namespace(case);
    let url = endpoint::read(case, "spec.url", &spec.url, surroundings);
    let auth = auth(case, &spec.auth, url.as_ref(), credentials);
    let limits = limits(case, spec.limits.as_ref());
    let ca_bundle_pem = spec
        .network
        .as_ref()
        .and_then(|network| network.ca_bundle_ref.as_ref())
        .and_then(|reference| credentials.pem(case, "spec.network.caBundleRef", reference));
    if ca_bundle_pem.is_some() && url.as_ref().is_some_and(|url| url.scheme() == "http") {
        let message = "the URL is plain http, where no certificate is checked; use https, or leave this out";
        case.warning("spec.network.caBundleRef", "NoEffect", message);
    }
    let uid = super::uid(&origin.metadata, case.id());
    Some(OriginDoc {
        id: opaque_id(&uid),
        uid,
        name: super::qualified(case.id()),
        display_name: super::display_name(spec.display_name.as_deref(), case.id()),
        url: url?,
        suspended: spec.suspend,
        auth: auth?,
        network: contract::Network {
            private_networks: surroundings.networks(case.namespace()),
            ca_bundle_pem,
        },
        limits,
    })
}

/// What stands for an origin in public URLs: it follows from the UID, says nothing of it, and is not reused with the name.
fn opaque_id(uid: &str) -> String {
    let digest = Sha256::new().chain_update("portcullis.dev/origin-id\0").chain_update(uid).finalize();
    URL_SAFE_NO_PAD.encode(digest.get(..15).unwrap_or_default())
}

fn auth(
    case: &mut Case,
    auth: &OriginAuth,
    url: Option<&Url>,
    credentials: &Credentials<'_>,
) -> Option<contract::OriginAuth> {
    match auth {
        OriginAuth { none: Some(_), header: None, user_oauth: None } => Some(contract::OriginAuth::None),
        OriginAuth { none: None, header: Some(header), user_oauth: None } => {
            header_auth(case, header, url, credentials)
        }
        OriginAuth { none: None, header: None, user_oauth: Some(oauth) } => {
            user_oauth(case, oauth, credentials)
        }
        several => {
            let found: Vec<_> = [
                ("none", several.none.is_some()),
                ("header", several.header.is_some()),
                ("userOAuth", several.user_oauth.is_some()),
            ]
            .into_iter()
            .filter_map(|(name, is_there)| is_there.then_some(name))
            .collect();
            let found = if found.is_empty() {
                "there is none ('none: {}' says that nothing is sent)".to_owned()
            } else {
                format!("there are {}", found.join(", "))
            };
            let message = format!("auth has exactly one of none, header, userOAuth; {found}");
            case.error("spec.auth", "NotExactlyOne", message);
            None
        }
    }
}

fn header_auth(
    case: &mut Case,
    header: &HeaderAuth,
    url: Option<&Url>,
    credentials: &Credentials<'_>,
) -> Option<contract::OriginAuth> {
    let field = "spec.auth.header.name";
    if let Some(Err(message)) = words::check(HEADER_NAME, &header.name) {
        case.error(field, "InvalidValue", message);
    } else if is_reserved_header(&header.name) {
        let message = format!(
            "the header {} belongs to the protocol and cannot carry a credential; servers take theirs in Authorization or a \
             header of their own, like X-Api-Key",
            header.name
        );
        case.error(field, "ReservedHeader", message);
    }
    let prefix = header.prefix.clone().unwrap_or_default();
    let purpose = Use::Header { host: url?.host_str().unwrap_or_default(), prefix: &prefix };
    let value = credentials.take(case, "spec.auth.header.valueRef", &header.value_ref, purpose)?;
    Some(contract::OriginAuth::Header { name: header.name.clone(), prefix, value })
}

fn user_oauth(
    case: &mut Case,
    oauth: &UserOAuth,
    credentials: &Credentials<'_>,
) -> Option<contract::OriginAuth> {
    check_scopes(case, "spec.auth.userOAuth.scopes", &oauth.scopes);
    let registration = match &oauth.registration {
        None | Some(Registration { auto: Some(_), client: None }) => ClientRegistration::Auto,
        Some(Registration { auto: None, client: Some(client) }) => {
            registered_client(case, client, credentials)?
        }
        Some(Registration { auto, .. }) => {
            let found = if auto.is_some() { "both" } else { "none" };
            let message = format!("registration has exactly one of auto, client; this one has {found}");
            case.error("spec.auth.userOAuth.registration", "NotExactlyOne", message);
            return None;
        }
    };
    Some(contract::OriginAuth::UserOAuth { scopes: oauth.scopes.clone(), registration })
}

fn registered_client(
    case: &mut Case,
    client: &RegisteredClient,
    credentials: &Credentials<'_>,
) -> Option<ClientRegistration> {
    use contract::TokenEndpointAuthMethod as Method;
    let field = "spec.auth.userOAuth.registration.client";
    let secret = match &client.secret_ref {
        Some(reference) => {
            Some(credentials.take(case, &format!("{field}.secretRef"), reference, Use::OriginClient)?)
        }
        None => None,
    };
    let method = match client.token_endpoint_auth_method {
        Some(TokenEndpointAuthMethod::None) => Method::None,
        Some(TokenEndpointAuthMethod::ClientSecretBasic) => Method::ClientSecretBasic,
        Some(TokenEndpointAuthMethod::ClientSecretPost) => Method::ClientSecretPost,
        None if secret.is_some() => Method::ClientSecretBasic,
        None => Method::None,
    };
    if secret.is_some() == (method == Method::None) {
        let message = "none is for a client without a secretRef; client_secret_basic and client_secret_post are for one with it";
        case.error(format!("{field}.tokenEndpointAuthMethod"), "InvalidValue", message);
    }
    Some(ClientRegistration::Client { id: client.id.clone(), secret, token_endpoint_auth_method: method })
}

fn limits(case: &mut Case, limits: Option<&Limits>) -> OriginLimits {
    let timeout = limits.and_then(|limits| limits.request_timeout).unwrap_or(Duration::from_secs(60));
    let bytes = limits.and_then(|limits| limits.response_bytes).unwrap_or(ByteSize::mebibytes(10));
    if timeout.as_millis() == 0 {
        case.error(
            "spec.limits.requestTimeout",
            "InvalidValue",
            "no origin answers in no time; write one like 60s",
        );
    }
    if bytes.as_bytes() == 0 {
        case.error(
            "spec.limits.responseBytes",
            "InvalidValue",
            "no answer has no bytes; write a size like 10Mi",
        );
    }
    OriginLimits { request_timeout_ms: timeout.as_millis(), response_bytes: bytes.as_bytes() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_uid_when_an_id_is_derived_then_it_is_stable_url_safe_and_opaque() {
        let id = opaque_id("6f2c1f0e");
        assert_eq!(id, opaque_id("6f2c1f0e"));
        assert_ne!(id, opaque_id("6f2c1f0f"));
        assert_eq!(id.len(), 20);
        assert!(id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'));
    }
}
