use portcullis_store::{CodeRow, GrantRow};

use crate::test_database::{count_winners, on_both_databases, run_concurrently};

pub(crate) fn code() -> CodeRow {
    CodeRow {
        digest: "code".into(),
        principal: "ana".into(),
        client_id: "c".into(),
        client_name: "Client".into(),
        issuer: "https://gateway.example/mcp/r".into(),
        route_uid: "r".into(),
        resource: "https://gateway.example/mcp/r".into(),
        redirect_uri: "https://client.example/cb".into(),
        code_challenge: "challenge".into(),
        scope: "mcp".into(),
        expires_at: 1_000,
        consumed_at: None,
        grant_id: None,
        provider_session: None,
    }
}

pub(crate) fn grant(id: &str) -> GrantRow {
    GrantRow {
        id: id.into(),
        principal: "ana".into(),
        client_id: "c".into(),
        client_name: "Client".into(),
        issuer: "https://gateway.example/mcp/r".into(),
        route_uid: "r".into(),
        resource: "https://gateway.example/mcp/r".into(),
        scope: "mcp".into(),
        created_at: 500,
        expires_at: 10_000,
        revoked_at: None,
        provider_session: None,
    }
}

on_both_databases! {
    async fn given_a_code_when_redeemed_then_it_is_used_and_names_the_grant_and_its_first_refresh_token(place: TestDatabase) {
        let store = place.store().await;
        store.add_code(&code()).await.unwrap();
        assert_eq!(store.code("code").await.unwrap(), Some(code()));
        assert!(store.redeem_code("code", &grant("g"), "refresh").await.unwrap());
        let used = CodeRow { consumed_at: Some(500), grant_id: Some("g".into()), ..code() };
        assert_eq!(store.code("code").await.unwrap(), Some(used));
        assert_eq!(store.grant("g").await.unwrap(), Some(grant("g")));
        let refresh = store.refresh_token("refresh").await.unwrap().unwrap();
        assert_eq!((refresh.grant_id.as_str(), refresh.predecessor, refresh.consumed_at), ("g", None, None));
    }

    async fn given_a_spoiled_code_when_redeemed_then_nothing_is_given_for_it(place: TestDatabase) {
        let store = place.store().await;
        store.add_code(&code()).await.unwrap();
        assert!(store.invalidate_code("code", 400).await.unwrap());
        assert!(!store.invalidate_code("code", 401).await.unwrap());
        assert!(!store.redeem_code("code", &grant("g"), "refresh").await.unwrap());
        assert_eq!(store.grant("g").await.unwrap(), None);
        assert_eq!(store.refresh_token("refresh").await.unwrap(), None);
    }

    async fn given_a_redemption_that_fails_halfway_when_it_is_over_then_the_code_is_still_good(place: TestDatabase) {
        let store = place.store().await;
        store.add_code(&code()).await.unwrap();
        store.add_code(&CodeRow { digest: "other".into(), ..code() }).await.unwrap();
        assert!(store.redeem_code("other", &grant("g"), "taken").await.unwrap());
        // A refresh token of this digest exists: the last of three statements fails.
        store.redeem_code("code", &grant("h"), "taken").await.unwrap_err();
        assert_eq!(store.code("code").await.unwrap(), Some(code()));
        assert_eq!(store.grant("h").await.unwrap(), None);
        assert!(store.redeem_code("code", &grant("h"), "free").await.unwrap());
    }

    /// Requirements: as.code.once
    async fn given_a_code_when_three_replicas_redeem_it_at_once_then_there_is_one_grant(place: TestDatabase) {
        let replicas = [place.store().await, place.store().await, place.store().await];
        replicas[0].add_code(&code()).await.unwrap();
        let outcomes = run_concurrently((0..24).map(|task: usize| {
            let store = replicas[task % 3].clone();
            async move {
                store.redeem_code("code", &grant(&format!("g{task}")), &format!("t{task}")).await.unwrap()
            }
        }))
        .await;
        assert_eq!(count_winners(&outcomes), 1);
        let winner = outcomes.iter().position(|won| *won).unwrap();
        let used = replicas[1].code("code").await.unwrap().unwrap();
        assert_eq!(used.grant_id, Some(format!("g{winner}")));
        assert_eq!(place.count("SELECT COUNT(*) FROM grants").await, 1);
        assert_eq!(place.count("SELECT COUNT(*) FROM refresh_tokens").await, 1);
    }

    async fn given_a_name_with_a_character_that_no_text_can_hold_when_stored_then_it_is_replaced(place: TestDatabase) {
        let store = place.store().await;
        let named = |name: &str| CodeRow { client_name: name.into(), ..code() };
        store.add_code(&named("a\0b")).await.unwrap();
        assert_eq!(store.code("code").await.unwrap(), Some(named("a\u{fffd}b")));
    }
}
