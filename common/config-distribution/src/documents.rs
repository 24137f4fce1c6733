//! Splits a config into one document per source.

use portcullis_config::{Config, GatewayConfig, OriginConfig, RouteConfig, TeamConfig};
use portcullis_keyring::MacRing;
use serde::Serialize;

use crate::{DocumentKind, SignError, SignedDocument, object_name, sign_document};

/// One document of a config. Credentials are secret and published separately
/// ([`SealedCredential`](crate::SealedCredential)).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ConfigDocument<'a> {
    /// Settings of the gateway.
    Gateway(&'a GatewayConfig),
    /// An origin.
    Origin(&'a OriginConfig),
    /// A virtual MCP.
    Route(&'a RouteConfig),
    /// A team.
    Team(&'a TeamConfig),
}

impl<'a> ConfigDocument<'a> {
    /// Kind of the document.
    #[must_use]
    pub fn kind(self) -> DocumentKind {
        match self {
            Self::Gateway(_) => DocumentKind::Gateway,
            Self::Origin(_) => DocumentKind::Origin,
            Self::Route(_) => DocumentKind::Route,
            Self::Team(_) => DocumentKind::Team,
        }
    }

    /// Identity that the object name is derived from: the UID of the source; for the gateway, its name.
    #[must_use]
    pub fn identity(self) -> &'a str {
        match self {
            Self::Gateway(document) => &document.name,
            Self::Origin(document) => &document.uid,
            Self::Route(document) => &document.uid,
            Self::Team(document) => &document.uid,
        }
    }

    /// Name of the published object.
    #[must_use]
    pub fn object_name(self) -> String {
        object_name(self.kind(), self.identity())
    }

    /// Serializes and signs the document, see [`sign_document`].
    ///
    /// # Errors
    /// See [`sign_document`].
    pub fn sign(self, ring: &MacRing) -> Result<SignedDocument, SignError> {
        sign_document(ring, self.kind(), &self.object_name(), &self)
    }
}

/// The documents of a config, one per source.
pub fn documents(config: &Config) -> impl Iterator<Item = ConfigDocument<'_>> {
    let gateway = std::iter::once(ConfigDocument::Gateway(&config.gateway));
    let origins = config.origins.iter().map(ConfigDocument::Origin);
    let routes = config.routes.iter().map(ConfigDocument::Route);
    gateway.chain(origins).chain(routes).chain(config.teams.iter().map(ConfigDocument::Team))
}
