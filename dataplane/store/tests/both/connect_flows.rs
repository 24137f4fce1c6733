use portcullis_store::ConnectFlowRow;

use crate::test_database::{count_winners, on_both_databases, run_concurrently};

pub(crate) fn flow() -> ConnectFlowRow {
    ConnectFlowRow {
        state_digest: "s".into(),
        principal_id: "ana".into(),
        origin_uid: "o".into(),
        browser: "b".into(),
        sealed: "x".into(),
        expires_at: 100,
    }
}

on_both_databases! {
    async fn given_a_flow_when_taken_then_it_is_gone_and_too_late_is_never(place: TestDatabase) {
        let store = place.store().await;
        store.begin_connect_flow(&flow(), 0).await.unwrap();
        assert_eq!(store.take_connect_flow("s", 99).await.unwrap(), Some(flow()));
        assert_eq!(store.take_connect_flow("s", 99).await.unwrap(), None);
        store.begin_connect_flow(&flow(), 0).await.unwrap();
        assert_eq!(store.take_connect_flow("s", 100).await.unwrap(), None);
    }

    async fn given_flows_when_one_begins_then_those_that_are_too_late_are_forgotten(place: TestDatabase) {
        let store = place.store().await;
        store.begin_connect_flow(&flow(), 0).await.unwrap();
        let next = ConnectFlowRow { state_digest: "t".into(), expires_at: 300, ..flow() };
        store.begin_connect_flow(&next, 200).await.unwrap();
        assert_eq!(place.count("SELECT COUNT(*) FROM connect_flows").await, 1);
    }

    /// Requirements: client.state
    async fn given_a_flow_when_many_take_it_at_once_then_one_has_it(place: TestDatabase) {
        let (one, two) = (place.store().await, place.store().await);
        one.begin_connect_flow(&flow(), 0).await.unwrap();
        let outcomes = run_concurrently((0..16).map(|task| {
            let store = if task % 2 == 0 { one.clone() } else { two.clone() };
            async move { store.take_connect_flow("s", 1).await.unwrap().is_some() }
        }))
        .await;
        assert_eq!(count_winners(&outcomes), 1);
    }
}
