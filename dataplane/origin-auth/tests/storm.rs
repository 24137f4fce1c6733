//! A refresh storm: a thousand users, whose tokens expire together, at three replicas over one store. On
//! SQLite, and on the PostgreSQL at `PORTCULLIS_TEST_POSTGRES` that `./tests/run store` starts.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that says how long it took"
)]

mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_origin_auth::{Credential, CredentialBroker, CredentialError};
use portcullis_policy::PrincipalId;
use portcullis_store::Store;
use support::{BROWSER, Harness, Settings, token};
use tokio::task::JoinSet;

const USERS: usize = 1000;

/// Maximum number of concurrent connects. They are not part of the storm.
const MAX_CONCURRENT_CONNECTS: usize = 4;

/// How long the authorization server takes for a refresh.
const DELAY: Duration = Duration::from_millis(20);

/// Deadline for refreshes in the background.
const TEST_TIMEOUT: Duration = Duration::from_secs(120);

/// Concurrent storms would distort each other.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

struct RefreshStorm {
    world: Harness,
    replicas: [CredentialBroker; 3],
    people: Vec<PrincipalId>,
}

impl RefreshStorm {
    async fn new(stores: [Store; 3]) -> Self {
        let [first, second, third] = stores;
        let world = Harness::on(first, Settings::default()).await;
        let replicas = [world.broker.clone(), world.replica_on(&second), world.replica_on(&third)];
        let people = (0..USERS).map(|number| PrincipalId::of("company", &format!("person-{number}")));
        let storm = Self { world, replicas, people: people.collect() };
        storm.connect_everybody().await;
        storm.world.provider.levers.lock().delay = DELAY;
        storm
    }

    async fn connect_everybody(&self) {
        for some in self.people.chunks(MAX_CONCURRENT_CONNECTS) {
            let mut connecting = JoinSet::new();
            for who in some {
                let (broker, who, origin) = (self.world.broker.clone(), who.clone(), self.world.origin());
                let (table, provider) = (Arc::clone(&self.world.table), self.world.provider.clone());
                connecting.spawn(async move {
                    let url = broker
                        .connect_flows
                        .begin(&who, &table.gateway, &origin, BROWSER, "/")
                        .await
                        .unwrap();
                    let callback = provider.consent(&url);
                    broker.connect_flows.finish(&table.gateway, &origin, BROWSER, &callback).await.unwrap();
                });
            }
            connecting.join_all().await;
        }
    }

    /// Every user calls every replica at once, again if their credential was rejected. Returns each user's
    /// credential at each replica.
    async fn request_all(&self, refused: Option<&[Credential]>) -> Vec<[Credential; 3]> {
        let mut calls = JoinSet::new();
        for (number, who) in self.people.iter().enumerate() {
            for (place, broker) in self.replicas.iter().enumerate() {
                let (broker, who, origin) = (broker.clone(), who.clone(), self.world.origin());
                let refused = refused.map(|refused| refused[number].clone());
                calls.spawn(async move {
                    let credential = match &refused {
                        Some(refused) => broker.renew(&who, &origin, refused).await,
                        None => broker.credential(&who, &origin).await,
                    };
                    (number, place, credential)
                });
            }
        }
        let mut found: Vec<[Option<Credential>; 3]> = (0..USERS).map(|_| [None, None, None]).collect();
        while let Some(call) = calls.join_next().await {
            let (number, place, credential) = call.unwrap();
            found[number][place] = Some(credential.unwrap_or_else(|error: CredentialError| {
                panic!("person {number} lost their connection at replica {place}: {error}")
            }));
        }
        found.into_iter().map(|three| three.map(Option::unwrap)).collect()
    }

    /// Checks that every user has one new token, the same at each replica.
    fn check(
        &self,
        what: &str,
        began: Instant,
        before: &[Credential],
        found: &[[Credential; 3]],
        refreshes: usize,
    ) {
        println!("{what}: {} calls, {refreshes} refreshes in {:.1?}", 3 * USERS, began.elapsed());
        for (before, three) in before.iter().zip(found) {
            let tokens: HashSet<_> = three.iter().map(token).collect();
            assert_eq!(tokens.len(), 1, "{what}: the replicas differ");
            assert!(!tokens.contains(&token(before)), "{what}: somebody goes on with what they had");
        }
        let sent: Vec<_> = self.sent();
        let distinct: HashSet<_> = sent.iter().collect();
        assert_eq!(sent.len(), distinct.len(), "{what}: a refresh token was sent twice");
        assert_eq!(sent.len(), refreshes, "{what}");
    }

    /// Refresh tokens that the authorization server received.
    fn sent(&self) -> Vec<String> {
        let requests = self.world.provider.requests("refresh_token");
        requests.into_iter().map(|form| form["refresh_token"].clone()).collect()
    }

    async fn run(&self) {
        // Each replica has every token in its cache, as after a day's work.
        let mut had = one_each(&self.request_all(None).await);
        assert!(self.sent().is_empty());

        self.world.advance(3600);
        let began = Instant::now();
        let found = self.request_all(None).await;
        self.check("all have expired", began, &had, &found, USERS);
        had = one_each(&found);

        let began = Instant::now();
        let found = self.request_all(Some(&had)).await;
        self.check("the origin refuses all", began, &had, &found, 2 * USERS);
        had = one_each(&found);

        self.world.advance(3545);
        let began = Instant::now();
        for (before, three) in had.iter().zip(self.request_all(None).await) {
            assert!(
                three.iter().all(|each| token(each) == token(before)),
                "no call waits for a refresh in the last minute"
            );
        }
        println!("all are in their last minute: {} calls in {:.1?}", 3 * USERS, began.elapsed());
        // Late callers find the new tokens in the store and send no refresh; until then they use the cached
        // ones. The clock runs slower than real time, so no lease expires before its refresh ends.
        let mut found = self.request_all(None).await;
        while !had.iter().zip(&found).all(|(before, three)| is_new(before, three))
            && began.elapsed() < TEST_TIMEOUT
        {
            let lap = Instant::now();
            tokio::time::sleep(Duration::from_millis(200)).await;
            found = self.request_all(None).await;
            self.world.clock.advance(lap.elapsed() / 2);
        }
        self.check("the same, and refreshed behind it", began, &had, &found, 3 * USERS);

        let newcomer = self.world.replica();
        for (who, three) in self.people.iter().zip(&found) {
            let stored = newcomer.credential(who, &self.world.origin()).await.ok().unwrap();
            assert_eq!(token(&stored), token(&three[0]), "what is stored is what is used");
        }
        assert_eq!(self.sent().len(), 3 * USERS);
    }
}

/// Whether the token at each replica differs from the earlier one.
fn is_new(before: &Credential, three: &[Credential; 3]) -> bool {
    three.iter().all(|each| token(each) != token(before))
}

fn one_each(found: &[[Credential; 3]]) -> Vec<Credential> {
    found.iter().map(|three| three[0].clone()).collect()
}

/// Requirements: client.refresh.once
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn given_a_thousand_tokens_that_end_together_then_each_is_refreshed_once_and_nobody_loses_their_connection()
 {
    let _alone = ONE_AT_A_TIME.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_sqlite(&folder.path().join("store.db")).await.unwrap();
    RefreshStorm::new([store.clone(), store.clone(), store]).await.run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: ./tests/run store"]
async fn given_the_same_on_postgresql_with_three_replicas_then_the_same() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let url = std::env::var("PORTCULLIS_TEST_POSTGRES").unwrap();
    let mut stores = Vec::new();
    for _ in 0..3 {
        stores.push(Store::open(&url).await.unwrap());
    }
    RefreshStorm::new(stores.try_into().ok().unwrap()).await.run().await;
}
