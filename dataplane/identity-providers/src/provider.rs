use std::sync::Arc;

use portcullis_config::{IdentityProviderKind, ProviderClient};
use portcullis_egress::HttpClient;
use portcullis_policy::IdentityProvider;
use secrecy::SecretString;
use url::Url;

use crate::discovery::DiscoveredProvider;
use crate::{IdentityProviders, ProviderError};

/// A provider that is about to be asked something: its settings, what it says of itself, and the way there.
pub(crate) struct Provider<'a> {
    pub(crate) name: &'a str,
    pub(crate) client: &'a ProviderClient,
    pub(crate) secret: Option<&'a SecretString>,
    pub(crate) discovered: Arc<DiscoveredProvider>,
    pub(crate) http: HttpClient,
    /// Where an OAuth server says who holds a token. An OpenID provider says it in the id_token.
    userinfo_url: Option<&'a Url>,
}

impl IdentityProviders {
    /// A provider, with metadata that is at most an hour old.
    pub(crate) async fn provider<'a>(
        &self,
        provider: &'a IdentityProvider,
    ) -> Result<Provider<'a>, ProviderError> {
        let (client, userinfo_url) = match &provider.kind {
            IdentityProviderKind::Oidc(client) => (client, None),
            IdentityProviderKind::Oauth { client, userinfo_url } => (client, Some(userinfo_url)),
            IdentityProviderKind::Development { .. } => {
                return Err(ProviderError::InvalidResponse("the development sign-in asks nobody".to_owned()));
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
    /// Whether it speaks OpenID Connect.
    pub(crate) const fn is_openid(&self) -> bool {
        self.userinfo_url.is_none()
    }

    /// Where it says who holds a token.
    pub(crate) fn userinfo_url(&self) -> Option<&Url> {
        self.userinfo_url.or(self.discovered.metadata.userinfo_endpoint.as_ref())
    }
}
