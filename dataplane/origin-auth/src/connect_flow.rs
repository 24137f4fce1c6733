//! Stored state of a connect flow while the person is at the authorization server.

use std::sync::Arc;
use std::time::Duration;

use portcullis_clock::Clock;
use portcullis_keyring::digest;
use portcullis_policy::{Origin, PrincipalId};
use portcullis_store::{ConnectFlowRow, Store};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use crate::sealer::CredentialSealer;
use crate::{BrokerDependencies, ConnectError};

/// How long a person may take at the authorization server.
const FLOW_LIFETIME: Duration = Duration::from_secs(600);

/// Sealed state of a flow while the person is at the authorization server. It is complete before they leave:
/// nothing that the browser brings back can change where the code is sent.
#[derive(Serialize, Deserialize)]
pub(crate) struct ConnectFlow {
    pub(crate) origin_url: String,
    pub(crate) resource: String,
    pub(crate) issuer: String,
    pub(crate) iss_required: bool,
    pub(crate) token_endpoint: Url,
    pub(crate) revocation_endpoint: Option<Url>,
    pub(crate) client_id: String,
    pub(crate) client_secret: Option<Zeroizing<String>>,
    pub(crate) auth_method: String,
    pub(crate) registration: String,
    pub(crate) redirect_uri: String,
    pub(crate) verifier: Zeroizing<String>,
    pub(crate) scope: String,
    /// The part of `scope` that the origin requested after the account was connected.
    #[serde(default)]
    pub(crate) step_up: String,
    pub(crate) return_to: String,
}

/// The flows in the store, sealed.
pub(crate) struct ConnectFlowStore {
    store: Store,
    clock: Clock,
    sealer: Arc<CredentialSealer>,
}

impl ConnectFlowStore {
    pub(crate) fn new(dependencies: &BrokerDependencies, sealer: &Arc<CredentialSealer>) -> Self {
        let (store, clock) = (dependencies.store.clone(), dependencies.clock.clone());
        Self { store, clock, sealer: Arc::clone(sealer) }
    }

    /// Stores a flow under its `state`, bound to the person, the origin and the browser.
    pub(crate) async fn put(
        &self,
        who: &PrincipalId,
        origin: &Origin,
        browser: &str,
        state: &str,
        flow: &ConnectFlow,
    ) -> Result<(), ConnectError> {
        let now = self.clock.now();
        let text = Zeroizing::new(serde_json::to_vec(flow).map_err(ConnectError::unavailable)?);
        let mut row = ConnectFlowRow {
            state_digest: digest(state),
            principal_id: who.as_str().to_owned(),
            origin_uid: origin.uid.to_string(),
            browser: browser.to_owned(),
            sealed: String::new(),
            expires_at: now.after(FLOW_LIFETIME).0,
        };
        row.sealed = self.sealer.seal(&associated_data(&row), &text)?;
        Ok(self.store.begin_connect_flow(&row, now.0).await?)
    }

    /// Takes the flow of a callback out of the store. Its state cannot be used again, even if the callback
    /// fails.
    pub(crate) async fn take(
        &self,
        origin: &Origin,
        browser: &str,
        state: Option<&str>,
    ) -> Result<(PrincipalId, ConnectFlow), ConnectError> {
        let state = state.ok_or(ConnectError::UnknownFlow)?;
        let row = self
            .store
            .take_connect_flow(&digest(state), self.clock.now().0)
            .await?
            .filter(|row| row.browser == browser && row.origin_uid == *origin.uid)
            .ok_or(ConnectError::UnknownFlow)?;
        let flow = self
            .sealer
            .open(&associated_data(&row), &row.sealed)
            .and_then(|text| serde_json::from_slice(&text).ok())
            .ok_or(ConnectError::UnknownFlow)?;
        Ok((PrincipalId::from_stored(&row.principal_id), flow))
    }
}

fn associated_data(row: &ConnectFlowRow) -> [&str; 5] {
    ["connect flow", &row.principal_id, &row.origin_uid, &row.state_digest, &row.browser]
}

#[cfg(test)]
mod golden;
