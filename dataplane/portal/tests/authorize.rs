//! A client asks; a person approves, signs in, confirms, or does not.

mod support;

use std::time::Duration;

use support::{Browser, PUBLIC_URL, Page, REDIRECT, TestGateway};

const ANA: &str = "ana@example.com";
const EVE: &str = "eve@example.com";
/// The redirect of a web client.
const SITE: &str = "https://app.example/callback";

/// Approves, signs in, and stops at whatever comes then.
async fn sign_in(browser: &mut Browser, page: &Page, email: &str) -> Page {
    let users = browser.submit(page, "decision", "approve").await;
    assert!(users.has("Who are you?"), "{}", users.html);
    browser.submit(&users, "user", email).await
}

async fn approve(world: &TestGateway, browser: &mut Browser, route: &str, email: &str) -> Page {
    let page = browser.get(&world.authorize(route, &[])).await;
    let confirm = sign_in(browser, &page, email).await;
    browser.submit(&confirm, "decision", "approve").await
}

fn is_code(page: &Page) -> bool {
    is_code_at(page, REDIRECT)
}

fn is_code_at(page: &Page, redirect: &str) -> bool {
    page.url.starts_with(redirect) && page.parameter("code").is_some() && page.parameter("error").is_none()
}

/// Requirements: as.consent.first
#[tokio::test]
async fn given_a_stranger_when_they_approve_choose_and_confirm_then_the_client_gets_a_code() {
    let world = TestGateway::new().await;
    let mut browser = world.browser();
    let page = browser.get(&world.authorize("open", &[("state", "x%2B%2F%3D")])).await;
    assert_eq!(page.status, 200);
    for shown in
        ["Route open", "a program on this computer (127.0.0.1:33418)", "runs on your own computer", "company"]
    {
        assert!(page.has(shown), "{shown} is not on {}", page.html);
    }
    assert!(page.has("A &#60;b&#62;plain&#60;/b&#62; client"), "{}", page.html);
    assert!(browser.cookies.is_empty(), "a cookie before anything was approved");

    let confirm = sign_in(&mut browser, &page, ANA).await;
    assert!(confirm.has("Ana") && confirm.has(ANA), "{}", confirm.html);
    let done = browser.submit(&confirm, "decision", "approve").await;
    assert!(is_code(&done), "{}", done.url);
    assert_eq!(done.parameter("state").as_deref(), Some("x+/="));
    assert_eq!(done.parameter("iss").as_deref(), Some("http://127.0.0.1:8080/mcp/open"));

    let consent = &world.events("auth.consent").await[0];
    assert_eq!((&consent["outcome"], &consent["route"]), (&"success".into(), &"open".into()));
    assert_eq!(consent["subject"], "company:ana@example.com");
    assert_eq!(world.events("auth.sign_in").await.len(), 1);
}

/// Requirements: as.state.exact
#[tokio::test]
async fn given_states_of_any_spelling_then_they_come_back_byte_for_byte() {
    let world = TestGateway::new().await;
    for state in ["a+/=", "a%2B%2f%3D", "%7E~", "%C3%A9%20+"] {
        let mut browser = world.browser();
        let page = browser.get(&world.authorize("open", &[("state", state)])).await;
        let done = browser.submit(&page, "decision", "deny").await;
        assert!(done.url.contains(&format!("&state={state}&")), "{} does not hold {state}", done.url);
    }
}

/// Requirements: as.consent.first
#[tokio::test]
async fn given_a_stranger_when_they_deny_then_the_client_hears_it_and_nobody_signs_in() {
    let world = TestGateway::new().await;
    let mut browser = world.browser();
    let page = browser.get(&world.authorize("open", &[])).await;
    let done = browser.submit(&page, "decision", "deny").await;
    assert!(done.url.starts_with(REDIRECT));
    assert_eq!(done.parameter("error").as_deref(), Some("access_denied"));
    assert_eq!(done.parameter("iss").as_deref(), Some("http://127.0.0.1:8080/mcp/open"));
    assert!(browser.cookies.is_empty());
    assert_eq!(world.events("auth.consent").await[0]["outcome"], "denied");
    let again = browser.submit(&page, "decision", "approve").await;
    assert_eq!(again.status, 410, "the request is over");
}

/// Requirements: as.redirect.page
#[tokio::test]
async fn given_a_client_that_cannot_be_trusted_with_an_answer_then_there_is_a_page_and_no_redirect() {
    let world = TestGateway::new().await;
    let mut browser = world.browser();
    for wrong in [
        ("redirect_uri", "http://127.0.0.1:33418/other"),
        ("redirect_uri", "https://evil.example/callback"),
        ("redirect_uri", ""),
        ("client_id", "nobody"),
        ("client_id", ""),
    ] {
        let page = browser.get(&world.authorize("open", &[wrong])).await;
        assert_eq!(page.status, 400, "{wrong:?}");
        assert!(page.url.starts_with("/mcp/open"), "{wrong:?} led to {}", page.url);
        assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"));
    }
    let twice =
        format!("{}&redirect_uri=http%3A%2F%2F127.0.0.1%3A33418%2Fcallback", world.authorize("open", &[]));
    assert_eq!(browser.get(&twice).await.status, 400);
    assert_eq!(browser.get("/mcp/nothing/oauth/authorize?client_id=x").await.status, 404);
    assert_eq!(browser.get(&world.authorize("off", &[])).await.status, 403);
}

#[tokio::test]
async fn given_a_request_when_it_is_longer_than_16_kib_then_there_is_a_page_and_no_redirect() {
    let world = TestGateway::new().await;
    let mut browser = world.browser();
    let asked = format!("{}&more=", world.authorize("open", &[]));
    let query = asked.split_once('?').unwrap().1.len();
    let of = |length: usize| format!("{asked}{}", "x".repeat(length - query));
    assert_eq!(browser.get(&of(16 * 1024)).await.status, 200);
    let page = browser.get(&of(16 * 1024 + 1)).await;
    assert_eq!(page.status, 400);
    assert!(page.has("too long"), "{}", page.html);
}

/// Requirements: as.authorize.errors
#[tokio::test]
async fn given_a_request_that_is_wrong_otherwise_then_the_client_is_told_with_state_and_issuer() {
    let world = TestGateway::new().await;
    let mut browser = world.browser();
    for (wrong, error) in [
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge_method", ""), "invalid_request"),
        (("response_type", "token"), "unsupported_response_type"),
        (("response_type", ""), "invalid_request"),
        (("response_mode", "fragment"), "invalid_request"),
        (("resource", "http://127.0.0.1:8080/mcp/guarded"), "invalid_target"),
        (("resource", "http://127.0.0.1:8080"), "invalid_target"),
        (("request", "eyJ"), "request_not_supported"),
        (("prompt", "none login"), "invalid_request"),
        (("prompt", "none"), "login_required"),
    ] {
        let page = browser.get(&world.authorize("open", &[wrong])).await;
        assert!(page.url.starts_with(REDIRECT), "{wrong:?} led to {} {}", page.status, page.url);
        assert_eq!(page.parameter("error").as_deref(), Some(error), "{wrong:?}");
        assert_eq!(page.parameter("state").as_deref(), Some("abc"));
        assert_eq!(page.parameter("iss").as_deref(), Some("http://127.0.0.1:8080/mcp/open"));
    }
    for (twice, error) in [("scope=mcp", "invalid_request"), ("resource=x", "invalid_target")] {
        let page = browser.get(&format!("{}&{twice}", world.authorize("open", &[]))).await;
        assert_eq!(page.parameter("error").as_deref(), Some(error), "{twice}");
    }
    let page = browser.get(&format!("{}&state=other", world.authorize("open", &[]))).await;
    assert_eq!(
        (page.parameter("error").as_deref(), page.parameter("state")),
        (Some("invalid_request"), None)
    );
}

/// Requirements: as.resource.default
#[tokio::test]
async fn given_the_root_issuer_then_it_needs_resource_and_answers_in_its_own_name() {
    let world = TestGateway::new().await;
    let mut browser = world.browser();
    let at_root = |changes: &[(&str, &str)]| world.authorize("open", changes).replacen("/mcp/open", "", 1);
    let page = browser.get(&at_root(&[("resource", "")])).await;
    assert_eq!(page.parameter("error").as_deref(), Some("invalid_target"));
    assert_eq!(page.parameter("iss").as_deref(), Some(PUBLIC_URL));
    let page = browser.get(&at_root(&[])).await;
    let confirm = sign_in(&mut browser, &page, ANA).await;
    let done = browser.submit(&confirm, "decision", "approve").await;
    assert!(is_code(&done), "{}", done.url);
    assert_eq!(done.parameter("iss").as_deref(), Some(PUBLIC_URL));
    // The route's own issuer is left out of resource by some clients.
    let page = browser.get(&world.authorize("open", &[("resource", "")])).await;
    assert!(is_code(&browser.submit(&page, "decision", "approve").await));
}

/// Requirements: as.consent.kept
#[tokio::test]
async fn given_an_approval_of_a_web_client_when_it_asks_again_then_nobody_is_asked() {
    let world = TestGateway::new().await;
    let client = world.register(&[SITE, REDIRECT]).await;
    let asked = |route: &str, more: &[(&str, &str)]| {
        let usual = [("client_id", client.as_str()), ("redirect_uri", SITE)];
        world.authorize(route, &[usual.as_slice(), more].concat())
    };
    let mut browser = world.browser();
    let page = browser.get(&asked("open", &[])).await;
    let confirm = sign_in(&mut browser, &page, ANA).await;
    assert!(is_code_at(&browser.submit(&confirm, "decision", "approve").await, SITE));
    assert!(is_code_at(&browser.get(&asked("open", &[])).await, SITE));
    assert!(is_code_at(&browser.get(&asked("open", &[("prompt", "none")])).await, SITE));
    let other = world.register(&[SITE]).await;
    for asked in [
        asked("open", &[("prompt", "consent")]),
        asked("guarded", &[]),
        world.authorize("open", &[("client_id", &client), ("redirect_uri", REDIRECT)]),
        world.authorize("open", &[("client_id", &other), ("redirect_uri", SITE)]),
    ] {
        let page = browser.get(&asked).await;
        assert_eq!(page.status, 200, "{}", page.url);
        assert!(page.has("Your account") && page.has("Ana"), "one page, with the account: {}", page.html);
        let done = browser.submit(&page, "decision", "approve").await;
        assert!(done.parameter("code").is_some(), "{}", done.url);
    }
    let other = world.register(&[SITE]).await;
    let silent = [("client_id", other.as_str()), ("redirect_uri", SITE), ("prompt", "none")];
    let page = browser.get(&world.authorize("open", &silent)).await;
    assert_eq!(page.parameter("error").as_deref(), Some("consent_required"));
}

/// Requirements: as.consent.kept
#[tokio::test]
async fn given_an_approval_of_a_client_that_proves_nothing_when_it_asks_again_then_the_page_is_shown() {
    let world = TestGateway::new().await;
    for (registered, requested) in [
        (REDIRECT, REDIRECT),
        (REDIRECT, "http://127.0.0.1:47999/callback"),
        ("http://localhost:3118/callback", "http://localhost:47999/callback"),
        ("http://[::1]/callback", "http://[::1]:47999/callback"),
        ("https://localhost:3118/callback", "https://localhost:3118/callback"),
        ("https://127.0.0.1/callback", "https://127.0.0.1/callback"),
        ("https://app.localhost/callback", "https://app.localhost/callback"),
        ("cursor://anysphere.cursor-mcp/oauth/callback", "cursor://anysphere.cursor-mcp/oauth/callback"),
        ("com.example.app:/callback", "com.example.app:/callback"),
    ] {
        let mut browser = world.browser();
        let client = world.register(&[registered, SITE]).await;
        let asked = |redirect: &str, prompt: &str| {
            world.authorize(
                "open",
                &[("client_id", client.as_str()), ("redirect_uri", redirect), ("prompt", prompt)],
            )
        };
        let page = browser.get(&asked(registered, "")).await;
        let confirm = sign_in(&mut browser, &page, ANA).await;
        assert!(
            is_code_at(&browser.submit(&confirm, "decision", "approve").await, registered),
            "{registered}"
        );
        for redirect in [registered, requested] {
            let page = browser.get(&asked(redirect, "")).await;
            assert_eq!(page.status, 200, "{redirect} led to {}", page.url);
            assert!(page.has(ANA) && page.has("own computer"), "{redirect}: {}", page.html);
            assert!(is_code_at(&browser.submit(&page, "decision", "approve").await, redirect), "{redirect}");
            let silent = browser.get(&asked(redirect, "none")).await;
            assert!(silent.url.starts_with(redirect), "{redirect} led to {}", silent.url);
            assert_eq!(silent.parameter("error").as_deref(), Some("interaction_required"), "{redirect}");
        }
    }
}

/// Requirements: as.consent.kept
#[tokio::test]
async fn given_a_client_on_this_machine_that_authenticates_when_it_asks_again_then_nobody_is_asked() {
    let world = TestGateway::new().await;
    let mut browser = world.browser();
    for (method, is_asked) in [("client_secret_basic", false), ("client_secret_post", false), ("none", true)]
    {
        let client = world.register_with(&[REDIRECT], method).await;
        let page = browser.get(&world.authorize("open", &[("client_id", &client)])).await;
        let confirm =
            if page.has("Allow and sign in") { sign_in(&mut browser, &page, ANA).await } else { page };
        assert!(is_code(&browser.submit(&confirm, "decision", "approve").await), "{method}");
        let elsewhere = "http://127.0.0.1:5555/callback";
        for redirect in [REDIRECT, elsewhere] {
            let page = browser
                .get(&world.authorize("open", &[("client_id", &client), ("redirect_uri", redirect)]))
                .await;
            assert_eq!(!is_code_at(&page, redirect), is_asked, "{method} {redirect} led to {}", page.url);
        }
    }
}

/// Requirements: as.consent.kept
#[tokio::test]
async fn given_an_approval_when_its_user_denies_the_next_time_then_it_is_taken_back() {
    let world = TestGateway::new().await;
    let client = world.register(&[SITE]).await;
    let asked = |prompt: &str| {
        let changes = [("client_id", client.as_str()), ("redirect_uri", SITE), ("prompt", prompt)];
        world.authorize("open", &changes)
    };
    let mut browser = world.browser();
    let page = browser.get(&asked("")).await;
    let confirm = sign_in(&mut browser, &page, ANA).await;
    assert!(is_code_at(&browser.submit(&confirm, "decision", "approve").await, SITE));
    assert!(is_code_at(&browser.get(&asked("")).await, SITE));
    let page = browser.get(&asked("consent")).await;
    let done = browser.submit(&page, "decision", "deny").await;
    assert_eq!(done.parameter("error").as_deref(), Some("access_denied"));
    assert_eq!(browser.get(&asked("")).await.status, 200, "they are asked again");
}

/// Requirements: as.access
#[tokio::test]
async fn given_somebody_in_no_team_when_they_sign_in_then_they_are_told_and_the_client_hears_access_denied() {
    let world = TestGateway::new().await;
    let mut browser = world.browser();
    let page = browser.get(&world.authorize("guarded", &[])).await;
    let answer = sign_in(&mut browser, &page, EVE).await;
    assert_eq!(answer.status, 200);
    for said in ["no access", "team", "Route guarded", EVE, "Sign in with another account"] {
        assert!(answer.has(said), "{said} is not on {}", answer.html);
    }
    let denied = &world.events("policy.denied").await[0];
    assert_eq!(
        (&denied["route"], &denied["subject"]),
        (&"guarded".into(), &"company:eve@example.com".into())
    );
    let done = browser.submit(&answer, "", "deny").await;
    assert_eq!(done.parameter("error").as_deref(), Some("access_denied"));
    let page = browser.get(&world.authorize("guarded", &[("prompt", "none")])).await;
    assert_eq!(page.parameter("error").as_deref(), Some("access_denied"));
}

#[tokio::test]
async fn given_somebody_in_no_team_when_they_sign_in_as_somebody_else_then_they_go_on_as_them() {
    let world = TestGateway::new().await;
    let mut browser = world.browser();
    let page = browser.get(&world.authorize("guarded", &[])).await;
    let answer = sign_in(&mut browser, &page, EVE).await;
    let users = browser.submit(&answer, "decision", "switch").await;
    let confirm = browser.submit(&users, "user", ANA).await;
    assert!(confirm.has(ANA), "{}", confirm.html);
    assert!(is_code(&browser.submit(&confirm, "decision", "approve").await));
}

#[tokio::test]
async fn given_a_session_when_another_account_is_wanted_then_the_client_is_approved_anew_and_the_old_session_is_over()
 {
    let world = TestGateway::new().await;
    let mut browser = world.browser();
    approve(&world, &mut browser, "open", ANA).await;
    let page = browser.get(&world.authorize("open", &[("prompt", "consent")])).await;
    let page = browser.submit(&page, "decision", "switch").await;
    assert!(page.has("Allow and sign in"), "{}", page.html);
    assert!(!browser.cookies.contains_key("portcullis-session"), "nobody is left in it");
    let confirm = sign_in(&mut browser, &page, EVE).await;
    assert!(confirm.has(EVE) && !confirm.has(ANA), "{}", confirm.html);
}

#[tokio::test]
async fn given_prompt_login_when_there_is_a_session_then_its_user_signs_in_again() {
    let world = TestGateway::new().await;
    let mut browser = world.browser();
    approve(&world, &mut browser, "open", ANA).await;
    world.clock.advance(Duration::from_millis(1));
    let page = browser.get(&world.authorize("open", &[("prompt", "login")])).await;
    assert!(page.has("Allow and sign in"), "{}", page.html);
    let confirm = sign_in(&mut browser, &page, ANA).await;
    assert!(is_code(&browser.submit(&confirm, "decision", "approve").await), "signed in anew");
}

#[tokio::test]
async fn given_a_session_at_one_provider_when_a_route_is_anothers_then_its_user_signs_in_there_and_keeps_both()
 {
    let world = TestGateway::new().await;
    let mut browser = world.browser();
    approve(&world, &mut browser, "open", ANA).await;
    let page = browser.get(&world.authorize("shop", &[])).await;
    assert!(page.has("Allow and sign in") && page.has("customers"), "{}", page.html);
    let confirm = sign_in(&mut browser, &page, ANA).await;
    assert!(confirm.has("Ana at the shop"), "{}", confirm.html);
    assert!(is_code(&browser.submit(&confirm, "decision", "approve").await));
    let page = browser.get(&world.authorize("open", &[])).await;
    assert!(page.has("Your account"), "the first session is still there: {}", page.html);
    let page = browser.get(&world.authorize("shop", &[("prompt", "consent")])).await;
    browser.submit(&page, "decision", "switch").await;
    let page = browser.get(&world.authorize("open", &[])).await;
    assert!(page.has("Your account"), "only the other one is given up: {}", page.html);
}

/// Requirements: as.consent.csrf
#[tokio::test]
async fn given_a_form_that_another_site_sent_or_without_its_token_then_it_is_refused() {
    let world = TestGateway::new().await;
    let mut browser = world.browser();
    let page = browser.get(&world.authorize("open", &[])).await;
    let (action, fields) = page.form("decision", "approve");
    let approve = ("decision".to_owned(), "approve".to_owned());
    assert_eq!(browser.post(&action, std::slice::from_ref(&approve)).await.status, 403);
    let mut good = fields.clone();
    good.push(approve);
    for headers in [
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site"), ("origin", PUBLIC_URL)],
        vec![("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")],
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![],
    ] {
        browser.post_headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        assert_eq!(browser.post(&action, &good).await.status, 403, "{headers:?}");
    }
    assert!(browser.cookies.is_empty());
    browser.post_headers = vec![("origin", PUBLIC_URL.to_owned())];
    assert!(browser.post(&action, &good).await.has("Who are you?"));
}

/// Requirements: as.consent.csrf, advisory.consent-binding
#[tokio::test]
async fn given_a_confirmation_when_its_form_was_shown_to_another_browser_then_it_is_refused() {
    let world = TestGateway::new().await;
    let (mut ana, mut eve) = (world.browser(), world.browser());
    let page = ana.get(&world.authorize("open", &[])).await;
    let confirm = sign_in(&mut ana, &page, ANA).await;
    let page = eve.get(&world.authorize("open", &[])).await;
    sign_in(&mut eve, &page, EVE).await;
    let refused = eve.submit(&confirm, "decision", "approve").await;
    assert_eq!(refused.status, 403);
    let seen = eve.get(confirm.url.strip_prefix(PUBLIC_URL).unwrap()).await;
    assert_eq!(seen.status, 403, "a request that another browser has taken up");
    assert!(is_code(&ana.submit(&confirm, "decision", "approve").await));
}

#[tokio::test]
async fn given_a_confirmation_of_one_session_when_another_of_the_same_browser_sends_it_then_it_is_refused() {
    let world = TestGateway::new().await;
    let mut browser = world.browser();
    let page = browser.get(&world.authorize("open", &[])).await;
    let shown_to_ana = sign_in(&mut browser, &page, ANA).await;
    world.clock.advance(Duration::from_millis(1));
    let page = browser.get(&world.authorize("open", &[("prompt", "login")])).await;
    let shown_to_eve = sign_in(&mut browser, &page, EVE).await;
    assert!(shown_to_ana.has(ANA) && shown_to_eve.has(EVE));
    assert_eq!(browser.submit(&shown_to_ana, "decision", "approve").await.status, 403);
    assert!(is_code(&browser.submit(&shown_to_eve, "decision", "approve").await));
}

#[tokio::test]
async fn given_a_form_of_before_a_sign_in_when_it_is_sent_after_it_then_nothing_is_decided_and_the_page_is_shown_again()
 {
    let world = TestGateway::new().await;
    for (route, email) in [("open", ANA), ("guarded", EVE)] {
        let mut browser = world.browser();
        let before = browser.get(&world.authorize(route, &[])).await;
        let elsewhere = browser.get(&world.authorize("open", &[])).await;
        sign_in(&mut browser, &elsewhere, email).await;
        let (action, token) = before.form("decision", "approve");
        for decision in ["approve", "switch"] {
            let decision = ("decision".to_owned(), decision.to_owned());
            let shown = browser.post(&action, &[token.clone(), vec![decision]].concat()).await;
            assert!(shown.url.ends_with(&action) && shown.has(email), "{} {}", shown.url, shown.html);
        }
    }
}

/// Requirements: as.sign-in.state
#[tokio::test]
async fn given_a_sign_in_when_its_state_is_used_in_another_browser_then_it_is_refused_and_still_good_in_its_own()
 {
    let world = TestGateway::new().await;
    let (mut ana, mut eve) = (world.browser(), world.browser());
    let page = ana.get(&world.authorize("open", &[])).await;
    let users = ana.submit(&page, "decision", "approve").await;
    for stranger in [eve.get(&users.url).await, eve.submit(&users, "user", ANA).await] {
        assert!(stranger.status >= 400, "{}", stranger.html);
    }
    let page = eve.get(&world.authorize("open", &[])).await;
    eve.submit(&page, "decision", "approve").await;
    for stranger in [eve.get(&users.url).await, eve.submit(&users, "user", ANA).await] {
        assert!(stranger.status >= 400, "{}", stranger.html);
    }
    assert!(ana.submit(&users, "user", ANA).await.has(ANA));
    assert!(ana.submit(&users, "user", ANA).await.status >= 400, "once");
}

/// Requirements: as.consent.cookies
#[tokio::test]
async fn given_a_sign_in_then_the_session_cookie_is_new_and_the_one_before_is_worth_nothing() {
    let world = TestGateway::new().await;
    let mut browser = world.browser();
    approve(&world, &mut browser, "open", ANA).await;
    let before = browser.cookies.clone();
    let page = browser.get(&world.authorize("shop", &[])).await;
    sign_in(&mut browser, &page, ANA).await;
    assert_ne!(before["portcullis-session"], browser.cookies["portcullis-session"]);
    browser.cookies = before;
    let page = browser.get(&world.authorize("open", &[])).await;
    assert!(page.has("Allow and sign in"), "{}", page.html);
}

/// Requirements: as.consent.framing
#[tokio::test]
async fn given_pages_then_they_carry_no_script_and_the_headers_that_guard_them() {
    let world = TestGateway::new().await;
    let mut browser = world.browser();
    for page in [
        browser.get(&world.authorize("open", &[])).await,
        browser.get("/").await,
        browser.get("/mcp/nothing/oauth/authorize").await,
    ] {
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert_eq!(page.headers["referrer-policy"], "no-referrer");
        assert_eq!(page.headers["x-content-type-options"], "nosniff");
        assert_eq!(page.headers["cache-control"], "no-store");
        assert!(!page.has("<script") && !page.has("style=") && page.has("<html lang=\"en\">"));
    }
}

#[tokio::test]
async fn given_a_public_url_that_others_can_reach_then_the_development_sign_in_lets_nobody_in() {
    let mut world = TestGateway::new().await;
    let mut browser = world.browser();
    let page = browser.get(&world.authorize("open", &[])).await;
    world.update_config(|contract| contract.gateway.public_url = "https://mcp.example.com".parse().unwrap());
    browser.post_headers = vec![("sec-fetch-site", "same-origin".to_owned())];
    let refused = browser.submit(&page, "decision", "approve").await;
    assert_eq!(refused.status, 403);
    assert!(refused.has("development sign-in"), "{}", refused.html);
}

/// DNS rebinding: a name of somebody else's may point to this machine.
#[tokio::test]
async fn given_a_browser_that_knows_the_gateway_by_a_name_that_others_own_then_the_development_sign_in_lets_nobody_in()
 {
    let world = TestGateway::new().await;
    let mut browser = world.browser();
    let page = browser.get(&world.authorize("open", &[])).await;
    let users = browser.submit(&page, "decision", "approve").await;
    for host in ["evil.example:8080", "127.0.0.1.evil.example", "10.0.0.1:8080", ""] {
        browser.host = host;
        for refused in [browser.get(&users.url).await, browser.submit(&users, "user", ANA).await] {
            assert_eq!(refused.status, 403, "{host}: {}", refused.html);
            assert!(refused.has("development sign-in"), "{host}: {}", refused.html);
        }
    }
    browser.host = "localhost:8080";
    assert!(browser.submit(&users, "user", ANA).await.has(ANA), "nothing was used up");
}

#[tokio::test]
async fn given_a_session_of_an_identity_provider_when_it_is_gone_from_the_settings_then_nobody_has_signed_in()
{
    let mut world = TestGateway::new().await;
    let mut browser = world.browser();
    approve(&world, &mut browser, "shop", ANA).await;
    world.update_config(|contract| {
        contract.routes.retain(|route| *route.slug != *"shop");
        contract.gateway.identity_providers.retain(|provider| *provider.name == *"company");
    });
    assert!(browser.get("/clients").await.has("Sign in with company"));
    assert_eq!(browser.api(http::Method::GET, "/api/me", None).await.0, 401);
    assert!(is_code(&approve(&world, &mut browser, "open", ANA).await), "and they sign in elsewhere");
}

#[tokio::test]
async fn given_a_flood_of_requests_that_wait_then_more_are_asked_to_come_later() {
    let world = TestGateway::new().await;
    for _ in 0..200 {
        assert!(world.identity.codes.allow_pending_request());
    }
    let page = world.browser().get(&world.authorize("open", &[])).await;
    assert_eq!((page.status, page.headers["retry-after"].to_str().unwrap()), (429, "10"));
    assert_eq!(world.events("auth.consent").await[0]["reason"], "too_many_waiting");
}

#[tokio::test]
async fn given_a_flood_of_sign_ins_that_were_started_then_more_are_asked_to_come_later() {
    let world = TestGateway::new().await;
    let mut browser = world.browser();
    let page = browser.get(&world.authorize("open", &[])).await;
    for _ in 0..200 {
        assert!(world.identity.codes.allow_sign_in());
    }
    let limited = browser.submit(&page, "decision", "approve").await;
    assert_eq!((limited.status, limited.headers["retry-after"].to_str().unwrap()), (429, "10"));
    world.clock.advance(Duration::from_secs(1));
    assert!(browser.submit(&page, "decision", "approve").await.has("Who are you?"));
}
