//! What providers say of themselves (OpenID Connect Discovery 1.0, section 4; RFC 8414, section 3).

use std::sync::Arc;
use std::time::Duration;

use portcullis_ambient::Instant;
use portcullis_assertions::{AssertionError, KeySource, Place};
use portcullis_contract::ProviderClient;
use portcullis_outbound::read_json;
use serde::Deserialize;
use url::Url;

use crate::{ProviderError, Providers};

/// How long a provider's metadata and keys are believed.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// What is read of a provider's metadata.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    issuer: String,
    pub(crate) authorization_endpoint: Option<Url>,
    pub(crate) token_endpoint: Option<Url>,
    pub(crate) userinfo_endpoint: Option<Url>,
    jwks_uri: Option<Url>,
    scopes_supported: Option<Vec<String>>,
    pub(crate) id_token_signing_alg_values_supported: Option<Vec<String>>,
    pub(crate) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    authorization_response_iss_parameter_supported: Option<bool>,
}

impl Metadata {
    /// Whether it says that it offers a scope.
    pub(crate) fn offers(&self, scope: &str) -> bool {
        self.scopes_supported.iter().flatten().any(|offered| offered == scope)
    }

    /// Whether it says that its answers name it (RFC 9207, section 3).
    pub(crate) fn names_itself(&self) -> bool {
        self.authorization_response_iss_parameter_supported.unwrap_or_default()
    }
}

/// What a provider has said.
pub(crate) struct Discovered {
    at: Instant,
    pub(crate) metadata: Metadata,
}

impl Discovered {
    /// Where its keys are.
    pub(crate) fn keys(&self, client: &ProviderClient) -> Option<Place> {
        Some(place(client, self.metadata.jwks_uri.clone()?))
    }
}

impl Providers {
    /// What a provider has said of itself within the last hour.
    pub(crate) async fn discover(
        &self,
        client: &ProviderClient,
        openid: bool,
    ) -> Result<Arc<Discovered>, ProviderError> {
        let place = place(client, if openid { openid_place(client)? } else { oauth_place(client)? });
        let now = self.parts().clock.now();
        let known = self.0.discovered.get(&place);
        if let Some(known) = known.as_ref().filter(|known| now.since(known.at) < REMEMBERED) {
            return Ok(Arc::clone(known));
        }
        let answer = match (self.parts().verifier.fetch_json(&place).await, known) {
            // What it said before is better than nothing: it may be well, and its metadata alone away.
            (Err(AssertionError::KeysAway(_)), Some(known)) => return Ok(known),
            (answer, _) => answer?,
        };
        let metadata: Metadata = read_json(&answer.body)
            .map_err(|error| ProviderError::Wrong(format!("its metadata cannot be used: {error}")))?;
        if metadata.issuer != client.issuer {
            return Err(ProviderError::Wrong(format!(
                "its metadata is of the issuer {:?}, and the gateway is set up for {:?}",
                metadata.issuer, client.issuer
            )));
        }
        let discovered = Arc::new(Discovered { at: now, metadata });
        self.0.discovered.insert(place, Arc::clone(&discovered));
        Ok(discovered)
    }

    /// The keys with which an OpenID provider signs.
    ///
    /// # Errors
    /// When its metadata cannot be had, or names none.
    pub async fn keys(&self, client: &ProviderClient) -> Result<KeySource, AssertionError> {
        let discovered = self.discover(client, true).await.map_err(|error| match error {
            ProviderError::Away(problem) => AssertionError::KeysAway(problem),
            error => AssertionError::KeysUnusable(error.to_string()),
        })?;
        let place = discovered.keys(client);
        place
            .map(KeySource::At)
            .ok_or_else(|| AssertionError::KeysUnusable("its metadata names no keys".to_owned()))
    }
}

fn place(client: &ProviderClient, url: Url) -> Place {
    let ProviderClient { private_networks, ca_bundle_pem, .. } = client;
    Place { url, private_networks: private_networks.clone(), ca_bundle_pem: ca_bundle_pem.clone() }
}

/// Behind the issuer's path (OpenID Connect Discovery 1.0, section 4.1).
fn openid_place(client: &ProviderClient) -> Result<Url, ProviderError> {
    let text = format!("{}/.well-known/openid-configuration", client.issuer.trim_end_matches('/'));
    Url::parse(&text).map_err(|error| ProviderError::Wrong(format!("its issuer is not a URL: {error}")))
}

/// Between the issuer's host and path (RFC 8414, section 3.1).
fn oauth_place(client: &ProviderClient) -> Result<Url, ProviderError> {
    let mut url = Url::parse(&client.issuer)
        .map_err(|error| ProviderError::Wrong(format!("its issuer is not a URL: {error}")))?;
    let path = format!("/.well-known/oauth-authorization-server{}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}
