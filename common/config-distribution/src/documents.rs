use portcullis_config::{Config, GatewayConfig, OriginConfig, RouteConfig, TeamConfig};
use portcullis_keyring::MacRing;
use serde::Serialize;

use crate::{DocumentKind, SignError, SignedDocument, object_name, sign_document};

/// One document of a contract. Credentials, which are secret, are no documents ([`SealedCredential`](crate::CredentialDoc)).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ConfigDocument<'a> {
    /// Of the gateway.
    Gateway(&'a GatewayConfig),
    /// Of an origin.
    Origin(&'a OriginConfig),
    /// Of a virtual MCP.
    Route(&'a RouteConfig),
    /// Of a team.
    Team(&'a TeamConfig),
}

impl<'a> ConfigDocument<'a> {
    /// What it publishes.
    #[must_use]
    pub fn kind(self) -> DocumentKind {
        match self {
            Self::Gateway(_) => DocumentKind::Gateway,
            Self::Origin(_) => DocumentKind::Origin,
            Self::Route(_) => DocumentKind::Route,
            Self::Team(_) => DocumentKind::Team,
        }
    }

    /// What its object is named by: the source's UID (the gateway's name).
    #[must_use]
    pub fn identity(self) -> &'a str {
        match self {
            Self::Gateway(document) => &document.name,
            Self::Origin(document) => &document.uid,
            Self::Route(document) => &document.uid,
            Self::Team(document) => &document.uid,
        }
    }

    /// The name of its object.
    #[must_use]
    pub fn object_name(self) -> String {
        object_name(self.kind(), self.identity())
    }

    /// Writes it, see [`publish`].
    ///
    /// # Errors
    /// As there.
    pub fn sign(self, ring: &MacRing) -> Result<SignedDocument, SignError> {
        sign_document(ring, self.kind(), &self.object_name(), &self)
    }
}

/// The documents of a contract, one per source.
pub fn documents(contract: &Config) -> impl Iterator<Item = ConfigDocument<'_>> {
    let gateway = std::iter::once(ConfigDocument::Gateway(&contract.gateway));
    let origins = contract.origins.iter().map(ConfigDocument::Origin);
    let routes = contract.routes.iter().map(ConfigDocument::Route);
    gateway.chain(origins).chain(routes).chain(contract.teams.iter().map(ConfigDocument::Team))
}
