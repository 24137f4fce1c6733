//! The loop: whatever changed, look at everything, and do what is missing. Run again, it does nothing.
//!
//! What a change costs at the API server does not grow with the number of resources: the document that differs is applied, and
//! the statuses that differ are. A write that fails is tried again with backoff, by itself: it holds up nothing else.

mod backlog;
mod observed;
mod origins;
mod rings;
mod standing;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use kube::Client;
use portcullis_ambient::{Clock, Random};
use portcullis_compiler::{Diagnosis, ResourceId};
use portcullis_custody::Custody;
use portcullis_keys::Keys;
use portcullis_publication::{IDENTITIES_NAME, Identities, verify_identities};
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use crate::command::ReplicasFrom;
use crate::discover::Target;
use crate::observe::Witnesses;
use crate::plan::Plan;
use crate::private::Figures;
use crate::publish::{Difference, Publisher, WriteError, bears_current_mac, difference};
use crate::status::transitions;
use crate::tell::Teller;
use crate::world::{Change, Replica, World};
use backlog::Backlog;
use rings::Rings;

/// Changes that come this close together are one.
const DEBOUNCE: Duration = Duration::from_millis(30);
/// Between two looks at what time alone changes: reports that grow old, failed writes that are due.
const TICK: Duration = Duration::from_secs(1);
/// Writes before changes are looked at again, so that an edit does not wait for a thousand others.
const AT_ONCE: usize = 256;
/// Writes at the same time.
const ABREAST: usize = 16;
/// For one write.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the loop works with.
pub(crate) struct Parts {
    pub(crate) world: World,
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) replicas_from: ReplicasFrom,
    pub(crate) identity: String,
    pub(crate) leading: watch::Receiver<bool>,
    pub(crate) figures: Arc<Figures>,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) custody: Custody,
    /// Whom to ask for a catalog; absent where nobody is asked.
    pub(crate) targets: Option<watch::Sender<Arc<Vec<Target>>>>,
    /// Which replicas to ask what their users were shown; `None` in it while others lead.
    pub(crate) witnesses: watch::Sender<Option<Witnesses>>,
}

/// The loop.
pub(crate) struct Engine {
    parts: Parts,
    publisher: Publisher,
    teller: Teller,
    plan: Plan,
    keys: Option<Rings>,
    /// Whether the ConfigMap that owns all was there; once it goes, the installation is being removed.
    owned: bool,
    backlog: Backlog,
    /// As last looked at.
    replicas: Vec<Replica>,
}

impl Engine {
    pub(crate) fn new(parts: Parts) -> Self {
        let publisher = Publisher::new(&parts.client, &parts.namespace, parts.random.clone());
        let teller = Teller::new(&parts.client, &parts.identity);
        Self {
            publisher,
            teller,
            plan: Plan::default(),
            keys: None,
            owned: false,
            backlog: Backlog::default(),
            replicas: Vec::new(),
            parts,
        }
    }

    /// Runs until the watches end.
    pub(crate) async fn run(mut self, mut changes: Receiver<Change>) {
        let mut leading = self.parts.leading.clone();
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
            taken.into_iter().for_each(|change| self.parts.world.take(change));
            self.parts.figures.beat.store(self.parts.clock.now().0, Ordering::Relaxed);
            if !self.parts.world.is_complete() {
                continue;
            }
            self.parts.figures.ready.store(true, Ordering::Relaxed);
            let leads = *leading.borrow_and_update();
            self.parts.figures.leads.store(leads, Ordering::Relaxed);
            if leads != led {
                (led, dirty) = (leads, true);
                // Who leads asks the origins; to know whom, look at all of it.
                self.parts.world.stale = true;
                if let Some(targets) = self.parts.targets.as_ref().filter(|_| !led) {
                    targets.send_replace(Arc::default());
                }
            }
            dirty |= self.look_at_replicas() || self.backlog.is_due() || (led && self.keys_are_due());
            self.call_witnesses(led);
            while led && dirty {
                dirty = self.pass().await;
                let mut taken = Vec::new();
                while let Ok(change) = changes.try_recv() {
                    taken.push(change);
                }
                dirty |= !taken.is_empty();
                taken.into_iter().for_each(|change| self.parts.world.take(change));
                self.parts.figures.beat.store(self.parts.clock.now().0, Ordering::Relaxed);
                led = *self.parts.leading.borrow();
                if dirty {
                    self.look_at_replicas();
                }
            }
        }
    }

    fn look_at_replicas(&mut self) -> bool {
        let now = Instant::now();
        let replicas = match self.parts.replicas_from {
            ReplicasFrom::Pods => self.parts.world.replicas.of_pods(now),
            ReplicasFrom::Leases => self.parts.world.replicas.of_leases(now),
        };
        let differs = self.replicas != replicas;
        self.replicas = replicas;
        differs
    }

    /// Looks at everything and does what is missing, or the first part of it: whether there is more.
    async fn pass(&mut self) -> bool {
        let Some(keys) = self.keys().await else { return false };
        let Some(owner) = self.owner().await else { return false };
        self.identities(&keys).await;
        if std::mem::take(&mut self.parts.world.stale) {
            self.compile(&keys);
        }
        if self.learn() {
            self.compile(&keys);
        }
        let difference = difference(&self.plan, &mut self.parts.world.publication, &keys);
        let more = self.publish(&difference, &keys, &owner).await;
        // What the rings are to be depends on what is published: last.
        self.report(&keys).await | self.turn_keys().await || more
    }

    /// What resources that were restored from another cluster go by. What does not verify changes nothing.
    async fn identities(&mut self, keys: &Keys) {
        let Some(data) = &self.parts.world.publication.identities else {
            return self.parts.world.adopt(Identities::new());
        };
        match verify_identities(&keys.mac, data) {
            Ok(identities) => {
                if !bears_current_mac(keys, data) && self.backlog.may(IDENTITIES_NAME) {
                    match patiently(self.publisher.vouch_for_identities(keys, &identities)).await {
                        Ok(change) => {
                            self.backlog.done(IDENTITIES_NAME);
                            self.parts.world.take(change);
                        }
                        Err(error) => self.failed(IDENTITIES_NAME, &error),
                    }
                }
                self.parts.world.adopt(identities);
            }
            Err(refused) if self.backlog.may(IDENTITIES_NAME) => {
                let problem = format!("{refused}; write it with `portcullis-operator adopt`");
                self.backlog.failed(IDENTITIES_NAME, &problem);
                tracing::error!("the ConfigMap {IDENTITIES_NAME}: {problem}");
            }
            Err(_) => {}
        }
    }

    /// The UID of the ConfigMap that owns all. Once it was there and is not any more, the installation is being removed, and
    /// nothing is to be put back.
    async fn owner(&mut self) -> Option<String> {
        if let Some(owner) = self.parts.world.publication.owner.clone() {
            self.owned = true;
            return Some(owner);
        }
        if !self.backlog.may("owner") {
            return None;
        }
        if self.owned {
            let problem = "it was removed, and all that is published with it; nothing is published until it is there \
                           again (helm upgrade) or the operator starts anew";
            self.backlog.failed("owner", problem);
            tracing::warn!("the ConfigMap {}: {problem}", portcullis_publication::OWNER_NAME);
            return None;
        }
        match patiently(self.publisher.make_owner()).await {
            Ok(change) => {
                self.backlog.done("owner");
                self.parts.world.take(change);
                self.parts.world.publication.owner.clone()
            }
            Err(error) => {
                self.failed("owner", &error);
                None
            }
        }
    }

    fn compile(&mut self, keys: &Keys) {
        let started = Instant::now();
        match Plan::make(&self.parts.world, &keys.mac) {
            Ok(plan) => {
                self.plan = plan;
                self.ask();
            }
            Err(error) => {
                return tracing::error!("a document cannot be written, and the last plan stays: {error}");
            }
        }
        let figures = &self.parts.figures;
        let took = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        figures.compilations.fetch_add(1, Ordering::Relaxed);
        figures.compile_micros.store(took, Ordering::Relaxed);
        figures.objects.store(self.plan.objects.len() as u64, Ordering::Relaxed);
        let ill = self.plan.diagnoses.values().filter(|found| found.iter().any(Diagnosis::is_error)).count();
        figures.errors.store(ill as u64, Ordering::Relaxed);
        figures.undecodable.store(self.parts.world.undecodable.len() as u64, Ordering::Relaxed);
        self.backlog.forget_all_but(|name| {
            self.plan.objects.contains_key(name)
                || matches!(name, "keys" | "owner" | IDENTITIES_NAME)
                || name.contains(' ')
        });
    }

    /// Writes what differs: first what others refer to; then removes what is gone, in the opposite order.
    async fn publish(&mut self, difference: &Difference, keys: &Keys, owner: &str) -> bool {
        let due: Vec<_> = difference.write.iter().filter(|(_, name)| self.backlog.may(name)).collect();
        let mut rest = due.get(..AT_ONCE).unwrap_or(&due);
        while let Some((kind, _)) = rest.first() {
            let (now, later) = rest.split_at(rest.partition_point(|(other, _)| other == kind));
            rest = later;
            let (publisher, plan, leading) = (&self.publisher, &self.plan, &self.parts.leading);
            let writes = now.iter().filter_map(|(_, name)| Some((name, plan.objects.get(name)?)));
            let results: Vec<_> = stream::iter(writes)
                .map(|(name, desired)| async move {
                    if !*leading.borrow() {
                        return (name, Ok(None));
                    }
                    (name, patiently(publisher.apply(name, desired, keys, owner)).await)
                })
                .buffer_unordered(ABREAST)
                .collect()
                .await;
            for (name, result) in results {
                match result {
                    Ok(change) => {
                        self.backlog.done(name);
                        if let Some(change) = change {
                            self.parts.figures.applied.fetch_add(1, Ordering::Relaxed);
                            self.parts.world.take(change);
                        }
                    }
                    Err(error) => self.failed(name, &error),
                }
            }
        }
        if due.len() > AT_ONCE {
            return true;
        }
        let due: Vec<_> = difference.remove.iter().filter(|(_, name)| self.backlog.may(name)).collect();
        for (kind, name) in due.iter().take(AT_ONCE) {
            if !*self.parts.leading.borrow() {
                return false;
            }
            match patiently(self.publisher.remove(*kind, name)).await {
                Ok(()) => {
                    self.backlog.done(name);
                    self.parts.figures.removed.fetch_add(1, Ordering::Relaxed);
                    self.parts.world.publication.objects.remove(name);
                }
                Err(error) => self.failed(name, &error),
            }
        }
        due.len() > AT_ONCE
    }

    /// Writes the statuses that differ; first those of resources that were just changed.
    async fn report(&mut self, keys: &Keys) -> bool {
        let pending = difference(&self.plan, &mut self.parts.world.publication, keys).write;
        let pending: BTreeSet<_> = pending.into_iter().map(|(_, name)| name).collect();
        let now = Timestamp::from_millisecond(self.parts.clock.now().0).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut due: Vec<_> = self
            .parts
            .world
            .subjects
            .iter()
            .filter_map(|(id, subject)| {
                let status = self.status(id, subject, &pending, now);
                let differs = status != subject.status && self.backlog.may(&status_key(id));
                differs.then(|| (id.clone(), subject.clone(), status))
            })
            .collect();
        for (id, subject, status) in &due {
            tracing::debug!(%id, before = ?subject.status, after = ?status, "the status differs");
        }
        due.sort_by_key(|(_, subject, _)| subject.status.observed_generation == Some(subject.generation));
        let more = due.len() > AT_ONCE;
        due.truncate(AT_ONCE);
        let (teller, leading) = (&self.teller, &self.parts.leading);
        let results: Vec<_> = stream::iter(due)
            .map(|(id, subject, status)| async move {
                if !*leading.borrow() {
                    return (id, Ok(None));
                }
                let told = patiently(teller.report(&id, &subject.uid, &status)).await;
                if matches!(told, Ok(Some(_))) {
                    for condition in transitions(&subject.status.conditions, &status.conditions) {
                        let event = teller.event(&id, &subject.uid, condition);
                        timeout(PATIENCE, event).await.ok();
                    }
                }
                (id, told)
            })
            .buffer_unordered(ABREAST)
            .collect()
            .await;
        for (id, result) in results {
            match result {
                Ok(Some(mut object)) => {
                    self.backlog.done(&status_key(&id));
                    self.parts.figures.statuses.fetch_add(1, Ordering::Relaxed);
                    let status = object.data.as_object_mut().and_then(|data| data.remove("status"));
                    self.parts.world.reported(&id, &object.metadata, status);
                }
                // Gone, or another one by now: its watch will say so. Until then it is let be.
                Ok(None) => self.backlog.failed(&status_key(&id), "the resource is another one by now"),
                Err(error) => self.failed(&status_key(&id), &error),
            }
        }
        more
    }

    fn failed(&mut self, what: &str, error: &WriteError) {
        self.parts.figures.failures.fetch_add(1, Ordering::Relaxed);
        tracing::warn!("{what}: {error}");
        self.backlog.failed(what, &error.to_string());
    }
}

/// Statuses and objects fail apart.
fn status_key(id: &ResourceId) -> String {
    format!("status of {id}")
}

async fn patiently<T>(write: impl Future<Output = Result<T, WriteError>>) -> Result<T, WriteError> {
    timeout(PATIENCE, write).await.unwrap_or(Err(WriteError::TimedOut))
}

#[cfg(test)]
mod golden;
