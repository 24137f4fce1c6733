//! Verified documents of published objects.

use std::collections::BTreeMap;

use portcullis_config::{GatewayConfig, OriginConfig, RouteConfig, SecretKey, SecretValue, TeamConfig};
use portcullis_keyring::Keyring;
use serde::de::DeserializeOwned;

use crate::sign::verify_stamped;
use crate::stamp::check_stamp;
use crate::{DocumentKind, SealedCredential, Stamp, VerifyError};

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
    /// Verifies and decodes an object. `None` for diagnostics, which are not part of the config. The stamp is
    /// `None` for a document of a version without serials.
    ///
    /// # Errors
    /// When verification fails, or the document belongs to another installation. The last valid version of
    /// the object stays in use.
    pub fn from_object(
        keys: &Keyring,
        kind: DocumentKind,
        name: &str,
        data: &BTreeMap<String, String>,
    ) -> Result<Option<(Option<Stamp>, Self)>, VerifyError> {
        let (stamp, document) = match kind {
            DocumentKind::Gateway => verified(keys, kind, name, data, Self::Gateway)?,
            DocumentKind::Origin => verified(keys, kind, name, data, Self::Origin)?,
            DocumentKind::Route => verified(keys, kind, name, data, Self::Route)?,
            DocumentKind::Team => verified(keys, kind, name, data, Self::Team)?,
            DocumentKind::Credential => {
                let (stamp, document): (_, SealedCredential) = verify_stamped(&keys.mac, kind, name, data)?;
                let value = document.open(&keys.sealing)?;
                (stamp, Self::Credential(document.key, value))
            }
            DocumentKind::Diagnostics => return Ok(None),
        };
        check_stamp(stamp.as_ref(), keys.installation().as_deref())?;
        Ok(Some((stamp, document)))
    }
}

fn verified<T: DeserializeOwned>(
    keys: &Keyring,
    kind: DocumentKind,
    name: &str,
    data: &BTreeMap<String, String>,
    variant: impl FnOnce(T) -> VerifiedDocument,
) -> Result<(Option<Stamp>, VerifiedDocument), VerifyError> {
    let (stamp, document) = verify_stamped(&keys.mac, kind, name, data)?;
    Ok((stamp, variant(document)))
}
