use portcullis_store::ProviderAccountRow;

use crate::test_database::{count_winners, on_both_databases, run_concurrently};

pub(crate) fn account(sealed: Option<&str>, session: Option<&str>, revision: &str) -> ProviderAccountRow {
    ProviderAccountRow {
        principal: "ana".into(),
        identity_provider: "company".into(),
        subject: "company's 1".into(),
        sealed: sealed.map(str::to_owned),
        provider_session: session.map(str::to_owned),
        renewed_at: 100,
        revision: revision.into(),
        leased_until: 0,
    }
}

on_both_databases! {
    async fn given_a_sign_in_when_it_brings_a_refresh_token_then_it_replaces_the_one_before_and_without_one_that_stays(place: TestDatabase) {
        let store = place.store().await;
        assert_eq!(store.provider_account("ana").await.unwrap(), None);
        store.put_provider_account(&account(Some("one"), Some("laptop"), "a")).await.unwrap();
        let first = store.provider_account("ana").await.unwrap().unwrap();
        assert_eq!(first, account(Some("one"), Some("laptop"), "a"));
        assert!(store.lease_provider_account(&first, 150, 160).await.unwrap());

        let without = ProviderAccountRow { renewed_at: 200, ..account(None, Some("phone"), "b") };
        store.put_provider_account(&without).await.unwrap();
        let kept = store.provider_account("ana").await.unwrap().unwrap();
        let expected = ProviderAccountRow { renewed_at: 200, leased_until: 160, ..first.clone() };
        assert_eq!(kept, expected, "the renewal continues");

        store.put_provider_account(&account(Some("two"), None, "c")).await.unwrap();
        assert_eq!(store.provider_account("ana").await.unwrap().unwrap(), account(Some("two"), None, "c"));
        assert!(!store.renew_provider_account(&first, "next", "d", 300).await.unwrap(), "it is another one's now");
        assert!(!store.release_provider_account(&first, 160).await.unwrap());
        assert_eq!(store.principals_of_account("company's 1").await.unwrap(), ["ana"]);
        assert!(store.principals_of_account("company's 2").await.unwrap().is_empty());
    }

    /// Requirements: idp.renewal.once
    async fn given_a_refresh_token_when_many_would_renew_it_then_one_does_until_its_time_is_over(place: TestDatabase) {
        let (one, two) = (place.store().await, place.store().await);
        one.put_provider_account(&account(Some("one"), None, "a")).await.unwrap();
        let row = one.provider_account("ana").await.unwrap().unwrap();
        let claimed = run_concurrently((0..8).map(|task| {
            let (store, row) = (if task % 2 == 0 { one.clone() } else { two.clone() }, row.clone());
            async move { store.lease_provider_account(&row, 200, 210).await.unwrap() }
        }))
        .await;
        assert_eq!(count_winners(&claimed), 1);
        assert!(!two.lease_provider_account(&row, 209, 300).await.unwrap());
        assert!(!two.release_provider_account(&row, 209).await.unwrap());
        assert!(!two.lease_provider_account(&row, 209, 300).await.unwrap(), "nobody gives back what is another's");
        assert!(two.lease_provider_account(&row, 210, 220).await.unwrap());
        assert!(two.release_provider_account(&row, 220).await.unwrap());
        assert!(two.lease_provider_account(&row, 211, 220).await.unwrap());
        assert!(two.renew_provider_account(&row, "next", "b", 215).await.unwrap());
        let next = one.provider_account("ana").await.unwrap().unwrap();
        assert_eq!((next.sealed.as_deref(), next.renewed_at, next.leased_until), (Some("next"), 215, 0));
        assert!(!one.lease_provider_account(&row, 230, 240).await.unwrap(), "of the token before");
    }

    /// Requirements: idp.renewal.once
    async fn given_open_streams_at_many_replicas_then_one_claims_the_renewal_once_per_token_lifetime(place: TestDatabase) {
        let (one, two) = (place.store().await, place.store().await);
        assert_eq!(one.last_sign_in_renewal("ana").await.unwrap(), None);
        one.put_provider_account(&account(Some("one"), None, "a")).await.unwrap();
        let renewed_at = one.provider_account("ana").await.unwrap().unwrap().renewed_at;
        let due = renewed_at + 900;
        assert!(!one.claim_sign_in_renewal("ana", due - 1, renewed_at - 1).await.unwrap(), "renewed a moment ago");
        let claimed = run_concurrently((0..8).map(|task| {
            let store = if task % 2 == 0 { one.clone() } else { two.clone() };
            async move { store.claim_sign_in_renewal("ana", due, renewed_at).await.unwrap() }
        }))
        .await;
        assert_eq!(count_winners(&claimed), 1);
        assert_eq!(two.last_sign_in_renewal("ana").await.unwrap(), Some(due));
        assert!(!two.claim_sign_in_renewal("ana", due + 899, due - 1).await.unwrap(), "whether or not it succeeded");
        assert!(two.claim_sign_in_renewal("ana", due + 900, due).await.unwrap());
        one.clear_provider_token("ana").await.unwrap();
        assert!(!one.claim_sign_in_renewal("ana", due + 9_000, due + 8_000).await.unwrap());
        assert_eq!(one.last_sign_in_renewal("ana").await.unwrap(), None);
    }

    async fn given_a_refresh_token_when_it_is_forgotten_then_nothing_renews_it(place: TestDatabase) {
        let store = place.store().await;
        let forgotten = async || store.provider_account("ana").await.unwrap().unwrap().sealed.is_none();
        let row = account(Some("one"), Some("laptop"), "a");

        store.put_provider_account(&row).await.unwrap();
        store.clear_provider_session_tokens("phone").await.unwrap();
        assert!(!forgotten().await);
        store.clear_provider_session_tokens("laptop").await.unwrap();
        assert!(forgotten().await);
        assert!(!store.lease_provider_account(&row, 200, 210).await.unwrap());
        assert!(!store.renew_provider_account(&row, "next", "b", 200).await.unwrap());

        store.put_provider_account(&row).await.unwrap();
        store.clear_provider_token("ana").await.unwrap();
        assert!(forgotten().await);
        store.prune_provider_accounts(100).await.unwrap();
        assert_eq!(place.count("SELECT COUNT(*) FROM provider_accounts").await, 1);
        store.prune_provider_accounts(101).await.unwrap();
        assert_eq!(place.count("SELECT COUNT(*) FROM provider_accounts").await, 0);
    }
}
