//! Opens the rooms: keys, database, and the source of what is served.

use std::fs::{self, DirBuilder};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use portcullis_ambient::{Clock, Random};
use portcullis_assertions::Verifier;
use portcullis_custody::{Custody, KeysEncryption};
use portcullis_events::EventSink;
use portcullis_identity::{Identity, IdentityParts, ReviewTokens};
use portcullis_keys::Keys;
use portcullis_outbound::{Clients, Egress};
use portcullis_policy::Tables;
use portcullis_portal::{Portal, PortalParts};
use portcullis_providers::{Providers, ProvidersParts};
use portcullis_store::Store;
use portcullis_vault::{Vault, VaultParts};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::database::Database;
use crate::catalog::Catalogs;
use crate::edge::{Public, Testimony};
use crate::ending::Ending;
use crate::pipeline::{Context, LateSessions};
use crate::reseal::{Resealing, Work};
use crate::review::Reviews;
use crate::sign_ins::SignIns;
use crate::snapshot::cluster::{self, Beside, Cluster, Following, Tally};
use crate::snapshot::{Edits, Folder, FolderKeys, Loaded, Publisher, watch};
use crate::upstream::Upstreams;

/// A source that was looked at and is not followed yet.
pub(super) enum Prepared {
    Folder(Box<Manifests>),
    Cluster(cluster::Settings),
}

/// A folder as it was read first, and its edits since.
pub(super) struct Manifests {
    edits: Edits,
    folder: Folder,
    loaded: Loaded,
}

impl Manifests {
    pub(super) fn read(path: &Path, state: &Path) -> anyhow::Result<Self> {
        let edits = Edits::of(path)?;
        let mut folder = Folder::new(path, state)?;
        match folder.load()? {
            Ok(loaded) => Ok(Self { edits, folder, loaded }),
            Err(problems) => bail!("{} cannot be served:\n{problems}", path.display()),
        }
    }
}

/// A source that is followed.
pub(super) enum Followed {
    Folder(JoinHandle<()>),
    Cluster(Following),
}

impl Followed {
    pub(super) fn task(&mut self) -> &mut JoinHandle<()> {
        match self {
            Self::Folder(task) => task,
            Self::Cluster(following) => &mut following.task,
        }
    }

    pub(super) async fn end(self) {
        match self {
            Self::Folder(task) => task.abort(),
            Self::Cluster(following) => following.end().await,
        }
    }
}

/// What the rooms are opened with.
pub(super) struct Opening {
    pub(super) state: PathBuf,
    pub(super) database: Database,
    pub(super) address: SocketAddr,
    pub(super) private_address: SocketAddr,
    pub(super) tables: Tables,
    pub(super) ending: Ending,
    pub(super) events: EventSink,
    pub(super) egress: Egress,
    pub(super) encryption: KeysEncryption,
    pub(super) resealing: Resealing,
}

/// The rooms, open, and the source that they serve from.
pub(super) struct Opened {
    pub(super) rooms: Rooms,
    pub(super) source: Followed,
    /// Told when what there is to serve is served.
    pub(super) arrived: oneshot::Receiver<()>,
}

impl Opening {
    pub(super) async fn open(self, source: Prepared, tally: Tally) -> anyhow::Result<Opened> {
        let (clock, random) = (Clock::system(), Random::system());
        let mut publisher =
            Publisher::new(self.tables.clone(), self.events.clone(), clock.clone(), self.address);
        let (tell, arrived) = oneshot::channel();
        let custody = Custody::new(&self.encryption, &Clients::through(self.egress.clone()))?;
        let resealing = self.resealing.clone();
        match source {
            Prepared::Folder(manifests) => {
                let Manifests { edits, mut folder, loaded: Loaded { contract, given } } = *manifests;
                publisher.publish(&contract)?;
                folder.accept(given)?;
                let store = self.database.open(&self.state).await?;
                let folder_keys = FolderKeys::new(&self.state, custody, random.clone(), clock.clone());
                let (keys, followed) = folder_keys.open(store.holds_sealed().await?).await?;
                let rooms = self.rooms(store, Arc::clone(&keys), None, clock, random).await?;
                // Until the log of revocations has been read no token is honoured.
                rooms.context.identity.hear().await?;
                tell.send(()).ok();
                let follow = async move {
                    tokio::select! {
                        () = watch(edits, folder, publisher) => {}
                        () = followed.follow(keys, resealing, self.events) => {}
                    }
                };
                Ok(Opened { rooms, source: Followed::Folder(tokio::spawn(follow)), arrived })
            }
            Prepared::Cluster(settings) => {
                let cluster = Cluster::open(settings, custody, &self.state, &self.egress).await?;
                let store = self.database.open_patiently(&self.state).await?;
                let reviewer: Arc<dyn ReviewTokens> = Arc::new(Reviews::new(cluster.client()));
                let rooms =
                    self.rooms(store, cluster.keys(), Some(reviewer), clock.clone(), random.clone()).await?;
                let catalogs = rooms.context.catalogs.clone();
                let beside = Beside {
                    listen: self.address,
                    private: self.private_address,
                    catalogs,
                    resealing,
                    events: self.events,
                };
                let following = cluster.follow(publisher, beside, clock, random, tally, tell);
                Ok(Opened { rooms, source: Followed::Cluster(following), arrived })
            }
        }
    }

    async fn rooms(
        &self,
        store: Store,
        keys: Arc<Keys>,
        reviewer: Option<Arc<dyn ReviewTokens>>,
        clock: Clock,
        random: Random,
    ) -> anyhow::Result<Rooms> {
        let (tables, events, egress) = (self.tables.clone(), self.events.clone(), self.egress.clone());
        let http = Clients::through(egress.clone());
        let verifier = Arc::new(Verifier::new(http.clone(), store.clone(), clock.clone()));
        let providers = Providers::new(ProvidersParts {
            verifier: Arc::clone(&verifier),
            store: store.clone(),
            keys: Arc::clone(&keys),
            http: http.clone(),
            clock: clock.clone(),
            random: random.clone(),
        });
        let identity =
            IdentityParts { tables, store, keys, http, clock, random, events, verifier, providers, reviewer };
        Rooms::assemble(identity, self.ending.clone(), egress).await
    }
}

/// Everything that serves, put together once.
pub(super) struct Rooms {
    pub(super) context: Arc<Context>,
    pages: axum::Router,
    egress: Egress,
    providers: Providers,
}

impl Rooms {
    /// What the authorization server works with, the other rooms work with too.
    async fn assemble(parts: IdentityParts, ending: Ending, egress: Egress) -> anyhow::Result<Self> {
        let IdentityParts { tables, store, keys, http, clock, random, events, providers, .. } = parts.clone();
        let identity = Identity::new(parts);
        let sign_ins = SignIns { identity: identity.clone(), tables: tables.clone() };
        let vault = Vault::new(VaultParts {
            store: store.clone(),
            keys: Arc::clone(&keys),
            http: http.clone(),
            identities: Some(Arc::new(sign_ins)),
            clock: clock.clone(),
            random: random.clone(),
            events: events.clone(),
        });
        let portal = Portal::new(PortalParts {
            tables: tables.clone(),
            identity: identity.clone(),
            vault: vault.clone(),
            store: store.clone(),
            keys: Arc::clone(&keys),
            providers: providers.clone(),
            clock: clock.clone(),
            random: random.clone(),
            events: events.clone(),
        });
        let pages = identity.router().merge(portal.router());
        let catalogs = Catalogs::load(store.clone(), clock.clone()).await?;
        let late = LateSessions::default();
        let context = Context {
            tables,
            identity,
            portal,
            vault,
            store,
            keys,
            catalogs,
            late,
            clock,
            random,
            events,
            ending,
        };
        Ok(Self { context: Arc::new(context), pages, egress, providers })
    }

    /// What a replica of this name may tell the operator.
    pub(super) fn testimony(&self, replica: String) -> Testimony {
        let Context { catalogs, keys, random, .. } = &*self.context;
        Testimony { replica, catalogs: catalogs.clone(), keys: Arc::clone(keys), random: random.clone() }
    }

    /// Seals anew what the keys have left behind, until dropped.
    pub(super) fn reseal(&self, resealing: Resealing) -> impl Future<Output = ()> + Send + 'static {
        let Context { vault, tables, keys, clock, events, .. } = &*self.context;
        let work = Work { vault: vault.clone(), providers: self.providers.clone(), tables: tables.clone() };
        resealing.run(work, Arc::clone(keys), clock.clone(), events.clone())
    }

    pub(super) fn public(&self) -> Public {
        Public {
            context: Arc::clone(&self.context),
            upstreams: Arc::new(Upstreams::new(self.egress.clone())),
            pages: self.pages.clone(),
        }
    }
}

/// Keys and credentials lie there.
pub(super) fn private_folder(folder: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    let mode = fs::metadata(folder)?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!("{} is open to others (mode {:o}): chmod 700 it", folder.display(), mode & 0o777);
    }
    Ok(())
}
