use portcullis_store::{ConnectionFilter, ConnectionRow, Renewal};

use crate::test_database::{count_winners, on_both_databases, run_concurrently};

pub(crate) fn row() -> ConnectionRow {
    ConnectionRow {
        principal_id: "ana".into(),
        origin_uid: "o1".into(),
        origin_url: "https://origin.example/mcp".into(),
        resource: "https://origin.example/mcp".into(),
        issuer: "https://as.example".into(),
        token_endpoint: "https://as.example/token".into(),
        revocation_endpoint: None,
        client_id: "c".into(),
        registration: "dynamic".into(),
        auth_method: "none".into(),
        scope: "read".into(),
        sealed: "x".into(),
        issued_at: 1_000,
        expires_at: Some(4_000),
        dead: 0,
        revision: "r1".into(),
        leased_until: 0,
        connected_at: 1_000,
        last_used_at: None,
    }
}

pub(crate) fn renewal(revision: &str) -> Renewal {
    Renewal {
        sealed: "z".into(),
        scope: String::new(),
        issued_at: 5_000,
        expires_at: None,
        revision: revision.into(),
    }
}

on_both_databases! {
    async fn given_links_when_put_then_they_read_as_they_were_with_and_without_what_may_be_missing(place: TestDatabase) {
        let store = place.store().await;
        let full = ConnectionRow {
            revocation_endpoint: Some("https://as.example/revoke".into()),
            issued_at: i64::MAX,
            leased_until: i64::MIN,
            sealed: "s".repeat(100_000),
            ..row()
        };
        let bare = ConnectionRow { origin_uid: "o2".into(), expires_at: None, dead: 1, ..row() };
        store.put_connection(&full).await.unwrap();
        store.put_connection(&bare).await.unwrap();
        assert_eq!(store.connection("ana", "o1").await.unwrap(), Some(full));
        assert_eq!(store.connection("ana", "o2").await.unwrap(), Some(bare));
        assert_eq!(store.connection("bob", "o1").await.unwrap(), None);
    }

    async fn given_two_replicas_when_both_claim_the_refreshing_then_one_gets_it_until_the_claim_runs_out(place: TestDatabase) {
        let store = place.store().await;
        store.put_connection(&row()).await.unwrap();
        assert!(store.lease_connection(&row(), 2_000, 12_000).await.unwrap());
        assert!(!store.lease_connection(&row(), 2_001, 12_001).await.unwrap());
        assert!(store.lease_connection(&row(), 12_000, 22_000).await.unwrap());
        store.release_connection(&row(), 12_000).await.unwrap();
        assert!(
            !store.lease_connection(&row(), 12_001, 22_001).await.unwrap(),
            "only its own claim is given back"
        );
        store.release_connection(&row(), 22_000).await.unwrap();
        assert!(store.lease_connection(&row(), 12_002, 22_002).await.unwrap());
    }

    /// Requirements: client.refresh.once
    async fn given_three_replicas_when_24_tasks_claim_the_refreshing_at_once_then_one_gets_it(place: TestDatabase) {
        let replicas = [place.store().await, place.store().await, place.store().await];
        replicas[0].put_connection(&row()).await.unwrap();
        for round in 0..5 {
            let now = 10_000 * (round + 1);
            let outcomes = run_concurrently((0..24).map(|task: i64| {
                let store = replicas[usize::try_from(task % 3).unwrap()].clone();
                async move { store.lease_connection(&row(), now + task % 7, now + 10_000).await.unwrap() }
            }))
            .await;
            assert_eq!(count_winners(&outcomes), 1, "round {round}");
        }
    }

    async fn given_a_link_when_many_write_what_they_refreshed_then_one_is_kept(place: TestDatabase) {
        let (one, two) = (place.store().await, place.store().await);
        one.put_connection(&row()).await.unwrap();
        let outcomes = run_concurrently((0..24).map(|task| {
            let store = if task % 2 == 0 { one.clone() } else { two.clone() };
            async move { store.renew_connection(&row(), &renewal(&format!("n{task}"))).await.unwrap() }
        }))
        .await;
        assert_eq!(count_winners(&outcomes), 1);
        let winner = outcomes.iter().position(|won| *won).unwrap();
        assert_eq!(one.connection("ana", "o1").await.unwrap().unwrap().revision, format!("n{winner}"));
    }

    async fn given_a_link_that_was_made_anew_when_an_old_refresh_ends_then_it_changes_nothing(place: TestDatabase) {
        let store = place.store().await;
        store.put_connection(&row()).await.unwrap();
        let anew = ConnectionRow { revision: "r2".into(), sealed: "y".into(), ..row() };
        store.put_connection(&anew).await.unwrap();
        assert!(!store.renew_connection(&row(), &renewal("r3")).await.unwrap());
        assert!(!store.mark_connection_dead(&row(), "r4").await.unwrap());
        assert!(!store.lease_connection(&row(), 2_000, 12_000).await.unwrap());
        assert_eq!(store.connection("ana", "o1").await.unwrap(), Some(anew.clone()));
        assert!(store.renew_connection(&anew, &renewal("r3")).await.unwrap());
        assert_eq!(store.connection("ana", "o1").await.unwrap().unwrap().sealed, "z");
        assert_eq!(store.remove_connection("ana", "o1", 6_000).await.unwrap().unwrap().revision, "r3");
        assert_eq!(store.connection("ana", "o1").await.unwrap(), None);
        assert_eq!(store.remove_connection("ana", "o1", 6_000).await.unwrap(), None);
    }

    async fn given_a_dead_link_when_read_then_it_says_so_and_nobody_has_it_claimed(place: TestDatabase) {
        let store = place.store().await;
        store.put_connection(&row()).await.unwrap();
        assert!(store.lease_connection(&row(), 2_000, 12_000).await.unwrap());
        assert!(store.mark_connection_dead(&row(), "r2").await.unwrap());
        let dead = store.connection("ana", "o1").await.unwrap().unwrap();
        assert_eq!((dead.dead, dead.leased_until, dead.revision.as_str()), (1, 0, "r2"));
    }

    async fn given_links_when_they_come_and_go_then_every_replica_hears_of_each(place: TestDatabase) {
        let (store, other) = (place.store().await, place.store().await);
        let changes = async |since| {
            let mut rows = other.connection_changes_since(since, 2_000).await.unwrap();
            rows.sort_by_key(|row| row.changed_at);
            rows.into_iter().map(|row| (row.principal_id, row.origin_uid, row.connected, row.changed_at)).collect::<Vec<_>>()
        };
        store.put_connection(&row()).await.unwrap();
        assert_eq!(changes(0).await, [("ana".into(), "o1".into(), true, 1_000)]);
        store.remove_connection("ana", "o1", 3_000).await.unwrap();
        assert_eq!(changes(1_001).await, [("ana".into(), "o1".into(), false, 3_000)]);
        store.remove_connection("ana", "o1", 4_000).await.unwrap();
        assert_eq!(changes(3_001).await, [], "there was none to remove");
        assert_eq!(other.changes_since(0, 0).await.unwrap(), [], "that log is about grants and people");
    }

    async fn given_many_links_when_a_persons_or_an_origins_are_removed_then_no_others_are(place: TestDatabase) {
        let store = place.store().await;
        for (who, origin) in [("ana", "o1"), ("ana", "o2"), ("bob", "o1"), ("bob", "o3")] {
            let row = ConnectionRow { principal_id: who.into(), origin_uid: origin.into(), ..row() };
            store.put_connection(&row).await.unwrap();
        }
        assert_eq!(store.count_connections_at("o1").await.unwrap(), 2);
        let removed = async |whose| {
            let rows = store.remove_connections(whose, 5_000).await.unwrap();
            let mut names: Vec<_> = rows.into_iter().map(|row| format!("{} {}", row.principal_id, row.origin_uid)).collect();
            names.sort();
            names
        };
        assert_eq!(removed(ConnectionFilter::Origin("o1")).await, ["ana o1", "bob o1"]);
        assert_eq!(removed(ConnectionFilter::Origin("o1")).await, [""; 0]);
        assert_eq!(removed(ConnectionFilter::Person("bob")).await, ["bob o3"]);
        assert!(store.connection("ana", "o2").await.unwrap().is_some());
        assert_eq!(store.connection_changes_since(5_000, 5_000).await.unwrap().len(), 3);
    }

    async fn given_a_link_when_it_is_used_then_that_is_noted_no_more_often_than_asked(place: TestDatabase) {
        let store = place.store().await;
        store.put_connection(&row()).await.unwrap();
        let noted = async || store.connection("ana", "o1").await.unwrap().unwrap().last_used_at;
        store.touch_connection("ana", "o1", 2_000, 1_000).await.unwrap();
        assert_eq!(noted().await, Some(2_000));
        store.touch_connection("ana", "o1", 2_500, 1_500).await.unwrap();
        assert_eq!(noted().await, Some(2_000));
        store.touch_connection("ana", "o1", 4_000, 3_000).await.unwrap();
        assert_eq!(noted().await, Some(4_000));
    }
}
