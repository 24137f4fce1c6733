//! Polls replicas for the catalogs that users saw of origins that need an account. A changed hash in a
//! replica's Lease triggers a poll.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use ipnet::IpNet;
use portcullis_clock::{Clock, NoRandomness, Random};
use portcullis_config_distribution::{
    CATALOGS_PATH, CatalogReplyError, CatalogRequest, MAC_HEADER, MAX_REPLY_BYTES, NONCE_HEADER,
    ObservedCatalogs,
};
use portcullis_egress::{Egress, EgressError, HttpClients};
use portcullis_keyring::{Keyring, NoMacKey};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::cluster_state::ClusterEvent;

/// Minimum time between two polls of one replica.
const MIN_POLL_INTERVAL: Duration = Duration::from_secs(5);
/// A replica is polled after this time even if its hash is unchanged: catalogs that are still in use must not
/// expire.
const REFRESH_INTERVAL: Duration = Duration::from_secs(3600);
/// Delay after the first failure. Each further failure doubles it.
const RETRY_DELAY: Duration = Duration::from_secs(15);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(600);
const BACKOFF: ExponentialBuilder =
    ExponentialBuilder::new().with_min_delay(RETRY_DELAY).with_max_delay(MAX_RETRY_DELAY).without_max_times();
/// Replicas that are polled concurrently.
const MAX_CONCURRENT_POLLS: usize = 4;

/// A replica that can be polled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CatalogSource {
    pub(crate) name: String,
    /// Address of its admin listener.
    pub(crate) address: SocketAddr,
    /// Hash of its observed catalogs, from its Lease. Empty if it has observed none.
    pub(crate) hash: String,
}

/// The replicas to poll, and the keys that authenticate request and reply.
#[derive(Clone)]
pub(crate) struct CatalogSources {
    pub(crate) keys: Arc<Keyring>,
    pub(crate) replicas: Vec<CatalogSource>,
}

impl CatalogSources {
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.keys, &other.keys) && self.replicas == other.replicas
    }
}

/// Poll state of one replica.
#[derive(Default)]
struct PollState {
    /// Hash from its Lease at the last successful poll.
    hash: String,
    asked: Option<Instant>,
    /// The delays of further failures, since the last successful poll.
    backoff: Option<ExponentialBackoff>,
    /// Delay after the last poll, if it failed.
    retry_delay: Option<Duration>,
}

/// Why a poll failed.
#[derive(Debug, thiserror::Error)]
enum PollError {
    #[error(transparent)]
    Outbound(#[from] EgressError),
    #[error("the replica responded with {0}; check that this operator and the replica have the same keys")]
    Refused(StatusCode),
    #[error(transparent)]
    CatalogReplyError(#[from] CatalogReplyError),
    #[error(transparent)]
    NoMacKey(#[from] NoMacKey),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    #[error("invalid replica address {0}")]
    Address(SocketAddr),
}

/// Polls the given replicas whenever they are due, until either channel closes. With `None` as sources (this
/// operator does not lead) it polls no replica.
pub(crate) async fn poll_replicas(
    mut catalog_sources: watch::Receiver<Option<CatalogSources>>,
    changes: mpsc::Sender<ClusterEvent>,
    clock: Clock,
    random: Random,
) {
    // Replicas are in the cluster and need no proxy.
    let clients = HttpClients::through(Egress::default());
    let mut states: BTreeMap<String, PollState> = BTreeMap::new();
    loop {
        let wanted = catalog_sources.borrow_and_update().clone();
        let replicas = wanted.as_ref().map(|wanted| wanted.replicas.as_slice()).unwrap_or_default();
        states.retain(|name, _| replicas.iter().any(|replica| replica.name == *name));
        let now = Instant::now();
        let due: Vec<_> = replicas
            .iter()
            .filter(|replica| {
                let known = states.entry(replica.name.clone()).or_default();
                known.due(replica, now).is_some_and(|due| due <= now)
            })
            .cloned()
            .collect();
        if let Some(CatalogSources { keys, .. }) = &wanted {
            let (clients, random) = (&clients, &random);
            let answers = stream::iter(due).map(|replica| async move {
                let answer = poll_replica(clients, keys, random, &replica).await;
                (replica, answer)
            });
            let answers: Vec<_> = answers.buffer_unordered(MAX_CONCURRENT_POLLS).collect().await;
            for (replica, answer) in answers {
                let known = states.entry(replica.name.clone()).or_default();
                if let Some(observed) = known.record(&replica, answer)
                    && changes
                        .send(ClusterEvent::Observed(observed.swap_times_and_ages(clock.now().0)))
                        .await
                        .is_err()
                {
                    return;
                }
            }
        }
        let next = replicas.iter().filter_map(|replica| states.get(&replica.name)?.due(replica, now)).min();
        tokio::select! {
            changed = catalog_sources.changed() => if changed.is_err() { return },
            () = sleep_until(next.unwrap_or(now + REFRESH_INTERVAL).max(now + Duration::from_secs(1))) => {}
        }
    }
}

impl PollState {
    /// Time of the next poll; `None` if the replica has observed no catalogs.
    fn due(&self, replica: &CatalogSource, now: Instant) -> Option<Instant> {
        let Some(asked) = self.asked else {
            return (!replica.hash.is_empty()).then_some(now);
        };
        let unless_failed = if replica.hash == self.hash { REFRESH_INTERVAL } else { MIN_POLL_INTERVAL };
        Some(asked + self.retry_delay.unwrap_or(unless_failed))
    }

    fn record(
        &mut self,
        replica: &CatalogSource,
        answer: Result<ObservedCatalogs, PollError>,
    ) -> Option<ObservedCatalogs> {
        self.asked = Some(Instant::now());
        match answer {
            Ok(observed) => {
                (self.backoff, self.retry_delay) = (None, None);
                // The hash from the Lease: if the replica has observed more since then, its next Lease has a
                // new hash.
                self.hash = replica.hash.clone();
                Some(observed)
            }
            Err(error) => {
                if self.retry_delay.is_none() {
                    tracing::warn!(
                        %error,
                        replica = %replica.name,
                        address = %replica.address,
                        "failed to poll a replica for observed catalogs, retrying"
                    );
                }
                self.retry_delay = self.backoff.get_or_insert_with(|| BACKOFF.build()).next();
                None
            }
        }
    }
}

async fn poll_replica(
    clients: &HttpClients,
    keys: &Keyring,
    random: &Random,
    replica: &CatalogSource,
) -> Result<ObservedCatalogs, PollError> {
    let CatalogSource { name, address, .. } = replica;
    let inquiry = CatalogRequest::new(random, name)?;
    let only: IpNet = IpNet::from(address.ip());
    let http = clients.http(&[only], None)?;
    let host = match address.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let url = format!("http://{host}:{}{CATALOGS_PATH}", address.port());
    let url = url.parse().map_err(|_| PollError::Address(*address))?;
    let request = http.get(url).header(NONCE_HEADER, &inquiry.nonce).header(MAC_HEADER, inquiry.mac(keys)?);
    let answer = http.send(request, MAX_REPLY_BYTES).await?;
    if answer.status != StatusCode::OK {
        return Err(PollError::Refused(answer.status));
    }
    Ok(inquiry.open_reply(keys, &answer.body)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(hash: &str) -> CatalogSource {
        CatalogSource { name: "a".to_owned(), address: ([127, 0, 0, 1], 9090).into(), hash: hash.to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn given_a_replica_when_it_has_nothing_new_then_it_is_asked_rarely_and_soon_when_it_has() {
        let (mut states, now) = (PollState::default(), Instant::now());
        assert_eq!(states.due(&replica(""), now), None, "no catalog was observed yet");
        assert_eq!(states.due(&replica("1"), now), Some(now));
        assert!(states.record(&replica("1"), Ok(ObservedCatalogs::default())).is_some());
        assert_eq!(states.due(&replica("1"), now), Some(now + REFRESH_INTERVAL));
        assert_eq!(states.due(&replica("2"), now), Some(now + MIN_POLL_INTERVAL));
    }

    #[tokio::test(start_paused = true)]
    async fn given_a_replica_that_does_not_answer_then_it_is_asked_less_and_less() {
        let (mut states, now) = (PollState::default(), Instant::now());
        for expected in [RETRY_DELAY, RETRY_DELAY * 2, RETRY_DELAY * 4] {
            states.record(&replica("1"), Err(PollError::Refused(StatusCode::FORBIDDEN)));
            assert_eq!(states.due(&replica("1"), now), Some(now + expected));
        }
        for _ in 0..100 {
            states.record(&replica("1"), Err(PollError::Refused(StatusCode::FORBIDDEN)));
        }
        assert_eq!(states.due(&replica("1"), now), Some(now + MAX_RETRY_DELAY));
    }
}
