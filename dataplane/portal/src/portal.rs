//! [`Portal`]: its dependencies, its router, and what all handlers share (sealing, events, pruning).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_authorization_server::{AuthorizationCodes, ClientRegistry, GrantRevocation, Principals};
use portcullis_clock::{Clock, Random};
use portcullis_events::{Event, EventKind, EventSink, Outcome};
use portcullis_identity_providers::IdentityProviders;
use portcullis_keyring::{Keyring, Purpose};
use portcullis_origin_auth::CredentialBroker;
use portcullis_policy::{Origin, Principal, PrincipalId, Route, RouteTable, RouteTableHandle};
use portcullis_store::Store;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::PortalError;
use crate::{ConnectLinkError, account, admin, api, authorize, connect, home, page, paths, sign_in};

/// Minimum time between deletions of expired browser state, in milliseconds.
const PRUNE_INTERVAL_MS: i64 = 10 * 60 * 1000;

/// Maximum size of a form, in bytes.
const MAX_FORM_BYTES: usize = 64 * 1024;

/// What the portal needs from the rest of the process.
pub struct PortalDependencies {
    /// The current route table.
    pub tables: RouteTableHandle,
    /// OAuth clients.
    pub clients: Arc<ClientRegistry>,
    /// Issues authorization codes.
    pub codes: Arc<AuthorizationCodes>,
    /// Users, workloads and service accounts.
    pub principals: Arc<Principals>,
    /// Revokes grants and ends sessions.
    pub revocation: Arc<GrantRevocation>,
    /// Connections to origins.
    pub broker: CredentialBroker,
    /// Sessions, consents, and pending flows.
    pub store: Store,
    /// Seals stored browser state and form tokens.
    pub keys: Arc<Keyring>,
    /// Clients of the identity providers.
    pub providers: IdentityProviders,
    /// Source of the current time.
    pub clock: Clock,
    /// Source of random tokens.
    pub random: Random,
    /// Receives the portal's events.
    pub events: EventSink,
}

/// The pages. Cheap to clone. The fields are those of [`PortalDependencies`].
#[derive(Clone)]
pub struct Portal {
    pub(crate) tables: RouteTableHandle,
    pub(crate) clients: Arc<ClientRegistry>,
    pub(crate) codes: Arc<AuthorizationCodes>,
    pub(crate) principals: Arc<Principals>,
    pub(crate) revocation: Arc<GrantRevocation>,
    pub(crate) broker: CredentialBroker,
    pub(crate) store: Store,
    pub(crate) keys: Arc<Keyring>,
    pub(crate) providers: IdentityProviders,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) events: EventSink,
    /// When expired browser state was last deleted, in Unix milliseconds.
    last_pruned: Arc<AtomicI64>,
}

impl Portal {
    /// Creates the portal.
    #[must_use]
    pub fn new(dependencies: PortalDependencies) -> Self {
        let PortalDependencies { tables, clients, codes, principals, revocation, broker, .. } = dependencies;
        let PortalDependencies { store, keys, providers, clock, random, events, .. } = dependencies;
        let last_pruned = Arc::new(AtomicI64::new(clock.now().0));
        Self {
            tables,
            clients,
            codes,
            principals,
            revocation,
            broker,
            store,
            keys,
            providers,
            clock,
            random,
            events,
            last_pruned,
        }
    }

    /// All paths for browsers: `/mcp/{slug}/oauth/authorize`, `/oauth/authorize`, `/consent/…`, `/login/…`,
    /// `/connect/…`, `/connections/…`, `/clients/…`, `/admin/…`, `/api/…`, `/sign-out`, the portal at `/` and
    /// its stylesheet.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/", get(home::get))
            .route(page::STYLESHEET, get(page::stylesheet))
            .route("/mcp/{slug}/oauth/authorize", get(authorize::authorize_route))
            .route("/oauth/authorize", get(authorize::authorize_root))
            .route("/consent/{id}", get(authorize::consent::get).post(authorize::consent::post))
            .route("/consent/{id}/connect", post(authorize::connect::post))
            .route("/login", post(sign_in::start::post))
            .route("/login/callback", get(sign_in::callback::get))
            .route("/login/backchannel/{provider}", post(sign_in::backchannel::post))
            .route("/login/development", get(sign_in::development::get).post(sign_in::development::post))
            .route("/sign-out", post(sign_in::sign_out::post))
            .route("/connect/{origin}", get(connect::link::get).post(connect::link::post))
            .route("/connect/{origin}/callback", get(connect::callback::get))
            .route("/connect/{origin}/done", get(connect::callback::done))
            .route("/connect/{origin}/client.json", get(connect::client_metadata::get))
            .route(paths::MY_ACCOUNTS, get(account::connections::get))
            .route("/connections/{origin}/connect", post(connect::manage::connect))
            .route("/connections/{origin}/disconnect", post(connect::manage::disconnect))
            .route(paths::MY_CLIENTS, get(account::clients::get))
            .route("/clients/{grant}/revoke", post(account::clients::revoke))
            .route(paths::PEOPLE, get(admin::pages::people))
            .route(paths::CLIENTS, get(admin::pages::clients))
            .route(paths::TEAMS, get(admin::pages::teams))
            .route(paths::ORIGINS, get(admin::pages::origins))
            .route("/admin/people/{id}", get(admin::person::get))
            .route("/admin/people/{id}/revoke", post(admin::forms::person))
            .route("/admin/clients/revoke", post(admin::forms::client))
            .route("/admin/teams/revoke", post(admin::forms::team))
            .route("/admin/origins/{id}/connect", post(admin::connect::post))
            .route("/admin/origins/{id}/revoke", post(admin::forms::origin))
            .route("/admin/grants/{id}/revoke", post(admin::forms::grant))
            .merge(api::router())
            .route_layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
            .with_state(self.clone())
    }

    /// Creates a link with which a user connects their account at a route's origin. The link works once, for
    /// 15 minutes, and only for the user `who`.
    ///
    /// # Errors
    /// When the link cannot be stored or random bytes are unavailable.
    pub async fn connect_link(
        &self,
        table: &RouteTable,
        who: &PrincipalId,
        route: &Route,
    ) -> Result<String, ConnectLinkError> {
        connect::link::create_link(self, table, who, route).await
    }

    /// The current route table.
    pub(crate) fn table(&self) -> Result<Arc<RouteTable>, PortalError> {
        self.tables.current().ok_or(PortalError::NotServing)
    }

    /// A new event with time and gateway name.
    pub(crate) fn event(&self, table: &RouteTable, kind: EventKind, outcome: Outcome) -> Event {
        let mut event = Event::new(self.clock.now(), kind, outcome);
        event.gateway = Some(Arc::clone(&table.gateway.name));
        event
    }

    /// Records that a user was refused to connect an account.
    pub(crate) fn record_denied(
        &self,
        table: &RouteTable,
        person: Option<&Principal>,
        route: Option<&Route>,
        origin: &Origin,
        reason: &'static str,
    ) {
        let mut event = self.event(table, EventKind::PolicyDenied, Outcome::Denied);
        event.subject = person.map(|person| Arc::clone(&person.subject));
        event.route = route.map(|route| Arc::clone(&route.slug));
        event.origin = Some(Arc::clone(&origin.name));
        event.reason = Some(reason);
        self.events.record(event);
    }

    /// Seals a value for the store or a form. It can be opened only with the same `bound_to`.
    pub(crate) fn seal(&self, bound_to: &[&str], value: &impl Serialize) -> Result<String, PortalError> {
        let text = serde_json::to_vec(value).map_err(PortalError::internal)?;
        let sealed = self
            .keys
            .sealing
            .seal(&self.random, Purpose::Browser, bound_to, &text)
            .map_err(PortalError::internal)?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens a value that [`seal`](Self::seal) sealed. `None` if it is invalid.
    pub(crate) fn open<T: DeserializeOwned>(&self, bound_to: &[&str], sealed: &str) -> Option<T> {
        let envelope = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let text = self.keys.sealing.open(Purpose::Browser, bound_to, &envelope).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Deletes expired browser state, at most once per [`PRUNE_INTERVAL_MS`]. Called when a row is added.
    pub(crate) async fn prune_expired(&self) {
        let now = self.clock.now().0;
        let last = self.last_pruned.load(Ordering::Relaxed);
        if now.saturating_sub(last) < PRUNE_INTERVAL_MS
            || self.last_pruned.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        if let Err(error) = self.store.prune_expired_browser_state(now).await {
            tracing::warn!(%error, "failed to delete expired sessions and sign-ins");
        }
    }
}
