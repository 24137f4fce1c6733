//! Where an identity provider keeps its keys (OpenID Connect Discovery 1.0, section 4).

use moka::sync::Cache;
use portcullis_ambient::Instant;
use portcullis_contract::OidcProvider;
use serde_json::Value;
use url::Url;

use crate::Identity;
use crate::assertion::{AssertionError, KeySource, Place};
use crate::client::lifetime;

/// How many providers are remembered.
const PROVIDERS: u64 = 64;

/// Addresses of providers' keys, by the address of the document that said so.
pub(crate) struct Discovered(Cache<Place, (Url, Instant)>);

impl Discovered {
    pub(crate) fn new() -> Self {
        Self(Cache::new(PROVIDERS))
    }
}

impl Identity {
    /// The keys with which a provider signs.
    pub(crate) async fn keys_of_provider(
        &self,
        provider: &OidcProvider,
    ) -> Result<KeySource, AssertionError> {
        let unusable = |problem: String| AssertionError::KeysUnusable(problem);
        let at = |url: &str| {
            Ok(Place {
                url: Url::parse(url).map_err(|error| unusable(error.to_string()))?,
                private_networks: provider.private_networks.clone(),
                ca_bundle_pem: provider.ca_bundle_pem.clone(),
            })
        };
        let place =
            at(&format!("{}/.well-known/openid-configuration", provider.issuer.trim_end_matches('/')))?;
        let now = self.clock().now();
        if let Some((url, until)) = self.discovered().0.get(&place)
            && now < until
        {
            return Ok(KeySource::At(Place { url, ..place }));
        }
        let answer = self.fetch_json(&place).await?;
        let document: Value =
            portcullis_outbound::read_json(&answer.body).map_err(|error| unusable(error.to_string()))?;
        let text = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("issuer") != provider.issuer {
            return Err(unusable("the provider's metadata names another issuer".to_owned()));
        }
        let keys = at(text("jwks_uri"))?;
        let until = now.after(lifetime(&answer.headers));
        self.discovered().0.insert(place, (keys.url.clone(), until));
        Ok(KeySource::At(keys))
    }
}
