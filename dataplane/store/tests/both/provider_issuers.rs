use portcullis_store::ProviderIssuerRow;

use crate::test_database::{on_both_databases, run_concurrently};

pub(crate) fn bound(issuer: &str, subject_claim: &str) -> ProviderIssuerRow {
    ProviderIssuerRow {
        name: "company".into(),
        issuer: issuer.into(),
        subject_claim: subject_claim.into(),
        bound_at: 1,
    }
}

on_both_databases! {
    async fn given_a_name_when_replicas_bind_it_at_once_then_one_wins_and_it_stays(place: TestDatabase) {
        let stores = [place.store().await, place.store().await, place.store().await];
        let results = run_concurrently(stores.into_iter().enumerate().map(|(at, store)| async move {
            store.bind_provider_issuer(&bound(&format!("https://{at}.example"), "sub")).await.unwrap()
        }))
        .await;
        assert_eq!(results.iter().filter(|won| **won).count(), 1);
        let store = place.store().await;
        let winner = results.iter().position(|won| *won).unwrap();
        let expected = bound(&format!("https://{winner}.example"), "sub");
        assert_eq!(store.provider_issuer("company").await.unwrap(), Some(expected));
        assert_eq!(store.provider_issuer("other").await.unwrap(), None);
    }

    async fn given_a_bound_name_when_it_is_bound_again_then_only_from_what_it_was(place: TestDatabase) {
        let store = place.store().await;
        let (old, new) = (bound("https://old.example", "sub"), bound("https://new.example", "oid"));
        store.bind_provider_issuer(&old).await.unwrap();
        assert!(!store.rebind_provider_issuer(&bound("https://old.example", "oid"), &new).await.unwrap());
        assert!(store.rebind_provider_issuer(&old, &new).await.unwrap());
        assert!(!store.rebind_provider_issuer(&old, &new).await.unwrap());
        assert_eq!(store.provider_issuer("company").await.unwrap(), Some(new));
    }
}
