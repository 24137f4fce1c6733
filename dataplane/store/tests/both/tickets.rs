use portcullis_store::TicketRow;

use crate::place::{all_at_once, on_both, winners};

pub(crate) fn ticket() -> TicketRow {
    TicketRow {
        id: "digest".to_owned(),
        principal: "ana".to_owned(),
        origin_uid: "o".to_owned(),
        route_uid: "r".to_owned(),
        expires_at: 100,
    }
}

on_both! {
    async fn given_a_connect_link_when_used_then_it_is_gone_for_everybody_else(place: Place) {
        let store = place.store().await;
        store.put_ticket(&ticket()).await.unwrap();
        assert_eq!(store.ticket("digest", 99).await.unwrap(), Some(ticket()));
        assert_eq!(store.ticket("digest", 100).await.unwrap(), None);
        assert!(!store.use_ticket("digest", 100).await.unwrap());
        assert!(store.use_ticket("digest", 50).await.unwrap());
        assert!(!store.use_ticket("digest", 50).await.unwrap());
        assert_eq!(store.ticket("digest", 50).await.unwrap(), None);
    }

    async fn given_a_connect_link_when_many_use_it_at_once_then_one_does(place: Place) {
        let replicas = [place.store().await, place.store().await, place.store().await];
        replicas[0].put_ticket(&ticket()).await.unwrap();
        let told = all_at_once((0..24).map(|task: usize| {
            let store = replicas[task % 3].clone();
            async move { store.use_ticket("digest", 1).await.unwrap() }
        }))
        .await;
        assert_eq!(winners(&told), 1);
    }
}
