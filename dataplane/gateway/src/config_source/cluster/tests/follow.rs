//! Tests of when a replica serves, and from which source: a fresh list or the sealed snapshot. Time is paused
//! and advances automatically.

use std::sync::Arc;
use std::time::Duration;

use portcullis_clock::{Clock, Random};
use portcullis_config_distribution::ReplicaReport;
use portcullis_events::EventSink;
use portcullis_key_encryption::KeyEncryption;
use portcullis_keyring::Keyring;
use portcullis_policy::RouteTableHandle;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot, watch};
use zeroize::Zeroizing;

use super::operator::{Operator, anywhere, slugs};
use crate::config_source::TablePublisher;
use crate::config_source::cluster::SyncStats;
use crate::config_source::cluster::follow::ConfigFollower;
use crate::config_source::cluster::key_rotation::KeyRotator;
use crate::config_source::cluster::key_source::ActiveKeys;
use crate::config_source::cluster::mirror::ConfigMirror;
use crate::config_source::cluster::object::{WatchEvent, WatchedObject, WatchedResource};
use crate::config_source::cluster::sealed_snapshot::SealedSnapshot;

/// A replica with watch events from the test.
struct TestReplica {
    sender: mpsc::Sender<WatchEvent>,
    tables: RouteTableHandle,
    reports: watch::Receiver<ReplicaReport>,
    arrived: oneshot::Receiver<()>,
    tally: SyncStats,
}

impl TestReplica {
    fn start(folder: &TempDir, operator: &Operator) -> Self {
        let (sender, changes) = mpsc::channel(16);
        let (tables, tally) = (RouteTableHandle::default(), SyncStats::default());
        let (show_report, reports) = watch::channel(ReplicaReport::default());
        let (show_publication, publications) = watch::channel(Default::default());
        let (tell_arrived, arrived) = oneshot::channel();
        let keys = Arc::clone(&operator.keys);
        let file = SealedSnapshot::new(
            folder.path().join("snapshot.sealed"),
            Arc::clone(&keys),
            Random::system(),
            "p",
        );
        tokio::spawn(file.clone().follow(publications));
        let (offer, offered) = watch::channel(Zeroizing::default());
        let (tell_turned, turned) = watch::channel(0);
        let turning = KeyRotator {
            active_keys: ActiveKeys { keys: Arc::clone(&keys), stored: Zeroizing::default() },
            key_encryption: KeyEncryption::plain(),
            keys_copy: Some(folder.path().join("keys.json")),
            offered,
            key_rotations: tell_turned,
            events: EventSink::new().0,
            clock: Clock::system(),
        };
        tokio::spawn(turning.run());
        let follower = ConfigFollower {
            mirror: ConfigMirror::new(keys, anywhere(), Vec::new()),
            publisher: TablePublisher::new(tables.clone(), EventSink::new().0, Clock::system(), anywhere()),
            snapshot_file: file,
            published_keys: Some(offer),
            key_rotations: turned,
            serials: mpsc::unbounded_channel().0,
            reports: show_report,
            snapshots: show_publication,
            sync_stats: tally.clone(),
            ready: Some(tell_arrived),
        };
        tokio::spawn(follower.run(changes));
        Self { sender, tables, reports, arrived, tally }
    }

    async fn send(&self, change: WatchEvent) {
        self.sender.send(change).await.ok().unwrap();
        advance_millis(100).await;
    }

    async fn lists(&self, maps: &[WatchedObject]) {
        self.send(WatchEvent::Listed(WatchedResource::ConfigMaps, maps.to_vec())).await;
        self.send(WatchEvent::Listed(WatchedResource::Secrets, Vec::new())).await;
    }

    fn serves(&self) -> Vec<String> {
        self.tables.current().map(|table| slugs(&table)).unwrap_or_default()
    }

    fn has_arrived(&mut self) -> bool {
        self.arrived.try_recv().is_ok()
    }
}

async fn advance_millis(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

fn documents(operator: &mut Operator) -> Vec<WatchedObject> {
    let none = portcullis_config::OriginAuth::None;
    vec![
        operator.gateway("https://gateway.example"),
        operator.origin("x", &none),
        operator.route("a", "a", "x"),
    ]
}

/// A folder with the snapshot of an earlier process.
async fn folder_with_snapshot(operator: &mut Operator) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let replica = TestReplica::start(&folder, operator);
    replica.lists(&documents(operator)).await;
    let path = folder.path().join("snapshot.sealed");
    // A blocking thread writes the file; the paused time does not affect it.
    while !path.exists() {
        advance_millis(2_000).await;
        std::thread::sleep(Duration::from_millis(5));
    }
    folder
}

#[tokio::test(start_paused = true)]
async fn given_a_start_when_only_one_of_the_watches_has_listed_then_nothing_is_served_yet() {
    let (folder, mut operator) = (tempfile::tempdir().unwrap(), Operator::new());
    let mut replica = TestReplica::start(&folder, &operator);
    replica.send(WatchEvent::Listed(WatchedResource::ConfigMaps, documents(&mut operator))).await;
    assert!(replica.serves().is_empty() && !replica.has_arrived());
    replica.send(WatchEvent::Listed(WatchedResource::Secrets, Vec::new())).await;
    assert_eq!(replica.serves(), ["a"]);
    assert!(replica.has_arrived());
    assert_eq!(replica.reports.borrow().observed["configmaps"], "103");
}

#[tokio::test(start_paused = true)]
async fn given_nothing_published_when_listed_then_the_replica_has_arrived_and_waits_for_its_gateway() {
    let (folder, mut operator) = (tempfile::tempdir().unwrap(), Operator::new());
    let mut replica = TestReplica::start(&folder, &operator);
    replica.lists(&[]).await;
    assert!(replica.has_arrived() && replica.tables.current().is_none());
    for object in documents(&mut operator) {
        replica.send(WatchEvent::Applied(WatchedResource::ConfigMaps, object)).await;
    }
    assert_eq!(replica.serves(), ["a"]);
    let gateway = operator.gateway("https://gateway.example");
    replica.send(WatchEvent::Deleted(WatchedResource::ConfigMaps, gateway)).await;
    assert!(replica.tables.current().is_none(), "a deleted gateway serves nothing");
}

#[tokio::test(start_paused = true)]
async fn given_a_gateway_that_is_not_believed_when_listed_then_the_replica_has_not_arrived() {
    let (folder, operator) = (tempfile::tempdir().unwrap(), Operator::new());
    let mut replica = TestReplica::start(&folder, &operator);
    let stranger = documents(&mut Operator::new());
    replica.lists(&stranger).await;
    assert!(!replica.has_arrived());
    assert_eq!((replica.tally.rejected(), replica.tally.rejections()), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn given_an_api_server_that_is_away_when_started_then_the_snapshot_is_served_until_a_fresh_list() {
    let mut operator = Operator::new();
    let folder = folder_with_snapshot(&mut operator).await;
    let mut replica = TestReplica::start(&folder, &operator);
    replica.send(WatchEvent::Failed { unavailable: true }).await;
    assert_eq!(replica.serves(), ["a"]);
    assert!(replica.has_arrived() && replica.tally.serves_snapshot());
    let mut fresh = documents(&mut operator);
    fresh.push(operator.route("b", "b", "x"));
    replica.lists(&fresh).await;
    assert_eq!(replica.serves(), ["a", "b"]);
    assert!(!replica.tally.serves_snapshot());
    // After a fresh list, an outage changes nothing.
    replica.send(WatchEvent::Failed { unavailable: true }).await;
    assert_eq!(replica.serves(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn given_an_api_server_that_hangs_when_started_then_the_snapshot_is_served_after_a_while() {
    let mut operator = Operator::new();
    let folder = folder_with_snapshot(&mut operator).await;
    let replica = TestReplica::start(&folder, &operator);
    advance_millis(4_000).await;
    assert!(replica.serves().is_empty());
    advance_millis(2_000).await;
    assert_eq!(replica.serves(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn given_an_api_server_that_answers_with_a_refusal_when_started_then_the_snapshot_is_not_served() {
    let mut operator = Operator::new();
    let folder = folder_with_snapshot(&mut operator).await;
    let mut replica = TestReplica::start(&folder, &operator);
    replica.send(WatchEvent::Failed { unavailable: false }).await;
    advance_millis(60_000).await;
    assert!(replica.serves().is_empty() && !replica.has_arrived());
}

#[tokio::test(start_paused = true)]
async fn given_other_keys_when_published_then_what_they_vouch_for_is_served_and_a_copy_is_kept() {
    let (folder, mut operator) = (tempfile::tempdir().unwrap(), Operator::new());
    let replica = TestReplica::start(&folder, &operator);
    let text = Keyring::generate(&Random::system()).unwrap();
    operator.keys = Arc::new(Keyring::from_json(&text).unwrap());
    replica.lists(&documents(&mut operator)).await;
    assert!(replica.serves().is_empty());
    let data = [("keys.json".to_owned(), String::from_utf8(text.to_vec()).unwrap())].into();
    let secret =
        WatchedObject { name: "portcullis-keys".to_owned(), version: 200, label: "keys".to_owned(), data };
    replica.send(WatchEvent::Applied(WatchedResource::Secrets, secret)).await;
    assert_eq!(replica.serves(), ["a"]);
    assert_eq!(std::fs::read(folder.path().join("keys.json")).unwrap(), *text);
}
