use portcullis_store::{ConnectionFilter, StepUpRow};

use crate::connections::row as connection;
use crate::test_database::{count_winners, on_both_databases, run_concurrently};

pub(crate) fn step_up(wanted: &str) -> StepUpRow {
    StepUpRow {
        principal_id: "ana".into(),
        origin_uid: "o1".into(),
        origin_url: "https://origin.example/mcp".into(),
        wanted: wanted.into(),
        asked: String::new(),
        asked_at: 0,
    }
}

on_both_databases! {
    async fn given_what_an_origin_wants_when_noted_upon_what_was_read_then_it_counts_and_upon_anything_else_not(place: TestDatabase) {
        let store = place.store().await;
        assert_eq!(store.step_up("ana", "o1").await.unwrap(), None);
        assert!(store.put_step_up(&step_up("a"), None).await.unwrap());
        assert!(!store.put_step_up(&step_up("b"), None).await.unwrap(), "there is one by now");
        assert!(store.put_step_up(&step_up("a b"), Some(&step_up("a"))).await.unwrap());
        store.record_step_up("ana", "o1", "a", 5).await.unwrap();
        assert!(
            !store.put_step_up(&step_up("a b c"), Some(&step_up("a b"))).await.unwrap(),
            "somebody has consented meanwhile"
        );
        let noted = StepUpRow { asked: "a".into(), asked_at: 5, ..step_up("a b") };
        assert_eq!(store.step_up("ana", "o1").await.unwrap(), Some(noted));
        store.record_step_up("bob", "o1", "a", 5).await.unwrap();
        assert_eq!(store.step_up("bob", "o1").await.unwrap(), None);
    }

    async fn given_two_scopes_when_many_replicas_note_them_at_once_upon_the_same_then_one_does(place: TestDatabase) {
        let replicas = [place.store().await, place.store().await, place.store().await];
        assert!(replicas[0].put_step_up(&step_up("a"), None).await.unwrap());
        let outcomes = run_concurrently((0..24).map(|task: usize| {
            let store = replicas[task % 3].clone();
            async move { store.put_step_up(&step_up(&format!("a s{task}")), Some(&step_up("a"))).await.unwrap() }
        }))
        .await;
        assert_eq!(count_winners(&outcomes), 1);
    }

    async fn given_a_disconnected_account_then_what_was_asked_of_it_is_forgotten_and_nothing_elses(place: TestDatabase) {
        let store = place.store().await;
        let elsewhere = StepUpRow { origin_uid: "o2".into(), ..step_up("a") };
        for row in [step_up("a"), elsewhere.clone()] {
            store.put_step_up(&row, None).await.unwrap();
        }
        store.put_connection(&connection()).await.unwrap();
        store.remove_connection("ana", "o1", 2).await.unwrap();
        assert_eq!(store.step_up("ana", "o1").await.unwrap(), None);
        store.put_step_up(&step_up("a"), None).await.unwrap();
        store.put_connection(&connection()).await.unwrap();
        assert_eq!(store.remove_connections(ConnectionFilter::Origin("o1"), 3).await.unwrap().len(), 1);
        assert_eq!(store.step_up("ana", "o1").await.unwrap(), None);
        assert_eq!(store.step_up("ana", "o2").await.unwrap(), Some(elsewhere));
    }
}
