use portcullis_store::{PendingAuthorizationRow, SignInRow};

use crate::test_database::{count_winners, on_both_databases, run_concurrently};

pub(crate) fn sign_in() -> SignInRow {
    SignInRow {
        id: "state".to_owned(),
        browser: "mine".to_owned(),
        identity_provider: "company".to_owned(),
        details: "sealed".to_owned(),
        expires_at: 100,
    }
}

pub(crate) fn pending() -> PendingAuthorizationRow {
    PendingAuthorizationRow {
        id: "id".to_owned(),
        browser: None,
        request: "sealed".to_owned(),
        expires_at: 100,
    }
}

on_both_databases! {
    async fn given_a_sign_in_when_another_browser_brings_its_state_then_it_stays_for_its_own_once(place: TestDatabase) {
        let store = place.store().await;
        store.put_sign_in(&sign_in()).await.unwrap();
        assert_eq!(store.take_sign_in("state", "another", 1).await.unwrap(), None);
        assert_eq!(store.take_sign_in("state", "mine", 100).await.unwrap(), None);
        assert_eq!(store.sign_in("state", "mine", 99).await.unwrap(), Some(sign_in()));
        assert_eq!(store.sign_in("state", "another", 99).await.unwrap(), None);
        assert_eq!(store.take_sign_in("state", "mine", 99).await.unwrap(), Some(sign_in()));
        assert_eq!(store.take_sign_in("state", "mine", 99).await.unwrap(), None);
    }

    /// Requirements: as.sign-in.state
    async fn given_a_sign_in_when_its_state_comes_to_three_replicas_at_once_then_one_has_it(place: TestDatabase) {
        let replicas = [place.store().await, place.store().await, place.store().await];
        replicas[0].put_sign_in(&sign_in()).await.unwrap();
        let outcomes = run_concurrently((0..24).map(|task: usize| {
            let store = replicas[task % 3].clone();
            async move { store.take_sign_in("state", "mine", 1).await.unwrap().is_some() }
        }))
        .await;
        assert_eq!(count_winners(&outcomes), 1);
    }

    async fn given_an_authorization_when_two_browsers_want_it_then_the_first_has_it(place: TestDatabase) {
        let store = place.store().await;
        store.put_pending_authorization(&pending()).await.unwrap();
        assert!(store.bind_authorization("id", "mine").await.unwrap());
        assert!(store.bind_authorization("id", "mine").await.unwrap());
        assert!(!store.bind_authorization("id", "another").await.unwrap());
        store.update_pending_authorization("id", "changed").await.unwrap();
        let row = store.pending_authorization("id", 99).await.unwrap().unwrap();
        assert_eq!((row.browser.as_deref(), row.request.as_str()), (Some("mine"), "changed"));
        assert_eq!(store.pending_authorization("id", 100).await.unwrap(), None);
        assert!(store.finish_authorization("id").await.unwrap());
        assert!(!store.finish_authorization("id").await.unwrap());
    }

    async fn given_an_authorization_when_many_browsers_take_it_up_at_once_then_one_has_it_and_one_answers(place: TestDatabase) {
        let replicas = [place.store().await, place.store().await, place.store().await];
        replicas[0].put_pending_authorization(&pending()).await.unwrap();
        let outcomes = run_concurrently((0..24).map(|task: usize| {
            let store = replicas[task % 3].clone();
            async move { store.bind_authorization("id", &format!("browser {task}")).await.unwrap() }
        }))
        .await;
        assert_eq!(count_winners(&outcomes), 1);
        let outcomes = run_concurrently((0..24).map(|task: usize| {
            let store = replicas[task % 3].clone();
            async move { store.finish_authorization("id").await.unwrap() }
        }))
        .await;
        assert_eq!(count_winners(&outcomes), 1);
    }
}
