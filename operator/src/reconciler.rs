//! The reconciler: a level-triggered loop that compares the desired with the observed state and writes the
//! difference. A second run writes nothing.
//!
//! The number of API requests per change does not grow with the number of resources: only documents and
//! statuses that differ are applied. A failed write is retried with backoff and does not delay other writes.

mod abandoned_leases;
mod key_rotation;
mod observed_catalogs;
mod origin_status;
mod resource_status;
mod retry_queue;
mod slugs;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use kube::Client;
use portcullis_clock::{Clock, Random};
use portcullis_compiler::{Diagnostic, ResourceId};
use portcullis_config_distribution::{
    RESTORED_UIDS_CONFIG_MAP, RestoredUids, SLUGS_CONFIG_MAP, Stamp, verify_restored_uids,
};
use portcullis_key_encryption::KeyEncryption;
use portcullis_keyring::Keyring;
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use crate::admin_server::Stats;
use crate::cluster_state::{ClusterEvent, ClusterState, Replica};
use crate::command::ReplicasFrom;
use crate::desired_state::{DesiredObject, DesiredState};
use crate::discover::Target;
use crate::poll_replicas::CatalogSources;
use crate::publish::{ConfigWriter, Difference, WriteError, difference, has_current_mac};
use crate::slug_ledger::SlugLedger;
use crate::status::transitions;
use crate::status_writer::StatusWriter;
use key_rotation::LoadedKeys;
use retry_queue::RetryQueue;

/// Changes within this time are handled in one pass.
const DEBOUNCE: Duration = Duration::from_millis(30);
/// Interval of passes without changes, for reports that become outdated and retries that are due.
const TICK: Duration = Duration::from_secs(1);
/// Maximum number of writes before new changes are handled. A single edit must not wait for a thousand
/// others.
const MAX_WRITES_PER_PASS: usize = 256;
/// Writes that run concurrently.
const MAX_CONCURRENT_WRITES: usize = 16;
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// Dependencies and settings of the reconciler.
pub(crate) struct ReconcilerContext {
    pub(crate) cluster_state: ClusterState,
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) replicas_from: ReplicasFrom,
    pub(crate) identity: String,
    pub(crate) leading: watch::Receiver<bool>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) key_encryption: KeyEncryption,
    /// Receives the origins to probe; `None` if discovery is disabled.
    pub(crate) targets: Option<watch::Sender<Arc<Vec<Target>>>>,
    /// Receives the replicas to poll for observed catalogs; the value is `None` while another operator leads.
    pub(crate) catalog_sources: watch::Sender<Option<CatalogSources>>,
}

/// Owns the cluster state and makes all writes.
pub(crate) struct Reconciler {
    context: ReconcilerContext,
    config_writer: ConfigWriter,
    status_writer: StatusWriter,
    desired_state: DesiredState,
    keys: Option<LoadedKeys>,
    /// Whether the owner ConfigMap existed. If it disappears afterwards, the installation is being removed.
    owner_seen: bool,
    retry_queue: RetryQueue,
    slugs: SlugLedger,
    /// Whether the slugs may differ from the recorded ones.
    slugs_changed: bool,
    /// Namespaces that the gateway admitted when its tenancy was last known.
    admitted: Option<BTreeSet<String>>,
    /// As of the last pass.
    replicas: Vec<Replica>,
}

impl Reconciler {
    pub(crate) fn new(context: ReconcilerContext) -> Self {
        let config_writer = ConfigWriter::new(&context.client, &context.namespace, context.random.clone());
        let status_writer = StatusWriter::new(&context.client, &context.identity);
        Self {
            config_writer,
            status_writer,
            desired_state: DesiredState::default(),
            keys: None,
            owner_seen: false,
            retry_queue: RetryQueue::default(),
            slugs: SlugLedger::default(),
            slugs_changed: false,
            admitted: None,
            replicas: Vec::new(),
            context,
        }
    }

    /// Runs until the watches end.
    pub(crate) async fn run(mut self, mut changes: Receiver<ClusterEvent>) {
        let mut leading = self.context.leading.clone();
        let mut led = false;
        let mut dirty = true;
        loop {
            let mut taken = Vec::new();
            tokio::select! {
                count = changes.recv_many(&mut taken, 4096) => if count == 0 { return },
                _ = leading.changed() => {}
                () = tokio::time::sleep(TICK) => {}
            }
            let until = Instant::now() + DEBOUNCE;
            while !taken.is_empty()
                && matches!(timeout_at(until, changes.recv_many(&mut taken, 4096)).await, Ok(1..))
            {
            }
            dirty |= !taken.is_empty();
            taken.into_iter().for_each(|change| self.context.cluster_state.handle(change));
            self.context.stats.last_pass_ms.store(self.context.clock.now().0, Ordering::Relaxed);
            if !self.context.cluster_state.is_complete() {
                continue;
            }
            self.context.stats.ready.store(true, Ordering::Relaxed);
            let leads = *leading.borrow_and_update();
            self.context.stats.leads.store(leads, Ordering::Relaxed);
            if leads != led {
                (led, dirty) = (leads, true);
                // Only the leader probes origins, and a compilation determines which.
                self.context.cluster_state.resources_changed = true;
                // Another operator may have led in between.
                self.slugs = SlugLedger::default();
                if let Some(targets) = self.context.targets.as_ref().filter(|_| !led) {
                    targets.send_replace(Arc::default());
                }
            }
            dirty |=
                self.refresh_replicas() || self.retry_queue.has_due() || (led && self.is_key_rotation_due());
            if self.slugs.has_expired(self.context.clock.now()) {
                self.context.cluster_state.resources_changed = true;
                dirty = true;
            }
            self.update_catalog_sources(led);
            while led && dirty {
                dirty = self.reconcile().await;
                let mut taken = Vec::new();
                while let Ok(change) = changes.try_recv() {
                    taken.push(change);
                }
                dirty |= !taken.is_empty();
                taken.into_iter().for_each(|change| self.context.cluster_state.handle(change));
                self.context.stats.last_pass_ms.store(self.context.clock.now().0, Ordering::Relaxed);
                led = *self.context.leading.borrow();
                if dirty {
                    self.refresh_replicas();
                }
            }
        }
    }

    fn refresh_replicas(&mut self) -> bool {
        let now = Instant::now();
        let replicas = match self.context.replicas_from {
            ReplicasFrom::Pods => self.context.cluster_state.replicas.list_from_pods(now),
            ReplicasFrom::Leases => self.context.cluster_state.replicas.list_from_leases(now),
        };
        let refused = self.context.cluster_state.replicas.refused_serials(now);
        let published = &mut self.context.cluster_state.published;
        let differs = self.replicas != replicas || published.refused_serials != refused;
        self.replicas = replicas;
        published.refused_serials = refused;
        differs
    }

    /// Makes up to [`MAX_WRITES_PER_PASS`] writes of each sort. Returns whether more are due.
    async fn reconcile(&mut self) -> bool {
        let Some(keys) = self.keys().await else { return false };
        let Some(owner) = self.owner().await else { return false };
        self.load_restored_uids(&keys).await;
        if std::mem::take(&mut self.context.cluster_state.resources_changed) {
            self.compile(&keys);
        }
        if self.update_observed_catalogs() {
            self.compile(&keys);
        }
        // Before a document is removed: until then it shows who had the slug.
        self.write_slugs(&keys).await;
        let difference = difference(&self.desired_state, &mut self.context.cluster_state.published, &keys);
        let more = self.publish(&difference, &keys, &owner).await;
        self.delete_abandoned_leases().await;
        // Key rotation comes last, because it depends on the published objects.
        self.write_statuses(&keys).await | self.rotate_keys().await || more
    }

    /// Verifies and applies the restored UIDs. If they do not verify, the previous mapping stays.
    async fn load_restored_uids(&mut self, keys: &Keyring) {
        let Some(data) = &self.context.cluster_state.published.restored_uids else {
            return self.context.cluster_state.set_restored_uids(RestoredUids::new());
        };
        match verify_restored_uids(&keys.mac, data) {
            Ok(restored_uids) => {
                if !has_current_mac(keys, data) && self.retry_queue.can_try(RESTORED_UIDS_CONFIG_MAP) {
                    match with_timeout(self.config_writer.resign_restored_uids(keys, &restored_uids)).await {
                        Ok(change) => {
                            self.retry_queue.succeeded(RESTORED_UIDS_CONFIG_MAP);
                            self.context.cluster_state.handle(change);
                        }
                        Err(error) => self.record_failure(RESTORED_UIDS_CONFIG_MAP, &error),
                    }
                }
                self.context.cluster_state.set_restored_uids(restored_uids);
            }
            Err(error) if self.retry_queue.can_try(RESTORED_UIDS_CONFIG_MAP) => {
                self.retry_queue.failed(RESTORED_UIDS_CONFIG_MAP, &error.to_string());
                tracing::error!(
                    %error,
                    config_map = RESTORED_UIDS_CONFIG_MAP,
                    "the restored UIDs do not verify and are ignored; write them with `portcullis-operator adopt`"
                );
            }
            Err(_) => {}
        }
    }

    /// The UID of the owner ConfigMap, which is created if missing. If it existed before and is now gone, the
    /// installation is being removed and nothing is recreated.
    async fn owner(&mut self) -> Option<String> {
        if let Some(owner) = self.context.cluster_state.published.owner.clone() {
            self.owner_seen = true;
            return Some(owner);
        }
        if !self.retry_queue.can_try("owner") {
            return None;
        }
        if self.owner_seen {
            self.retry_queue.failed("owner", "the owner ConfigMap was deleted");
            tracing::warn!(
                config_map = portcullis_config_distribution::OWNER_CONFIG_MAP,
                "the owner ConfigMap was deleted, and all published objects with it; publishing stops until \
                 `helm upgrade` recreates it or the operator restarts"
            );
            return None;
        }
        match with_timeout(self.config_writer.create_owner()).await {
            Ok(change) => {
                self.retry_queue.succeeded("owner");
                self.context.cluster_state.handle(change);
                self.context.cluster_state.published.owner.clone()
            }
            Err(error) => {
                self.record_failure("owner", &error);
                None
            }
        }
    }

    fn compile(&mut self, keys: &Keyring) {
        let started = Instant::now();
        self.load_slugs(keys);
        match DesiredState::build(&self.context.cluster_state, &keys.mac) {
            Ok(desired_state) => {
                self.desired_state = desired_state;
                self.record_tenancy();
                self.update_targets();
            }
            Err(error) => {
                tracing::error!(%error, "failed to serialize a config document; the previous state stays");
                return;
            }
        }
        let stats = &self.context.stats;
        let took = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        stats.compilations.fetch_add(1, Ordering::Relaxed);
        stats.compile_micros.store(took, Ordering::Relaxed);
        stats.objects.store(self.desired_state.objects.len() as u64, Ordering::Relaxed);
        let invalid = self
            .desired_state
            .diagnostics
            .values()
            .filter(|found| found.iter().any(Diagnostic::is_error))
            .count();
        stats.errors.store(invalid as u64, Ordering::Relaxed);
        stats.undecodable.store(self.context.cluster_state.undecodable.len() as u64, Ordering::Relaxed);
        self.retry_queue.retain(|name| {
            self.desired_state.objects.contains_key(name)
                || matches!(name, "keys" | "owner" | RESTORED_UIDS_CONFIG_MAP | SLUGS_CONFIG_MAP)
                || name.contains(' ')
        });
    }

    /// Writes objects that differ, referenced objects first. Then removes obsolete objects in the opposite
    /// order. Returns whether more are due.
    async fn publish(&mut self, difference: &Difference, keys: &Keyring, owner: &str) -> bool {
        let due: Vec<_> =
            difference.write.iter().filter(|(_, name)| self.retry_queue.can_try(name)).collect();
        let mut rest = due.get(..MAX_WRITES_PER_PASS).unwrap_or(&due);
        while let Some((kind, _)) = rest.first() {
            let (now, later) = rest.split_at(rest.partition_point(|(other, _)| other == kind));
            rest = later;
            let (config_writer, desired_state, leading) =
                (&self.config_writer, &self.desired_state, &self.context.leading);
            let writes = now.iter().filter_map(|(_, name)| {
                let desired = desired_state.objects.get(name)?;
                Some((name, desired, self.stamp(name, desired, keys)))
            });
            let writes: Vec<_> = writes.collect();
            let results: Vec<_> = stream::iter(writes)
                .map(|(name, desired, stamp)| async move {
                    if !*leading.borrow() {
                        return (name, Ok(None));
                    }
                    let write = config_writer.apply(name, desired, stamp.as_ref(), keys, owner);
                    (name, with_timeout(write).await)
                })
                .buffer_unordered(MAX_CONCURRENT_WRITES)
                .collect()
                .await;
            for (name, result) in results {
                match result {
                    Ok(change) => {
                        self.retry_queue.succeeded(name);
                        if let Some(change) = change {
                            self.context.stats.applied.fetch_add(1, Ordering::Relaxed);
                            self.context.cluster_state.handle(change);
                        }
                    }
                    Err(error) => self.record_failure(name, &error),
                }
            }
        }
        if due.len() > MAX_WRITES_PER_PASS {
            return true;
        }
        let due: Vec<_> =
            difference.remove.iter().filter(|(_, name)| self.retry_queue.can_try(name)).collect();
        for (kind, name) in due.iter().take(MAX_WRITES_PER_PASS) {
            if !*self.context.leading.borrow() {
                return false;
            }
            match with_timeout(self.config_writer.remove(*kind, name)).await {
                Ok(()) => {
                    self.retry_queue.succeeded(name);
                    self.context.stats.removed.fetch_add(1, Ordering::Relaxed);
                    self.context.cluster_state.published.objects.remove(name);
                }
                Err(error) => self.record_failure(name, &error),
            }
        }
        due.len() > MAX_WRITES_PER_PASS
    }

    /// The stamp of an object that is written now. `None` while the installation has no id.
    fn stamp(&self, name: &str, desired: &DesiredObject, keys: &Keyring) -> Option<Stamp> {
        let installation = keys.installation()?;
        let now = self.context.clock.now();
        let published = &self.context.cluster_state.published;
        Some(published.stamp_for(name, desired.content.hash(), &installation.id, now))
    }

    /// Writes the statuses that differ, those of changed resources first. Returns whether more are due.
    async fn write_statuses(&mut self, keys: &Keyring) -> bool {
        let pending = difference(&self.desired_state, &mut self.context.cluster_state.published, keys).write;
        let pending: BTreeSet<_> = pending.into_iter().map(|(_, name)| name).collect();
        let now = Timestamp::from_millisecond(self.context.clock.now().0).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut due: Vec<_> = self
            .context
            .cluster_state
            .tracked
            .iter()
            .filter(|(id, _)| self.writes_status(id))
            .filter_map(|(id, subject)| {
                let status = self.status(id, subject, &pending, now);
                let differs = status != subject.status && self.retry_queue.can_try(&status_key(id));
                differs.then(|| (id.clone(), subject.clone(), status))
            })
            .collect();
        for (id, subject, status) in &due {
            tracing::debug!(%id, before = ?subject.status, after = ?status, "status differs");
        }
        due.sort_by_key(|(_, subject, _)| subject.status.observed_generation == Some(subject.generation));
        let more = due.len() > MAX_WRITES_PER_PASS;
        due.truncate(MAX_WRITES_PER_PASS);
        let (status_writer, leading) = (&self.status_writer, &self.context.leading);
        let results: Vec<_> = stream::iter(due)
            .map(|(id, subject, status)| async move {
                if !*leading.borrow() {
                    return (id, Ok(None));
                }
                let written = with_timeout(status_writer.write_status(&id, &subject.uid, &status)).await;
                if matches!(written, Ok(Some(_))) {
                    for condition in transitions(&subject.status.conditions, &status.conditions) {
                        let event = status_writer.record_event(&id, &subject.uid, condition);
                        timeout(WRITE_TIMEOUT, event).await.ok();
                    }
                }
                (id, written)
            })
            .buffer_unordered(MAX_CONCURRENT_WRITES)
            .collect()
            .await;
        for (id, result) in results {
            match result {
                Ok(Some(mut object)) => {
                    if self.desired_state.compiled.contested.contains(&id.namespace) {
                        // The other installation's operator writes the status too. Take longer each time.
                        self.retry_queue.failed(&status_key(&id), "two installations serve the namespace");
                    } else {
                        self.retry_queue.succeeded(&status_key(&id));
                    }
                    self.context.stats.statuses.fetch_add(1, Ordering::Relaxed);
                    let status = object.data.as_object_mut().and_then(|data| data.remove("status"));
                    self.context.cluster_state.record_written_status(&id, &object.metadata, status);
                }
                // The resource is gone or was recreated. The watch will report it; until then the write is
                // delayed.
                Ok(None) => {
                    self.retry_queue.failed(&status_key(&id), "the resource is gone or was recreated")
                }
                Err(error) => self.record_failure(&status_key(&id), &error),
            }
        }
        more
    }

    fn record_failure(&mut self, what: &str, error: &WriteError) {
        self.context.stats.failures.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(%error, object = what, "write failed, retrying");
        self.retry_queue.failed(what, &error.to_string());
    }
}

/// Key of a status in the retry queue. It contains a space, which names of published objects do not.
fn status_key(id: &ResourceId) -> String {
    format!("status of {id}")
}

async fn with_timeout<T>(write: impl Future<Output = Result<T, WriteError>>) -> Result<T, WriteError> {
    timeout(WRITE_TIMEOUT, write).await.unwrap_or(Err(WriteError::TimedOut))
}

#[cfg(test)]
mod golden;
