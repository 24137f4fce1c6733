//! Builds the parts of the authorization server, each with the dependencies that it uses.

use std::sync::Arc;

use axum::Router;
use portcullis_clock::{Clock, Random};
use portcullis_egress::HttpClients;
use portcullis_events::EventSink;
use portcullis_identity_providers::IdentityProviders;
use portcullis_jwt_verification::JwtVerifier;
use portcullis_keyring::Keyring;
use portcullis_policy::RouteTableHandle;
use portcullis_store::Store;

use crate::client::{MetadataDocuments, Registrations};
use crate::endpoint::{ClientAuthenticator, Endpoints};
use crate::revocation_feed::RevocationFeed;
use crate::stream_renewal::StreamRenewal;
use crate::{
    AccessTokenVerifier, AuthorizationCodes, ClientRegistry, FeedReader, GrantRevocation, Principals,
    SignInRenewal, TokenReviewer,
};

/// Dependencies of [`AuthorizationServer`].
#[derive(Clone)]
pub struct AuthorizationServerDependencies {
    /// Routes and settings.
    pub tables: RouteTableHandle,
    /// Stores clients, grants and principals.
    pub store: Store,
    /// Signs access tokens.
    pub keys: Arc<Keyring>,
    /// Fetches client ID metadata documents.
    pub http: HttpClients,
    /// Current time.
    pub clock: Clock,
    /// Source of codes, tokens and ids.
    pub random: Random,
    /// Records audit events.
    pub events: EventSink,
    /// Verifies JWTs of clients and identity providers.
    pub verifier: Arc<JwtVerifier>,
    /// The identity providers.
    pub providers: IdentityProviders,
    /// Verifies tokens of Kubernetes service accounts; `None` outside a cluster.
    pub reviewer: Option<Arc<dyn TokenReviewer>>,
}

/// The authorization server: one part per responsibility. The rest of the process holds the parts that it
/// uses.
pub struct AuthorizationServer {
    /// Clients, by their id.
    pub clients: Arc<ClientRegistry>,
    /// Issues authorization codes.
    pub codes: Arc<AuthorizationCodes>,
    /// Users, workloads and service accounts.
    pub principals: Arc<Principals>,
    /// Verifies access tokens. Accepts none until [`feed_reader`](Self::feed_reader) has read the change log.
    pub access_tokens: Arc<AccessTokenVerifier>,
    /// Revokes grants.
    pub revocation: Arc<GrantRevocation>,
    /// Renews sign-ins at identity providers.
    pub sign_ins: Arc<SignInRenewal>,
    /// Reads the change log.
    pub feed_reader: Arc<FeedReader>,
    /// The HTTP endpoints.
    pub router: Router,
}

impl AuthorizationServer {
    /// Creates an authorization server.
    #[must_use]
    pub fn new(dependencies: AuthorizationServerDependencies) -> Self {
        let AuthorizationServerDependencies { tables, store, keys, clock, random, events, .. } =
            &dependencies;
        let feed = Arc::new(RevocationFeed::new());
        let principals = Arc::new(Principals::new(store.clone(), clock.clone(), Arc::clone(&feed)));
        let revocation = Arc::new(GrantRevocation::new(
            store.clone(),
            clock.clone(),
            events.clone(),
            Arc::clone(&dependencies.providers.renewal),
            Arc::clone(&feed),
            Arc::clone(&principals),
        ));
        let sign_ins = Arc::new(SignInRenewal::new(
            tables.clone(),
            clock.clone(),
            events.clone(),
            Arc::clone(&dependencies.providers.renewal),
            Arc::clone(&principals),
            Arc::clone(&revocation),
        ));
        let registrations = Arc::new(Registrations::new(store.clone(), clock.clone(), random.clone()));
        let documents =
            MetadataDocuments::new(tables.clone(), dependencies.http.clone(), clock.clone(), events.clone());
        let clients = Arc::new(ClientRegistry::new(Arc::clone(&registrations), documents));
        let client_authenticator = Arc::new(ClientAuthenticator::new(
            Arc::clone(&clients),
            Arc::clone(&registrations),
            Arc::clone(&dependencies.verifier),
            clock.clone(),
        ));
        let access_tokens = AccessTokenVerifier::new(
            tables.clone(),
            Arc::clone(keys),
            clock.clone(),
            Arc::clone(&feed),
            Arc::clone(&principals),
            Arc::new(StreamRenewal::new(tables.clone(), store.clone(), clock.clone(), Arc::clone(&sign_ins))),
        );
        let codes = AuthorizationCodes::new(store.clone(), clock.clone(), random.clone());
        let feed_reader =
            FeedReader::new(tables.clone(), store.clone(), clock.clone(), feed, Arc::clone(&principals));
        let endpoints = Endpoints::new(
            &dependencies,
            registrations,
            client_authenticator,
            Arc::clone(&principals),
            Arc::clone(&revocation),
            Arc::clone(&sign_ins),
        );
        Self {
            clients,
            codes: Arc::new(codes),
            principals,
            access_tokens: Arc::new(access_tokens),
            revocation,
            sign_ins,
            feed_reader: Arc::new(feed_reader),
            router: endpoints.router(),
        }
    }
}
