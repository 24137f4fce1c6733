//! *My connections* and *My clients*: what somebody has given and connected, and how they take it back.

mod support;

use http::Method;
use portcullis_vault::ConnectionStatus;
use serde_json::json;
use support::{OpenIdProvider, PUBLIC_URL, World};

const ANA: &str = "ana@example.com";
const EVE: &str = "eve@example.com";

#[tokio::test]
async fn given_a_stranger_when_they_open_a_page_of_their_own_then_they_sign_in_and_come_back_to_it() {
    let world = World::new().await;
    for path in ["/connections", "/clients"] {
        let mut browser = world.browser();
        let page = browser.get(path).await;
        assert!(page.has("Sign in with company"), "{}", page.html);
        let users = browser.press(&page, "", r#"value="company""#).await;
        let back = browser.press(&users, "user", ANA).await;
        assert_eq!(back.url, format!("{PUBLIC_URL}{path}"));
    }
}

#[tokio::test]
async fn given_a_client_with_a_grant_when_its_person_removes_it_then_it_has_ended_and_must_ask_again() {
    let world = World::new().await;
    let mut ana = world.browser();
    let refresh = world.grant(&mut ana, "open", ANA).await;
    let page = ana.get("/clients").await;
    for shown in [
        "A &#60;b&#62;plain&#60;/b&#62; client",
        "Route open",
        "its own name for itself",
        "within the last hour",
    ] {
        assert!(page.has(shown), "{shown} is not on {}", page.html);
    }
    let page = ana.press(&page, "", "/revoke").await;
    assert_eq!(page.status, 200);
    assert!(page.has("There is none"), "{}", page.html);
    assert!(!world.still_good("open", &refresh).await);
    let event = &world.events("auth.revoked").await[0];
    assert_eq!(
        (&event["reason"], &event["subject"]),
        (&"by_person".into(), &"company:ana@example.com".into())
    );
    let asked = ana.get(&world.authorize("open", &[])).await;
    assert!(asked.has("Allow A &#60;b&#62;plain"), "the approval went with it: {}", asked.html);
}

#[tokio::test]
async fn given_another_persons_grant_when_somebody_names_it_then_there_is_no_such_thing() {
    let world = World::new().await;
    let (mut ana, mut eve) = (world.browser(), world.browser());
    let anas = world.grant(&mut ana, "open", ANA).await;
    world.grant(&mut eve, "open", EVE).await;
    let (_, mine) = ana.api(Method::GET, "/api/clients", None).await;
    let id = mine["clients"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(mine["clients"].as_array().unwrap().len(), 1);

    let page = eve.get("/clients").await;
    assert!(!page.has(&id));
    let (_, fields) = page.form("", "/revoke");
    let forged = eve.post(&format!("/clients/{id}/revoke"), &fields).await;
    assert_eq!(forged.status, 403, "the token of a form is for one grant");
    let (own, _) = page.form("", "/revoke");
    let (_, anas_form) = ana.get("/clients").await.form("", "/revoke");
    assert_eq!(eve.post(&own, &anas_form).await.status, 403, "and for one browser");
    for missing in [id.as_str(), "nothing", "%00"] {
        let (status, problem) = eve.api(Method::DELETE, &format!("/api/clients/{missing}"), None).await;
        assert_eq!((status, &problem["error"]), (404, &json!("not_found")), "{missing}");
    }
    assert!(world.still_good("open", &anas).await);
}

#[tokio::test]
async fn given_an_account_when_it_is_connected_and_used_up_then_the_page_says_how_it_stands() {
    let idp = OpenIdProvider::start().await;
    let world = World::with(Some(&idp)).await;
    let mut browser = world.browser();
    let page = browser.get("/connections").await;
    let leaving = browser.press(&page, "", r#"value="company""#).await;
    let page = browser.get(&idp.answer(&leaving.url)).await;
    assert!(page.has("Not connected"), "{}", page.html);

    let (status, began) = browser.api(Method::POST, "/api/connections/id-accounts/connect", None).await;
    assert_eq!(status, 200, "{began}");
    let page = browser.get(&idp.answer(began["url"].as_str().unwrap())).await;
    assert!(page.has("Connected") && page.has("never"), "{}", page.html);
    let (_, listed) = browser.api(Method::GET, "/api/connections", None).await;
    let listed = &listed["connections"][0];
    assert_eq!((&listed["state"], &listed["origin"]["id"]), (&json!("connected"), &json!("id-accounts")));
    assert!(listed["connected_at"].is_string() && listed["last_used_at"].is_null(), "{listed}");

    let row = world.store.connection(listed["person"].as_str().unwrap(), "accounts").await.unwrap().unwrap();
    assert!(world.store.bury_connection(&row, "dead").await.unwrap());
    let page = browser.get("/connections").await;
    assert!(page.has("Has to be connected again") && page.has(">Reconnect Origin accounts"), "{}", page.html);
    let (status, _) = browser.api(Method::DELETE, "/api/connections/id-accounts", None).await;
    assert_eq!(status, 204);
    assert_eq!(world.connection("1").await, ConnectionStatus::NeverConnected);
}

#[tokio::test]
async fn given_a_route_that_somebody_may_not_use_when_they_connect_its_origin_then_they_may_not() {
    let world = World::new().await;
    let mut eve = world.signed_in(EVE).await;
    let mut world = world;
    world.change(|contract| {
        for route in contract.routes.iter_mut().filter(|route| *route.slug == *"accounts") {
            route.access = portcullis_contract::Access::Teams;
        }
    });
    let (status, problem) = eve.api(Method::POST, "/api/connections/id-accounts/connect", None).await;
    assert_eq!((status, &problem["error"]), (403, &json!("no_access")));
    assert_eq!(world.events("policy.denied").await[0]["reason"], "no_team");
    let (status, _) = eve.api(Method::POST, "/api/connections/nothing/connect", None).await;
    assert_eq!(status, 404);
}
