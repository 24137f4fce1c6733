use crate::test_database::{count_winners, on_both_databases, run_concurrently};

on_both_databases! {
    async fn given_an_assertion_when_many_replicas_use_it_at_once_then_it_counts_once(place: TestDatabase) {
        let replicas = [place.store().await, place.store().await, place.store().await];
        let outcomes = run_concurrently((0..24).map(|task: usize| {
            let store = replicas[task % 3].clone();
            async move { store.use_assertion("digest", 100).await.unwrap() }
        }))
        .await;
        assert_eq!(count_winners(&outcomes), 1);
        assert!(!replicas[0].is_assertion_used("another").await.unwrap());
        assert!(replicas[0].use_assertion("another", 100).await.unwrap());
        assert!(replicas[1].is_assertion_used("another").await.unwrap());
    }

    async fn given_assertions_when_their_time_is_over_then_they_are_forgotten_and_no_other(place: TestDatabase) {
        let store = place.store().await;
        assert!(store.use_assertion("old", 99).await.unwrap());
        assert!(store.use_assertion("young", 100).await.unwrap());
        store.prune_assertions(100).await.unwrap();
        assert!(store.use_assertion("old", 200).await.unwrap());
        assert!(!store.use_assertion("young", 200).await.unwrap());
    }
}
