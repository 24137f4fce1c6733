//! Startup: opens the keys and the database, builds the services, and starts to follow the config source.

use std::fs::{self, DirBuilder};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use portcullis_authorization_server::{
    AuthorizationServer, AuthorizationServerDependencies, FeedReader, TokenReviewer,
};
use portcullis_clock::{Clock, Random};
use portcullis_egress::{Egress, HttpClients};
use portcullis_events::EventSink;
use portcullis_identity_providers::{IdentityProviders, IdentityProvidersDependencies, TokenReencryption};
use portcullis_jwt_verification::JwtVerifier;
use portcullis_key_encryption::{KeyEncryption, KeyEncryptionArgs};
use portcullis_keyring::Keyring;
use portcullis_origin_auth::{BrokerDependencies, CredentialBroker};
use portcullis_policy::RouteTableHandle;
use portcullis_portal::{Portal, PortalDependencies};
use portcullis_store::Store;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::database::DatabaseArgs;
use crate::catalog::Catalogs;
use crate::config_source::cluster::{self, ClusterSource, FollowHandle, ReplicaContext, SyncStats};
use crate::config_source::{
    FolderKeys, FolderWatcher, Loaded, ManifestFolder, TablePublisher, follow_folder,
};
use crate::edge::{CatalogEndpointState, PublicListener};
use crate::limits::Limits;
use crate::pipeline::{Context, DeferredSessions};
use crate::reencrypt::{ReencryptTargets, Reencryption};
use crate::shutdown::Shutdown;
use crate::sign_in_tokens::SignInTokens;
use crate::token_review::KubeTokenReviewer;
use crate::upstream::UpstreamPool;

/// A config source that is read but not followed yet.
pub(super) enum PreparedSource {
    Folder(Box<LoadedManifests>),
    Cluster(cluster::ClusterSettings),
}

/// The content of a folder, and a watcher that has recorded edits since before it was read.
pub(super) struct LoadedManifests {
    edits: FolderWatcher,
    folder: ManifestFolder,
    loaded: Loaded,
}

impl LoadedManifests {
    pub(super) fn read(path: &Path, state: &Path) -> anyhow::Result<Self> {
        let edits = FolderWatcher::start(path)?;
        let mut folder = ManifestFolder::new(path, state)?;
        match folder.load()? {
            Ok(loaded) => Ok(Self { edits, folder, loaded }),
            Err(problems) => {
                bail!("{} has errors and cannot be served; fix them:\n{problems}", path.display())
            }
        }
    }
}

/// A config source that is followed.
pub(super) enum FollowedSource {
    Folder(JoinHandle<()>),
    Cluster(FollowHandle),
}

impl FollowedSource {
    pub(super) fn task(&mut self) -> &mut JoinHandle<()> {
        match self {
            Self::Folder(task) => task,
            Self::Cluster(following) => &mut following.task,
        }
    }

    pub(super) async fn stop(self) {
        match self {
            Self::Folder(task) => task.abort(),
            Self::Cluster(following) => following.stop().await,
        }
    }
}

/// Inputs of [`start`](Self::start).
pub(super) struct Startup {
    pub(super) state: PathBuf,
    pub(super) database: DatabaseArgs,
    pub(super) address: SocketAddr,
    pub(super) private_address: SocketAddr,
    pub(super) tables: RouteTableHandle,
    pub(super) shutdown: Shutdown,
    pub(super) events: EventSink,
    pub(super) limits: Arc<Limits>,
    pub(super) egress: Egress,
    pub(super) encryption: KeyEncryptionArgs,
    pub(super) reencryption: Reencryption,
}

/// The running services and their config source.
pub(super) struct Started {
    pub(super) services: Services,
    pub(super) source: FollowedSource,
    /// Resolves when the config is served.
    pub(super) ready: oneshot::Receiver<()>,
}

impl Startup {
    pub(super) async fn start(self, source: PreparedSource, tally: SyncStats) -> anyhow::Result<Started> {
        let (clock, random) = (Clock::system(), Random::system());
        let mut publisher =
            TablePublisher::new(self.tables.clone(), self.events.clone(), clock.clone(), self.address);
        let (ready_sender, ready) = oneshot::channel();
        let key_encryption =
            KeyEncryption::new(&self.encryption, &HttpClients::through(self.egress.clone()))?;
        let reencryption = self.reencryption.clone();
        match source {
            PreparedSource::Folder(manifests) => {
                let LoadedManifests { edits, mut folder, loaded: Loaded { config, uids: given } } =
                    *manifests;
                publisher.publish(&config)?;
                folder.commit_uids(given)?;
                let store = self.database.open(&self.state).await?;
                let folder_keys = FolderKeys::new(&self.state, key_encryption, random.clone(), clock.clone());
                let (keys, followed) = folder_keys.open(store.has_sealed_rows().await?).await?;
                let services = self.build_services(store, Arc::clone(&keys), None, clock, random).await?;
                // No token is accepted before the revocation feed has been read.
                services.feed_reader.read().await?;
                ready_sender.send(()).ok();
                let follow = async move {
                    tokio::select! {
                        () = follow_folder(edits, folder, publisher) => {}
                        () = followed.follow(keys, reencryption, self.events) => {}
                    }
                };
                Ok(Started { services, source: FollowedSource::Folder(tokio::spawn(follow)), ready })
            }
            PreparedSource::Cluster(settings) => {
                let cluster =
                    ClusterSource::open(settings, key_encryption, &self.state, &self.egress).await?;
                let store = self.database.open_with_retry(&self.state).await?;
                // Without the accepted serials an older version of an object could be served.
                let serials = store.published_serials().await?;
                let reviewer: Arc<dyn TokenReviewer> = Arc::new(KubeTokenReviewer::new(cluster.client()));
                let services = self
                    .build_services(
                        store.clone(),
                        cluster.keys(),
                        Some(reviewer),
                        clock.clone(),
                        random.clone(),
                    )
                    .await?;
                let catalogs = services.context.catalogs.clone();
                let beside = ReplicaContext {
                    listen: self.address,
                    private_address: self.private_address,
                    catalogs,
                    reencryption,
                    events: self.events,
                    store,
                    serials,
                };
                let following = cluster.follow(publisher, beside, clock, random, tally, ready_sender);
                Ok(Started { services, source: FollowedSource::Cluster(following), ready })
            }
        }
    }

    async fn build_services(
        &self,
        store: Store,
        keys: Arc<Keyring>,
        reviewer: Option<Arc<dyn TokenReviewer>>,
        clock: Clock,
        random: Random,
    ) -> anyhow::Result<Services> {
        let (tables, events, egress) = (self.tables.clone(), self.events.clone(), self.egress.clone());
        let http = HttpClients::through(egress.clone());
        let verifier = Arc::new(JwtVerifier::new(http.clone(), store.clone(), clock.clone()));
        let providers = IdentityProviders::new(IdentityProvidersDependencies {
            verifier: Arc::clone(&verifier),
            store: store.clone(),
            keys: Arc::clone(&keys),
            http: http.clone(),
            clock: clock.clone(),
            random: random.clone(),
        });
        let identity = AuthorizationServerDependencies {
            tables,
            store,
            keys,
            http,
            clock,
            random,
            events,
            verifier,
            providers,
            reviewer,
        };
        Services::build(identity, self.shutdown.clone(), Arc::clone(&self.limits), egress).await
    }
}

/// All services of the process. Built once.
pub(super) struct Services {
    pub(super) context: Arc<Context>,
    pub(super) feed_reader: Arc<FeedReader>,
    pages: axum::Router,
    egress: Egress,
    sign_in_reencryption: Arc<TokenReencryption>,
}

impl Services {
    /// Builds all services. They share the authorization server's dependencies.
    async fn build(
        parts: AuthorizationServerDependencies,
        ending: Shutdown,
        limits: Arc<Limits>,
        egress: Egress,
    ) -> anyhow::Result<Self> {
        let AuthorizationServerDependencies {
            tables,
            store,
            keys,
            http,
            clock,
            random,
            events,
            providers,
            ..
        } = parts.clone();
        let identity = AuthorizationServer::new(parts);
        let sign_ins = SignInTokens { sign_ins: identity.sign_ins, tables: tables.clone() };
        let broker = CredentialBroker::new(BrokerDependencies {
            store: store.clone(),
            keys: Arc::clone(&keys),
            http: http.clone(),
            identities: Some(Arc::new(sign_ins)),
            clock: clock.clone(),
            random: random.clone(),
            events: events.clone(),
        });
        let portal = Portal::new(PortalDependencies {
            tables: tables.clone(),
            clients: identity.clients,
            codes: identity.codes,
            principals: identity.principals,
            revocation: identity.revocation,
            broker: broker.clone(),
            store: store.clone(),
            keys: Arc::clone(&keys),
            providers: providers.clone(),
            clock: clock.clone(),
            random: random.clone(),
            events: events.clone(),
        });
        let pages = identity.router.merge(portal.router());
        let catalogs = Catalogs::load(store.clone(), clock.clone()).await?;
        let late = DeferredSessions::default();
        let context = Context {
            tables,
            access_tokens: identity.access_tokens,
            portal,
            broker,
            store,
            keys,
            catalogs,
            deferred_sessions: late,
            clock,
            random,
            events,
            shutdown: ending,
            limits,
        };
        Ok(Self {
            context: Arc::new(context),
            feed_reader: identity.feed_reader,
            pages,
            egress,
            sign_in_reencryption: providers.reencryption,
        })
    }

    /// State of the catalog endpoint, through which the operator reads the catalogs of the named replica.
    pub(super) fn catalog_endpoint_state(&self, replica: String) -> CatalogEndpointState {
        let Context { catalogs, tables, keys, random, .. } = &*self.context;
        CatalogEndpointState {
            replica,
            catalogs: catalogs.clone(),
            tables: tables.clone(),
            keys: Arc::clone(keys),
            random: random.clone(),
        }
    }

    /// Re-encrypts stored data that is sealed under replaced keys, until dropped.
    pub(super) fn reencrypt(&self, reencryption: Reencryption) -> impl Future<Output = ()> + Send + 'static {
        let Context { broker, tables, keys, clock, events, .. } = &*self.context;
        let work = ReencryptTargets {
            broker: broker.clone(),
            sign_ins: Arc::clone(&self.sign_in_reencryption),
            tables: tables.clone(),
        };
        reencryption.run(work, Arc::clone(keys), clock.clone(), events.clone())
    }

    pub(super) fn public(&self) -> PublicListener {
        PublicListener {
            context: Arc::clone(&self.context),
            upstreams: Arc::new(UpstreamPool::new(self.egress.clone())),
            pages: self.pages.clone(),
        }
    }
}

/// Creates a folder for keys and credentials with mode 0700.
///
/// # Errors
/// When the folder cannot be created, or an existing one is accessible to other users.
pub(super) fn create_private_dir(folder: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("failed to create {}", folder.display()))?;
    let mode = fs::metadata(folder)?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!(
            "{} is accessible to other users (mode {:o}); run chmod 700 on it",
            folder.display(),
            mode & 0o777
        );
    }
    Ok(())
}
