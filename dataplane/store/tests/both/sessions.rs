use portcullis_store::{SessionFilter, SessionRow};

use crate::test_database::{on_both_databases, run_concurrently};

pub(crate) fn row(id: &str, provider: &str, principal: &str) -> SessionRow {
    SessionRow {
        id: id.to_owned(),
        identity_provider: provider.to_owned(),
        principal: principal.to_owned(),
        signed_in_at: 1,
        expires_at: 100,
        provider_session: None,
    }
}

on_both_databases! {
    async fn given_a_session_when_somebody_signs_in_again_then_the_old_id_is_worth_nothing_and_other_sign_ins_move(place: TestDatabase) {
        let store = place.store().await;
        store.rotate_browser_session(None, &row("one", "company", "ana")).await.unwrap();
        store.rotate_browser_session(Some("one"), &row("two", "customers", "ana@shop")).await.unwrap();
        store.rotate_browser_session(Some("two"), &row("three", "company", "bob")).await.unwrap();
        assert!(store.browser_session("one", 2).await.unwrap().is_empty());
        assert!(store.browser_session("two", 2).await.unwrap().is_empty());
        let mut principals: Vec<_> =
            store.browser_session("three", 2).await.unwrap().into_iter().map(|row| row.principal).collect();
        principals.sort();
        assert_eq!(principals, ["ana@shop", "bob"]);
        assert!(store.browser_session("three", 100).await.unwrap().is_empty(), "it ends when it says");
    }

    async fn given_two_sign_ins_when_one_provider_is_left_then_the_other_stays(place: TestDatabase) {
        let store = place.store().await;
        store.rotate_browser_session(None, &row("one", "company", "ana")).await.unwrap();
        store.rotate_browser_session(Some("one"), &row("two", "customers", "ana@shop")).await.unwrap();
        store.end_browser_session("two", Some("company")).await.unwrap();
        assert_eq!(store.browser_session("two", 2).await.unwrap().len(), 1);
        store.end_browser_session("two", None).await.unwrap();
        assert!(store.browser_session("two", 2).await.unwrap().is_empty());
    }

    async fn given_a_session_when_two_tabs_sign_in_at_once_then_its_other_sign_in_moves_with_one_of_them(place: TestDatabase) {
        let (one, two) = (place.store().await, place.store().await);
        one.rotate_browser_session(None, &row("before", "customers", "ana@shop")).await.unwrap();
        run_concurrently((0..8).map(|tab| {
            let store = if tab % 2 == 0 { one.clone() } else { two.clone() };
            async move {
                let sign_in = row(&format!("tab {tab}"), "company", "ana");
                store.rotate_browser_session(Some("before"), &sign_in).await.unwrap();
            }
        }))
        .await;
        assert!(one.browser_session("before", 2).await.unwrap().is_empty());
        assert_eq!(place.count("SELECT COUNT(*) FROM browser_sessions WHERE identity_provider = 'company'").await, 8);
        assert_eq!(place.count("SELECT COUNT(*) FROM browser_sessions WHERE identity_provider = 'customers'").await, 1);
    }

    async fn given_a_person_in_two_browsers_when_all_of_theirs_end_then_others_stay(place: TestDatabase) {
        let store = place.store().await;
        store.rotate_browser_session(None, &row("one", "company", "ana")).await.unwrap();
        store.rotate_browser_session(Some("one"), &row("two", "customers", "shopper")).await.unwrap();
        store.rotate_browser_session(None, &row("other", "company", "ana")).await.unwrap();
        assert_eq!((store.count_sessions_of("ana", 2).await.unwrap(), store.count_sessions_of("ana", 100).await.unwrap()), (2, 0));
        assert_eq!(store.end_sessions(SessionFilter::Person("ana")).await.unwrap(), 2);
        assert_eq!(store.count_sessions_of("ana", 2).await.unwrap(), 0);
        assert_eq!(store.browser_session("two", 2).await.unwrap().len(), 1, "the shopper's is their own");
    }

    async fn given_a_providers_session_when_it_ends_then_only_what_was_begun_in_it_does_and_what_is_of_none_can_be_told(place: TestDatabase) {
        let store = place.store().await;
        let of = |id: &str, session: Option<&str>| SessionRow {
            provider_session: session.map(str::to_owned),
            ..row(id, "company", "ana")
        };
        for sign_in in [of("one", Some("laptop")), of("two", Some("phone")), of("three", None)] {
            store.rotate_browser_session(None, &sign_in).await.unwrap();
        }
        assert_eq!(store.end_sessions(SessionFilter::ProviderSession("laptop")).await.unwrap(), 1);
        assert_eq!(store.count_sessions_of("ana", 2).await.unwrap(), 2);
        assert_eq!(store.end_sessions(SessionFilter::Unattributed("ana")).await.unwrap(), 1);
        let [left] = &store.browser_session("two", 2).await.unwrap()[..] else { panic!("it is gone") };
        assert_eq!(left.provider_session.as_deref(), Some("phone"));
    }
}
