//! What administrators see and end, and that nobody else does.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use http::Method;
use portcullis_config::Config;
use serde_json::{Value, json};
use support::{Browser, TestGateway};

const ANA: &str = "ana@example.com";
const EVE: &str = "eve@example.com";

/// Eve administers the gateway.
fn eve_administers(contract: &mut Config) {
    contract.gateway.admins.users = vec![EVE.to_owned()];
}

async fn test_gateway() -> TestGateway {
    let mut world = TestGateway::new().await;
    world.update_config(eve_administers);
    world
}

async fn revoked_event(world: &TestGateway) -> Value {
    world.events("admin.revoked").await.pop().unwrap()
}

/// Requirements: portal.admin
#[tokio::test]
async fn given_somebody_who_is_no_administrator_when_they_ask_then_they_may_not_and_that_is_written_down() {
    let world = test_gateway().await;
    let mut ana = world.signed_in(ANA).await;
    for path in ["/admin", "/admin/clients", "/admin/teams", "/admin/origins", "/admin/people/anybody"] {
        let page = ana.get(path).await;
        assert_eq!(page.status, 403, "{path}");
        assert!(page.has("is not an administrator of this gateway"), "{}", page.html);
    }
    for (method, path, body) in [
        (Method::GET, "/api/admin/people", json!(null)),
        (Method::GET, "/api/admin/people/anybody", json!(null)),
        (Method::GET, "/api/admin/clients", json!(null)),
        (Method::GET, "/api/admin/teams", json!(null)),
        (Method::GET, "/api/admin/origins", json!(null)),
        (Method::POST, "/api/admin/people/anybody/revoke", json!({})),
        (Method::POST, "/api/admin/clients/revoke", json!({"client_id": world.client})),
        (Method::POST, "/api/admin/teams/revoke", json!({"team": "default/finance"})),
        (Method::POST, "/api/admin/origins/id-accounts/revoke", json!(null)),
        (Method::DELETE, "/api/admin/grants/any", json!(null)),
    ] {
        let (status, problem) = ana.api(method, path, Some(body).filter(|body| !body.is_null())).await;
        assert_eq!((status, &problem["error"]), (403, &json!("not_admin")), "{path}");
    }
    let denied = &world.events("policy.denied").await[0];
    assert_eq!(
        (&denied["reason"], &denied["subject"]),
        (&"not_admin".into(), &"company:ana@example.com".into())
    );
    assert!(!ana.get("/").await.has("Administration"), "nor is it shown");
    assert!(world.browser().get("/admin").await.has("Sign in with company"));
}

/// Requirements: portal.admin
#[tokio::test]
async fn given_another_identity_provider_when_its_groups_and_emails_are_an_administrators_then_they_give_nothing()
 {
    let mut world = TestGateway::new().await;
    world.update_config(|contract| contract.gateway.admins.users = vec![ANA.to_owned()]);
    let mut shopper = world.browser();
    let page = shopper.get(&world.authorize("shop", &[])).await;
    let users = shopper.submit(&page, "decision", "approve").await;
    shopper.submit(&users, "user", ANA).await;
    assert_eq!(shopper.get("/admin").await.status, 403, "a customer with the email of an administrator");
    assert_eq!(world.signed_in(ANA).await.get("/admin").await.status, 200);
}

/// Requirements: portal.admin
#[tokio::test]
async fn given_a_person_when_an_administrator_ends_everything_of_theirs_then_it_has_ended_and_nobody_elses_has()
 {
    let world = test_gateway().await;
    let (mut ana, mut eve) = (world.browser(), world.browser());
    let anas = world.grant(&mut ana, "open", ANA).await;
    let guarded = world.grant(&mut ana, "guarded", ANA).await;
    let eves = world.grant(&mut eve, "open", EVE).await;

    let page = eve.get("/admin?q=ANA@").await;
    assert!(page.has("company:ana@example.com") && !page.has("company:eve@"), "{}", page.html);
    let id = eve.find_person_id("ana").await;
    let page = eve.get(&format!("/admin/people/{id}")).await;
    for shown in ["Route open", "Route guarded", "in one browser", "finance", "End all access of Ana"] {
        assert!(page.has(shown), "{shown} is not on {}", page.html);
    }
    let done = eve.submit(&page, "", &format!("/admin/people/{id}/revoke")).await;
    assert!(done.has("2 grants, 1 session and 0 connected accounts ended"), "{}", done.html);
    assert!(
        !world.refresh_token_works("open", &anas).await
            && !world.refresh_token_works("guarded", &guarded).await
    );
    assert!(world.refresh_token_works("open", &eves).await);
    assert!(ana.get("/clients").await.has("Sign in with company"), "signed out");

    let event = revoked_event(&world).await;
    assert_eq!(
        (&event["reason"], &event["subject"], &event["target"], &event["outcome"]),
        (
            &"person".into(),
            &"company:eve@example.com".into(),
            &"company:ana@example.com".into(),
            &"success".into()
        )
    );
    assert_eq!(event["message"], "ended: 2 grants, 1 sessions, 0 connections");
    let each = world.events("auth.revoked").await;
    assert!(each.len() == 2 && each.iter().all(|event| event["reason"] == "by_admin"), "{each:?}");
    let (status, _) = eve.api(Method::GET, "/api/admin/people/nobody", None).await;
    assert_eq!(status, 404);
}

/// Requirements: portal.admin
#[tokio::test]
async fn given_a_client_when_it_is_ended_then_it_is_for_everybody_and_other_clients_go_on() {
    let mut world = test_gateway().await;
    let (mut ana, mut eve) = (world.browser(), world.browser());
    let one = world.grant(&mut ana, "open", ANA).await;
    let two = world.grant(&mut eve, "open", EVE).await;
    let first = world.client.clone();
    world.client = world.register(&[support::REDIRECT]).await;
    let other = world.grant(&mut ana, "open", ANA).await;
    let second = std::mem::replace(&mut world.client, first.clone());

    let (_, clients) = eve.api(Method::GET, "/api/admin/clients", None).await;
    assert_eq!(clients["clients"].as_array().unwrap().len(), 2, "{clients}");
    let (status, counted) =
        eve.api(Method::POST, "/api/admin/clients/revoke", Some(json!({"client_id": first}))).await;
    assert_eq!((status, &counted["grants"]), (200, &json!(2)));
    assert!(!world.refresh_token_works("open", &one).await && !world.refresh_token_works("open", &two).await);
    world.client = second;
    assert!(world.refresh_token_works("open", &other).await);
    let event = revoked_event(&world).await;
    assert_eq!((&event["reason"], &event["target"]), (&"client".into(), &first.as_str().into()));
}

/// Requirements: portal.admin
#[tokio::test]
async fn given_a_team_when_its_grants_are_ended_then_its_members_lose_them_on_its_routes_alone() {
    let mut world = test_gateway().await;
    world.update_config(|contract| {
        eve_administers(contract);
        for route in contract.routes.iter_mut().filter(|route| *route.slug == *"guarded") {
            route.access = portcullis_config::Access::Everyone;
        }
    });
    let (mut ana, mut eve) = (world.browser(), world.browser());
    let member = world.grant(&mut ana, "guarded", ANA).await;
    let elsewhere = world.grant(&mut ana, "open", ANA).await;
    let outsider = world.grant(&mut eve, "guarded", EVE).await;
    let page = eve.get("/admin/teams").await;
    assert!(page.has("default/finance") && page.has("Route guarded"), "{}", page.html);
    let done = eve.submit(&page, "", "default/finance").await;
    assert!(done.has("1 grant, 0 sessions"), "{}", done.html);
    assert!(!world.refresh_token_works("guarded", &member).await);
    assert!(world.refresh_token_works("open", &elsewhere).await, "a route that the team does not name");
    assert!(world.refresh_token_works("guarded", &outsider).await, "no member");
    let (status, _) =
        eve.api(Method::POST, "/api/admin/teams/revoke", Some(json!({"team": "default/none"}))).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn given_one_grant_when_it_is_ended_then_the_others_stay() {
    let world = test_gateway().await;
    let (mut ana, mut eve) = (world.browser(), world.browser());
    let open = world.grant(&mut ana, "open", ANA).await;
    let guarded = world.grant(&mut ana, "guarded", ANA).await;
    world.grant(&mut eve, "open", EVE).await;
    let id = eve.find_person_id("ana").await;
    let (_, shown) = eve.api(Method::GET, &format!("/api/admin/people/{id}"), None).await;
    let grants = shown["clients"].as_array().unwrap();
    let grant = grants.iter().find(|grant| grant["server"]["slug"] == "open").unwrap();
    let path = format!("/api/admin/grants/{}", grant["id"].as_str().unwrap());
    assert_eq!(eve.api(Method::DELETE, &path, None).await.1["grants"], 1);
    assert_eq!(eve.api(Method::DELETE, &path, None).await.1["grants"], 0, "it had ended");
    assert!(
        !world.refresh_token_works("open", &open).await
            && world.refresh_token_works("guarded", &guarded).await
    );
}

/// What is on each page of a list, up to the last.
async fn pages(admin: &mut Browser, path: &str, list: &str, name: &str) -> Vec<Vec<String>> {
    let (mut pages, mut after) = (Vec::new(), String::new());
    loop {
        let (_, part) = admin.api(Method::GET, &format!("{path}&after={after}"), None).await;
        let found = part[list].as_array().unwrap().iter();
        pages.push(found.map(|each| each[name].as_str().unwrap().to_owned()).collect());
        match part["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => return pages,
        }
    }
}

#[tokio::test]
async fn given_more_people_or_clients_than_a_page_holds_when_listed_then_each_comes_once_and_no_page_is_empty()
 {
    let mut world = test_gateway().await;
    let mut eve = world.signed_in(EVE).await;
    let (mut people, mut clients) = (Vec::new(), Vec::new());
    for number in 0..7 {
        let who = portcullis_policy::Principal::new("company", &format!("p{number}"), None, None, [""; 0]);
        world.identity.principals.save(&who).await.unwrap();
        people.push(who.subject.to_string());
        world.client = world.register(&[support::REDIRECT]).await;
        world.grant(&mut eve, "open", EVE).await;
        clients.push(world.client.clone());
        clients.sort();
        if number >= 5 {
            let chunks = |all: &[String]| all.chunks(3).map(<[String]>::to_vec).collect::<Vec<_>>();
            let path = "/api/admin/people?q=company:p&limit=3";
            assert_eq!(pages(&mut eve, path, "people", "subject").await, chunks(&people));
            let path = "/api/admin/clients?limit=3";
            assert_eq!(pages(&mut eve, path, "clients", "id").await, chunks(&clients));
        }
    }
}

#[tokio::test]
async fn given_the_pages_of_the_administration_then_each_says_which_it_is_and_leads_to_the_others() {
    let world = test_gateway().await;
    let mut eve = world.signed_in(EVE).await;
    let pages = [
        ("/admin", "People"),
        ("/admin/clients", "Clients"),
        ("/admin/teams", "Teams"),
        ("/admin/origins", "Origins"),
    ];
    for (here, _) in pages {
        let page = eve.get(here).await;
        for (path, name) in pages {
            let current = if path == here { r#" aria-current="page""# } else { "" };
            let link = format!(r#"<a href="{path}"{current}>{name}</a>"#);
            assert!(page.has(&link), "{link} is not on {}", page.html);
        }
    }
}
