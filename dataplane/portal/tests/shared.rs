//! The account that everybody shares at an origin, as an administrator connects it.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use http::Method;
use portcullis_config::{ClientRegistration, OriginAuth};
use portcullis_policy::PrincipalId;
use serde_json::{Value, json};
use support::{Browser, OpenIdProvider, PUBLIC_URL, TestGateway};

const PATH: &str = "/api/admin/origins/id-accounts";

/// Whoever signs in as `1` administers the gateway; `accounts` has one account for all users.
async fn test_gateway(idp: &OpenIdProvider) -> TestGateway {
    let mut world = TestGateway::with(Some(idp)).await;
    world.update_config(|contract| {
        contract.gateway.admins.users = vec!["boss@example.com".to_owned()];
        contract.origins[1].auth =
            OriginAuth::SharedOAuth { scopes: Vec::new(), registration: ClientRegistration::Auto };
    });
    world
}

async fn signed_in(world: &TestGateway, idp: &OpenIdProvider, sub: &str) -> Browser {
    let email = if sub == "1" { "boss@example.com" } else { "ana@example.com" };
    idp.set_claims(json!({"sub": sub}), json!({"sub": sub, "email": email, "email_verified": true}));
    let mut browser = world.browser();
    let page = browser.get(&world.authorize("open", &[])).await;
    let leaving = browser.submit(&page, "decision", "approve").await;
    browser.get(&idp.complete_authorization(&leaving.url)).await;
    browser
}

async fn state(boss: &mut Browser) -> Value {
    let (status, found) = boss.api(Method::GET, "/api/admin/origins", None).await;
    assert_eq!(status, 200, "{found}");
    found["origins"][0]["shared"]["state"].clone()
}

#[tokio::test]
async fn given_a_shared_account_when_an_administrator_connects_it_on_the_page_then_it_is_everybodys() {
    let idp = OpenIdProvider::start().await;
    let world = test_gateway(&idp).await;
    let mut ana = signed_in(&world, &idp, "2").await;
    assert!(ana.get("/").await.has("An administrator has to connect Origin accounts first"));
    assert!(!ana.get("/connections").await.has("Origin accounts"), "it is no account of hers");

    let mut boss = signed_in(&world, &idp, "1").await;
    let page = boss.get("/admin/origins").await;
    assert!(page.has("no user can use it") && page.has("one account for all users"), "{}", page.html);
    let back = format!("{PUBLIC_URL}/connect/id-accounts/callback");
    assert!(page.has(&back), "the page shows the redirect URI for manual registration");
    let (_, found) = boss.api(Method::GET, "/api/admin/origins", None).await;
    assert_eq!(found["origins"][0]["redirect_uri"], back);
    let leaving = boss.submit(&page, "", "for all users").await;
    let done = boss.get(&idp.complete_authorization(&leaving.url)).await;
    assert!(done.url.ends_with("/admin/origins") && done.has("Connected"), "{}: {}", done.url, done.html);
    assert_eq!(state(&mut boss).await, "connected");
    let event = &world.events("admin.connected").await[0];
    assert_eq!((&event["subject"], &event["target"]), (&json!("company:1"), &json!("default/accounts")));
    assert!(!ana.get("/").await.has("An administrator has to connect"));

    let everybody = PrincipalId::shared();
    let row = world.store.connection(everybody.as_str(), "accounts").await.unwrap().unwrap();
    assert!(world.store.mark_connection_dead(&row, "dead").await.unwrap());
    let page = boss.get("/admin/origins").await;
    assert!(page.has("Reconnect required") && page.has(">Reconnect<"), "{}", page.html);

    let (status, ended) = boss.api(Method::POST, &format!("{PATH}/revoke"), None).await;
    assert_eq!((status, &ended["connections"]), (200, &json!(1)));
    assert_eq!(state(&mut boss).await, "never_connected");
}

/// Requirements: client.shared
#[tokio::test]
async fn given_a_shared_account_when_anybody_else_connects_or_finishes_it_then_it_stays_unconnected() {
    let idp = OpenIdProvider::start().await;
    let world = test_gateway(&idp).await;
    let mut boss = signed_in(&world, &idp, "1").await;
    let mut ana = signed_in(&world, &idp, "2").await;
    for path in [format!("{PATH}/connect"), format!("{PATH}/revoke")] {
        let (status, problem) = ana.api(Method::POST, &path, None).await;
        assert_eq!((status, &problem["error"]), (403, &json!("not_admin")));
    }
    let (status, _) = ana.api(Method::POST, "/api/connections/id-accounts/connect", None).await;
    assert_eq!(status, 400);
    let (status, begun) = boss.api(Method::POST, &format!("{PATH}/connect"), None).await;
    assert_eq!(status, 200, "{begun}");
    let back = idp.complete_authorization(begun["url"].as_str().unwrap());
    assert_eq!(ana.get(&back).await.status, 403);
    assert_eq!(world.browser().get(&back).await.status, 401);
    assert_eq!(state(&mut boss).await, "never_connected");
    // Whoever was no administrator has not used it up either.
    assert_eq!(boss.get(&back).await.status, 200);
    assert_eq!(state(&mut boss).await, "connected");
}

#[tokio::test]
async fn given_an_origin_with_accounts_of_peoples_own_then_none_is_connected_for_everybody() {
    let idp = OpenIdProvider::start().await;
    let mut world = test_gateway(&idp).await;
    world.update_config(|contract| {
        contract.origins[1].auth =
            OriginAuth::UserOAuth { scopes: Vec::new(), registration: ClientRegistration::Auto };
    });
    let mut boss = signed_in(&world, &idp, "1").await;
    let (status, _) = boss.api(Method::POST, &format!("{PATH}/connect"), None).await;
    assert_eq!(status, 400);
    assert_eq!(state(&mut boss).await, Value::Null);
}
