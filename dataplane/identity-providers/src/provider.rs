//! One provider with everything that a request to it needs.

use std::sync::Arc;

use portcullis_config::{IdentityProviderKind, ProviderClient};
use portcullis_egress::HttpClient;
use portcullis_policy::IdentityProvider;
use secrecy::SecretString;
use url::Url;

use crate::discovery::DiscoveredProvider;
use crate::{IdentityProviders, ProviderError};

/// A provider's settings, its metadata, and an HTTP client for requests to it.
pub(crate) struct Provider<'a> {
    pub(crate) name: &'a str,
    pub(crate) client: &'a ProviderClient,
    pub(crate) secret: Option<&'a SecretString>,
    pub(crate) discovered: Arc<DiscoveredProvider>,
    pub(crate) http: HttpClient,
    /// Configured userinfo URL of an OAuth server; `None` for an OpenID provider.
    userinfo_url: Option<&'a Url>,
}

impl IdentityProviders {
    /// Loads a provider, with its metadata from [`discover`](Self::discover).
    pub(crate) async fn provider<'a>(
        &self,
        provider: &'a IdentityProvider,
    ) -> Result<Provider<'a>, ProviderError> {
        let (client, userinfo_url) = match &provider.kind {
            IdentityProviderKind::Oidc(client) => (client, None),
            IdentityProviderKind::Oauth { client, userinfo_url } => (client, Some(userinfo_url)),
            IdentityProviderKind::Development { .. } => {
                return Err(ProviderError::InvalidResponse(
                    "the development sign-in has no identity provider".to_owned(),
                ));
            }
        };
        let http =
            self.dependencies().http.http(&client.private_networks, client.ca_bundle_pem.as_deref())?;
        let discovered = self.discover(client, userinfo_url.is_none()).await?;
        let secret = provider.client_secret.as_ref();
        Ok(Provider { name: &provider.name, client, secret, discovered, http, userinfo_url })
    }
}

impl Provider<'_> {
    /// Whether this is an OpenID provider.
    pub(crate) const fn is_openid(&self) -> bool {
        self.userinfo_url.is_none()
    }

    /// The userinfo URL from the settings or the metadata.
    pub(crate) fn userinfo_url(&self) -> Option<&Url> {
        self.userinfo_url.or(self.discovered.metadata.userinfo_endpoint.as_ref())
    }
}
