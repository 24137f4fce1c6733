//! The documents that a config is published as: one per source.

use portcullis_config::{GatewayConfig, OriginConfig, RouteConfig, SecretKey, TeamConfig};
use serde::Serialize;

use crate::{DocumentKind, object_name};

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

    /// Credentials that the document refers to.
    #[must_use]
    pub fn credentials(self) -> Vec<&'a SecretKey> {
        match self {
            Self::Gateway(document) => {
                let providers = document.identity_providers.iter();
                providers.filter_map(|provider| provider.kind.client()?.client_secret.as_ref()).collect()
            }
            Self::Origin(document) => document.auth.secret().into_iter().collect(),
            Self::Route(_) | Self::Team(_) => Vec::new(),
        }
    }
}
