//! The forms of the portal's pages: each counts when it comes from a page of ours, and with the token that this browser was shown
//! for it.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::time::Duration;

use support::{Browser, PUBLIC_URL, Page, TestGateway};

const ANA: &str = "ana@example.com";
const EVE: &str = "eve@example.com";

/// Eve administers the gateway, and everybody has given one client a grant, in `open`.
async fn test_gateway() -> (TestGateway, Browser, Browser) {
    let mut world = TestGateway::new().await;
    world.update_config(|contract| contract.gateway.admins.users = vec![EVE.to_owned()]);
    let (mut ana, mut eve) = (world.browser(), world.browser());
    world.grant(&mut ana, "open", ANA).await;
    world.grant(&mut eve, "open", EVE).await;
    (world, ana, eve)
}

/// The same form, held by somebody else or changed, does nothing; by whom it was shown to, it does.
async fn assert_bound_to_owner(owner: &mut Browser, other: &mut Browser, page: &Page, form: &str) {
    let (action, fields) = page.form("", form);
    let own_headers = owner.post_headers.clone();
    for headers in [
        vec![],
        vec![("sec-fetch-site", "cross-site".to_owned())],
        vec![("sec-fetch-site", "same-site".to_owned()), ("origin", PUBLIC_URL.to_owned())],
        vec![("origin", "https://evil.example".to_owned())],
    ] {
        owner.post_headers.clone_from(&headers);
        assert_eq!(owner.post(&action, &fields).await.status, 403, "{action} {headers:?}");
    }
    owner.post_headers = own_headers;
    let without: Vec<_> = fields.iter().filter(|(name, _)| name != "token").cloned().collect();
    assert_eq!(owner.post(&action, &without).await.status, 403, "{action} without its token");
    assert_eq!(other.post(&action, &fields).await.status, 403, "{action} in another browser");
    let done = owner.post(&action, &fields).await;
    assert_ne!(done.status, 403, "{action}: {}", done.html);
}

/// Requirements: portal.mine
#[tokio::test]
async fn given_a_form_of_somebodys_own_pages_when_it_is_not_theirs_to_send_then_nothing_happens() {
    let (world, mut ana, mut eve) = test_gateway().await;
    let page = ana.get("/clients").await;
    assert_bound_to_owner(&mut ana, &mut eve, &page, "/revoke").await;
    let events = world.events("auth.revoked").await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["subject"], "company:ana@example.com");
    let page = ana.get("/connections").await;
    assert_bound_to_owner(&mut ana, &mut eve, &page, "/connect").await;
}

/// Requirements: portal.admin
#[tokio::test]
async fn given_a_form_of_the_administration_when_another_site_or_browser_sends_it_then_nothing_ends() {
    let (world, _, mut eve) = test_gateway().await;
    // An administrator too, in another browser.
    let mut again = world.signed_in(EVE).await;
    let id = eve.find_person_id("ana@").await;
    for (path, form) in [
        (format!("/admin/people/{id}"), "/admin/grants/"),
        (format!("/admin/people/{id}"), "/admin/people/"),
        ("/admin/clients".to_owned(), "/admin/clients/revoke"),
        ("/admin/teams".to_owned(), "/admin/teams/revoke"),
        ("/admin/origins".to_owned(), "/admin/origins/"),
    ] {
        let page = eve.get(&path).await;
        assert_bound_to_owner(&mut eve, &mut again, &page, form).await;
    }
    let ended = world.events_once("admin.revoked", 5).await;
    let ended: Vec<_> = ended.iter().map(|it| it["reason"].clone()).collect();
    assert_eq!(ended, ["grant", "person", "client", "team", "origin"], "each once");
}

/// Requirements: portal.admin
#[tokio::test]
async fn given_the_token_of_one_form_when_it_is_sent_with_another_then_nothing_ends() {
    let (world, _, mut eve) = test_gateway().await;
    let id = eve.find_person_id("ana@").await;
    let other = eve.find_person_id("eve@").await;
    let page = eve.get(&format!("/admin/people/{id}")).await;
    let (_, fields) = page.form("", "/admin/people/");
    for action in [
        format!("/admin/people/{other}/revoke"),
        "/admin/clients/revoke".to_owned(),
        "/admin/teams/revoke".to_owned(),
        "/admin/origins/id-accounts/revoke".to_owned(),
        "/admin/origins/id-accounts/connect".to_owned(),
    ] {
        let mut fields = fields.clone();
        fields.push(("of".to_owned(), id.clone()));
        assert_eq!(eve.post(&action, &fields).await.status, 403, "{action}");
    }
    eve.submit(&page, "", "/admin/people/").await;
    assert_eq!(world.events("admin.revoked").await.len(), 1, "what was meant, and nothing before");
}

#[tokio::test]
async fn given_the_form_of_an_account_when_it_is_sent_for_another_origin_or_person_then_nothing_is_connected()
{
    let (world, mut ana, _) = test_gateway().await;
    let page = ana.get(&world.authorize("shop", &[])).await;
    let users = ana.submit(&page, "decision", "approve").await;
    ana.submit(&users, "user", ANA).await;
    let page = ana.get("/connections").await;
    let (_, fields) = page.form("", "/connections/id-accounts/connect");
    let token = fields.iter().find(|(name, _)| name == "token").unwrap();
    for (origin, provider, expected) in
        [("id-plain", "company", 403), ("id-accounts", "customers", 403), ("id-accounts", "company", 200)]
    {
        let fields = [token.clone(), ("provider".to_owned(), provider.to_owned())];
        let answer = ana.post(&format!("/connections/{origin}/disconnect"), &fields).await;
        assert_eq!(answer.status, expected, "{origin} {provider}: {}", answer.html);
    }
}

#[tokio::test]
async fn given_a_page_that_has_lain_open_for_twelve_hours_then_its_form_is_worth_nothing() {
    let twelve_hours = Duration::from_secs(12 * 60 * 60);
    for (open_for, expected) in [(twelve_hours - Duration::from_millis(1), 200), (twelve_hours, 403)] {
        let world = TestGateway::new().await;
        let mut browser = world.browser();
        let page = browser.get("/").await;
        world.clock.advance(open_for);
        assert_eq!(browser.submit(&page, "", "company").await.status, expected, "{open_for:?}");
    }
}
