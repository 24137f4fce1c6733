use portcullis_store::{IdentityChange, IdentityChangeRow};

use crate::codes::{code, grant};
use crate::test_database::{count_winners, on_both_databases, run_concurrently};

on_both_databases! {
    async fn given_a_grant_when_many_end_it_at_once_then_one_did_and_all_replicas_hear_of_it_once(place: TestDatabase) {
        let replicas = [place.store().await, place.store().await, place.store().await];
        replicas[0].add_code(&code()).await.unwrap();
        replicas[0].redeem_code("code", &grant("g"), "t").await.unwrap();
        let outcomes = run_concurrently((0..24).map(|task: usize| {
            let store = replicas[task % 3].clone();
            async move { store.revoke_grant("g", 1_000, 9_000).await.unwrap() }
        }))
        .await;
        assert_eq!(count_winners(&outcomes), 1);
        let expected = [IdentityChangeRow {
            change: IdentityChange::RevokedGrant("g".into()),
            changed_at: 1_000,
            expires_at: 9_000,
        }];
        for store in &replicas {
            assert_eq!(store.changes_since(i64::MIN, 2_000).await.unwrap(), expected);
            assert_eq!(store.changes_since(1_000, 2_000).await.unwrap(), expected);
        }
        assert_eq!(replicas[1].changes_since(1_001, 2_000).await.unwrap(), []);
        assert_eq!(replicas[1].changes_since(0, 9_000).await.unwrap(), []);
        assert_eq!(replicas[2].grant("g").await.unwrap().unwrap().revoked_at, Some(1_000));
        assert!(!replicas[2].revoke_grant("nobody's", 1, 2).await.unwrap());
    }

    async fn given_the_log_when_forgotten_then_what_others_may_still_need_stays_a_while(place: TestDatabase) {
        let store = place.store().await;
        store.add_code(&code()).await.unwrap();
        store.redeem_code("code", &grant("g"), "t").await.unwrap();
        store.revoke_grant("g", 1_000, 9_000).await.unwrap();
        // A replica whose clock is minutes ahead deletes.
        store.prune_changes(9_000 + 300_000).await.unwrap();
        assert_eq!(store.changes_since(0, 8_999).await.unwrap().len(), 1);
        store.prune_changes(9_000 + 3_600_000).await.unwrap();
        assert_eq!(store.changes_since(0, 8_999).await.unwrap(), []);
    }

    async fn given_a_change_that_a_newer_version_logged_when_read_then_it_is_passed_over(place: TestDatabase) {
        let store = place.store().await;
        place.run("INSERT INTO identity_changes (kind, subject, changed_at, expires_at) VALUES ('new', 's', 1, 9)").await;
        assert_eq!(store.changes_since(0, 0).await.unwrap(), []);
    }
}
