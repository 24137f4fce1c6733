//! The portal's paths, headers, forms and API, as programs and browsers see them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod support;

use http::Method;
use portcullis_golden::assert_golden;
use serde_json::{Map, Value, json};
use support::{Browser, Page, TestGateway};

const ANA: &str = "ana@example.com";

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

/// A document without prose, random identifiers and times.
fn shown(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().filter(|(name, _)| *name != "message");
            kept.map(|(name, value)| (name.clone(), shown(value))).collect()
        }
        Value::Array(items) => items.iter().map(shown).collect(),
        Value::String(text) if text.len() == 20 && text.starts_with("20") && text.ends_with('Z') => {
            "<time>".into()
        }
        Value::String(text) if text.starts_with("pc_client_") => "pc_client_<random>".into(),
        Value::String(text) if text.len() == 43 && !text.contains(['.', ' ', '/']) => "<random>".into(),
        other => other.clone(),
    }
}

async fn administrator() -> (TestGateway, Browser) {
    let mut world = TestGateway::new().await;
    world.update_config(|contract| contract.gateway.admins.users = vec![ANA.to_owned()]);
    let mut ana = world.browser();
    world.grant(&mut ana, "open", ANA).await;
    (world, ana)
}

#[tokio::test]
async fn bodies_of_the_api_are_stable() {
    let (world, mut ana) = administrator().await;
    let id = ana.find_person_id("ana").await;
    let (_, clients) = ana.api(Method::GET, "/api/clients", None).await;
    let grant = clients["clients"][0]["id"].as_str().unwrap().to_owned();
    let requests = [
        (Method::GET, "/api/me", None),
        (Method::GET, "/api/servers", None),
        (Method::GET, "/api/connections", None),
        (Method::GET, "/api/clients", None),
        (Method::GET, "/api/admin/people", None),
        (Method::GET, &format!("/api/admin/people/{id}"), None),
        (Method::GET, "/api/admin/clients", None),
        (Method::GET, "/api/admin/teams", None),
        (Method::GET, "/api/admin/origins", None),
        (Method::GET, "/api/nothing", None),
        (Method::DELETE, "/api/connections/id-accounts", None),
        (Method::DELETE, &format!("/api/clients/{grant}"), None),
        (Method::DELETE, &format!("/api/admin/grants/{grant}"), None),
        (Method::POST, "/api/connections/id-accounts/connect", None),
        (Method::POST, "/api/admin/clients/revoke", Some(json!({"client_id": world.client}))),
        (Method::POST, "/api/admin/clients/revoke", Some(json!({"client": "x"}))),
        (Method::POST, "/api/admin/teams/revoke", Some(json!({"team": "default/finance"}))),
        (Method::POST, "/api/admin/origins/id-accounts/revoke", None),
        (Method::POST, &format!("/api/admin/people/{id}/revoke"), Some(json!({"connections": true}))),
        (Method::GET, "/api/me", None),
    ];
    let mut golden = Vec::new();
    for (method, path, body) in requests {
        let request = format!("{method} {}", path.replace(&id, "<id>").replace(&grant, "<grant>"));
        let sent = shown(&json!(body));
        let (status, answer) = ana.api(method, path, body).await;
        golden.push(json!({"request": request, "sent": sent, "status": status, "answer": shown(&answer)}));
    }
    let (status, refused) = ana.api_with(Method::DELETE, "/api/clients/x", None, &[]).await;
    golden
        .push(json!({"request": "without portcullis-request", "status": status, "answer": shown(&refused)}));
    assert_golden("portal/api.json", &pretty(&json!(golden)));
}

/// Where the forms of a page go, and the names of their fields and buttons.
fn forms(page: &Page) -> Value {
    let attribute = |tag: &str, name: &str| {
        let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
        Some(rest.split('"').next()?.to_owned())
    };
    let short = |path: String| {
        path.split('/')
            .map(|part| if part.len() == 43 { "<random>" } else { part })
            .collect::<Vec<_>>()
            .join("/")
    };
    let form = |html: &str| {
        let (tag, rest) = html.split_once('>').unwrap();
        let html = rest.split("</form>").next().unwrap();
        let fields = html.split('<').filter_map(|tag| {
            let name = attribute(tag, "name")?;
            let value = attribute(tag, "value").filter(|value| value.len() < 40);
            Some(json!([name, value]))
        });
        json!({
            "action": attribute(&format!(" {tag}"), "action").map(short), "method": attribute(&format!(" {tag}"), "method"),
            "fields": fields.collect::<Vec<_>>(),
        })
    };
    page.html.split("<form").skip(1).map(form).collect()
}

#[tokio::test]
async fn pages_have_their_paths_forms_and_headers() {
    let (world, mut ana) = administrator().await;
    let id = ana.find_person_id("ana").await;
    let person = format!("/admin/people/{id}");
    let paths = [
        "/",
        "/connections",
        "/clients",
        "/admin",
        &person,
        "/admin/clients",
        "/admin/teams",
        "/admin/origins",
    ];
    let mut pages = Map::new();
    for path in paths {
        let page = ana.get(path).await;
        pages.insert(path.replace(&id, "<id>"), json!({"status": page.status, "forms": forms(&page)}));
    }
    let mut eve = world.browser();
    let approve = eve.get(&world.authorize("guarded", &[])).await;
    let users = eve.submit(&approve, "decision", "approve").await;
    let refused = eve.submit(&users, "user", "eve@example.com").await;
    let headers =
        approve.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()));
    pages.insert("approval before sign-in".to_owned(), forms(&approve));
    pages.insert("development sign-in".to_owned(), forms(&users));
    pages.insert("no access".to_owned(), forms(&refused));
    let link = ana.get(&world.connect_link_path(ANA).await).await;
    pages.insert("connect link".to_owned(), forms(&link));
    pages.insert("headers of every page".to_owned(), headers.collect::<Map<_, _>>().into());
    assert_golden("portal/pages.json", &pretty(&Value::Object(pages)));
}

#[tokio::test]
async fn errors_of_the_authorization_endpoint_are_stable() {
    let world = TestGateway::new().await;
    let cases = [
        ("response_type", "token"),
        ("response_type", ""),
        ("code_challenge", ""),
        ("code_challenge_method", "plain"),
        ("resource", "https://elsewhere.example"),
        ("prompt", "none"),
        ("request", "x"),
        ("request_uri", "https://client.example/request"),
        ("client_id", "unknown"),
        ("redirect_uri", "https://elsewhere.example"),
    ];
    let mut golden = Vec::new();
    for (name, value) in cases {
        let page = world.browser().get(&world.authorize("open", &[(name, value)])).await;
        let error = page.url.starts_with("http").then(|| page.parameter("error")).flatten();
        golden.push(json!({"parameter": name, "value": value, "status": page.status, "error": error}));
    }
    assert_golden("authorization-server/authorization-errors.json", &pretty(&json!(golden)));
}

#[tokio::test]
async fn a_connect_link_is_stable() {
    let world = TestGateway::new().await;
    let link = world.connect_link_path(ANA).await;
    let (path, ticket) = link.split_once("?ticket=").unwrap();
    let golden = json!({"path": path, "parameter": "ticket", "characters": ticket.len()});
    assert_golden("portal/connect-link.json", &pretty(&golden));
}
