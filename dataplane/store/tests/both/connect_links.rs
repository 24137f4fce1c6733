use portcullis_store::ConnectLinkRow;

use crate::test_database::{count_winners, on_both_databases, run_concurrently};

pub(crate) fn connect_link() -> ConnectLinkRow {
    ConnectLinkRow {
        id: "digest".to_owned(),
        principal: "ana".to_owned(),
        origin_uid: "o".to_owned(),
        route_uid: "r".to_owned(),
        expires_at: 100,
    }
}

on_both_databases! {
    async fn given_a_connect_link_when_used_then_it_is_gone_for_everybody_else(place: TestDatabase) {
        let store = place.store().await;
        store.put_connect_link(&connect_link()).await.unwrap();
        assert_eq!(store.connect_link("digest", 99).await.unwrap(), Some(connect_link()));
        assert_eq!(store.connect_link("digest", 100).await.unwrap(), None);
        assert!(!store.use_connect_link("digest", 100).await.unwrap());
        assert!(store.use_connect_link("digest", 50).await.unwrap());
        assert!(!store.use_connect_link("digest", 50).await.unwrap());
        assert_eq!(store.connect_link("digest", 50).await.unwrap(), None);
    }

    async fn given_a_connect_link_when_many_use_it_at_once_then_one_does(place: TestDatabase) {
        let replicas = [place.store().await, place.store().await, place.store().await];
        replicas[0].put_connect_link(&connect_link()).await.unwrap();
        let outcomes = run_concurrently((0..24).map(|task: usize| {
            let store = replicas[task % 3].clone();
            async move { store.use_connect_link("digest", 1).await.unwrap() }
        }))
        .await;
        assert_eq!(count_winners(&outcomes), 1);
    }
}
