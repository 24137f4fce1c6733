//! Looks up clients by their id.

use std::sync::Arc;

use portcullis_keyring::digest;
use portcullis_policy::{RouteTable, Workload, WorkloadAuth};
use secrecy::ExposeSecret as _;

use super::client_auth::{ClientAuth, SecretMethod};
use super::document_cache::MetadataDocuments;
use super::registration::{CLIENT_ID_PREFIX, Registration, Registrations};
use super::{Client, ClientError, is_document_url};
use portcullis_jwt_verification::{FetchBudget, JwksEndpoint, JwksSource};

/// A client with the credential that it must present at the token endpoint.
pub(crate) struct ResolvedClient {
    pub(crate) name: String,
    pub(crate) proof: ClientAuth,
    pub(crate) kind: ClientSource,
}

/// Where a client comes from.
pub(crate) enum ClientSource {
    /// Dynamic registration.
    Registered(Box<Registration>),
    /// The metadata document at its id.
    Documented,
    /// `spec.clients.workloads` in the gateway's settings.
    Workload(Arc<Workload>),
}

/// All clients: registered ones, those with a metadata document, and the workloads in the settings.
pub struct ClientRegistry {
    pub(super) registrations: Arc<Registrations>,
    pub(super) documents: MetadataDocuments,
}

impl ClientRegistry {
    pub(crate) const fn new(registrations: Arc<Registrations>, documents: MetadataDocuments) -> Self {
        Self { registrations, documents }
    }

    /// The client with this id: a registered one, or the one of a metadata document, which is fetched unless
    /// cached.
    ///
    /// # Errors
    /// When the client is unknown, its document is invalid or cannot be fetched, or the store fails.
    pub async fn client(&self, client_id: &str) -> Result<Arc<Client>, ClientError> {
        if is_document_url(client_id) {
            return Ok(Arc::clone(&self.documents.client(client_id).await?.client));
        }
        let registration = self.registrations.get(client_id).await?.ok_or(ClientError::Unknown)?;
        self.registrations.record_use(&registration).await?;
        Ok(Arc::new(registration.client))
    }

    /// Resolves the client id of a token request.
    pub(crate) async fn resolve(
        &self,
        table: &RouteTable,
        client_id: &str,
    ) -> Result<ResolvedClient, ClientError> {
        if is_document_url(client_id) {
            let documented = self.documents.client_or_cached(client_id).await?;
            let proof = documented.client_auth().ok_or(ClientError::Unknown)?;
            return Ok(ResolvedClient {
                name: documented.client.name.clone(),
                proof,
                kind: ClientSource::Documented,
            });
        }
        if let Some(workload) = table.gateway.workloads.get(client_id) {
            let (name, proof) = (workload.display_name.clone(), workload_auth(&workload.proof));
            return Ok(ResolvedClient { name, proof, kind: ClientSource::Workload(Arc::clone(workload)) });
        }
        let registration = self.registrations.get(client_id).await?.ok_or(ClientError::Unknown)?;
        let proof = registration.client_auth().ok_or(ClientError::Unknown)?;
        let name = registration.client.name.clone();
        Ok(ResolvedClient { name, proof, kind: ClientSource::Registered(Box::new(registration)) })
    }
}

fn workload_auth(proof: &WorkloadAuth) -> ClientAuth {
    let keys = |keys| ClientAuth::Assertion { keys, algorithm: None, or_nothing: false };
    match proof {
        WorkloadAuth::Secret(secret) => {
            ClientAuth::Secret { digest: digest(secret.expose_secret()), by: SecretMethod::Either }
        }
        WorkloadAuth::Jwks(document) => keys(JwksSource::Inline(document.clone())),
        WorkloadAuth::JwksUri { url, private_networks } => keys(JwksSource::Remote(JwksEndpoint {
            url: url.clone(),
            private_networks: private_networks.clone(),
            ca_bundle_pem: None,
            budget: FetchBudget::Configured,
        })),
    }
}

/// Whether the settings still contain a client. Tokens of a workload that was removed from the settings are
/// rejected. Clients of other kinds are not in the settings, so the result is always true for them.
pub(crate) fn is_registered(table: &RouteTable, client_id: &str) -> bool {
    let is_workload =
        !(is_document_url(client_id) || client_id.starts_with(CLIENT_ID_PREFIX) || client_id.contains(':'));
    !is_workload || table.gateway.workloads.contains_key(client_id)
}
