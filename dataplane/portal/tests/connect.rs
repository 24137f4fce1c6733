//! Accounts at origins: from the consent page, by a link, at the portal. Signing in at an OpenID provider.

mod support;

use std::time::Duration;

use portcullis_origin_auth::ConnectionStatus;
use serde_json::{Value, json};
use support::{Browser, OpenIdProvider, PUBLIC_URL, Page, REDIRECT, TestGateway};

const ANA: &str = "ana@example.com";
const EVE: &str = "eve@example.com";

async fn development(browser: &mut Browser, world: &TestGateway, email: &str) -> Page {
    let page = browser.get(&world.authorize("open", &[])).await;
    let users = browser.submit(&page, "decision", "approve").await;
    let confirm = browser.submit(&users, "user", email).await;
    browser.submit(&confirm, "decision", "approve").await
}

/// Approves and signs in at the provider; stops at whatever comes then.
async fn sign_in(browser: &mut Browser, world: &TestGateway, idp: &OpenIdProvider, route: &str) -> Page {
    let page = browser.get(&world.authorize(route, &[])).await;
    let leaving = browser.submit(&page, "decision", "approve").await;
    browser.get(&idp.complete_authorization(&leaving.url)).await
}

#[tokio::test]
async fn given_an_openid_provider_when_somebody_signs_in_then_they_are_who_it_says() {
    let idp = OpenIdProvider::start().await;
    let world = TestGateway::with(Some(&idp)).await;
    idp.set_claims(
        json!({"sub": "7", "name": "Ana", "email": ANA, "email_verified": "true"}),
        json!({"sub": "7", "groups": ["finance"]}),
    );
    let mut browser = world.browser();
    let page = browser.get(&world.authorize("guarded", &[])).await;
    let leaving = browser.submit(&page, "decision", "approve").await;
    assert!(!leaving.url.contains("resource"), "resource is not for the identity provider: {}", leaving.url);
    assert_eq!(leaving.parameter("scope").as_deref(), Some("openid email"));
    let confirm = browser.get(&idp.complete_authorization(&leaving.url)).await;
    assert!(confirm.has("Ana") && confirm.has(ANA), "{}", confirm.html);
    let done = browser.submit(&confirm, "decision", "approve").await;
    assert!(done.url.starts_with(REDIRECT) && done.parameter("code").is_some(), "{}", done.url);

    let (authorization, form) = &idp.token_requests()[0];
    assert!(authorization.starts_with("Basic "), "client_secret_basic");
    assert!(form.contains_key("code_verifier") && !form.contains_key("client_secret"));
    assert_eq!(world.events("auth.sign_in").await[0]["subject"], "company:7");
    sign_in(&mut world.browser(), &world, &idp, "guarded").await;
    assert_eq!(idp.discoveries(), 1, "metadata is remembered");
}

#[tokio::test]
async fn given_somebody_who_wants_to_be_somebody_else_then_the_provider_has_to_ask_who_they_are() {
    let idp = OpenIdProvider::start().await;
    let world = TestGateway::with(Some(&idp)).await;
    let mut browser = world.browser();
    let page = browser.get(&world.authorize("open", &[])).await;
    let leaving = browser.submit(&page, "decision", "approve").await;
    assert_eq!(leaving.parameter("prompt"), None);
    let confirm = browser.get(&idp.complete_authorization(&leaving.url)).await;
    let leaving = browser.submit(&confirm, "decision", "switch").await;
    assert_eq!(leaving.parameter("prompt").as_deref(), Some("login"));
}

/// Requirements: as.sign-in.answers
#[tokio::test]
async fn given_answers_that_do_not_hold_then_nobody_is_signed_in() {
    let idp = OpenIdProvider::start().await;
    let world = TestGateway::with(Some(&idp)).await;
    for claims in [
        json!({"nonce": "another"}),
        json!({"iss": "https://elsewhere.example"}),
        json!({"aud": ["another"]}),
        json!({"exp": 1_600_000_001}),
    ] {
        idp.set_claims(claims.clone(), json!({"sub": "1"}));
        let refused = sign_in(&mut world.browser(), &world, &idp, "open").await;
        assert_eq!(refused.status, 502, "{claims}: {}", refused.html);
    }
    idp.set_claims(json!({}), json!({"sub": "2", "groups": ["finance"]}));
    assert_eq!(sign_in(&mut world.browser(), &world, &idp, "open").await.status, 502, "another's userinfo");
    assert_eq!(world.events("auth.sign_in").await[0]["outcome"], "denied");
}

#[tokio::test]
async fn given_a_provider_that_refuses_or_is_away_then_the_page_says_what_to_do() {
    let idp = OpenIdProvider::start().await;
    let mut world = TestGateway::with(Some(&idp)).await;
    let mut browser = world.browser();
    let page = browser.get(&world.authorize("open", &[])).await;
    let leaving = browser.submit(&page, "decision", "approve").await;
    let state = leaving.parameter("state").unwrap();
    let denied = format!("/login/callback?error=access_denied&iss={}&state=", idp.issuer);
    let refused = browser.get(&format!("{denied}{state}")).await;
    assert_eq!(refused.status, 403);
    let said = "company did not sign you in: the sign-in was cancelled, or this account may not use it";
    assert!(refused.has(said) && refused.has("Try again"), "{}", refused.html);
    for (error, said) in
        [("invalid_scope", "invalid_scope"), ("server_error&error_description=It+is+Sunday", "It is Sunday")]
    {
        let state = browser.submit(&page, "decision", "approve").await.parameter("state").unwrap();
        let answer = format!("/login/callback?error={error}&iss={}&state={state}", idp.issuer);
        let refused = browser.get(&answer).await;
        assert!(refused.has(&format!("company did not sign you in: {said}")), "{}", refused.html);
    }
    let unnamed = browser.submit(&page, "decision", "approve").await.parameter("state").unwrap();
    let unnamed = browser.get(&format!("/login/callback?error=access_denied&state={unnamed}")).await;
    assert_eq!(unnamed.status, 502, "it promises to name itself: {}", unnamed.html);
    let wrong = browser.submit(&page, "decision", "approve").await.parameter("state").unwrap();
    let mixed = browser.get(&format!("/login/callback?code=c&state={wrong}&iss=https://evil.example")).await;
    assert_eq!(mixed.status, 502, "{}", mixed.html);

    world.update_config(|contract| {
        if let portcullis_config::IdentityProviderKind::Oidc(oidc) =
            &mut contract.gateway.identity_providers[0].kind
        {
            oidc.issuer = "http://127.0.0.1:9".to_owned();
        }
    });
    let away = browser.submit(&page, "decision", "approve").await;
    assert_eq!(away.status, 503);
    assert!(away.headers.contains_key("retry-after") && away.has("try again"), "{}", away.html);
}

/// RFC 9207, section 2.4.
#[tokio::test]
async fn given_an_answer_of_another_identity_provider_then_neither_its_code_nor_its_error_is_believed() {
    let idp = OpenIdProvider::start().await;
    let world = TestGateway::with(Some(&idp)).await;
    let elsewhere = |answer: &str| {
        let (ours, _) = answer.split_once("&iss=").unwrap();
        format!("{ours}&iss=https://evil.example")
    };
    let mut browser = world.browser();
    let page = browser.get(&world.authorize("open", &[])).await;
    let leaving = browser.submit(&page, "decision", "approve").await;
    assert_eq!(browser.get(&elsewhere(&idp.complete_authorization(&leaving.url))).await.status, 502);
    let leaving = browser.submit(&page, "decision", "approve").await;
    let refused =
        elsewhere(&idp.complete_authorization(&leaving.url)).replace("code=a-code", "error=access_denied");
    assert_eq!(browser.get(&refused).await.status, 502, "not what the provider said");
    assert!(idp.token_requests().is_empty(), "no code was sent anywhere");
    let events = world.events("auth.sign_in").await;
    assert!(events.iter().all(|event| event["reason"] == "wrong_issuer"), "{events:?}");
}

#[tokio::test]
async fn given_a_route_that_needs_an_account_when_it_is_connected_on_the_consent_page_then_they_come_back_to_it()
 {
    let idp = OpenIdProvider::start().await;
    let mut world = TestGateway::with(Some(&idp)).await;
    let mut browser = world.browser();
    let confirm = sign_in(&mut browser, &world, &idp, "accounts").await;
    assert!(confirm.has("Connect Origin accounts") && confirm.has("not connected yet"), "{}", confirm.html);
    let leaving = browser.submit(&confirm, "", "Connect Origin").await;
    let page = browser.get(&idp.complete_authorization(&leaving.url)).await;
    assert!(page.has("your account is connected") && page.has("Allow"), "{}", page.html);
    assert_eq!(world.connection("1").await, ConnectionStatus::Connected);
    let done = browser.submit(&page, "decision", "approve").await;
    assert!(done.parameter("code").is_some(), "{}", done.url);
    // The client listens on loopback, so the page is shown each time.
    let again = browser.get(&world.authorize("accounts", &[])).await;
    assert!(again.has("Allow") && !again.has("Connect Origin"), "nothing is left to connect: {}", again.html);
    let elsewhere = format!("{}/elsewhere", idp.issuer).parse().unwrap();
    world.update_config(|contract| contract.origins[1].url = elsewhere);
    let moved = browser.get(&world.authorize("accounts", &[])).await;
    assert!(moved.has("Reconnect Origin accounts") && moved.has("must be reconnected"), "{}", moved.html);
}

#[tokio::test]
async fn given_an_unconnected_account_when_its_user_goes_on_without_then_they_may_and_are_asked_again_next_time()
 {
    let world = TestGateway::new().await;
    let mut browser = world.browser();
    development(&mut browser, &world, ANA).await;
    for _ in 0..2 {
        let page = browser.get(&world.authorize("accounts", &[])).await;
        assert!(page.has("Connect Origin accounts"), "{}", page.html);
        let done = browser.submit(&page, "decision", "approve").await;
        assert!(done.parameter("code").is_some(), "{}", done.url);
    }
    let silent = browser.get(&world.authorize("accounts", &[("prompt", "none")])).await;
    assert_eq!(silent.parameter("error").as_deref(), Some("interaction_required"));
}

#[tokio::test]
async fn given_a_connect_link_when_its_person_opens_it_then_they_connect_and_it_is_used_up() {
    let idp = OpenIdProvider::start().await;
    let world = TestGateway::with(Some(&idp)).await;
    let mut browser = world.browser();
    let link = world.connect_link_path("1").await;
    let first = browser.get(&link).await;
    assert!(first.has("Sign in to connect"), "{}", first.html);
    let leaving = browser.submit(&first, "", "Sign in").await;
    let page = browser.get(&idp.complete_authorization(&leaving.url)).await;
    assert!(page.has("Connect Origin accounts"), "{}", page.html);
    assert!(browser.get(&link).await.has("Connect Origin accounts"), "looking at it does not use it up");
    let leaving = browser.submit(&page, "", "ticket").await;
    let done = browser.get(&idp.complete_authorization(&leaving.url)).await;
    assert!(done.has("account is connected"), "{}", done.html);
    assert_eq!(world.connection("1").await, ConnectionStatus::Connected);
    let expired = browser.get(&link).await;
    assert_eq!(expired.status, 410);
    assert!(expired.has("new link"), "{}", expired.html);
}

/// Requirements: client.link
#[tokio::test]
async fn given_a_connect_link_when_somebody_else_opens_it_then_it_is_refused_and_stays_good_for_its_person() {
    let world = TestGateway::new().await;
    let mut eve = world.browser();
    development(&mut eve, &world, EVE).await;
    let link = world.connect_link_path(ANA).await;
    let refused = eve.get(&link).await;
    assert_eq!(refused.status, 403);
    assert!(refused.has("another account") && refused.has("Eve"), "{}", refused.html);
    let denied = &world.events("policy.denied").await[0];
    assert_eq!(
        (&denied["subject"], &denied["reason"]),
        (&"company:eve@example.com".into(), &"link_of_another".into())
    );
    let mut ana = world.browser();
    development(&mut ana, &world, ANA).await;
    let page = ana.get(&link).await;
    assert!(page.has("Connect Origin accounts"), "{}", page.html);
    let (action, fields) = page.form("", "ticket");
    assert_eq!(eve.post(&action, &fields).await.status, 403, "even with the form of its page");
    assert_eq!(eve.get("/connect/id-accounts?ticket=guessed").await.status, 410);
    assert_eq!(eve.get("/connect/nothing?ticket=guessed").await.status, 404);
    assert!(ana.get(&link).await.has("Connect Origin accounts"), "still good");
}

#[tokio::test]
async fn given_a_connect_link_when_it_is_bent_to_another_origin_then_it_is_none() {
    let world = TestGateway::new().await;
    let mut ana = world.browser();
    development(&mut ana, &world, ANA).await;
    let link = world.connect_link_path(ANA).await;
    assert_eq!(ana.get(&link.replace("id-accounts", "id-plain")).await.status, 410);
    assert!(ana.get(&link).await.has("Connect Origin accounts"));
}

#[tokio::test]
async fn given_an_origin_that_is_away_when_connecting_then_the_page_says_so_and_the_link_stays_good() {
    let world = TestGateway::new().await;
    let mut ana = world.browser();
    development(&mut ana, &world, ANA).await;
    let link = world.connect_link_path(ANA).await;
    let page = ana.get(&link).await;
    let failed = ana.submit(&page, "", "ticket").await;
    assert!(failed.status >= 400, "{}", failed.html);
    assert!(ana.get(&link).await.has("Connect Origin accounts"));
}

/// Requirements: client.link
#[tokio::test]
async fn given_a_connect_flow_when_another_person_has_taken_the_browser_meanwhile_then_nothing_is_connected()
{
    let idp = OpenIdProvider::start().await;
    let world = TestGateway::with(Some(&idp)).await;
    let mut browser = world.browser();
    let confirm = sign_in(&mut browser, &world, &idp, "accounts").await;
    let leaving = browser.submit(&confirm, "", "Connect Origin").await;
    let answer = idp.complete_authorization(&leaving.url);
    idp.set_claims(json!({"sub": "2", "name": "Eve"}), json!({"sub": "2"}));
    let page = browser.get("/").await;
    let page = browser.submit(&page, "", "/sign-out").await;
    assert!(page.has("Sign in with company"), "{}", page.html);
    let leaving = browser.submit(&page, "", "company").await;
    browser.get(&idp.complete_authorization(&leaving.url)).await;
    assert!(browser.get(&answer).await.status >= 400);
    assert_ne!(world.connection("1").await, ConnectionStatus::Connected);
    assert_ne!(world.connection("2").await, ConnectionStatus::Connected);

    // Without signing out, so that it is the same browser still.
    idp.set_claims(json!({}), json!({"sub": "1"}));
    let mut browser = world.browser();
    let confirm = sign_in(&mut browser, &world, &idp, "accounts").await;
    let answer = idp.complete_authorization(&browser.submit(&confirm, "", "Connect Origin").await.url);
    idp.set_claims(json!({"sub": "2", "name": "Eve"}), json!({"sub": "2"}));
    world.clock.advance(Duration::from_millis(1));
    let page = browser.get(&world.authorize("open", &[("prompt", "login")])).await;
    let leaving = browser.submit(&page, "decision", "approve").await;
    browser.get(&idp.complete_authorization(&leaving.url)).await;
    assert_eq!(browser.get(&answer).await.status, 403);
    assert_ne!(world.connection("1").await, ConnectionStatus::Connected);
    assert_ne!(world.connection("2").await, ConnectionStatus::Connected);
}

#[tokio::test]
async fn given_the_portal_then_it_shows_what_one_may_use_and_connects_and_disconnects() {
    let idp = OpenIdProvider::start().await;
    let world = TestGateway::with(Some(&idp)).await;
    let mut browser = world.browser();
    let stranger = browser.get("/").await;
    assert!(stranger.has("Sign in with company") && !stranger.has("/mcp/open"), "{}", stranger.html);
    let leaving = browser.submit(&stranger, "", "company").await;
    let home = browser.get(&idp.complete_authorization(&leaving.url)).await;
    assert!(home.has("claude mcp add --transport http open http://127.0.0.1:8080/mcp/open"), "{}", home.html);
    for hidden in ["/mcp/guarded", "/mcp/off", "/mcp/shop"] {
        assert!(!home.has(hidden), "{hidden}");
    }
    assert!(home.has("Connect your Origin accounts account"), "{}", home.html);
    let mine = browser.get("/connections").await;
    assert!(mine.has("Not connected") && mine.has("Route accounts"), "{}", mine.html);
    let leaving = browser.submit(&mine, "", "/connections/").await;
    let mine = browser.get(&idp.complete_authorization(&leaving.url)).await;
    assert!(mine.has("Disconnect Origin accounts") && mine.has("Since"), "{}", mine.html);
    let mine = browser.submit(&mine, "", "/disconnect").await;
    assert!(mine.has("Not connected") && mine.has(">Connect Origin accounts"), "{}", mine.html);
    let signed_out = browser.submit(&mine, "", "/sign-out").await;
    assert!(signed_out.has("Sign in with company"));
    assert!(browser.cookies.is_empty());
}

#[tokio::test]
async fn given_an_origin_then_the_gateway_describes_itself_to_it_as_a_client_of_its_own() {
    let world = TestGateway::new().await;
    let mut browser = world.browser();
    let page = browser.get("/connect/id-accounts/client.json").await;
    assert_eq!(page.headers["content-type"], "application/json");
    assert_eq!(page.headers["cache-control"], "public, max-age=300");
    let document: Value = serde_json::from_str(&page.html).unwrap();
    let here = format!("{PUBLIC_URL}/connect/id-accounts");
    assert_eq!(document["client_id"], format!("{here}/client.json"));
    assert_eq!(document["redirect_uris"], json!([format!("{here}/callback")]));
    assert_eq!(browser.get("/connect/nothing/client.json").await.status, 404);
}

/// Requirements: as.consent.cookies
#[tokio::test]
async fn given_https_then_cookies_are_secure_and_no_other_host_can_set_them() {
    let idp = OpenIdProvider::start().await;
    let mut world = TestGateway::with(Some(&idp)).await;
    world.update_config(|contract| contract.gateway.public_url = "https://mcp.example.com".parse().unwrap());
    let mut browser = world.browser();
    let asked = world.authorize("open", &[("resource", "")]);
    let page = browser.get(&asked).await.url;
    let page = browser.get(page.strip_prefix("https://mcp.example.com").unwrap()).await;
    let leaving = browser.submit(&page, "decision", "approve").await;
    let cookie = leaving.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-portcullis-browser=") && cookie.ends_with("; Secure"), "{cookie}");
}
