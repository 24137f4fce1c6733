//! [`CredentialBroker`]: builds the parts of this crate, and supplies the credentials of calls.

use std::sync::Arc;

use portcullis_clock::{Clock, Random};
use portcullis_egress::HttpClients;
use portcullis_events::EventSink;
use portcullis_keyring::Keyring;
use portcullis_policy::{CredentialSubject, Origin, PrincipalId};
use portcullis_store::Store;
use tokio::sync::broadcast;

use crate::account::Accounts;
use crate::audit::AuditLog;
use crate::challenge::Challenge;
use crate::client::ConfiguredClients;
use crate::client_credentials::ClientCredentials;
use crate::code_exchange::CodeExchange;
use crate::connect::ConnectFlows;
use crate::connect_flow::ConnectFlowStore;
use crate::connection_changes::{ConnectionChange, ConnectionChanges};
use crate::connection_store::ConnectionStore;
use crate::credential_cache::CredentialCache;
use crate::credential_loader::CredentialLoader;
use crate::disconnect::Disconnector;
use crate::exchange::TokenExchanger;
use crate::identity_token::IdentityTokenSource;
use crate::reencrypt::Reencryptor;
use crate::refresh::TokenRefresher;
use crate::registration::ClientRegistry;
use crate::revoke::TokenRevoker;
use crate::sealer::CredentialSealer;
use crate::step_up::{RequestedScopes, StepUp};
use crate::{Credential, CredentialError};

/// Dependencies of the [`CredentialBroker`].
pub struct BrokerDependencies {
    /// Stores connections, connect flows and client registrations.
    pub store: Store,
    /// Seals tokens and client secrets before they are stored.
    pub keys: Arc<Keyring>,
    /// Sends requests to origins and their authorization servers.
    pub http: HttpClients,
    /// Sessions at identity providers, if any are stored. Needed for token exchange.
    pub identities: Option<Arc<dyn IdentityTokenSource>>,
    /// Source of the current time.
    pub clock: Clock,
    /// Source of randomness for secrets.
    pub random: Random,
    /// Receives the broker's audit events.
    pub events: EventSink,
}

/// The credential broker. Cheap to clone.
///
/// Its methods serve calls to origins. Pages, the API and background tasks use the public parts.
#[derive(Clone)]
pub struct CredentialBroker {
    /// Connects accounts.
    pub connect_flows: Arc<ConnectFlows>,
    /// Reads the state of accounts.
    pub accounts: Arc<Accounts>,
    /// Disconnects accounts.
    pub disconnector: Arc<Disconnector>,
    /// Follows connections made and deleted at other replicas.
    pub connection_changes: Arc<ConnectionChanges>,
    /// Encrypts stored secrets again after a key rotation.
    pub reencryptor: Arc<Reencryptor>,
    loader: Arc<CredentialLoader>,
    cache: Arc<CredentialCache>,
    connections: Arc<ConnectionStore>,
    requested_scopes: Arc<RequestedScopes>,
    shared_principal: PrincipalId,
}

impl CredentialBroker {
    /// Creates a broker with an empty cache.
    #[must_use]
    pub fn new(dependencies: BrokerDependencies) -> Self {
        let with = &dependencies;
        let audit = Arc::new(AuditLog::new(with));
        let sealer = Arc::new(CredentialSealer::new(with));
        let cache = Arc::new(CredentialCache::new(with.clock.clone()));
        let changes = Arc::new(ConnectionChanges::new(with, &cache));
        let connections = Arc::new(ConnectionStore::new(with, &sealer, &cache, &changes));
        let requested_scopes = Arc::new(RequestedScopes::new(with));

        let clients = Arc::new(ConfiguredClients::new(with));
        let registry = Arc::new(ClientRegistry::new(with, &sealer, &clients));
        let revoker = Arc::new(TokenRevoker::new(with, &connections, &clients, &audit));
        let disconnector = Arc::new(Disconnector::new(with, &connections, &changes, &revoker));

        let refresher = TokenRefresher::new(with, &connections, &cache, &clients, &registry, &audit);
        let exchanger = TokenExchanger::new(with, &connections, &cache, &clients, &audit);
        let client_credentials = ClientCredentials::new(with, &cache, &clients, &audit);
        let loader = CredentialLoader::new(with, &cache, refresher, exchanger, client_credentials);

        let flows = ConnectFlowStore::new(with, &sealer);
        let code_exchange =
            CodeExchange::new(with, &connections, &cache, &clients, &registry, &revoker, &requested_scopes);
        let connect_flows = ConnectFlows::new(
            with,
            flows,
            &registry,
            &disconnector,
            &requested_scopes,
            code_exchange,
            &audit,
        );
        Self {
            connect_flows: Arc::new(connect_flows),
            accounts: Arc::new(Accounts::new(with, &connections, &requested_scopes)),
            disconnector,
            connection_changes: changes,
            reencryptor: Arc::new(Reencryptor::new(with)),
            loader: Arc::new(loader),
            cache,
            connections,
            requested_scopes,
            shared_principal: PrincipalId::shared(),
        }
    }

    /// Returns the credential for this person's calls to this origin. It comes from memory on all but the
    /// first call, and is refreshed before it expires.
    ///
    /// # Errors
    /// If the person has no usable connection, or on a temporary failure.
    pub async fn credential(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
    ) -> Result<Credential, CredentialError> {
        let Some(subject) = self.credential_subject(who, origin) else {
            return Ok(Credential::fixed(origin));
        };
        self.loader.credential(subject, origin).await.map_err(|error| error.for_user(origin))
    }

    /// Returns another credential after the origin answered 401 to `refused`. If the credential was renewed
    /// in the meantime, the renewed one.
    ///
    /// # Errors
    /// [`ConnectionStatus::ReconnectNeeded`](crate::ConnectionStatus) if the person has to consent again,
    /// [`CredentialError::Rejected`] if there is no other credential.
    pub async fn renew(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        refused: &Credential,
    ) -> Result<Credential, CredentialError> {
        let subject = self.credential_subject(who, origin).ok_or(CredentialError::Rejected)?;
        let rejected = refused.header().map(|(_, value)| Arc::new(value.clone()));
        self.loader.load(subject, origin, rejected).await.map_err(|error| error.for_user(origin))
    }

    /// The principal that a person's credential is stored under. `None` if the origin uses only static
    /// configuration.
    fn credential_subject<'a>(&'a self, who: &'a PrincipalId, origin: &Origin) -> Option<&'a PrincipalId> {
        match origin.credential_subject() {
            CredentialSubject::None => None,
            CredentialSubject::Gateway | CredentialSubject::SharedAccount => Some(&self.shared_principal),
            CredentialSubject::Person | CredentialSubject::SignIn => Some(who),
        }
    }

    /// Handles an origin's rejection of a credential with too few scopes. Records the requested scopes
    /// together with earlier ones; the next consent requests all of them.
    ///
    /// # Errors
    /// If the person has no usable connection, or on a temporary failure.
    pub async fn step_up(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        refused: &Credential,
        challenge: &Challenge,
    ) -> Result<StepUp, CredentialError> {
        // The lock keeps an older store read from filling the cache after it was invalidated.
        let lock = self.cache.refresh_state(who, &origin.uid);
        let _guard = lock.lock().await;
        let connection = self.connections.load(who, origin).await?;
        if refused.header().is_some_and(|(_, value)| *value != *connection.header) {
            let refresh_at = connection.refresh_at();
            return Ok(StepUp::Renewed(self.cache.insert_connection(who, origin, &connection, refresh_at)));
        }
        self.requested_scopes.request(who, origin, &challenge.scopes).await
    }

    /// Like [`step_up`](Self::step_up) when the credential itself is rejected, so the next consent requests
    /// all scopes at once. `None` if all requested scopes were already granted.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn record_requested_scopes(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        challenge: &Challenge,
    ) -> Result<Option<StepUp>, CredentialError> {
        self.requested_scopes.request_missing(who, origin, &challenge.scopes).await
    }

    /// Scopes that the origin requested and no consent has requested yet. Empty if there are none.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn pending_scopes(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
    ) -> Result<Vec<String>, CredentialError> {
        self.requested_scopes.pending(who, origin).await
    }

    /// Subscribes to accounts that are connected and disconnected.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<ConnectionChange> {
        self.connection_changes.subscribe()
    }
}
