use portcullis_store::{ConnectionRow, OriginClientRow};

use crate::connections::{renewal, row};
use crate::test_database::on_both_databases;

const OLD: &str = "AaAAAAA";

fn sealed(person: usize, beginning: &str) -> ConnectionRow {
    ConnectionRow { principal_id: format!("p{person:03}"), sealed: format!("{beginning}rest"), ..row() }
}

on_both_databases! {
    async fn given_links_under_two_keys_when_those_of_one_are_asked_for_then_each_comes_once_and_no_other(place: TestDatabase) {
        let store = place.store().await;
        for person in 0..250 {
            let beginning = if person % 2 == 0 { OLD } else { "AbAAAAA" };
            store.put_connection(&sealed(person, beginning)).await.unwrap();
        }
        let mut found = Vec::new();
        let mut rows = store.connections_sealed(OLD, None).await.unwrap();
        while let Some(last) = rows.last() {
            let more = store.connections_sealed(OLD, Some(last)).await.unwrap();
            found.append(&mut rows);
            rows = more;
        }
        let expected: Vec<_> = (0..250).step_by(2).map(|person| sealed(person, OLD)).collect();
        assert_eq!(found, expected);
        assert!(store.has_sealed_rows().await.unwrap());
    }

    /// Requirements: advisory.resealing
    async fn given_a_refresh_under_way_when_its_link_is_sealed_anew_then_the_refresh_goes_on_and_wins(place: TestDatabase) {
        let store = place.store().await;
        store.put_connection(&row()).await.unwrap();
        let read = store.connection("ana", "o1").await.unwrap().unwrap();
        assert!(store.lease_connection(&read, 2_000, 12_000).await.unwrap());
        assert!(store.reencrypt_connection(&read, "anew").await.unwrap());
        let there = store.connection("ana", "o1").await.unwrap().unwrap();
        assert_eq!(there, ConnectionRow { sealed: "anew".into(), leased_until: 12_000, ..row() });
        assert!(store.renew_connection(&read, &renewal("r2")).await.unwrap(), "the tokens that it brought are not lost");
        assert!(!store.reencrypt_connection(&there, "late").await.unwrap(), "and not overwritten by who had read before");
        assert_eq!(store.connection("ana", "o1").await.unwrap().unwrap().sealed, "z");
    }

    async fn given_registrations_when_sealed_anew_then_those_alone_that_have_a_secret_and_are_as_they_were(place: TestDatabase) {
        let store = place.store().await;
        assert!(!store.has_sealed_rows().await.unwrap());
        let client = |redirect_uri: &str, secret: Option<&str>| OriginClientRow {
            origin_uid: "o".into(),
            issuer: "https://as.example".into(),
            redirect_uri: redirect_uri.into(),
            client_id: "c".into(),
            sealed_secret: secret.map(|it| format!("{it}rest")),
            auth_method: "none".into(),
            secret_expires_at: None,
            registered_at: 1,
        };
        store.put_origin_client(&client("none", None)).await.unwrap();
        assert!(!store.has_sealed_rows().await.unwrap(), "a public client needs no key");
        store.put_origin_client(&client("old", Some(OLD))).await.unwrap();
        assert!(store.has_sealed_rows().await.unwrap());
        let found = store.origin_clients_sealed(OLD, None).await.unwrap();
        assert_eq!(found, [client("old", Some(OLD))]);
        assert_eq!(store.origin_clients_sealed(OLD, found.last()).await.unwrap(), []);
        assert!(store.reencrypt_origin_client(&found[0], "anew").await.unwrap());
        assert!(!store.reencrypt_origin_client(&found[0], "again").await.unwrap());
        let there = store.origin_client("o", "https://as.example", "old").await.unwrap().unwrap();
        assert_eq!(there.sealed_secret.as_deref(), Some("anew"));
    }
}
