//! The portal as JSON: who may ask, and for what.

mod support;

use http::Method;
use serde_json::json;
use support::TestGateway;

const ANA: &str = "ana@example.com";

/// Everything that changes something.
const CHANGES: [(Method, &str); 9] = [
    (Method::DELETE, "/api/connections/id-accounts"),
    (Method::POST, "/api/connections/id-accounts/connect"),
    (Method::DELETE, "/api/clients/some-grant"),
    (Method::POST, "/api/admin/people/somebody/revoke"),
    (Method::POST, "/api/admin/clients/revoke"),
    (Method::POST, "/api/admin/teams/revoke"),
    (Method::POST, "/api/admin/origins/id-accounts/revoke"),
    (Method::DELETE, "/api/admin/grants/some-grant"),
    (Method::POST, "/api/admin/people/somebody/revoke"),
];

const READS: [&str; 9] = [
    "/api/me",
    "/api/servers",
    "/api/connections",
    "/api/clients",
    "/api/admin/people",
    "/api/admin/people/somebody",
    "/api/admin/clients",
    "/api/admin/teams",
    "/api/admin/origins",
];

/// Requirements: portal.api
#[tokio::test]
async fn given_nobody_signed_in_when_the_api_is_asked_then_it_is_a_401_in_json() {
    let world = TestGateway::new().await;
    let mut browser = world.browser();
    for path in READS {
        let (status, problem) = browser.api(Method::GET, path, None).await;
        assert_eq!((status, &problem["error"]), (401, &json!("not_signed_in")), "{path}");
    }
    for (method, path) in CHANGES {
        assert_eq!(browser.api(method, path, Some(json!({}))).await.0, 401, "{path}");
    }
}

/// Requirements: portal.api
#[tokio::test]
async fn given_a_change_that_no_page_of_ours_asks_for_then_nothing_happens() {
    let world = TestGateway::new().await;
    let mut ana = world.signed_in(ANA).await;
    let foreign: [&[(&str, &str)]; 6] = [
        &[],
        &[("sec-fetch-site", "same-origin")],
        &[("portcullis-request", "1")],
        &[("portcullis-request", "1"), ("sec-fetch-site", "cross-site")],
        &[("portcullis-request", "1"), ("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:8080")],
        &[("portcullis-request", "1"), ("origin", "https://evil.example")],
    ];
    for (method, path) in CHANGES {
        for headers in foreign {
            let (status, problem) = ana.api_with(method.clone(), path, Some(json!({})), headers).await;
            assert_eq!((status, &problem["error"]), (403, &json!("not_from_here")), "{path} {headers:?}");
        }
    }
    let ours = [("portcullis-request", "1"), ("origin", "http://127.0.0.1:8080")];
    let (status, _) = ana.api_with(Method::DELETE, "/api/clients/nothing", None, &ours).await;
    assert_eq!(status, 404, "a page of ours, in a browser without Sec-Fetch-Site");
}

#[tokio::test]
async fn given_somebody_signed_in_when_asked_who_and_what_then_it_is_theirs() {
    let world = TestGateway::new().await;
    let mut ana = world.signed_in(ANA).await;
    let (_, me) = ana.api(Method::GET, "/api/me", None).await;
    assert_eq!((&me["people"][0]["email"], &me["is_admin"]), (&json!(ANA), &json!(false)));
    let (_, servers) = ana.api(Method::GET, "/api/servers", None).await;
    let slugs: Vec<_> =
        servers["servers"].as_array().unwrap().iter().map(|it| it["slug"].as_str().unwrap()).collect();
    assert_eq!(slugs, ["accounts", "guarded", "open"], "not what is off, not the shop's");
    let (status, problem) = ana.api(Method::GET, "/api/nothing", None).await;
    assert_eq!((status, &problem["error"]), (404, &json!("not_found")));
}

#[tokio::test]
async fn given_two_people_in_one_browser_when_one_has_to_be_meant_then_it_has_to_be_said_which() {
    let world = TestGateway::new().await;
    let mut ana = world.signed_in(ANA).await;
    let page = ana.get(&world.authorize("shop", &[])).await;
    let users = ana.submit(&page, "decision", "approve").await;
    ana.submit(&users, "user", ANA).await;
    let (_, me) = ana.api(Method::GET, "/api/me", None).await;
    assert_eq!(me["people"].as_array().unwrap().len(), 2);
    let path = "/api/connections/id-accounts";
    assert_eq!(ana.api(Method::DELETE, path, None).await.1["error"], "ambiguous");
    for (provider, expected) in [("company", 204), ("customers", 204), ("nobody", 401)] {
        let (status, _) =
            ana.api(Method::DELETE, &format!("{path}?identity_provider={provider}"), None).await;
        assert_eq!(status, expected, "{provider}");
    }
}
