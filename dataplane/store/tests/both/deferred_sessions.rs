use crate::test_database::{on_both_databases, run_concurrently};

on_both_databases! {
    async fn given_a_late_session_when_many_open_it_at_once_then_all_hear_of_the_one_that_holds(place: TestDatabase) {
        let replicas = [place.store().await, place.store().await, place.store().await];
        assert_eq!(replicas[0].deferred_session("s").await.unwrap(), None);
        let outcomes = run_concurrently((0..24).map(|task: usize| {
            let store = replicas[task % 3].clone();
            async move { store.open_deferred_session("s", &format!("session {task}"), 1).await.unwrap() }
        }))
        .await;
        let holds = replicas[1].deferred_session("s").await.unwrap().unwrap();
        assert!(outcomes.iter().all(|each| *each == holds), "{outcomes:?}, but {holds}");
    }

    async fn given_late_sessions_when_old_ones_are_forgotten_then_newer_ones_stay(place: TestDatabase) {
        let store = place.store().await;
        store.open_deferred_session("old", "o", 100).await.unwrap();
        store.open_deferred_session("new", "n", 200).await.unwrap();
        store.prune_deferred_sessions(200).await.unwrap();
        assert_eq!(store.deferred_session("old").await.unwrap(), None);
        assert_eq!(store.deferred_session("new").await.unwrap().as_deref(), Some("n"));
    }
}
