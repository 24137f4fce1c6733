//! What origins offer, where that can be asked without a person's account: on change, now and then, and sooner after a failure.
//!
//! ```text
//! answer   what came of it, for everybody else
//! ask      one look at one origin: which era it speaks, what it lists
//! listing  JSON-RPC over one POST, whether the answer comes as JSON or as SSE
//! ```
//!
//! Origins are asked by the rules by which calls reach them: the same guard on addresses, the same trust anchors, the credential
//! only where its Secret allows the host.

mod mcp_session;
pub(crate) mod outcome;
mod probe;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use portcullis_config::{OriginAuth, OriginConfig, with_query_parameter};
use portcullis_egress::HttpClients;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep_until};
use url::Url;

use crate::cluster_state::ClusterEvent;
use crate::discover::outcome::{Discovery, DiscoveryOutcome};

/// Origins that are asked at the same time.
const MAX_CONCURRENT_PROBES: usize = 8;
/// After a failure, doubled with each further one.
const RETRY_DELAY: Duration = Duration::from_secs(10);

/// An origin to be asked.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) document: Arc<OriginConfig>,
    /// The header's or query parameter's whole value, where it takes one.
    pub(crate) credential: Option<SecretString>,
}

struct TargetState {
    target: Target,
    due: Instant,
    failures: u32,
    asking: bool,
}

impl Target {
    fn is_same(&self, other: &Self) -> bool {
        let secret = |target: &Self| target.credential.as_ref().map(|it| it.expose_secret().to_owned());
        self.document == other.document && secret(self) == secret(other)
    }

    /// Where it is asked, the credential included where that is part of the URL. It belongs into no message.
    fn url(&self) -> Url {
        match (&self.document.auth, &self.credential) {
            (OriginAuth::QueryParameter { name, .. }, Some(value)) => {
                with_query_parameter(&self.document.url, name, value.expose_secret())
            }
            _ => self.document.url.clone(),
        }
    }

    /// Whether calls go out with tokens, which the data plane has and this program has not.
    fn wants_token(&self) -> bool {
        !matches!(
            self.document.auth,
            OriginAuth::None | OriginAuth::Header { .. } | OriginAuth::QueryParameter { .. }
        )
    }
}

/// Asks the targets that it is given, whenever they are due, until nobody wants to know.
pub(crate) async fn discover(
    clients: HttpClients,
    mut targets: watch::Receiver<Arc<Vec<Target>>>,
    changes: mpsc::Sender<ClusterEvent>,
    interval: Duration,
) {
    let abreast = Arc::new(Semaphore::new(MAX_CONCURRENT_PROBES));
    let (done, mut answers) = mpsc::channel::<(String, Target, DiscoveryOutcome)>(MAX_CONCURRENT_PROBES);
    let mut states: BTreeMap<String, TargetState> = BTreeMap::new();
    loop {
        let now = Instant::now();
        for (uid, state) in states.iter_mut().filter(|(_, state)| !state.asking && state.due <= now) {
            state.asking = true;
            let (uid, target) = (uid.clone(), state.target.clone());
            let (clients, abreast, done) = (clients.clone(), Arc::clone(&abreast), done.clone());
            tokio::spawn(async move {
                let Ok(_permit) = abreast.acquire().await else { return };
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
                    continue; // asked what is no longer the question; it is due already
                }
                let failed = !matches!(outcome, DiscoveryOutcome::Offers(_) | DiscoveryOutcome::NeedsAccount);
                state.failures = if failed { state.failures.saturating_add(1) } else { 0 };
                let wait = match state.failures {
                    0 => interval,
                    failures => (RETRY_DELAY * 2u32.saturating_pow(failures.min(10) - 1)).min(interval.max(RETRY_DELAY)),
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

/// Whoever is new or differs is due at once; whoever is no longer wanted is forgotten.
fn update_targets(states: &mut BTreeMap<String, TargetState>, wanted: &[Target]) {
    states.retain(|uid, _| wanted.iter().any(|target| target.document.uid == *uid));
    for target in wanted {
        match states.get_mut(&target.document.uid) {
            Some(state) if state.target.is_same(target) => {}
            Some(state) => {
                state.target = target.clone();
                state.due = Instant::now();
                state.failures = 0;
            }
            None => {
                let state =
                    TargetState { target: target.clone(), due: Instant::now(), failures: 0, asking: false };
                states.insert(target.document.uid.clone(), state);
            }
        }
    }
}
