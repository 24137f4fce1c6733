use portcullis_store::{ClientRow, GrantRow, Store, UnusedClientLimits};

use crate::codes::{code, grant};
use crate::test_database::on_both_databases;

fn client(id: &str, secret_digest: Option<&str>, used: i64) -> ClientRow {
    ClientRow {
        id: id.into(),
        secret_digest: secret_digest.map(str::to_owned),
        metadata: "{}".into(),
        created_at: used,
        last_used_at: used,
        registered_from: None,
    }
}

fn unused(id: &str, network: &str, used: i64) -> ClientRow {
    ClientRow { registered_from: Some(network.into()), ..client(id, None, used) }
}

/// Registers clients in this order, with the limits of a test.
async fn register(store: &Store, clients: &[ClientRow]) {
    for row in clients {
        store.add_client(row).await.unwrap();
        let limits = UnusedClientLimits { per_network: 3, total: 5 };
        store.evict_unused_clients(row, limits).await.unwrap();
    }
}

async fn kept(store: &Store, ids: &[&str]) -> Vec<bool> {
    let mut kept = Vec::new();
    for id in ids {
        kept.push(store.client(id, 0).await.unwrap().is_some());
    }
    kept
}

on_both_databases! {
    async fn given_clients_when_read_then_public_ones_have_no_secret_and_unused_ones_are_not_there(place: TestDatabase) {
        let store = place.store().await;
        let (public, confidential) = (client("public", None, 100), client("confidential", Some("d"), 200));
        store.add_client(&public).await.unwrap();
        store.add_client(&confidential).await.unwrap();
        assert_eq!(store.client("public", 100).await.unwrap(), Some(public));
        assert_eq!(store.client("public", 101).await.unwrap(), None);
        assert_eq!(store.client("confidential", 0).await.unwrap(), Some(confidential));
        assert_eq!(store.client("nobody", 0).await.unwrap(), None);
    }

    async fn given_an_id_that_no_text_can_be_when_looked_for_then_there_is_no_such_client(place: TestDatabase) {
        assert_eq!(place.store().await.client("a\0b", 0).await.unwrap(), None);
    }

    async fn given_clients_when_those_unused_are_forgotten_then_a_touched_one_stays(place: TestDatabase) {
        let store = place.store().await;
        for id in ["old", "touched"] {
            store.add_client(&client(id, None, 100)).await.unwrap();
        }
        store.touch_client("touched", 300).await.unwrap();
        store.touch_client("touched", 200).await.unwrap();
        store.prune_clients(250).await.unwrap();
        assert_eq!(store.client("old", 0).await.unwrap(), None);
        assert_eq!(store.client("touched", 0).await.unwrap().unwrap().last_used_at, 300);
    }

    /// Requirements: as.registration.bounded
    async fn given_a_network_that_registers_too_many_then_its_least_recently_used_ones_go_and_no_others(place: TestDatabase) {
        let store = place.store().await;
        register(&store, &[unused("other", "198.51.100.1", 1)]).await;
        let flood: Vec<_> = (0..5).map(|at| unused(&format!("f{at}"), "192.0.2.1", 100 + at)).collect();
        register(&store, &flood).await;
        assert_eq!(kept(&store, &["f0", "f1", "f2", "f3", "f4", "other"]).await, [false, false, true, true, true, true]);
        store.touch_client("f2", 900).await.unwrap();
        register(&store, &[unused("f5", "192.0.2.1", 200)]).await;
        assert_eq!(kept(&store, &["f2", "f3", "f4", "f5"]).await, [true, false, true, true]);
    }

    /// Requirements: as.registration.bounded
    async fn given_too_many_in_total_then_one_of_the_network_with_the_most_goes(place: TestDatabase) {
        let store = place.store().await;
        let flood: Vec<_> = (0..3).map(|at| unused(&format!("f{at}"), "192.0.2.1", 100 + at)).collect();
        register(&store, &[unused("lone", "198.51.100.1", 1), unused("pair", "203.0.113.1", 2)]).await;
        register(&store, &flood).await;
        register(&store, &[unused("new", "198.51.100.9", 300)]).await;
        assert_eq!(
            kept(&store, &["lone", "pair", "f0", "f1", "f2", "new"]).await,
            [true, true, false, true, true, true]
        );
    }

    /// Requirements: as.registration.persists, as.registration.bounded
    async fn given_clients_with_a_grant_or_of_an_older_version_then_they_neither_count_nor_go(place: TestDatabase) {
        let store = place.store().await;
        let of = |id: &str, client_id: &str| GrantRow { client_id: client_id.into(), ..grant(id) };
        for id in ["granted", "headless", "of-n-1"] {
            store.add_client(&unused(id, "192.0.2.1", 1)).await.unwrap();
        }
        store.add_client(&client("old", None, 1)).await.unwrap();
        store.add_code(&code()).await.unwrap();
        assert!(store.redeem_code("code", &of("g1", "granted"), "first").await.unwrap());
        store.add_grant(&of("g2", "headless")).await.unwrap();
        // An older version stores the grant and nothing else.
        store.add_grant(&of("g3", "of-n-1")).await.unwrap();
        place.run("UPDATE clients SET registered_from = '192.0.2.1' WHERE id = 'of-n-1'").await;
        assert_eq!(store.client("granted", 0).await.unwrap().unwrap().registered_from, None);
        assert_eq!(store.client("headless", 0).await.unwrap().unwrap().registered_from, None);
        assert!(store.has_grants("of-n-1").await.unwrap() && !store.has_grants("old").await.unwrap());
        let flood: Vec<_> = (0..6).map(|at| unused(&format!("f{at}"), "192.0.2.1", 100 + at)).collect();
        register(&store, &flood).await;
        store.prune_unused_clients(50).await.unwrap();
        assert_eq!(kept(&store, &["granted", "headless", "of-n-1", "old"]).await, [true; 4]);
        store.prune_unused_clients(1_000).await.unwrap();
        assert_eq!(kept(&store, &["granted", "headless", "of-n-1", "old", "f5"]).await, [true, true, true, true, false]);
    }
}
