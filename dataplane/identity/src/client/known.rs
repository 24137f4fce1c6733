use std::sync::Arc;

use portcullis_policy::{RouteTable, Workload, WorkloadProof};
use secrecy::ExposeSecret as _;

use super::proof::{Proof, SecretBy};
use super::registered::{REGISTERED, Registration};
use super::{ClientError, is_document_url};
use crate::Identity;
use crate::digest::digest;
use portcullis_assertions::{KeySource, Place};

/// A client as the token endpoint sees it: what it is called, and what it has to show.
pub(crate) struct Known {
    pub(crate) name: String,
    pub(crate) proof: Proof,
    pub(crate) kind: KnownKind,
}

/// How the gateway comes to know it.
pub(crate) enum KnownKind {
    /// It registered by itself.
    Registered(Box<Registration>),
    /// It is described by a document at its id.
    Documented,
    /// It was registered by hand.
    Workload(Arc<Workload>),
}

impl Identity {
    /// The client that a request to the token endpoint names.
    pub(crate) async fn known_client(
        &self,
        table: &RouteTable,
        client_id: &str,
    ) -> Result<Known, ClientError> {
        if is_document_url(client_id) {
            let documented = self.documented_client_or_last(client_id).await?;
            let proof = documented.proof().ok_or(ClientError::Unknown)?;
            return Ok(Known { name: documented.client.name.clone(), proof, kind: KnownKind::Documented });
        }
        if let Some(workload) = table.gateway.workloads.get(client_id) {
            let (name, proof) = (workload.display_name.clone(), proof(&workload.proof));
            return Ok(Known { name, proof, kind: KnownKind::Workload(Arc::clone(workload)) });
        }
        let registration = self.registration(client_id).await?.ok_or(ClientError::Unknown)?;
        let proof = registration.proof().ok_or(ClientError::Unknown)?;
        let name = registration.client.name.clone();
        Ok(Known { name, proof, kind: KnownKind::Registered(Box::new(registration)) })
    }
}

fn proof(proof: &WorkloadProof) -> Proof {
    let keys = |keys| Proof::Assertion { keys, algorithm: None, or_nothing: false };
    match proof {
        WorkloadProof::Secret(secret) => {
            Proof::Secret { digest: digest(secret.expose_secret()), by: SecretBy::Either }
        }
        WorkloadProof::Keys(document) => keys(KeySource::Here(document.clone())),
        WorkloadProof::KeysAt { url, private_networks } => keys(KeySource::At(Place {
            url: url.clone(),
            private_networks: private_networks.clone(),
            ca_bundle_pem: None,
        })),
    }
}

/// Whether a client's registration still stands, as far as that is decided by the settings: tokens of a workload that was taken
/// out of them are honoured no longer.
pub(crate) fn stands(table: &RouteTable, client_id: &str) -> bool {
    let is_workload =
        !(is_document_url(client_id) || client_id.starts_with(REGISTERED) || client_id.contains(':'));
    !is_workload || table.gateway.workloads.contains_key(client_id)
}
