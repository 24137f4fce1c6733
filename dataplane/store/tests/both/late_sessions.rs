use crate::place::{all_at_once, on_both};

on_both! {
    async fn given_a_late_session_when_many_open_it_at_once_then_all_hear_of_the_one_that_holds(place: Place) {
        let replicas = [place.store().await, place.store().await, place.store().await];
        assert_eq!(replicas[0].late_session("s").await.unwrap(), None);
        let told = all_at_once((0..24).map(|task: usize| {
            let store = replicas[task % 3].clone();
            async move { store.open_late_session("s", &format!("session {task}"), 1).await.unwrap() }
        }))
        .await;
        let holds = replicas[1].late_session("s").await.unwrap().unwrap();
        assert!(told.iter().all(|each| *each == holds), "{told:?}, but {holds}");
    }

    async fn given_late_sessions_when_old_ones_are_forgotten_then_newer_ones_stay(place: Place) {
        let store = place.store().await;
        store.open_late_session("old", "o", 100).await.unwrap();
        store.open_late_session("new", "n", 200).await.unwrap();
        store.forget_late_sessions(200).await.unwrap();
        assert_eq!(store.late_session("old").await.unwrap(), None);
        assert_eq!(store.late_session("new").await.unwrap().as_deref(), Some("n"));
    }
}
