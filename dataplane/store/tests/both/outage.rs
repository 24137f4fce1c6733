//! What a store does while PostgreSQL cannot be reached, and after.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_store::Store;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::connect_links::connect_link;
use crate::test_database::{TestDatabase, run_concurrently};

/// Less than the patience of whoever reads the log of revocations.
const MAX_RESPONSE_TIME: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, PartialEq)]
enum ProxyState {
    Through,
    /// Nothing goes on, and nothing ends: a network that swallows packets.
    Stuck,
    /// Connections end, and new ones end at once.
    Down,
    /// Connections are stuck for good, and new ones go through: the server has moved, and nobody told.
    Moved,
}

/// What stands between the store and its server.
struct FaultyProxy {
    url: String,
    state: watch::Sender<ProxyState>,
}

impl FaultyProxy {
    async fn start(place: &TestDatabase) -> Self {
        let mut url: url::Url = place.url.parse().unwrap();
        let server = (url.host_str().unwrap().to_owned(), url.port().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let (state, seen) = watch::channel(ProxyState::Through);
        tokio::spawn(async move {
            let mut roads = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                roads.spawn(proxy_connection(near, server.clone(), seen.clone()));
            }
        });
        Self { url: url.to_string(), state }
    }

    fn set_state(&self, state: ProxyState) {
        self.state.send(state).unwrap();
    }
}

async fn proxy_connection(
    mut near: TcpStream,
    server: (String, u16),
    mut state: watch::Receiver<ProxyState>,
) {
    if *state.borrow() == ProxyState::Down {
        return;
    }
    let mut far = TcpStream::connect(server).await.unwrap();
    loop {
        let goes_on = *state.borrow_and_update() != ProxyState::Stuck;
        tokio::select! {
            _ = copy_bidirectional(&mut near, &mut far), if goes_on => return,
            changed = state.changed() => changed.unwrap(),
        }
        let now = *state.borrow();
        match now {
            ProxyState::Down => return,
            ProxyState::Moved => std::future::pending().await,
            ProxyState::Through | ProxyState::Stuck => {}
        }
    }
}

async fn assert_answers_in_time(what: &str, store: &Store, expect: bool) {
    let began = Instant::now();
    let answer = store.connect_link("digest", 1).await;
    assert_eq!(answer.is_ok(), expect, "{what}: {answer:?}");
    assert!(began.elapsed() < MAX_RESPONSE_TIME, "{what} took {:?}", began.elapsed());
}

async fn outage(state: ProxyState) {
    let place = TestDatabase::postgres().await;
    let road = FaultyProxy::start(&place).await;
    let store = Store::open(&road.url).await.unwrap();
    store.put_connect_link(&connect_link()).await.unwrap();
    // Many connections, and all of them in use when it happens.
    let all = |store: &Store| {
        let store = Arc::new(store.clone());
        run_concurrently((0..30).map(move |_| {
            let store = Arc::clone(&store);
            async move {
                let began = Instant::now();
                let answered = store.connect_link("digest", 1).await.is_ok();
                (answered, began.elapsed())
            }
        }))
    };
    assert!(all(&store).await.iter().all(|(answered, _)| *answered));
    road.set_state(state);
    for (answered, took) in all(&store).await {
        assert!(!answered && took < MAX_RESPONSE_TIME, "{answered} after {took:?}");
    }
    if state != ProxyState::Moved {
        assert_answers_in_time("during it", &store, false).await;
        road.set_state(ProxyState::Through);
    }
    let healed = Instant::now();
    while store.connect_link("digest", 1).await.is_err() {
        assert!(healed.elapsed() < Duration::from_secs(10), "it does not heal");
    }
    for round in 0..3 {
        assert_answers_in_time(&format!("after it, {round}"), &store, true).await;
    }
    assert!(all(&store).await.iter().all(|(answered, _)| *answered));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL: ./tests/run store"]
async fn given_a_server_that_goes_when_asked_then_it_fails_soon_and_heals_by_itself() {
    outage(ProxyState::Down).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL: ./tests/run store"]
async fn given_a_network_that_swallows_packets_when_asked_then_it_fails_soon_and_heals_by_itself() {
    outage(ProxyState::Stuck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL: ./tests/run store"]
async fn given_a_server_that_moved_when_asked_then_old_connections_are_given_up_for_new_ones() {
    outage(ProxyState::Moved).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL: ./tests/run store"]
async fn given_a_server_that_moved_while_it_was_being_asked_when_asked_again_then_there_are_connections() {
    let place = TestDatabase::postgres().await;
    let road = FaultyProxy::start(&place).await;
    let store = Store::open(&road.url).await.unwrap();
    let held = place.begin("LOCK TABLE connect_tickets").await;
    let asked = tokio::spawn(run_concurrently((0..10).map({
        let store = store.clone();
        move |_| {
            let store = store.clone();
            async move { store.connect_link("digest", 1).await }
        }
    })));
    tokio::time::sleep(Duration::from_millis(300)).await;
    road.set_state(ProxyState::Moved);
    assert!(asked.await.unwrap().iter().all(Result::is_err));
    held.commit().await;
    assert_answers_in_time("after it", &store, true).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: ./tests/run store"]
async fn given_a_row_that_another_holds_when_written_then_the_wait_has_an_end() {
    use sqlx::Connection as _;
    let place = TestDatabase::postgres().await;
    let store = place.store().await;
    store.put_connect_link(&connect_link()).await.unwrap();
    let mut other = sqlx::PgConnection::connect(&place.url).await.unwrap();
    let mut held = other.begin().await.unwrap();
    sqlx::query("UPDATE connect_tickets SET used_at = 1").execute(&mut *held).await.unwrap();
    let began = Instant::now();
    store.use_connect_link("digest", 1).await.unwrap_err();
    assert!(began.elapsed() < MAX_RESPONSE_TIME, "{:?}", began.elapsed());
    held.rollback().await.unwrap();
    assert!(store.use_connect_link("digest", 1).await.unwrap());
}

#[tokio::test]
#[ignore = "needs PostgreSQL: ./tests/run store"]
async fn given_a_server_that_became_a_standby_when_it_refuses_writes_then_its_connections_are_given_up() {
    let place = TestDatabase::postgres().await;
    let road = FaultyProxy::start(&place).await;
    let store = Store::open(&road.url).await.unwrap();
    store.put_connect_link(&connect_link()).await.unwrap();
    let standby = road.url.replace("options=", "options=-c%20default_transaction_read_only%3Don%20");
    store.set_url(&standby).unwrap();
    road.set_state(ProxyState::Down);
    assert_answers_in_time("on the way down", &store, false).await;
    road.set_state(ProxyState::Through);
    let refused = store.use_connect_link("digest", 1).await.unwrap_err();
    assert!(refused.to_string().contains("read-only"), "{refused}");
    store.set_url(&road.url).unwrap();
    // The refused connection is being closed meanwhile.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(store.use_connect_link("digest", 1).await.unwrap());
}

/// Worker threads have runtimes of their own, and one may end before the others.
#[test]
#[ignore = "needs PostgreSQL: ./tests/run store"]
fn given_connections_that_a_worker_opened_when_it_ends_then_what_others_do_with_them_goes_on() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let home = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let place = home.block_on(TestDatabase::postgres());
    let store = home.block_on(place.store());
    let all = |store: &Store| {
        let store = store.clone();
        run_concurrently((0..10).map(move |_| {
            let store = store.clone();
            async move { store.use_connect_link("digest", 1).await }
        }))
    };
    // The worker has every connection opened: its calls are held up, all at once.
    let held = home.block_on(place.begin("LOCK TABLE connect_tickets"));
    let worker = runtime();
    let opened = worker.block_on(async {
        let opened = all(&store);
        let commit = home.spawn(async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            held.commit().await;
        });
        let opened = opened.await;
        commit.await.unwrap();
        opened
    });
    assert!(opened.iter().all(Result::is_ok), "{opened:?}");
    worker.block_on(async { tokio::time::sleep(Duration::from_millis(300)).await });
    // Somebody else is in the middle of using them when the worker ends.
    let held = home.block_on(place.begin("LOCK TABLE connect_tickets"));
    let others = home.spawn(all(&store));
    worker.block_on(async { tokio::time::sleep(Duration::from_millis(300)).await });
    drop(worker);
    home.block_on(held.commit());
    let answers = home.block_on(others).unwrap();
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}
