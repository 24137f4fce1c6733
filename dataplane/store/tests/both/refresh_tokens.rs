use portcullis_store::{RefreshTokenRow, Store};

use crate::codes::{code, grant};
use crate::test_database::{TestDatabase, count_winners, on_both_databases, run_concurrently};

/// Three replicas, and a grant with its first refresh token.
async fn granted(place: &TestDatabase) -> ([Store; 3], RefreshTokenRow) {
    let replicas = [place.store().await, place.store().await, place.store().await];
    replicas[0].add_code(&code()).await.unwrap();
    assert!(replicas[0].redeem_code("code", &grant("g"), "first").await.unwrap());
    let first = replicas[0].refresh_token("first").await.unwrap().unwrap();
    (replicas, first)
}

on_both_databases! {
    async fn given_a_refresh_token_when_used_then_it_has_one_successor_and_within_the_grace_one_more(place: TestDatabase) {
        let ([store, ..], first) = granted(&place).await;
        assert!(store.rotate_refresh_token(&first, "second", 1_000).await.unwrap());
        assert!(!store.rotate_refresh_token(&first, "again", 1_001).await.unwrap());
        assert!(!store.branch_refresh_token(&first, "late", 1_001, 50_000).await.unwrap(), "out of the grace");
        assert!(store.branch_refresh_token(&first, "branch", 1_000, 1_500).await.unwrap());
        let second = store.refresh_token("second").await.unwrap().unwrap();
        assert_eq!(second.predecessor.as_deref(), Some("first"));
        assert!(store.rotate_refresh_token(&second, "third", 2_000).await.unwrap());
        assert!(!store.branch_refresh_token(&first, "stolen", 1_000, 2_001).await.unwrap(), "a successor is in use");
        assert_eq!(place.count("SELECT COUNT(*) FROM refresh_tokens").await, 4);
    }

    /// Requirements: as.refresh.grace
    async fn given_a_used_refresh_token_when_it_comes_again_and_again_then_it_has_a_few_successors(place: TestDatabase) {
        let ([store, ..], first) = granted(&place).await;
        assert!(store.rotate_refresh_token(&first, "t0", 1_000).await.unwrap());
        let mut given = 1;
        for at in 1..20 {
            given += i64::from(store.branch_refresh_token(&first, &format!("t{at}"), 0, 1_000).await.unwrap());
        }
        assert_eq!((given, store.unused_refresh_tokens("g").await.unwrap()), (16, 16));
        assert!(!store.has_used_successor(&first).await.unwrap());
    }

    /// Requirements: as.refresh.grace
    async fn given_siblings_when_one_was_used_before_the_grace_then_the_unused_ones_have_ended(place: TestDatabase) {
        let ([store, ..], first) = granted(&place).await;
        assert!(store.rotate_refresh_token(&first, "used", 1_000).await.unwrap());
        assert!(store.branch_refresh_token(&first, "unused", 0, 1_100).await.unwrap());
        let (used, unused) =
            (store.refresh_token("used").await.unwrap().unwrap(), store.refresh_token("unused").await.unwrap().unwrap());
        assert!(!store.is_refresh_token_superseded(&unused, 9_000).await.unwrap());
        assert!(store.rotate_refresh_token(&used, "next", 2_000).await.unwrap());
        assert!(store.has_used_successor(&first).await.unwrap());
        assert!(!store.is_refresh_token_superseded(&unused, 2_000).await.unwrap());
        assert!(store.is_refresh_token_superseded(&unused, 2_001).await.unwrap());
        let next = store.refresh_token("next").await.unwrap().unwrap();
        assert!(!store.is_refresh_token_superseded(&next, 9_000).await.unwrap());
        store.prune_superseded_refresh_tokens(2_000).await.unwrap();
        assert!(store.refresh_token("unused").await.unwrap().is_some());
        store.prune_superseded_refresh_tokens(2_001).await.unwrap();
        assert!(store.refresh_token("unused").await.unwrap().is_none());
        for kept in ["first", "used", "next"] {
            assert!(store.refresh_token(kept).await.unwrap().is_some(), "{kept}");
        }
    }

    /// Requirements: as.refresh.grace
    async fn given_a_refresh_token_when_three_replicas_rotate_it_at_once_then_it_has_one_successor(place: TestDatabase) {
        let (replicas, first) = granted(&place).await;
        let outcomes = run_concurrently((0..24).map(|task: usize| {
            let (store, first) = (replicas[task % 3].clone(), first.clone());
            async move { store.rotate_refresh_token(&first, &format!("t{task}"), 1_000).await.unwrap() }
        }))
        .await;
        assert_eq!(count_winners(&outcomes), 1);
        assert_eq!(place.count("SELECT COUNT(*) FROM refresh_tokens").await, 2);
    }

    async fn given_a_grant_that_is_about_to_end_when_its_token_is_rotated_then_no_token_comes_after_the_end(place: TestDatabase) {
        let ([store, ..], first) = granted(&place).await;
        let ending = place.begin("UPDATE grants SET revoked_at = 900").await;
        let rotated = ending
            .commit_while(async move { store.rotate_refresh_token(&first, "second", 1_000).await.unwrap() })
            .await;
        assert!(!rotated);
        assert_eq!(place.count("SELECT COUNT(*) FROM refresh_tokens").await, 1);
    }

    async fn given_a_grant_that_is_about_to_end_when_its_used_token_comes_again_then_no_token_comes_after_the_end(place: TestDatabase) {
        let ([store, ..], first) = granted(&place).await;
        assert!(store.rotate_refresh_token(&first, "second", 800).await.unwrap());
        let ending = place.begin("UPDATE grants SET revoked_at = 900").await;
        let branched = ending
            .commit_while(async move { store.branch_refresh_token(&first, "third", 0, 1_000).await.unwrap() })
            .await;
        assert!(!branched);
        assert_eq!(place.count("SELECT COUNT(*) FROM refresh_tokens").await, 2);
    }

    async fn given_grants_and_codes_when_their_time_is_over_then_they_go_with_their_tokens(place: TestDatabase) {
        let ([store, ..], first) = granted(&place).await;
        assert!(store.rotate_refresh_token(&first, "second", 1_000).await.unwrap());
        store.prune_grants(1_000, 1_000).await.unwrap();
        assert!(store.refresh_token("first").await.unwrap().is_some(), "used not before");
        store.prune_grants(1_001, 1_001).await.unwrap();
        assert!(store.code("code").await.unwrap().is_none());
        assert!(store.refresh_token("first").await.unwrap().is_none());
        assert!(store.refresh_token("second").await.unwrap().is_some());
        assert!(store.revoke_grant("g", 2_000, 9_000).await.unwrap());
        store.prune_grants(2_001, 0).await.unwrap();
        assert!(store.grant("g").await.unwrap().is_none());
        assert!(store.refresh_token("second").await.unwrap().is_none());
    }
}
