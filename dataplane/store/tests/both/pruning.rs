//! Deleting what is over, and whose is over while its turn comes.

use portcullis_store::ClientRow;

use crate::connect_flows::flow;
use crate::connect_links::connect_link;
use crate::sessions::row;
use crate::sign_ins::{pending, sign_in};
use crate::test_database::{on_both_databases, run_concurrently};

on_both_databases! {
    async fn given_what_browsers_left_behind_when_cleared_away_then_only_what_has_expired_goes(place: TestDatabase) {
        let store = place.store().await;
        store.rotate_browser_session(None, &row("one", "company", "ana")).await.unwrap();
        store.put_pending_authorization(&pending()).await.unwrap();
        store.put_sign_in(&sign_in()).await.unwrap();
        store.put_connect_link(&connect_link()).await.unwrap();
        store.begin_connect_flow(&flow(), 0).await.unwrap();
        let left = "SELECT (SELECT COUNT(*) FROM browser_sessions) + (SELECT COUNT(*) FROM pending_authorizations)
            + (SELECT COUNT(*) FROM sign_ins) + (SELECT COUNT(*) FROM connect_tickets)
            + (SELECT COUNT(*) FROM connect_flows)";
        store.prune_expired_browser_state(99).await.unwrap();
        assert_eq!(place.count(left).await, 5);
        store.prune_expired_browser_state(100).await.unwrap();
        assert_eq!(place.count(left).await, 0);
    }

    async fn given_thousands_that_are_over_when_all_replicas_clear_away_at_once_then_all_go_and_no_other(place: TestDatabase) {
        let replicas = [place.store().await, place.store().await, place.store().await];
        let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)";
        place
            .run(&format!(
                "INSERT INTO sign_ins (id, browser, identity_provider, details, expires_at)
                 {many} SELECT 'id ' || i, 'b', 'p', 'd', CASE WHEN i % 10 = 0 THEN 200 ELSE 100 END FROM n"
            ))
            .await;
        run_concurrently(replicas.map(|store| async move {
            store.prune_expired_browser_state(100).await.unwrap();
        }))
        .await;
        assert_eq!(place.count("SELECT COUNT(*) FROM sign_ins").await, 300);
    }

    async fn given_a_client_that_is_being_used_when_unused_ones_are_forgotten_then_it_stays(place: TestDatabase) {
        let store = place.store().await;
        for id in ["used", "unused"] {
            let (id, metadata) = (id.to_owned(), "{}".to_owned());
            let row = ClientRow { id, secret_digest: None, metadata, created_at: 100, last_used_at: 100, registered_from: None };
            store.add_client(&row).await.unwrap();
        }
        let using = place.begin("UPDATE clients SET last_used_at = 200 WHERE id = 'used'").await;
        let forgetter = store.clone();
        using.commit_while(async move { forgetter.prune_clients(150).await.unwrap() }).await;
        assert!(store.client("used", 0).await.unwrap().is_some());
        assert!(store.client("unused", 0).await.unwrap().is_none());
    }
}
