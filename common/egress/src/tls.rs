//! TLS configuration of outbound connections.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use rustls_platform_verifier::Verifier;

use crate::{CaBundleError, EgressError, HttpClientError};

/// Maximum number of cached configurations. Limited because tenants write the bundles.
const MAX_CACHED_CONFIGS: usize = 128;

type ConfigCache = Mutex<HashMap<Option<Box<str>>, Arc<ClientConfig>>>;

/// One configuration for each bundle: reading the platform's trust anchors takes milliseconds.
static CONFIG_CACHE: LazyLock<ConfigCache> = LazyLock::new(ConfigCache::default);

/// The TLS client configuration with the platform's trust anchors and those of a bundle. ALPN is left to the
/// caller.
///
/// # Errors
/// When the bundle is not PEM with at least one certificate.
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
    let extra = match ca_bundle_pem {
        None => Vec::new(),
        Some(pem) => CertificateDer::pem_slice_iter(pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(CaBundleError::from)?,
    };
    if ca_bundle_pem.is_some() && extra.is_empty() {
        return Err(CaBundleError::Empty.into());
    }
    let has_extra = !extra.is_empty();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(HttpClientError::from)?;
    match Verifier::new_with_extra_roots(extra, provider) {
        Ok(verifier) => {
            Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
        }
        Err(error) if has_extra => Err(CaBundleError::Certificate(error).into()),
        Err(error) => {
            // Without trust anchors, https fails closed. Origins on plain http in private networks still
            // work.
            tracing::warn!(
                %error,
                "failed to load the platform's CA certificates; all https requests will fail until they are installed"
            );
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
            assert!(error.contains("must be PEM"), "{error}");
        }
    }

    #[test]
    fn given_the_same_bundle_twice_then_the_configuration_is_made_once() {
        assert!(Arc::ptr_eq(&tls_config(None).unwrap(), &tls_config(None).unwrap()));
    }
}
