//! What people were shown of origins that ask for an account: the replicas tell, when their Leases say that there is something new.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use ipnet::IpNet;
use portcullis_ambient::{Clock, NoRandomness, Random};
use portcullis_keys::{Keys, NoMacKey};
use portcullis_outbound::{Clients, Egress, OutboundError};
use portcullis_publication::{
    Disbelieved, Inquiry, LONGEST_ANSWER, MAC_HEADER, NONCE_HEADER, OBSERVED_PATH, Observations,
};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::world::Change;

/// Between two questions to one replica, whatever its Lease says.
const GAP: Duration = Duration::from_secs(5);
/// After this time a replica is asked although nothing is new: what is seen again and again must not be taken for forgotten.
const EVERY: Duration = Duration::from_secs(3600);
/// After a failure, doubled with each further one.
const AGAIN: Duration = Duration::from_secs(15);
const LONGEST: Duration = Duration::from_secs(600);
/// Replicas that are asked at the same time.
const ABREAST: usize = 4;

/// A replica that can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) name: String,
    /// Its private listener.
    pub(crate) address: SocketAddr,
    /// Of what it has to tell; as its Lease says.
    pub(crate) hash: String,
}

/// Whom to ask, by which keys.
#[derive(Clone)]
pub(crate) struct Witnesses {
    pub(crate) keys: Arc<Keys>,
    pub(crate) replicas: Vec<Source>,
}

impl Witnesses {
    pub(crate) fn are(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.keys, &other.keys) && self.replicas == other.replicas
    }
}

/// How it stands with one replica.
#[derive(Default)]
struct Heard {
    /// Of what it told last.
    hash: String,
    asked: Option<Instant>,
    failures: u32,
}

/// Why a replica's answer is of no use.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error("it answered {0}; do this operator and that replica have the same keys?")]
    Refused(StatusCode),
    #[error(transparent)]
    Disbelieved(#[from] Disbelieved),
    #[error(transparent)]
    NoMacKey(#[from] NoMacKey),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    #[error("{0} is no address to ask at")]
    Address(SocketAddr),
}

/// Asks the replicas that it is given, whenever they have something to tell, until nobody wants to know. Without witnesses (whoever
/// does not lead) nobody is asked.
pub(crate) async fn observe(
    mut witnesses: watch::Receiver<Option<Witnesses>>,
    changes: mpsc::Sender<Change>,
    clock: Clock,
    random: Random,
) {
    // Replicas are in the cluster: no proxy stands between.
    let clients = Clients::through(Egress::default());
    let mut heard: BTreeMap<String, Heard> = BTreeMap::new();
    loop {
        let wanted = witnesses.borrow_and_update().clone();
        let replicas = wanted.as_ref().map(|wanted| wanted.replicas.as_slice()).unwrap_or_default();
        heard.retain(|name, _| replicas.iter().any(|replica| replica.name == *name));
        let now = Instant::now();
        let due: Vec<_> = replicas
            .iter()
            .filter(|replica| {
                let known = heard.entry(replica.name.clone()).or_default();
                known.due(replica, now).is_some_and(|due| due <= now)
            })
            .cloned()
            .collect();
        if let Some(Witnesses { keys, .. }) = &wanted {
            let (clients, random) = (&clients, &random);
            let answers = stream::iter(due).map(|replica| async move {
                let answer = ask(clients, keys, random, &replica).await;
                (replica, answer)
            });
            let answers: Vec<_> = answers.buffer_unordered(ABREAST).collect().await;
            for (replica, answer) in answers {
                let known = heard.entry(replica.name.clone()).or_default();
                if let Some(observed) = known.take(&replica, answer)
                    && changes.send(Change::Observed(observed.aged(clock.now().0))).await.is_err()
                {
                    return;
                }
            }
        }
        let next = replicas.iter().filter_map(|replica| heard.get(&replica.name)?.due(replica, now)).min();
        tokio::select! {
            changed = witnesses.changed() => if changed.is_err() { return },
            () = sleep_until(next.unwrap_or(now + EVERY).max(now + Duration::from_secs(1))) => {}
        }
    }
}

impl Heard {
    /// When it is to be asked next; `None` where it has nothing to tell.
    fn due(&self, replica: &Source, now: Instant) -> Option<Instant> {
        let Some(asked) = self.asked else {
            return (!replica.hash.is_empty()).then_some(now);
        };
        Some(
            asked
                + match self.failures {
                    0 if replica.hash == self.hash => EVERY,
                    0 => GAP,
                    failures => AGAIN.saturating_mul(2u32.saturating_pow(failures.min(10) - 1)).min(LONGEST),
                },
        )
    }

    fn take(&mut self, replica: &Source, answer: Result<Observations, Unanswered>) -> Option<Observations> {
        self.asked = Some(Instant::now());
        match answer {
            Ok(observed) => {
                self.failures = 0;
                // As its Lease said: should it have learned more since then, the next Lease says so.
                self.hash = replica.hash.clone();
                Some(observed)
            }
            Err(error) => {
                if self.failures == 0 {
                    tracing::warn!(
                        "the replica {} does not tell at {} what its users were shown: {error}",
                        replica.name,
                        replica.address
                    );
                }
                self.failures = self.failures.saturating_add(1);
                None
            }
        }
    }
}

async fn ask(
    clients: &Clients,
    keys: &Keys,
    random: &Random,
    replica: &Source,
) -> Result<Observations, Unanswered> {
    let Source { name, address, .. } = replica;
    let inquiry = Inquiry::new(random, name)?;
    let only: IpNet = IpNet::from(address.ip());
    let http = clients.http(&[only], None)?;
    let host = match address.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let url = format!("http://{host}:{}{OBSERVED_PATH}", address.port());
    let url = url.parse().map_err(|_| Unanswered::Address(*address))?;
    let request = http.get(url).header(NONCE_HEADER, &inquiry.nonce).header(MAC_HEADER, inquiry.mac(keys)?);
    let answer = http.send(request, LONGEST_ANSWER).await?;
    if answer.status != StatusCode::OK {
        return Err(Unanswered::Refused(answer.status));
    }
    Ok(inquiry.open(keys, &answer.body)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(hash: &str) -> Source {
        Source { name: "a".to_owned(), address: ([127, 0, 0, 1], 9090).into(), hash: hash.to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn given_a_replica_when_it_has_nothing_new_then_it_is_asked_rarely_and_soon_when_it_has() {
        let (mut heard, now) = (Heard::default(), Instant::now());
        assert_eq!(heard.due(&replica(""), now), None, "nobody was shown anything yet");
        assert_eq!(heard.due(&replica("1"), now), Some(now));
        assert!(heard.take(&replica("1"), Ok(Observations::default())).is_some());
        assert_eq!(heard.due(&replica("1"), now), Some(now + EVERY));
        assert_eq!(heard.due(&replica("2"), now), Some(now + GAP));
    }

    #[tokio::test(start_paused = true)]
    async fn given_a_replica_that_does_not_answer_then_it_is_asked_less_and_less() {
        let (mut heard, now) = (Heard::default(), Instant::now());
        for expected in [AGAIN, AGAIN * 2, AGAIN * 4] {
            heard.take(&replica("1"), Err(Unanswered::Refused(StatusCode::FORBIDDEN)));
            assert_eq!(heard.due(&replica("1"), now), Some(now + expected));
        }
        heard.failures = 100;
        assert_eq!(heard.due(&replica("1"), now), Some(now + LONGEST));
    }
}
