use portcullis_store::OriginClientRow;

use crate::test_database::on_both_databases;

fn registration(client_id: &str) -> OriginClientRow {
    OriginClientRow {
        origin_uid: "o".into(),
        issuer: "https://as.example".into(),
        redirect_uri: "https://gateway.example/connect/o/callback".into(),
        client_id: client_id.into(),
        sealed_secret: None,
        auth_method: "none".into(),
        secret_expires_at: None,
        registered_at: 1,
    }
}

on_both_databases! {
    async fn given_a_registration_when_made_anew_then_the_new_one_counts_and_removing_the_old_does_not_hurt_it(place: TestDatabase) {
        let store = place.store().await;
        let (issuer, redirect) = ("https://as.example", "https://gateway.example/connect/o/callback");
        assert_eq!(store.origin_client("o", issuer, redirect).await.unwrap(), None);
        store.put_origin_client(&registration("one")).await.unwrap();
        assert_eq!(store.origin_client("o", issuer, redirect).await.unwrap(), Some(registration("one")));
        let two = OriginClientRow {
            sealed_secret: Some("sealed".into()),
            secret_expires_at: Some(7_000),
            ..registration("two")
        };
        store.put_origin_client(&two).await.unwrap();
        store.remove_origin_client("o", issuer, "one").await.unwrap();
        assert_eq!(store.origin_client("o", issuer, redirect).await.unwrap(), Some(two));
        store.remove_origin_client("o", issuer, "two").await.unwrap();
        assert_eq!(store.origin_client("o", issuer, redirect).await.unwrap(), None);
    }
}
