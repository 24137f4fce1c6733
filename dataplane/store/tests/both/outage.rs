//! What a store does while PostgreSQL cannot be reached, and after.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_store::Store;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::place::{Place, all_at_once};
use crate::tickets::ticket;

/// Less than the patience of whoever reads the log of revocations.
const SOON: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, PartialEq)]
enum State {
    Through,
    /// Nothing goes on, and nothing ends: a network that swallows packets.
    Stuck,
    /// Connections end, and new ones end at once.
    Down,
    /// Connections are stuck for good, and new ones go through: the server has moved, and nobody told.
    Moved,
}

/// What stands between the store and its server.
struct Road {
    url: String,
    state: watch::Sender<State>,
}

impl Road {
    async fn to(place: &Place) -> Self {
        let mut url: url::Url = place.url.parse().unwrap();
        let server = (url.host_str().unwrap().to_owned(), url.port().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let (state, seen) = watch::channel(State::Through);
        tokio::spawn(async move {
            let mut roads = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                roads.spawn(pass(near, server.clone(), seen.clone()));
            }
        });
        Self { url: url.to_string(), state }
    }

    fn be(&self, state: State) {
        self.state.send(state).unwrap();
    }
}

async fn pass(mut near: TcpStream, server: (String, u16), mut state: watch::Receiver<State>) {
    if *state.borrow() == State::Down {
        return;
    }
    let mut far = TcpStream::connect(server).await.unwrap();
    loop {
        let goes_on = *state.borrow_and_update() != State::Stuck;
        tokio::select! {
            _ = copy_bidirectional(&mut near, &mut far), if goes_on => return,
            changed = state.changed() => changed.unwrap(),
        }
        let now = *state.borrow();
        match now {
            State::Down => return,
            State::Moved => std::future::pending().await,
            State::Through | State::Stuck => {}
        }
    }
}

async fn at_once_or_soon(what: &str, store: &Store, expect: bool) {
    let began = Instant::now();
    let answer = store.ticket("digest", 1).await;
    assert_eq!(answer.is_ok(), expect, "{what}: {answer:?}");
    assert!(began.elapsed() < SOON, "{what} took {:?}", began.elapsed());
}

async fn outage(state: State) {
    let place = Place::postgres().await;
    let road = Road::to(&place).await;
    let store = Store::open(&road.url).await.unwrap();
    store.put_ticket(&ticket()).await.unwrap();
    // Many connections, and all of them in use when it happens.
    let all = |store: &Store| {
        let store = Arc::new(store.clone());
        all_at_once((0..30).map(move |_| {
            let store = Arc::clone(&store);
            async move {
                let began = Instant::now();
                let answered = store.ticket("digest", 1).await.is_ok();
                (answered, began.elapsed())
            }
        }))
    };
    assert!(all(&store).await.iter().all(|(answered, _)| *answered));
    road.be(state);
    for (answered, took) in all(&store).await {
        assert!(!answered && took < SOON, "{answered} after {took:?}");
    }
    if state != State::Moved {
        at_once_or_soon("during it", &store, false).await;
        road.be(State::Through);
    }
    let healed = Instant::now();
    while store.ticket("digest", 1).await.is_err() {
        assert!(healed.elapsed() < Duration::from_secs(10), "it does not heal");
    }
    for round in 0..3 {
        at_once_or_soon(&format!("after it, {round}"), &store, true).await;
    }
    assert!(all(&store).await.iter().all(|(answered, _)| *answered));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn given_a_server_that_goes_when_asked_then_it_fails_soon_and_heals_by_itself() {
    outage(State::Down).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn given_a_network_that_swallows_packets_when_asked_then_it_fails_soon_and_heals_by_itself() {
    outage(State::Stuck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn given_a_server_that_moved_when_asked_then_old_connections_are_given_up_for_new_ones() {
    outage(State::Moved).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn given_a_server_that_moved_while_it_was_being_asked_when_asked_again_then_there_are_connections() {
    let place = Place::postgres().await;
    let road = Road::to(&place).await;
    let store = Store::open(&road.url).await.unwrap();
    let held = place.begin("LOCK TABLE connect_tickets").await;
    let asked = tokio::spawn(all_at_once((0..10).map({
        let store = store.clone();
        move |_| {
            let store = store.clone();
            async move { store.ticket("digest", 1).await }
        }
    })));
    tokio::time::sleep(Duration::from_millis(300)).await;
    road.be(State::Moved);
    assert!(asked.await.unwrap().iter().all(Result::is_err));
    held.commit().await;
    at_once_or_soon("after it", &store, true).await;
}

#[tokio::test]
async fn given_a_row_that_another_holds_when_written_then_the_wait_has_an_end() {
    use sqlx::Connection as _;
    let place = Place::postgres().await;
    let store = place.store().await;
    store.put_ticket(&ticket()).await.unwrap();
    let mut other = sqlx::PgConnection::connect(&place.url).await.unwrap();
    let mut held = other.begin().await.unwrap();
    sqlx::query("UPDATE connect_tickets SET used_at = 1").execute(&mut *held).await.unwrap();
    let began = Instant::now();
    store.use_ticket("digest", 1).await.unwrap_err();
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    held.rollback().await.unwrap();
    assert!(store.use_ticket("digest", 1).await.unwrap());
}

#[tokio::test]
async fn given_a_server_that_became_a_standby_when_it_refuses_writes_then_its_connections_are_given_up() {
    let place = Place::postgres().await;
    let road = Road::to(&place).await;
    let store = Store::open(&road.url).await.unwrap();
    store.put_ticket(&ticket()).await.unwrap();
    let standby = road.url.replace("options=", "options=-c%20default_transaction_read_only%3Don%20");
    store.move_to(&standby).unwrap();
    road.be(State::Down);
    at_once_or_soon("on the way down", &store, false).await;
    road.be(State::Through);
    let refused = store.use_ticket("digest", 1).await.unwrap_err();
    assert!(refused.to_string().contains("read-only"), "{refused}");
    store.move_to(&road.url).unwrap();
    // The refused connection is being closed meanwhile.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(store.use_ticket("digest", 1).await.unwrap());
}

/// Worker threads have runtimes of their own, and one may end before the others.
#[test]
fn given_connections_that_a_worker_opened_when_it_ends_then_what_others_do_with_them_goes_on() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let home = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let place = home.block_on(Place::postgres());
    let store = home.block_on(place.store());
    let all = |store: &Store| {
        let store = store.clone();
        all_at_once((0..10).map(move |_| {
            let store = store.clone();
            async move { store.use_ticket("digest", 1).await }
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
