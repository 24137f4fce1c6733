//! When a replica serves, and from what: a fresh list, or else what it had sealed on disk. Time passes by itself here.

use std::sync::Arc;
use std::time::Duration;

use portcullis_ambient::{Clock, Random};
use portcullis_custody::Custody;
use portcullis_events::EventSink;
use portcullis_keys::Keys;
use portcullis_policy::Tables;
use portcullis_publication::Report;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot, watch};
use zeroize::Zeroizing;

use super::operator::{Operator, anywhere, slugs};
use crate::snapshot::Publisher;
use crate::snapshot::cluster::Tally;
use crate::snapshot::cluster::follow::Follower;
use crate::snapshot::cluster::holdings::Holdings;
use crate::snapshot::cluster::keys::Rings;
use crate::snapshot::cluster::object::{Change, Object, Resource};
use crate::snapshot::cluster::sealed::SealedFile;
use crate::snapshot::cluster::turning::Turning;

/// A replica whose watches are the test's.
struct Replica {
    tell: mpsc::Sender<Change>,
    tables: Tables,
    reports: watch::Receiver<Report>,
    arrived: oneshot::Receiver<()>,
    tally: Tally,
}

impl Replica {
    fn start(folder: &TempDir, operator: &Operator) -> Self {
        let (tell, changes) = mpsc::channel(16);
        let (tables, tally) = (Tables::default(), Tally::default());
        let (show_report, reports) = watch::channel(Report::default());
        let (show_publication, publications) = watch::channel(Default::default());
        let (tell_arrived, arrived) = oneshot::channel();
        let keys = Arc::clone(&operator.keys);
        let file =
            SealedFile::new(folder.path().join("snapshot.sealed"), Arc::clone(&keys), Random::system(), "p");
        tokio::spawn(file.clone().follow(publications));
        let (offer, offered) = watch::channel(Zeroizing::default());
        let (tell_turned, turned) = watch::channel(0);
        let turning = Turning {
            rings: Rings { keys: Arc::clone(&keys), stored: Zeroizing::default() },
            custody: Custody::plain(),
            kept: Some(folder.path().join("keys.json")),
            offered,
            turned: tell_turned,
            events: EventSink::new().0,
            clock: Clock::system(),
        };
        tokio::spawn(turning.run());
        let follower = Follower {
            holdings: Holdings::new(keys, anywhere()),
            publisher: Publisher::new(tables.clone(), EventSink::new().0, Clock::system(), anywhere()),
            file,
            offer: Some(offer),
            turned,
            show_report,
            show_publication,
            tally: tally.clone(),
            arrived: Some(tell_arrived),
        };
        tokio::spawn(follower.run(changes));
        Self { tell, tables, reports, arrived, tally }
    }

    async fn hears(&self, change: Change) {
        self.tell.send(change).await.ok().unwrap();
        pass(100).await;
    }

    async fn lists(&self, maps: &[Object]) {
        self.hears(Change::Listed(Resource::ConfigMaps, maps.to_vec())).await;
        self.hears(Change::Listed(Resource::Secrets, Vec::new())).await;
    }

    fn serves(&self) -> Vec<String> {
        self.tables.current().map(|table| slugs(&table)).unwrap_or_default()
    }

    fn has_arrived(&mut self) -> bool {
        self.arrived.try_recv().is_ok()
    }
}

async fn pass(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

fn documents(operator: &mut Operator) -> Vec<Object> {
    let none = portcullis_contract::OriginAuth::None;
    vec![
        operator.gateway("https://gateway.example"),
        operator.origin("x", &none),
        operator.route("a", "a", "x"),
    ]
}

/// A folder in which an earlier process has left its snapshot.
async fn left_behind(operator: &mut Operator) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let replica = Replica::start(&folder, operator);
    replica.lists(&documents(operator)).await;
    let path = folder.path().join("snapshot.sealed");
    // Written on a thread of its own, which knows nothing of the time here.
    while !path.exists() {
        pass(2_000).await;
        std::thread::sleep(Duration::from_millis(5));
    }
    folder
}

#[tokio::test(start_paused = true)]
async fn given_a_start_when_only_one_of_the_watches_has_listed_then_nothing_is_served_yet() {
    let (folder, mut operator) = (tempfile::tempdir().unwrap(), Operator::new());
    let mut replica = Replica::start(&folder, &operator);
    replica.hears(Change::Listed(Resource::ConfigMaps, documents(&mut operator))).await;
    assert!(replica.serves().is_empty() && !replica.has_arrived());
    replica.hears(Change::Listed(Resource::Secrets, Vec::new())).await;
    assert_eq!(replica.serves(), ["a"]);
    assert!(replica.has_arrived());
    assert_eq!(replica.reports.borrow().observed["configmaps"], "103");
}

#[tokio::test(start_paused = true)]
async fn given_nothing_published_when_listed_then_the_replica_has_arrived_and_waits_for_its_gateway() {
    let (folder, mut operator) = (tempfile::tempdir().unwrap(), Operator::new());
    let mut replica = Replica::start(&folder, &operator);
    replica.lists(&[]).await;
    assert!(replica.has_arrived() && replica.tables.current().is_none());
    for object in documents(&mut operator) {
        replica.hears(Change::Put(Resource::ConfigMaps, object)).await;
    }
    assert_eq!(replica.serves(), ["a"]);
    let gateway = operator.gateway("https://gateway.example");
    replica.hears(Change::Gone(Resource::ConfigMaps, gateway)).await;
    assert!(replica.tables.current().is_none(), "a gateway that is gone serves nobody");
}

#[tokio::test(start_paused = true)]
async fn given_a_gateway_that_is_not_believed_when_listed_then_the_replica_has_not_arrived() {
    let (folder, operator) = (tempfile::tempdir().unwrap(), Operator::new());
    let mut replica = Replica::start(&folder, &operator);
    let stranger = documents(&mut Operator::new());
    replica.lists(&stranger).await;
    assert!(!replica.has_arrived());
    assert_eq!((replica.tally.rejected(), replica.tally.refusals()), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn given_an_api_server_that_is_away_when_started_then_the_snapshot_is_served_until_a_fresh_list() {
    let mut operator = Operator::new();
    let folder = left_behind(&mut operator).await;
    let mut replica = Replica::start(&folder, &operator);
    replica.hears(Change::Trouble { away: true }).await;
    assert_eq!(replica.serves(), ["a"]);
    assert!(replica.has_arrived() && replica.tally.serves_snapshot());
    let mut fresh = documents(&mut operator);
    fresh.push(operator.route("b", "b", "x"));
    replica.lists(&fresh).await;
    assert_eq!(replica.serves(), ["a", "b"]);
    assert!(!replica.tally.serves_snapshot());
    // Once served afresh, an outage changes nothing.
    replica.hears(Change::Trouble { away: true }).await;
    assert_eq!(replica.serves(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn given_an_api_server_that_hangs_when_started_then_the_snapshot_is_served_after_a_while() {
    let mut operator = Operator::new();
    let folder = left_behind(&mut operator).await;
    let replica = Replica::start(&folder, &operator);
    pass(4_000).await;
    assert!(replica.serves().is_empty());
    pass(2_000).await;
    assert_eq!(replica.serves(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn given_an_api_server_that_answers_with_a_refusal_when_started_then_the_snapshot_is_not_served() {
    let mut operator = Operator::new();
    let folder = left_behind(&mut operator).await;
    let mut replica = Replica::start(&folder, &operator);
    replica.hears(Change::Trouble { away: false }).await;
    pass(60_000).await;
    assert!(replica.serves().is_empty() && !replica.has_arrived());
}

#[tokio::test(start_paused = true)]
async fn given_other_keys_when_published_then_what_they_vouch_for_is_served_and_a_copy_is_kept() {
    let (folder, mut operator) = (tempfile::tempdir().unwrap(), Operator::new());
    let replica = Replica::start(&folder, &operator);
    let text = Keys::generate(&Random::system()).unwrap();
    operator.keys = Arc::new(Keys::from_json(&text).unwrap());
    replica.lists(&documents(&mut operator)).await;
    assert!(replica.serves().is_empty());
    let data = [("keys.json".to_owned(), String::from_utf8(text.to_vec()).unwrap())].into();
    let secret = Object { name: "portcullis-keys".to_owned(), version: 200, label: "keys".to_owned(), data };
    replica.hears(Change::Put(Resource::Secrets, secret)).await;
    assert_eq!(replica.serves(), ["a"]);
    assert_eq!(std::fs::read(folder.path().join("keys.json")).unwrap(), *text);
}
