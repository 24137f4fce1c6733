//! Compiles an `OriginMcp`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_config::{CatalogSharing, Network, OriginConfig, OriginLimits};
use portcullis_crds::OriginMcp;
use portcullis_crds::kinds::origin_mcp::{self as kind, Limits};
use portcullis_crds::values::{ByteSize, Duration};
use sha2::{Digest as _, Sha256};

use super::credential::SecretResolver;
use super::diagnostics::ResourceDiagnostics;
use super::tenancy::TenancyRules;
use super::{endpoint, origin_auth};

pub(super) fn compile(
    diagnostics: &mut ResourceDiagnostics,
    origin: &OriginMcp,
    tenancy: &TenancyRules<'_>,
    credentials: &SecretResolver<'_>,
) -> Option<OriginConfig> {
    let spec = &origin.spec;
    tenancy.check_namespace(diagnostics);
    let url = endpoint::parse_endpoint(diagnostics, "spec.url", &spec.url, tenancy);
    let auth = origin_auth::compile(diagnostics, &spec.auth, url.as_ref(), tenancy, credentials);
    let limits = limits(diagnostics, spec.limits.as_ref());
    let ca_bundle_pem =
        spec.network.as_ref().and_then(|network| network.ca_bundle_ref.as_ref()).and_then(|reference| {
            credentials.resolve_ca_bundle(diagnostics, "spec.network.caBundleRef", reference)
        });
    if ca_bundle_pem.is_some() && url.as_ref().is_some_and(|url| url.scheme() == "http") {
        let message = "the URL is plain http, so no certificate is checked; use https, or remove caBundleRef";
        diagnostics.warning("spec.network.caBundleRef", "NoEffect", message);
    }
    let uid = super::uid(&origin.metadata, diagnostics.id());
    Some(OriginConfig {
        id: opaque_id(&uid),
        uid,
        name: super::qualified(diagnostics.id()),
        display_name: super::display_name(spec.display_name.as_deref(), diagnostics.id()),
        url: url?,
        suspended: spec.suspend,
        auth: auth?,
        network: Network {
            private_networks: tenancy.private_networks(diagnostics.namespace()),
            ca_bundle_pem,
        },
        limits,
        catalog_sharing: match spec.catalog.as_ref().and_then(|catalog| catalog.sharing) {
            None | Some(kind::CatalogSharing::Private) => CatalogSharing::Private,
            Some(kind::CatalogSharing::Shared) => CatalogSharing::Shared,
        },
    })
}

/// Identifier of an origin in public URLs. It is derived from the UID without revealing it; a new resource
/// with the same name gets a different one.
fn opaque_id(uid: &str) -> String {
    let digest = Sha256::new().chain_update("portcullis.dev/origin-id\0").chain_update(uid).finalize();
    URL_SAFE_NO_PAD.encode(digest.get(..15).unwrap_or_default())
}

fn limits(diagnostics: &mut ResourceDiagnostics, limits: Option<&Limits>) -> OriginLimits {
    let timeout = limits.and_then(|limits| limits.request_timeout).unwrap_or(Duration::from_secs(60));
    let bytes = limits.and_then(|limits| limits.response_bytes).unwrap_or(ByteSize::mebibytes(10));
    if timeout.as_millis() == 0 {
        diagnostics.error(
            "spec.limits.requestTimeout",
            "InvalidValue",
            "the timeout is zero, so every request would fail; write a duration like 60s",
        );
    }
    if bytes.as_bytes() == 0 {
        diagnostics.error(
            "spec.limits.responseBytes",
            "InvalidValue",
            "the limit is zero, so every response would be rejected; write a size like 10Mi",
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
