use portcullis_store::Consent;

use crate::test_database::on_both_databases;

const CONSENT: Consent<'_> = Consent {
    principal: "ana",
    client_id: "c",
    redirect_uri: "https://client.example/cb",
    route_uid: "r",
    scope: "mcp",
};

on_both_databases! {
    /// Requirements: as.consent.kept
    async fn given_an_approval_when_asked_for_exactly_it_then_yes_and_for_anything_else_no(place: TestDatabase) {
        let store = place.store().await;
        assert!(!store.has_consent(&CONSENT).await.unwrap());
        store.consent(&CONSENT, 1).await.unwrap();
        store.consent(&CONSENT, 2).await.unwrap();
        assert!(store.has_consent(&CONSENT).await.unwrap());
        for other in [
            Consent { principal: "bob", ..CONSENT },
            Consent { client_id: "d", ..CONSENT },
            Consent { redirect_uri: "https://client.example/cb2", ..CONSENT },
            Consent { route_uid: "s", ..CONSENT },
            Consent { scope: "", ..CONSENT },
        ] {
            assert!(!store.has_consent(&other).await.unwrap(), "{other:?}");
        }
        store.withdraw_consent(&CONSENT).await.unwrap();
        assert!(!store.has_consent(&CONSENT).await.unwrap());
    }

    async fn given_the_longest_urls_when_approved_then_they_are_kept_and_told_apart(place: TestDatabase) {
        let store = place.store().await;
        // Nothing that compresses: PostgreSQL would fit that into its index.
        let noise = |mut seed: u64| -> String {
            (0..2_000)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    char::from(b'!' + u8::try_from((seed >> 33) % 90).unwrap())
                })
                .collect()
        };
        let (client, redirect, other) = (noise(1), noise(2), noise(3));
        let consent = Consent { client_id: &client, redirect_uri: &redirect, ..CONSENT };
        store.consent(&consent, 1).await.unwrap();
        assert!(store.has_consent(&consent).await.unwrap());
        assert!(!store.has_consent(&Consent { redirect_uri: &other, ..consent }).await.unwrap());
    }

    async fn given_approvals_when_a_persons_a_clients_or_one_pairs_are_taken_back_then_others_stay(place: TestDatabase) {
        let store = place.store().await;
        let bobs = Consent { principal: "bob", ..CONSENT };
        let elsewhere = Consent { redirect_uri: "https://client.example/cb2", ..CONSENT };
        let other = Consent { client_id: "d", ..CONSENT };
        let all = async || {
            for consent in [&CONSENT, &bobs, &elsewhere, &other] {
                store.consent(consent, 1).await.unwrap();
            }
        };
        let left = async || {
            let mut left = Vec::new();
            for (name, consent) in [("ana", &CONSENT), ("bobs", &bobs), ("elsewhere", &elsewhere), ("other", &other)] {
                if store.has_consent(consent).await.unwrap() {
                    left.push(name);
                }
            }
            left
        };
        all().await;
        store.withdraw_grant_consents("ana", "c", "r").await.unwrap();
        assert_eq!(left().await, ["bobs", "other"]);
        all().await;
        store.withdraw_client_consents("c").await.unwrap();
        assert_eq!(left().await, ["other"]);
        all().await;
        store.withdraw_principal_consents("ana").await.unwrap();
        assert_eq!(left().await, ["bobs"]);
    }
}
