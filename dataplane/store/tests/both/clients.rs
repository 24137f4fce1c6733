use portcullis_store::ClientRow;

use crate::test_database::on_both_databases;

fn client(id: &str, secret_digest: Option<&str>, used: i64) -> ClientRow {
    ClientRow {
        id: id.into(),
        secret_digest: secret_digest.map(str::to_owned),
        metadata: "{}".into(),
        created_at: used,
        last_used_at: used,
    }
}

on_both_databases! {
    async fn given_clients_when_read_then_public_ones_have_no_secret_and_unused_ones_are_not_there(place: TestDatabase) {
        let store = place.store().await;
        let (public, confidential) = (client("public", None, 100), client("confidential", Some("d"), 200));
        store.add_client(&public).await.unwrap();
        store.add_client(&confidential).await.unwrap();
        assert_eq!(store.client("public", 100).await.unwrap(), Some(public));
        assert_eq!(store.client("public", 101).await.unwrap(), None);
        assert_eq!(store.client("confidential", 0).await.unwrap(), Some(confidential));
        assert_eq!(store.client("nobody", 0).await.unwrap(), None);
    }

    async fn given_an_id_that_no_text_can_be_when_looked_for_then_there_is_no_such_client(place: TestDatabase) {
        assert_eq!(place.store().await.client("a\0b", 0).await.unwrap(), None);
    }

    async fn given_clients_when_those_unused_are_forgotten_then_a_touched_one_stays(place: TestDatabase) {
        let store = place.store().await;
        for id in ["old", "touched"] {
            store.add_client(&client(id, None, 100)).await.unwrap();
        }
        store.touch_client("touched", 300).await.unwrap();
        store.touch_client("touched", 200).await.unwrap();
        store.prune_clients(250).await.unwrap();
        assert_eq!(store.client("old", 0).await.unwrap(), None);
        assert_eq!(store.client("touched", 0).await.unwrap().unwrap().last_used_at, 300);
    }
}
