use portcullis_contract::{Contract, GatewayDoc, OriginDoc, RouteDoc, TeamDoc};
use portcullis_keys::MacRing;
use serde::Serialize;

use crate::{Kind, PublishError, Sealed, object_name, publish};

/// One document of a contract. Credentials, which are secret, are no documents ([`CredentialDoc`](crate::CredentialDoc)).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Document<'a> {
    /// Of the gateway.
    Gateway(&'a GatewayDoc),
    /// Of an origin.
    Origin(&'a OriginDoc),
    /// Of a virtual MCP.
    Route(&'a RouteDoc),
    /// Of a team.
    Team(&'a TeamDoc),
}

impl<'a> Document<'a> {
    /// What it publishes.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::Gateway(_) => Kind::Gateway,
            Self::Origin(_) => Kind::Origin,
            Self::Route(_) => Kind::Route,
            Self::Team(_) => Kind::Team,
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
    pub fn publish(self, ring: &MacRing) -> Result<Sealed, PublishError> {
        publish(ring, self.kind(), &self.object_name(), &self)
    }
}

/// The documents of a contract, one per source.
pub fn documents(contract: &Contract) -> impl Iterator<Item = Document<'_>> {
    let gateway = std::iter::once(Document::Gateway(&contract.gateway));
    let origins = contract.origins.iter().map(Document::Origin);
    let routes = contract.routes.iter().map(Document::Route);
    gateway.chain(origins).chain(routes).chain(contract.teams.iter().map(Document::Team))
}
