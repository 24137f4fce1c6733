//! Discovers the catalogs of origins that need no user's account: on change, at an interval, and sooner after
//! a failure.
//!
//! ```text
//! outcome    the outcome of a probe, for the rest of the operator
//! probe      one probe of one origin: its protocol era and its lists
//! transport  sends the requests of the MCP client
//! ```
//!
//! Probes follow the same rules as calls: the same address checks, the same trust anchors, and the credential
//! only where its Secret allows the host.

pub(crate) mod outcome;
mod probe;
mod transport;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use portcullis_config::{OriginAuth, OriginConfig, with_query_parameter};
use portcullis_egress::HttpClients;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep_until};
use url::Url;

use crate::cluster_state::ClusterEvent;
use crate::discover::outcome::{Discovery, DiscoveryOutcome};

/// Origins that are probed concurrently.
const MAX_CONCURRENT_PROBES: usize = 8;
/// Delay after the first failure. Each further failure doubles it, up to the interval or
/// [`MAX_RETRY_DELAY`].
const RETRY_DELAY: Duration = Duration::from_secs(10);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5120);

/// An origin to probe.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) document: Arc<OriginConfig>,
    /// The whole value of the header or query parameter, for the auth modes that have one.
    pub(crate) credential: Option<SecretString>,
}

struct TargetState {
    target: Target,
    due: Instant,
    /// The delays of further failures, since the last success.
    backoff: Option<ExponentialBackoff>,
    asking: bool,
}

impl Target {
    fn is_same(&self, other: &Self) -> bool {
        let secret = |target: &Self| target.credential.as_ref().map(|it| it.expose_secret().to_owned());
        self.document == other.document && secret(self) == secret(other)
    }

    /// The URL to probe. It can contain the credential as a query parameter, so it must not appear in
    /// messages.
    fn url(&self) -> Url {
        match (&self.document.auth, &self.credential) {
            (OriginAuth::QueryParameter { name, .. }, Some(value)) => {
                with_query_parameter(&self.document.url, name, value.expose_secret())
            }
            _ => self.document.url.clone(),
        }
    }

    /// Whether calls carry a token. Only the data plane has tokens, so the operator probes without one.
    fn wants_token(&self) -> bool {
        !matches!(
            self.document.auth,
            OriginAuth::None | OriginAuth::Header { .. } | OriginAuth::QueryParameter { .. }
        )
    }
}

/// Probes the given targets whenever they are due, until either channel closes.
pub(crate) async fn discover(
    clients: HttpClients,
    mut targets: watch::Receiver<Arc<Vec<Target>>>,
    changes: mpsc::Sender<ClusterEvent>,
    interval: Duration,
) {
    let permits = Arc::new(Semaphore::new(MAX_CONCURRENT_PROBES));
    let backoff = ExponentialBuilder::new()
        .with_min_delay(RETRY_DELAY)
        .with_max_delay(interval.clamp(RETRY_DELAY, MAX_RETRY_DELAY))
        .without_max_times();
    let (done, mut answers) = mpsc::channel::<(String, Target, DiscoveryOutcome)>(MAX_CONCURRENT_PROBES);
    let mut states: BTreeMap<String, TargetState> = BTreeMap::new();
    loop {
        let now = Instant::now();
        for (uid, state) in states.iter_mut().filter(|(_, state)| !state.asking && state.due <= now) {
            state.asking = true;
            let (uid, target) = (uid.clone(), state.target.clone());
            let (clients, permits, done) = (clients.clone(), Arc::clone(&permits), done.clone());
            tokio::spawn(async move {
                let Ok(_permit) = permits.acquire().await else { return };
                let outcome = probe::probe(&clients, &target).await;
                done.send((uid, target, outcome)).await.ok();
            });
        }
        let next = states.values().filter(|state| !state.asking).map(|state| state.due).min();
        let next = next.unwrap_or(now + interval);
        tokio::select! {
            changed = targets.changed() => {
                if changed.is_err() {
                    return;
                }
                let wanted = Arc::clone(&targets.borrow_and_update());
                update_targets(&mut states, &wanted);
            }
            Some((uid, target, outcome)) = answers.recv() => {
                let Some(state) = states.get_mut(&uid) else { continue };
                state.asking = false;
                if !state.target.is_same(&target) {
                    continue; // the target changed during the probe and is due already
                }
                let failed = !matches!(outcome, DiscoveryOutcome::Offers(_) | DiscoveryOutcome::NeedsAccount);
                let wait = if failed {
                    state.backoff.get_or_insert_with(|| backoff.build()).next().unwrap_or(MAX_RETRY_DELAY)
                } else {
                    state.backoff = None;
                    interval
                };
                state.due = Instant::now() + wait;
                let asked = Discovery { document: target.document, outcome };
                if changes.send(ClusterEvent::Discovery(uid, asked)).await.is_err() {
                    return;
                }
            }
            () = sleep_until(next) => {}
        }
    }
}

/// Makes new and changed targets due at once, and drops targets that are no longer wanted.
fn update_targets(states: &mut BTreeMap<String, TargetState>, wanted: &[Target]) {
    states.retain(|uid, _| wanted.iter().any(|target| target.document.uid == *uid));
    for target in wanted {
        match states.get_mut(&target.document.uid) {
            Some(state) if state.target.is_same(target) => {}
            Some(state) => {
                state.target = target.clone();
                state.due = Instant::now();
                state.backoff = None;
            }
            None => {
                let state =
                    TargetState { target: target.clone(), due: Instant::now(), backoff: None, asking: false };
                states.insert(target.document.uid.clone(), state);
            }
        }
    }
}
