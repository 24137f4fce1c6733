//! *My connections* and *My clients*: what somebody has given and connected, and how they take it back.

mod support;

use http::Method;
use portcullis_config::{Access, RouteConfig};
use portcullis_origin_auth::ConnectionStatus;
use portcullis_store::{GrantRow, StepUpRow};
use serde_json::json;
use support::{OpenIdProvider, PUBLIC_URL, TestGateway};

const ANA: &str = "ana@example.com";
const EVE: &str = "eve@example.com";

#[tokio::test]
async fn given_a_stranger_when_they_open_a_page_of_their_own_then_they_sign_in_and_come_back_to_it() {
    let world = TestGateway::new().await;
    for path in ["/connections", "/clients"] {
        let mut browser = world.browser();
        let page = browser.get(path).await;
        assert!(page.has("Sign in with company"), "{}", page.html);
        let users = browser.submit(&page, "", r#"value="company""#).await;
        let back = browser.submit(&users, "user", ANA).await;
        assert_eq!(back.url, format!("{PUBLIC_URL}{path}"));
    }
}

/// Requirements: portal.mine
#[tokio::test]
async fn given_a_client_with_a_grant_when_its_person_removes_it_then_it_has_ended_and_must_ask_again() {
    let world = TestGateway::new().await;
    let mut ana = world.browser();
    let refresh = world.grant(&mut ana, "open", ANA).await;
    let page = ana.get("/clients").await;
    for shown in
        ["A &#60;b&#62;plain&#60;/b&#62; client", "Route open", "unverified name", "within the last hour"]
    {
        assert!(page.has(shown), "{shown} is not on {}", page.html);
    }
    let page = ana.submit(&page, "", "/revoke").await;
    assert_eq!(page.status, 200);
    assert!(page.has("No apps yet"), "{}", page.html);
    assert!(!world.refresh_token_works("open", &refresh).await);
    let event = &world.events("auth.revoked").await[0];
    assert_eq!(
        (&event["reason"], &event["subject"]),
        (&"by_person".into(), &"company:ana@example.com".into())
    );
    let asked = ana.get(&world.authorize("open", &[])).await;
    assert!(asked.has("Allow A &#60;b&#62;plain"), "the approval went with it: {}", asked.html);
}

/// Requirements: portal.mine
#[tokio::test]
async fn given_another_persons_grant_when_somebody_names_it_then_there_is_no_such_thing() {
    let world = TestGateway::new().await;
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
    assert!(world.refresh_token_works("open", &anas).await);
}

#[tokio::test]
async fn given_an_account_when_it_is_connected_and_used_up_then_the_page_says_how_it_stands() {
    let idp = OpenIdProvider::start().await;
    let world = TestGateway::with(Some(&idp)).await;
    let mut browser = world.browser();
    let page = browser.get("/connections").await;
    let leaving = browser.submit(&page, "", r#"value="company""#).await;
    let page = browser.get(&idp.complete_authorization(&leaving.url)).await;
    assert!(page.has("Not connected"), "{}", page.html);
    assert!(!page.has("Last used") && !page.has("Disconnect"), "nothing is there to forget: {}", page.html);

    let (status, began) = browser.api(Method::POST, "/api/connections/id-accounts/connect", None).await;
    assert_eq!(status, 200, "{began}");
    let page = browser.get(&idp.complete_authorization(began["url"].as_str().unwrap())).await;
    assert!(page.has("Connected") && page.has("never"), "{}", page.html);
    assert!(!page.has("Also requested") && !page.has("/connect\""), "it works: {}", page.html);
    let (_, listed) = browser.api(Method::GET, "/api/connections", None).await;
    let listed = &listed["connections"][0];
    assert_eq!((&listed["state"], &listed["origin"]["id"]), (&json!("connected"), &json!("id-accounts")));
    assert!(listed["connected_at"].is_string() && listed["last_used_at"].is_null(), "{listed}");

    let row = world.store.connection(listed["person"].as_str().unwrap(), "accounts").await.unwrap().unwrap();
    let step_up = StepUpRow {
        principal_id: row.principal_id.clone(),
        origin_uid: row.origin_uid.clone(),
        origin_url: row.origin_url.clone(),
        wanted: "files:write".to_owned(),
        ..StepUpRow::default()
    };
    assert!(world.store.put_step_up(&step_up, None).await.unwrap());
    let page = browser.get("/connections").await;
    assert!(page.has(">Allow more at Origin accounts") && page.has("Also requested"), "{}", page.html);
    assert!(world.store.mark_connection_dead(&row, "dead").await.unwrap());
    let page = browser.get("/connections").await;
    assert!(page.has("Reconnect required") && page.has(">Reconnect Origin accounts"), "{}", page.html);
    assert!(!page.has("Allow more at") && page.has(">Disconnect Origin accounts"), "{}", page.html);
    let (status, _) = browser.api(Method::DELETE, "/api/connections/id-accounts", None).await;
    assert_eq!(status, 204);
    assert_eq!(world.connection("1").await, ConnectionStatus::NeverConnected);
}

#[tokio::test]
async fn given_routes_of_one_origin_then_it_is_one_account_used_by_those_that_its_person_may_use() {
    let mut world = TestGateway::new().await;
    world.update_config(|contract| {
        let route = contract.routes.iter().find(|route| *route.slug == *"accounts").unwrap().clone();
        for (slug, access, suspended) in [
            ("accounts-a", Access::Everyone, false),
            ("accounts-b", Access::Teams, false),
            ("accounts-c", Access::Everyone, true),
        ] {
            contract.routes.push(RouteConfig {
                uid: format!("uid-{slug}"),
                slug: slug.to_owned(),
                display_name: format!("Route {slug}"),
                access,
                suspended,
                ..route.clone()
            });
        }
    });
    let mut eve = world.signed_in(EVE).await;
    let page = eve.get("/connections").await;
    assert!(page.has("<dd>Route accounts, Route accounts-a</dd>"), "{}", page.html);
    let (_, listed) = eve.api(Method::GET, "/api/connections", None).await;
    assert_eq!(listed["connections"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed["connections"][0]["may_connect"], true);
}

#[tokio::test]
async fn given_an_account_when_its_person_may_use_it_no_more_then_they_can_disconnect_it_and_then_it_is_gone()
{
    let idp = OpenIdProvider::start().await;
    let mut world = TestGateway::with(Some(&idp)).await;
    let mut browser = world.browser();
    let page = browser.get("/connections").await;
    let leaving = browser.submit(&page, "", r#"value="company""#).await;
    let page = browser.get(&idp.complete_authorization(&leaving.url)).await;
    let leaving = browser.submit(&page, "", "/connections/").await;
    browser.get(&idp.complete_authorization(&leaving.url)).await;
    world.update_config(|contract| {
        for route in contract.routes.iter_mut().filter(|route| *route.slug == *"accounts") {
            route.access = Access::Teams;
        }
    });
    let (_, listed) = browser.api(Method::GET, "/api/connections", None).await;
    let listed = &listed["connections"][0];
    assert_eq!((&listed["state"], &listed["may_connect"]), (&json!("connected"), &json!(false)));
    let page = browser.get("/connections").await;
    assert!(page.has("You no longer have access to a server that uses this account"), "{}", page.html);
    let page = browser.submit(&page, "", "/disconnect").await;
    assert!(page.has("None of your servers needs a connected account"), "{}", page.html);
}

#[tokio::test]
async fn given_a_client_with_a_metadata_document_then_its_host_vouches_for_its_name() {
    let world = TestGateway::new().await;
    let mut ana = world.browser();
    world.grant(&mut ana, "open", ANA).await;
    let (_, listed) = ana.api(Method::GET, "/api/clients", None).await;
    assert_eq!(listed["clients"][0]["client"]["published_by"], json!(null));
    let own = world.store.grant(listed["clients"][0]["id"].as_str().unwrap()).await.unwrap().unwrap();
    let (id, client_id) = ("another".to_owned(), "https://app.example/client.json".to_owned());
    world.store.add_grant(&GrantRow { id, client_id, ..own }).await.unwrap();
    let page = ana.get("/clients").await;
    assert!(page.has("published by app.example") && page.has("unverified name"), "{}", page.html);
    let (_, listed) = ana.api(Method::GET, "/api/clients", None).await;
    let mut clients = listed["clients"].as_array().unwrap().iter().map(|grant| &grant["client"]);
    assert!(clients.any(|client| client["published_by"] == "app.example"), "{listed}");
}

/// Requirements: portal.mine
#[tokio::test]
async fn given_a_route_that_somebody_may_not_use_when_they_connect_its_origin_then_they_may_not() {
    let world = TestGateway::new().await;
    let mut eve = world.signed_in(EVE).await;
    let mut world = world;
    world.update_config(|contract| {
        for route in contract.routes.iter_mut().filter(|route| *route.slug == *"accounts") {
            route.access = Access::Teams;
        }
    });
    let (status, problem) = eve.api(Method::POST, "/api/connections/id-accounts/connect", None).await;
    assert_eq!((status, &problem["error"]), (403, &json!("no_access")));
    assert_eq!(world.events("policy.denied").await[0]["reason"], "no_team");
    let (status, _) = eve.api(Method::POST, "/api/connections/nothing/connect", None).await;
    assert_eq!(status, 404);
}
