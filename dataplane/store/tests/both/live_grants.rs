use portcullis_store::{CodeRow, GrantFilter, GrantRow, IdentityChange, Store};

use crate::codes::{code, grant};
use crate::test_database::on_both_databases;

/// A grant of somebody's, redeemed from a code of its own.
async fn redeem_grant(store: &Store, given: GrantRow) {
    let digest = format!("code of {}", given.id);
    let code = CodeRow { digest: digest.clone(), principal: given.principal.clone(), ..code() };
    store.add_code(&code).await.unwrap();
    assert!(store.redeem_code(&digest, &given, &format!("refresh of {}", given.id)).await.unwrap());
}

async fn redeem_three_grants(store: &Store) {
    redeem_grant(store, grant("g1")).await;
    redeem_grant(store, GrantRow { client_id: "d".into(), client_name: "Other".into(), ..grant("g2") }).await;
    redeem_grant(store, GrantRow { principal: "bob".into(), route_uid: "s".into(), ..grant("g3") }).await;
}

async fn ids(store: &Store, whose: GrantFilter<'_>, after: &str, limit: i64) -> Vec<String> {
    let rows = store.live_grants(whose, 1_000, after, limit).await.unwrap();
    rows.into_iter().map(|row| row.grant.id).collect()
}

on_both_databases! {
    async fn given_grants_when_listed_by_person_client_or_route_then_they_come_page_by_page(place: TestDatabase) {
        let store = place.store().await;
        redeem_three_grants(&store).await;
        assert_eq!(ids(&store, GrantFilter::Person("ana"), "", 10).await, ["g1", "g2"]);
        assert_eq!(ids(&store, GrantFilter::Person("ana"), "", 1).await, ["g1"]);
        assert_eq!(ids(&store, GrantFilter::Person("ana"), "g1", 1).await, ["g2"]);
        assert_eq!(ids(&store, GrantFilter::Client("c"), "", 10).await, ["g1", "g3"]);
        assert_eq!(ids(&store, GrantFilter::Route("s"), "", 10).await, ["g3"]);
        assert_eq!(ids(&store, GrantFilter::Person("eve"), "", 10).await, [""; 0]);
        assert!(store.live_grants(GrantFilter::Person("ana"), 10_000, "", 10).await.unwrap().is_empty(), "expired");
    }

    async fn given_a_grant_when_it_is_refreshed_then_that_is_when_it_was_last_of_use(place: TestDatabase) {
        let store = place.store().await;
        redeem_grant(&store, grant("g1")).await;
        let used = store.refresh_token("refresh of g1").await.unwrap().unwrap();
        let last = async || store.live_grants(GrantFilter::Person("ana"), 1_000, "", 10).await.unwrap()[0].last_token_at;
        assert_eq!(last().await, 500);
        assert!(store.rotate_refresh_token(&used, "next", 700).await.unwrap());
        assert_eq!(last().await, 700);
    }

    async fn given_grants_when_many_are_ended_at_once_then_those_and_no_others_end_and_are_logged(place: TestDatabase) {
        let store = place.store().await;
        redeem_three_grants(&store).await;
        let ended = store.revoke_grants(GrantFilter::Person("ana"), 1_000, 9_000).await.unwrap();
        assert_eq!(ended.len(), 2);
        assert!(ended.iter().all(|grant| grant.revoked_at == Some(1_000) && grant.principal == "ana"));
        assert!(store.revoke_grants(GrantFilter::Person("ana"), 1_001, 9_000).await.unwrap().is_empty());
        let mut changes: Vec<_> = store.changes_since(0, 1_000).await.unwrap().into_iter().map(|row| row.change).collect();
        changes.sort_by_key(|change| format!("{change:?}"));
        assert_eq!(changes, [IdentityChange::RevokedGrant("g1".into()), IdentityChange::RevokedGrant("g2".into())]);
        assert_eq!(ids(&store, GrantFilter::Client("c"), "", 10).await, ["g3"]);
    }

    async fn given_more_grants_than_one_transaction_ends_when_ended_then_a_few_calls_end_them_all(place: TestDatabase) {
        let store = place.store().await;
        for number in 0..150 {
            redeem_grant(&store, grant(&format!("g{number}"))).await;
        }
        let mut sizes = Vec::new();
        loop {
            match store.revoke_grants(GrantFilter::Client("c"), 1_000, 9_000).await.unwrap().len() {
                0 => break,
                size => sizes.push(size),
            }
        }
        assert_eq!(sizes, [100, 50]);
        assert_eq!(store.changes_since(0, 1_000).await.unwrap().len(), 150);
    }

    async fn given_a_code_that_waits_when_its_person_is_cut_off_then_it_is_worth_nothing(place: TestDatabase) {
        let store = place.store().await;
        store.add_code(&code()).await.unwrap();
        store.add_code(&CodeRow { digest: "bobs".into(), principal: "bob".into(), ..code() }).await.unwrap();
        store.invalidate_codes(GrantFilter::Person("ana"), 900).await.unwrap();
        assert!(!store.redeem_code("code", &grant("g"), "t").await.unwrap());
        assert!(store.redeem_code("bobs", &grant("h"), "u").await.unwrap());
    }

    async fn given_a_providers_session_when_it_ends_then_what_was_approved_in_it_does_codes_included(place: TestDatabase) {
        let store = place.store().await;
        let of = |id: &str, session: Option<&str>| GrantRow { provider_session: session.map(str::to_owned), ..grant(id) };
        for given in [of("g1", Some("laptop")), of("g2", Some("phone")), of("g3", None)] {
            redeem_grant(&store, given).await;
        }
        store.add_code(&CodeRow { digest: "waits".into(), provider_session: Some("laptop".into()), ..code() }).await.unwrap();
        let laptop = GrantFilter::ProviderSession("laptop");
        store.invalidate_codes(laptop, 900).await.unwrap();
        assert!(!store.redeem_code("waits", &of("g4", Some("laptop")), "t").await.unwrap());
        let ended = store.revoke_grants(laptop, 1_000, 9_000).await.unwrap();
        assert_eq!(ended.iter().map(|grant| grant.id.as_str()).collect::<Vec<_>>(), ["g1"]);
        let ended = store.revoke_grants(GrantFilter::Unattributed("ana"), 1_000, 9_000).await.unwrap();
        assert_eq!(ended.iter().map(|grant| grant.id.as_str()).collect::<Vec<_>>(), ["g3"]);
        let [left] = &store.live_grants(GrantFilter::Person("ana"), 1_000, "", 10).await.unwrap()[..] else { panic!("one is left") };
        assert_eq!((left.grant.id.as_str(), left.grant.provider_session.as_deref()), ("g2", Some("phone")));
    }

    async fn given_clients_with_grants_when_sought_then_they_are_counted_and_found_by_id_and_name(place: TestDatabase) {
        let store = place.store().await;
        redeem_three_grants(&store).await;
        let all = store.clients_in_use("", 1_000, "", 10).await.unwrap();
        let seen: Vec<_> = all.iter().map(|it| (it.client_id.as_str(), it.client_name.as_str(), it.grants, it.people)).collect();
        assert_eq!(seen, [("c", "Client", 2, 2), ("d", "Other", 1, 1)]);
        let names = async |sought: &str, after: &str| {
            let found = store.clients_in_use(sought, 1_000, after, 10).await.unwrap();
            found.into_iter().map(|client| client.client_name).collect::<Vec<_>>()
        };
        assert_eq!(names("OTH", "").await, ["Other"]);
        assert_eq!(names("", "c").await, ["Other"]);
        assert_eq!(names("%", "").await, [""; 0], "a letter like any other");
    }
}
