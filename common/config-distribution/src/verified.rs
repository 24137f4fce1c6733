//! Verified documents of published objects.

use std::collections::BTreeMap;

use portcullis_config::{GatewayConfig, OriginConfig, RouteConfig, SecretKey, SecretValue, TeamConfig};
use portcullis_keyring::Keyring;

use crate::{DocumentKind, SealedCredential, VerifyError, verify_document};

/// Verified document of one object. A credential is already opened.
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
