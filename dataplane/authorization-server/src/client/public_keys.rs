//! Public keys of clients with `private_key_jwt`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::metadata::MetadataError;
use portcullis_jwt_verification::{FetchBudget, JwkSet, JwksEndpoint, JwksSource, SIGNING_ALGORITHMS};

const MAX_URL_LEN: usize = 2048;

/// A client's keys, inline or at a URL (RFC 7591, section 2), and the signing algorithm that it registered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PublicKeys {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jwks: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_endpoint_auth_signing_alg: Option<String>,
}

impl PublicKeys {
    /// Whether the metadata has keys.
    pub(crate) const fn is_present(&self) -> bool {
        self.jwks.is_some() || self.jwks_uri.is_some()
    }

    /// Checks that there is exactly one source of keys, and that it is valid.
    pub(crate) fn check(&self) -> Result<(), MetadataError> {
        if let Some(algorithm) = &self.token_endpoint_auth_signing_alg
            && !SIGNING_ALGORITHMS.iter().any(|(name, _)| name == algorithm)
        {
            return Err(MetadataError::Other(
                "token_endpoint_auth_signing_alg is not supported; use one of token_endpoint_auth_signing_alg_values_supported",
            ));
        }
        match (&self.jwks, &self.jwks_uri) {
            (Some(_), Some(_)) => Err(MetadataError::Other("jwks and jwks_uri are mutually exclusive")),
            (None, None) => {
                Err(MetadataError::Other("private_key_jwt requires public keys; set jwks or jwks_uri"))
            }
            (Some(keys), None) => Ok(JwkSet::read(keys).map(drop)?),
            (None, Some(_)) if self.jwks_url().is_some() => Ok(()),
            (None, Some(_)) => {
                Err(MetadataError::Other("jwks_uri must be an https URL without user or fragment"))
            }
        }
    }

    /// The source of the keys. `None` if [`check`](Self::check) would fail.
    pub(crate) fn source(&self) -> Option<JwksSource> {
        match &self.jwks {
            Some(keys) => Some(JwksSource::Inline(keys.clone())),
            // Public addresses only, even if origins may be in private networks.
            None => self.jwks_url().map(|url| {
                JwksSource::Remote(JwksEndpoint {
                    url,
                    private_networks: Vec::new(),
                    ca_bundle_pem: None,
                    budget: FetchBudget::Stranger,
                })
            }),
        }
    }

    /// The registered signing algorithm, if any.
    pub(crate) fn algorithm(&self) -> Option<&str> {
        self.token_endpoint_auth_signing_alg.as_deref()
    }

    fn jwks_url(&self) -> Option<Url> {
        let url = self.jwks_uri.as_deref().filter(|url| url.len() <= MAX_URL_LEN)?;
        let url = Url::parse(url).ok()?;
        let plain = url.scheme() == "https"
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        plain.then_some(url)
    }
}
