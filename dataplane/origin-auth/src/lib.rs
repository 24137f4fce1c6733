//! Credential broker: connects accounts at origins, stores their tokens sealed, and supplies the credential
//! of each call.
//!
//! This is the only crate that handles origin tokens in clear text. The steps:
//!
//! ```text
//! discovery -> registration -> begin (consent at origin) -> finish (sealed tokens) -> credential -> refresh
//! ```
//!
//! *Architecture invariant:* everything that a credential is bound to (person, origin, its URL, issuer, token
//! endpoint, client) is stored with it and compared before use. A reused name, URL or endpoint inherits no
//! credential.

mod account;
mod audit;
mod challenge;
mod client;
mod client_assertion;
mod client_credentials;
mod concurrency;
mod connect;
mod connection;
mod connection_changes;
mod credential;
mod credential_cache;
mod disconnect;
mod discovery;
mod error;
mod exchange;
#[cfg(fuzzing)]
pub mod fuzzing;
#[cfg(test)]
mod golden;
mod identity_token;
mod reencrypt;
mod refresh;
mod registration;
mod scopes;
mod shared_account;
mod step_up;
mod token;
mod token_target;

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use portcullis_clock::{Clock, Random};
use portcullis_egress::{EgressError, HttpClient, HttpClients};
use portcullis_events::{EventKind, EventSink};
use portcullis_keyring::Keyring;
use portcullis_policy::{CredentialSubject, Gateway, Origin, PrincipalId};
use portcullis_store::{ConnectionFilter, Store};
use tokio::sync::{Mutex, broadcast};
use url::Url;

use crate::concurrency::ConcurrencyLimits;
use crate::connection_changes::ChangeCursor;
use crate::credential_cache::CredentialCache;

pub use account::Account;
pub use challenge::Challenge;
pub use connect::{CompletedConnect, ConnectCallback};
pub use credential::{Credential, auth_mode};
pub use error::{ConnectError, CredentialError};
pub use identity_token::{
    IdentityProviderClient, IdentityToken, IdentityTokenError, IdentityTokenFuture, IdentityTokenSource,
};
pub use reencrypt::{ReencryptError, ReencryptProgress};
pub use step_up::StepUp;

/// How long a dynamic registration counts as verified.
const VERIFIED_CLIENT_TTL: Duration = Duration::from_secs(3600);

/// How many changes a receiver of [`CredentialBroker::changes`] may lag behind.
const CHANGE_CHANNEL_CAPACITY: usize = 1024;

/// State of a person's connection to an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionStatus {
    /// The origin needs no account.
    NotNeeded,
    /// There is a usable credential.
    Connected,
    /// The person never connected an account, or disconnected it.
    NeverConnected,
    /// The stored credential no longer works: the person has to consent again.
    ReconnectNeeded,
    /// The credential comes from the person's sign-in and none is stored: they have to sign in again.
    SignInNeeded,
    /// The account is shared by all users, and an administrator has to connect it, for the first time or
    /// again.
    AdminNeeded,
}

/// An account was connected or disconnected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionChange {
    /// The person whose account changed.
    pub who: PrincipalId,
    /// UID of the origin.
    pub origin_uid: Arc<str>,
    /// Whether there is a credential now.
    pub connected: bool,
}

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
#[derive(Clone)]
pub struct CredentialBroker(Arc<Inner>);

struct Inner {
    parts: BrokerDependencies,
    cache: CredentialCache,
    shared_principal: PrincipalId,
    limits: ConcurrencyLimits,
    /// (issuer, client id) of dynamic registrations that the issuer recently recognized.
    verified_clients: Cache<(String, String), ()>,
    changes: broadcast::Sender<ConnectionChange>,
    heard: Mutex<ChangeCursor>,
}

impl CredentialBroker {
    /// Creates a broker with an empty cache.
    #[must_use]
    pub fn new(parts: BrokerDependencies) -> Self {
        let heard = Mutex::new(ChangeCursor::starting_at(parts.clock.now()));
        Self(Arc::new(Inner {
            parts,
            cache: CredentialCache::new(),
            shared_principal: PrincipalId::shared(),
            limits: ConcurrencyLimits::new(),
            verified_clients: Cache::builder().max_capacity(10_000).time_to_live(VERIFIED_CLIENT_TTL).build(),
            changes: broadcast::channel(CHANGE_CHANNEL_CAPACITY).0,
            heard,
        }))
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
        let Some(who) = self.0.credential_subject(who, origin) else { return Ok(Credential::fixed(origin)) };
        let now = self.0.parts.clock.now();
        if let Some(found) = self.0.cache.get(who, origin).filter(|found| found.is_for(origin)) {
            if now < found.revisit_at && found.is_valid(now) {
                return Ok(found.credential());
            }
            if !found.is_about_to_expire(now) {
                // Valid for a while: refresh in the background instead of delaying this call.
                if found.claim_revisit() {
                    let (inner, who, origin) = (Arc::clone(&self.0), who.clone(), Arc::clone(origin));
                    let looked = Arc::clone(&found);
                    tokio::spawn(async move {
                        inner.obtain(&who, &origin, None).await.ok();
                        looked.end_revisit();
                    });
                }
                return Ok(found.credential());
            }
        }
        self.0.obtain(who, origin, None).await.map_err(|error| error.for_user(origin))
    }

    /// Returns another credential after the origin answered 401 to `refused`. If the credential was renewed
    /// in the meantime, the renewed one.
    ///
    /// # Errors
    /// [`ConnectionStatus::ReconnectNeeded`] if the person has to consent again,
    /// [`CredentialError::Rejected`] if there is no other credential.
    pub async fn renew(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        refused: &Credential,
    ) -> Result<Credential, CredentialError> {
        let Some(who) = self.0.credential_subject(who, origin) else { return Err(CredentialError::Rejected) };
        let refused = refused.header().map(|(_, value)| Arc::new(value.clone()));
        self.0.obtain(who, origin, refused).await.map_err(|error| error.for_user(origin))
    }

    /// Returns the state of this person's connection to this origin.
    ///
    /// # Errors
    /// On a temporary failure.
    pub async fn status(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
    ) -> Result<ConnectionStatus, CredentialError> {
        match origin.credential_subject() {
            CredentialSubject::None | CredentialSubject::Gateway | CredentialSubject::SignIn => {
                Ok(ConnectionStatus::NotNeeded)
            }
            CredentialSubject::Person => self.0.connection_status(who, origin).await,
            CredentialSubject::SharedAccount => {
                Ok(match self.0.connection_status(&self.0.shared_principal, origin).await? {
                    ConnectionStatus::Connected => ConnectionStatus::NotNeeded,
                    _ => ConnectionStatus::AdminNeeded,
                })
            }
        }
    }

    /// Begins consent at the origin's authorization server and returns the URL for the browser. `browser` is
    /// the digest of the session cookie that the flow is bound to. [`finish`](Self::finish) returns
    /// `return_to`. If the origin requested more scopes than were granted, the flow requests those too
    /// ([`step_up`](Self::step_up)).
    ///
    /// # Errors
    /// If the origin, its authorization server or the configuration prevents it; the message says which.
    pub async fn begin(
        &self,
        who: &PrincipalId,
        gateway: &Gateway,
        origin: &Arc<Origin>,
        browser: &str,
        return_to: &str,
    ) -> Result<Url, ConnectError> {
        if origin.credential_subject() != CredentialSubject::Person {
            return Err(ConnectError::NotNeeded);
        }
        self.begin_as(who, gateway, origin, browser, return_to).await
    }

    async fn begin_as(
        &self,
        who: &PrincipalId,
        gateway: &Gateway,
        origin: &Arc<Origin>,
        browser: &str,
        return_to: &str,
    ) -> Result<Url, ConnectError> {
        let begun = self.0.begin(who, gateway, origin, browser, return_to).await;
        if let Err(error) = &begun {
            self.0.record(EventKind::UpstreamRequest, who, Some(gateway), origin, Some(error.into())).await;
        }
        begun
    }

    /// Completes a flow of [`begin`](Self::begin) when the browser returns to
    /// `{publicUrl}/connect/{id}/callback`.
    ///
    /// # Errors
    /// If the callback matches no flow of this browser, consent was denied, or no token was issued.
    pub async fn finish(
        &self,
        gateway: &Gateway,
        origin: &Arc<Origin>,
        browser: &str,
        callback: &ConnectCallback,
    ) -> Result<CompletedConnect, ConnectError> {
        let (finished, ended) = match self.0.finish(origin, browser, callback).await {
            Ok(known) => known,
            Err(error) => {
                // The person behind the browser is unknown.
                self.0.record(EventKind::Connected, None, Some(gateway), origin, Some((&error).into())).await;
                return Err(error);
            }
        };
        let failure = ended.as_ref().err().map(Into::into);
        self.0.record(EventKind::Connected, Some(&finished.who), Some(gateway), origin, failure).await;
        ended.map(|()| finished)
    }

    /// Deletes a person's credential at an origin, then revokes it there (RFC 7009) if possible.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn disconnect(&self, who: &PrincipalId, origin: &Arc<Origin>) -> Result<(), CredentialError> {
        self.0.disconnect(who, origin).await
    }

    /// Deletes the credentials of all persons at an origin and returns their number. Revocation at the
    /// authorization server, where possible, continues after this returns.
    ///
    /// # Errors
    /// If the store fails. Some credentials may then be deleted; another call continues with the rest.
    pub async fn disconnect_everybody(&self, origin: &Arc<Origin>) -> Result<usize, CredentialError> {
        let whose = ConnectionFilter::Origin(&origin.uid);
        self.0.disconnect_all(whose, |uid| (*uid == *origin.uid).then(|| Arc::clone(origin))).await
    }

    /// Deletes all credentials of one person and returns their number. `origins` finds an origin by its UID.
    /// If an origin is no longer served, its credential is deleted without being revoked.
    ///
    /// # Errors
    /// As for [`disconnect_everybody`](Self::disconnect_everybody).
    pub async fn disconnect_everywhere(
        &self,
        who: &PrincipalId,
        origins: impl Fn(&str) -> Option<Arc<Origin>>,
    ) -> Result<usize, CredentialError> {
        self.0.disconnect_all(ConnectionFilter::Person(who.as_str()), origins).await
    }

    /// Redirect URI of an origin. Administrators need it to register the gateway by hand.
    #[must_use]
    pub fn redirect_uri(&self, gateway: &Gateway, origin: &Origin) -> String {
        registration::redirect_uri(gateway, origin)
    }

    /// The client ID metadata document for an origin, served at `/connect/{id}/client.json`.
    #[must_use]
    pub fn client_document(&self, gateway: &Gateway, origin: &Origin) -> serde_json::Value {
        registration::client_metadata_document(gateway, origin)
    }

    /// Subscribes to accounts that are connected and disconnected.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<ConnectionChange> {
        self.0.changes.subscribe()
    }
}

impl Inner {
    /// HTTP client for this origin and its authorization server.
    fn http(&self, origin: &Origin) -> Result<HttpClient, EgressError> {
        self.parts.http.http(&origin.network.private_networks, origin.network.ca_bundle_pem.as_deref())
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

    /// Reads the state of a connection from the store.
    async fn connection_status(
        &self,
        who: &PrincipalId,
        origin: &Origin,
    ) -> Result<ConnectionStatus, CredentialError> {
        match self.stored_connection(who, origin).await {
            Ok(connection) => {
                let now = self.parts.clock.now();
                let is_over = connection.expires_at().is_some_and(|expires_at| expires_at <= now);
                Ok(match connection.tokens.refresh {
                    None if is_over => ConnectionStatus::ReconnectNeeded,
                    _ => ConnectionStatus::Connected,
                })
            }
            Err(CredentialError::NotConnected(status)) => Ok(status),
            Err(error) => Err(error),
        }
    }

    fn publish_change(&self, who: &PrincipalId, origin: &Origin, connected: bool) {
        // Without receivers `send` fails, which is fine.
        let change = ConnectionChange { who: who.clone(), origin_uid: Arc::clone(&origin.uid), connected };
        self.changes.send(change).ok();
    }
}
