//! Verified documents, and how they are joined into a config.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use portcullis_config::{
    Config, GatewayConfig, OriginConfig, RouteConfig, SecretKey, SecretValue, Secrets, TeamConfig,
};
use portcullis_keyring::Keyring;

use crate::{DocumentKind, SealedCredential, VerifyError, verify_document};

/// Verified document of one object. A credential is already opened.
#[derive(Clone)]
pub enum VerifiedDocument {
    /// Settings of the installation.
    Gateway(GatewayConfig),
    /// An origin.
    Origin(OriginConfig),
    /// A virtual MCP.
    Route(RouteConfig),
    /// A team.
    Team(TeamConfig),
    /// A static credential.
    Credential(SecretKey, SecretValue),
}

impl VerifiedDocument {
    /// Verifies and decodes an object. `None` for diagnostics, which are not part of the config.
    ///
    /// # Errors
    /// When verification fails. The last valid version of the object stays in use.
    pub fn from_object(
        keys: &Keyring,
        kind: DocumentKind,
        name: &str,
        data: &BTreeMap<String, String>,
    ) -> Result<Option<Self>, VerifyError> {
        Ok(Some(match kind {
            DocumentKind::Gateway => Self::Gateway(verify_document(&keys.mac, kind, name, data)?),
            DocumentKind::Origin => Self::Origin(verify_document(&keys.mac, kind, name, data)?),
            DocumentKind::Route => Self::Route(verify_document(&keys.mac, kind, name, data)?),
            DocumentKind::Team => Self::Team(verify_document(&keys.mac, kind, name, data)?),
            DocumentKind::Credential => {
                let document: SealedCredential = verify_document(&keys.mac, kind, name, data)?;
                let value = document.open(&keys.sealing)?;
                Self::Credential(document.key, value)
            }
            DocumentKind::Diagnostics => return Ok(None),
        }))
    }
}

/// A document that another one refers to and that has not arrived. Objects arrive one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingDependency {
    /// The resource that cannot be served without it, `namespace/name`.
    pub of: String,
    /// The missing document, as text for messages.
    pub needs: String,
}

/// `mcp/linear needs the credential mcp/key/token, which is missing`.
impl fmt::Display for MissingDependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} needs {}, which is missing", self.of, self.needs)
    }
}

/// The current verified documents, by object name.
#[derive(Clone, Default)]
pub struct VerifiedDocuments(BTreeMap<String, VerifiedDocument>);

impl VerifiedDocuments {
    /// Adds or replaces the document of an object.
    pub fn insert(&mut self, name: &str, document: VerifiedDocument) {
        self.0.insert(name.to_owned(), document);
    }

    /// Removes the document of a deleted object.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Removes every object for which `is_there` returns false, after a new list of all objects.
    pub fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| is_there(name));
    }

    /// Names of all objects.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Joins the documents into a config. `None` without the gateway or one of its credentials. Origins
    /// without their credential are left out, and so are routes without their origin. Teams lose only their
    /// access to such routes.
    #[must_use]
    pub fn join(&self) -> (Option<Config>, Vec<MissingDependency>) {
        let mut missing = Vec::new();
        let mut gateway = None;
        let (mut origins, mut routes, mut teams) = (Vec::new(), Vec::new(), Vec::new());
        let mut secrets = Secrets::default();
        for piece in self.0.values() {
            match piece {
                VerifiedDocument::Gateway(document) => gateway = Some(document),
                VerifiedDocument::Origin(document) => origins.push(document),
                VerifiedDocument::Route(document) => routes.push(document),
                VerifiedDocument::Team(document) => teams.push(document.clone()),
                VerifiedDocument::Credential(key, value) => secrets.insert(key.clone(), value.clone()),
            }
        }
        let mut lacks = |of: &str, keys: &mut dyn Iterator<Item = &SecretKey>| {
            let lacking = keys.filter(|key| secrets.get(key).is_none());
            let lacking: Vec<_> = lacking
                .map(|key| MissingDependency {
                    of: of.to_owned(),
                    needs: format!("the credential {}", key.0),
                })
                .collect();
            let any = !lacking.is_empty();
            missing.extend(lacking);
            any
        };
        let gateway = gateway.filter(|gateway| !lacks(&gateway.name, &mut gateway_credentials(gateway)));
        origins.retain(|origin| !lacks(&origin.name, &mut origin.auth.secret().into_iter()));
        let there: BTreeSet<_> = origins.iter().map(|origin| origin.uid.as_str()).collect();
        routes.retain(|route| {
            let is_there = there.contains(route.origin.as_str());
            if !is_there {
                missing.push(MissingDependency {
                    of: route.name.clone(),
                    needs: format!("its origin {}", route.origin),
                });
            }
            is_there
        });
        let served: BTreeSet<_> = routes.iter().map(|route| route.uid.as_str()).collect();
        for team in &mut teams {
            team.access.retain(|access| served.contains(access.route.as_str()));
        }
        let Some(gateway) = gateway else {
            missing
                .push(MissingDependency { of: "the data plane".to_owned(), needs: "the gateway".to_owned() });
            return (None, missing);
        };
        let config = Config {
            gateway: gateway.clone(),
            origins: origins.into_iter().cloned().collect(),
            routes: routes.into_iter().cloned().collect(),
            teams,
            secrets,
        };
        (Some(config), missing)
    }
}

fn gateway_credentials(gateway: &GatewayConfig) -> impl Iterator<Item = &SecretKey> {
    gateway.identity_providers.iter().filter_map(|provider| provider.kind.client()?.client_secret.as_ref())
}

impl crate::ConfigDocument<'_> {
    /// Credentials that the document refers to.
    #[must_use]
    pub fn credentials(&self) -> Vec<&SecretKey> {
        match self {
            Self::Gateway(document) => gateway_credentials(document).collect(),
            Self::Origin(document) => document.auth.secret().into_iter().collect(),
            Self::Route(_) | Self::Team(_) => Vec::new(),
        }
    }
}
