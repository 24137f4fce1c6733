use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use rustls_platform_verifier::Verifier;

use crate::EgressError;

/// More bundles than this are not remembered: a bundle is a tenant's to write.
const MAX_CACHED_CONFIGS: usize = 128;

type ConfigCache = Mutex<HashMap<Option<Box<str>>, Arc<ClientConfig>>>;

/// Reading the platform's trust anchors takes milliseconds, so that is done once for each bundle.
static CONFIG_CACHE: LazyLock<ConfigCache> = LazyLock::new(ConfigCache::default);

/// TLS towards others: the platform's trust anchors, and those of a bundle. Without ALPN, which is the caller's to choose.
///
/// # Errors
/// When the bundle is not PEM with certificates.
pub fn tls_config(ca_bundle_pem: Option<&str>) -> Result<Arc<ClientConfig>, EgressError> {
    let key = ca_bundle_pem.map(Box::from);
    let mut remembered = CONFIG_CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(config) = remembered.get(&key) {
        return Ok(Arc::clone(config));
    }
    let config = Arc::new(build_config(ca_bundle_pem)?);
    if remembered.len() >= MAX_CACHED_CONFIGS {
        remembered.clear();
    }
    remembered.insert(key, Arc::clone(&config));
    Ok(config)
}

fn build_config(ca_bundle_pem: Option<&str>) -> Result<ClientConfig, EgressError> {
    let bundle = |problem: String| EgressError::CaBundle(problem);
    let extra = match ca_bundle_pem {
        None => Vec::new(),
        Some(pem) => CertificateDer::pem_slice_iter(pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| bundle(error.to_string()))?,
    };
    if ca_bundle_pem.is_some() && extra.is_empty() {
        return Err(bundle("there is no certificate in it".to_owned()));
    }
    let has_extra = !extra.is_empty();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| EgressError::Client(error.to_string()))?;
    match Verifier::new_with_extra_roots(extra, provider) {
        Ok(verifier) => {
            Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
        }
        Err(error) if has_extra => Err(bundle(error.to_string())),
        Err(error) => {
            // A machine without trust anchors can still serve origins over plain http in private networks. Https fails closed.
            tracing::warn!(%error, "no https server can be trusted: install the platform's CA certificates");
            Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_bundle_without_certificates_then_it_is_refused_with_the_mend() {
        for bundle in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let error = tls_config(Some(bundle)).unwrap_err().to_string();
            assert!(error.contains("has to be PEM"), "{error}");
        }
    }

    #[test]
    fn given_the_same_bundle_twice_then_the_configuration_is_made_once() {
        assert!(Arc::ptr_eq(&tls_config(None).unwrap(), &tls_config(None).unwrap()));
    }
}
