//! One provider with everything that a request to it needs.

use std::sync::Arc;

use portcullis_config::ProviderClient;
use portcullis_egress::HttpClient;
use secrecy::SecretString;
use url::Url;

use crate::discovery::DiscoveredProvider;

/// A provider's settings, its metadata, and an HTTP client for requests to it.
pub(crate) struct Provider<'a> {
    pub(crate) name: &'a str,
    pub(crate) client: &'a ProviderClient,
    pub(crate) secret: Option<&'a SecretString>,
    pub(crate) discovered: Arc<DiscoveredProvider>,
    pub(crate) http: HttpClient,
    /// Configured userinfo URL of an OAuth server; `None` for an OpenID provider.
    pub(crate) userinfo_url: Option<&'a Url>,
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
