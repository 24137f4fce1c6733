//! Each person's credential at each origin, the gateway's own, and the OAuth client that gets them there.
//!
//! The only room that sees an origin's token in the clear. The flow, downhill:
//! `discovery -> registration -> begin (consent at the origin) -> finish (tokens, sealed) -> credential -> refresh`.
//!
//! *Architecture invariant:* what a credential is bound to (person, origin, its URL, issuer, token endpoint, client) is stored
//! beside it and compared before use, so that a name, URL or endpoint that changes hands inherits nothing.

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

/// How long a registration is taken for known.
const VERIFIED_CLIENT_TTL: Duration = Duration::from_secs(3600);

/// How many changes a listener may lag behind.
const CHANGE_CHANNEL_CAPACITY: usize = 1024;

/// How a person stands with an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionStatus {
    /// The origin wants no account.
    NotNeeded,
    /// There is a credential.
    Connected,
    /// The person never connected an account, or disconnected it.
    NeverConnected,
    /// There was a credential, and it is dead: the person has to consent again.
    ReconnectNeeded,
    /// The person's sign-in is what gives a credential, and nothing of it is kept: they have to sign in again.
    SignInNeeded,
    /// The account is everybody's, and an administrator has to connect it, for the first time or again.
    AdminNeeded,
}

/// An account was connected or disconnected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionChange {
    /// Whose.
    pub who: PrincipalId,
    /// At which origin.
    pub origin_uid: Arc<str>,
    /// Whether there is a credential now.
    pub connected: bool,
}

/// What the vault works with.
pub struct BrokerDependencies {
    /// Where connections are kept.
    pub store: Store,
    /// Seals them.
    pub keys: Arc<Keyring>,
    /// Reaches origins and their authorization servers.
    pub http: HttpClients,
    /// People's sessions at their identity providers, where such are kept.
    pub identities: Option<Arc<dyn IdentityTokenSource>>,
    /// The time.
    pub clock: Clock,
    /// Secrets.
    pub random: Random,
    /// Where it tells what happened.
    pub events: EventSink,
}

/// The vault. Cheap to clone.
#[derive(Clone)]
pub struct CredentialBroker(Arc<Inner>);

struct Inner {
    parts: BrokerDependencies,
    cache: CredentialCache,
    shared_principal: PrincipalId,
    limits: ConcurrencyLimits,
    /// (issuer, client id) of dynamic registrations that the issuer was seen to know lately.
    verified_clients: Cache<(String, String), ()>,
    changes: broadcast::Sender<ConnectionChange>,
    heard: Mutex<ChangeCursor>,
}

impl CredentialBroker {
    /// A vault with nothing in memory yet.
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

    /// The credential with which this person's calls go to this origin: from memory on all but the first call, refreshed before
    /// it expires.
    ///
    /// # Errors
    /// When the person has no usable connection, or it cannot be told now.
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
                // Good for a while: this call does not wait for the next one.
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

    /// Another credential, after the origin answered 401 to one. If somebody has renewed it meanwhile, theirs.
    ///
    /// # Errors
    /// [`ConnectionStatus::ReconnectNeeded`] when there will be no other without the person's consent,
    /// [`CredentialError::Rejected`] when there is no other.
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

    /// How this person stands with this origin.
    ///
    /// # Errors
    /// When it cannot be told now.
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

    /// Begins consent at the origin's authorization server and returns where to send the browser. `browser` is the digest of
    /// the session cookie that the flow is bound to, and `return_to` comes back from [`finish`](Self::finish). Where the origin
    /// has asked for more than was granted, that is asked for in addition ([`step_up`](Self::step_up)).
    ///
    /// # Errors
    /// When the origin, its authorization server or the configuration does not let a person connect; the message says which.
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

    /// Ends what [`begin`](Self::begin) began, when the browser comes back to `{publicUrl}/connect/{id}/callback`.
    ///
    /// # Errors
    /// When the answer does not belong to a flow of this browser, consent was refused, or no token came.
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
                // Nobody knows whose browser it was.
                self.0.record(EventKind::Connected, None, Some(gateway), origin, Some((&error).into())).await;
                return Err(error);
            }
        };
        let failure = ended.as_ref().err().map(Into::into);
        self.0.record(EventKind::Connected, Some(&finished.who), Some(gateway), origin, failure).await;
        ended.map(|()| finished)
    }

    /// Forgets a person's credential at an origin, and revokes it there (RFC 7009) where that is possible.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn disconnect(&self, who: &PrincipalId, origin: &Arc<Origin>) -> Result<(), CredentialError> {
        self.0.disconnect(who, origin).await
    }

    /// Forgets everybody's credential at an origin and returns how many there were. They are revoked there, where that is
    /// possible, after this returns.
    ///
    /// # Errors
    /// When the store does not answer. Some may be forgotten then; asked again, it goes on with the rest.
    pub async fn disconnect_everybody(&self, origin: &Arc<Origin>) -> Result<usize, CredentialError> {
        let whose = ConnectionFilter::Origin(&origin.uid);
        self.0.disconnect_all(whose, |uid| (*uid == *origin.uid).then(|| Arc::clone(origin))).await
    }

    /// The same for all that one person has connected. `origins` finds an origin by its UID: at one that is not served any more
    /// nothing can be revoked, and what is left of it here is forgotten all the same.
    ///
    /// # Errors
    /// As above.
    pub async fn disconnect_everywhere(
        &self,
        who: &PrincipalId,
        origins: impl Fn(&str) -> Option<Arc<Origin>>,
    ) -> Result<usize, CredentialError> {
        self.0.disconnect_all(ConnectionFilter::Person(who.as_str()), origins).await
    }

    /// Where an origin's authorization server sends people back to: what it is told when the gateway is registered there by hand.
    #[must_use]
    pub fn redirect_uri(&self, gateway: &Gateway, origin: &Origin) -> String {
        registration::redirect_uri(gateway, origin)
    }

    /// The client ID metadata document for an origin, served at `/connect/{id}/client.json`.
    #[must_use]
    pub fn client_document(&self, gateway: &Gateway, origin: &Origin) -> serde_json::Value {
        registration::client_metadata_document(gateway, origin)
    }

    /// Tells of accounts as they are connected and disconnected.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<ConnectionChange> {
        self.0.changes.subscribe()
    }
}

impl Inner {
    /// The client that may reach this origin and its authorization server.
    fn http(&self, origin: &Origin) -> Result<HttpClient, EgressError> {
        self.parts.http.http(&origin.network.private_networks, origin.network.ca_bundle_pem.as_deref())
    }

    /// As whom calls of a person's go to an origin. `None` where nothing but what is written down is sent.
    fn credential_subject<'a>(&'a self, who: &'a PrincipalId, origin: &Origin) -> Option<&'a PrincipalId> {
        match origin.credential_subject() {
            CredentialSubject::None => None,
            CredentialSubject::Gateway | CredentialSubject::SharedAccount => Some(&self.shared_principal),
            CredentialSubject::Person | CredentialSubject::SignIn => Some(who),
        }
    }

    /// How it stands with somebody's connection, from the store.
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
        // Nobody listening is no trouble.
        let change = ConnectionChange { who: who.clone(), origin_uid: Arc::clone(&origin.uid), connected };
        self.changes.send(change).ok();
    }
}
