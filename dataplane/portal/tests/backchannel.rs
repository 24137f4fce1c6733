//! OpenID Connect Back-Channel Logout 1.0: an identity provider says that somebody has left.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use http::Method;
use serde_json::{Value, json};
use support::{Browser, OpenIdProvider, TestGateway};

const PATH: &str = "/login/backchannel/company";

/// Somebody signs in, in a session of this name at the provider, and gives a client a grant for `open`.
async fn granted(
    world: &TestGateway,
    idp: &OpenIdProvider,
    sub: &str,
    sid: Option<&str>,
) -> (Browser, String) {
    idp.set_claims(json!({"sub": sub, "sid": sid}), json!({"sub": sub}));
    let mut browser = world.browser();
    let page = browser.get("/").await;
    let leaving = browser.submit(&page, "", "company").await;
    browser.get(&idp.complete_authorization(&leaving.url)).await;
    let refresh = world.grant(&mut browser, "open", "").await;
    (browser, refresh)
}

/// Whether somebody's browser and client have been logged out: both or neither.
async fn is_logged_out(world: &TestGateway, (browser, refresh): &mut (Browser, String)) -> bool {
    let (status, _) = browser.api(Method::GET, "/api/me", None).await;
    let good = world.token("open", &[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await;
    assert_eq!(status == 401, good.is_err(), "{status} {good:?}");
    if let Ok(answer) = good {
        *refresh = answer["refresh_token"].as_str().unwrap().to_owned();
    }
    status == 401
}

async fn log_out(world: &TestGateway, path: &str, token: &str) -> (u16, Value) {
    let (status, body) = world.post(path, &[("logout_token", token)]).await;
    (status, serde_json::from_str(&body).unwrap_or_default())
}

/// Requirements: idp.logout
#[tokio::test]
async fn given_a_provider_that_logs_somebody_out_then_their_sessions_and_grants_end_and_nobody_elses() {
    let idp = OpenIdProvider::start().await;
    let world = TestGateway::with(Some(&idp)).await;
    let mut laptop = granted(&world, &idp, "1", Some("laptop")).await;
    let mut phone = granted(&world, &idp, "1", Some("phone")).await;
    let mut other = granted(&world, &idp, "2", Some("other")).await;

    let token = idp.logout_token(world.clock.now(), &json!({"sid": "laptop", "jti": "one"}));
    assert_eq!(log_out(&world, PATH, &token).await, (200, Value::Null));
    assert!(is_logged_out(&world, &mut laptop).await);
    assert!(!is_logged_out(&world, &mut phone).await, "another session at the provider");
    let event = world.events("auth.logged_out").await.pop().unwrap();
    assert_eq!(
        (&event["outcome"], &event["message"]),
        (&json!("success"), &json!("company ended: 1 grants, 1 sessions"))
    );
    let (status, problem) = log_out(&world, PATH, &token).await;
    assert_eq!((status, &problem["error"]), (400, &json!("invalid_request")), "once");

    let token = idp.logout_token(world.clock.now(), &json!({"jti": "two"}));
    assert_eq!(log_out(&world, PATH, &token).await.0, 200);
    assert!(is_logged_out(&world, &mut phone).await, "wherever they are");
    assert!(!is_logged_out(&world, &mut other).await);
}

/// Requirements: idp.logout.answer
#[tokio::test]
async fn given_a_logout_that_does_not_count_then_the_provider_hears_why_and_nobody_has_left() {
    let idp = OpenIdProvider::start().await;
    let world = TestGateway::with(Some(&idp)).await;
    let mut ana = granted(&world, &idp, "1", None).await;
    let now = world.clock.now();
    let (good, foreign) =
        (idp.logout_token(now, &json!({})), idp.logout_token(now, &json!({"aud": "another"})));
    let customers = "/login/backchannel/customers";
    let refused = [
        (PATH, "logout_token", &*foreign, "assertion_mismatch", "logout token is invalid"),
        (PATH, "logout_token", "no token", "assertion_malformed", "logout token is invalid"),
        (PATH, "token", &*good, "invalid_request", "logout_token is missing"),
        (customers, "logout_token", &*good, "not_openid", "no OpenID provider"),
        ("/login/backchannel/nobody", "logout_token", &*good, "not_openid", "no OpenID provider"),
    ];
    for (count, (path, field, token, reason, said)) in refused.into_iter().enumerate() {
        let (status, body) = world.post(path, &[(field, token)]).await;
        assert_eq!(status, 400, "{path} {field}");
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["error"], "invalid_request");
        assert!(problem["error_description"].as_str().unwrap().contains(said), "{problem}");
        let event = world.events_once("auth.logged_out", count + 1).await.pop().unwrap();
        let found = (&event["outcome"], &event["reason"], &event["failure_origin"]);
        assert_eq!(found, (&json!("denied"), &json!(reason), &json!("client")), "{event}");
    }
    assert!(!is_logged_out(&world, &mut ana).await);
    assert_eq!(log_out(&world, PATH, &good).await.0, 200, "what was not carried out is not used up");
}

#[tokio::test]
async fn given_a_store_that_is_away_when_a_provider_logs_somebody_out_then_it_is_the_gateways_trouble() {
    let idp = OpenIdProvider::start().await;
    let world = TestGateway::with(Some(&idp)).await;
    let token = idp.logout_token(world.clock.now(), &json!({}));
    world.store.close().await;
    let (status, problem) = log_out(&world, PATH, &token).await;
    assert_eq!(status, 400);
    assert!(problem["error_description"].as_str().unwrap().contains("try again"), "{problem}");
    let event = &world.events("auth.logged_out").await[0];
    let found = (&event["outcome"], &event["reason"], &event["failure_origin"]);
    assert_eq!(found, (&json!("gateway_error"), &json!("store_unavailable"), &json!("gateway")), "{event}");
}

#[tokio::test]
async fn given_a_gateway_that_serves_nothing_yet_then_a_provider_is_to_try_again() {
    let world = TestGateway::new().await;
    world.tables.clear();
    let (status, problem) = log_out(&world, PATH, "any").await;
    assert_eq!(status, 400);
    assert!(problem["error_description"].as_str().unwrap().contains("starting"), "{problem}");
}
