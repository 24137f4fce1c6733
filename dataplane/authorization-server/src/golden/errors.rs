//! Error codes of the OAuth endpoints, with the reasons in their events.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_events::EventKind;
use portcullis_golden::assert_golden;
use serde_json::{Map, Value, json};

use super::pretty;
use crate::testing::{REDIRECT, Signer, TestResponse, TestServer, cluster_key};

const TOKEN: &str = "/mcp/a/oauth/token";
const JWT_BEARER: (&str, &str) = ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");

/// Responses by the name of their request.
struct Seen(Map<String, Value>);

impl Seen {
    fn add(&mut self, world: &TestServer, asked: &str, answer: &TestResponse) {
        let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
        let kind = match asked.split(':').next() {
            Some("registration") => EventKind::ClientRegistered,
            Some("revoke" | "ended") => EventKind::Revoked,
            _ => EventKind::Token,
        };
        let events: Vec<Value> = world.events(kind).iter().map(|event| json!(event)).collect();
        let events = events.iter().map(|event| {
            let fields = ["event", "outcome", "failure_origin", "reason", "status"];
            fields.into_iter().map(|name| (name.to_owned(), event[name].clone())).collect()
        });
        let seen = json!({
            "status": answer.status, "error": answer.json["error"],
            "www-authenticate": header("www-authenticate"), "retry-after": header("retry-after"),
            "events": events.collect::<Vec<Value>>(),
        });
        assert!(self.0.insert(asked.to_owned(), seen).is_none(), "{asked} is there twice");
    }
}

#[tokio::test]
async fn errors_of_the_oauth_endpoints_are_stable() {
    let mut seen = Seen(Map::new());
    malformed(&mut seen).await;
    codes(&mut seen).await;
    refresh_tokens(&mut seen).await;
    assertions(&mut seen).await;
    registrations(&mut seen).await;
    assert_golden("authorization-server/errors.json", &pretty(&Value::Object(seen.0)));
}

async fn malformed(seen: &mut Seen) {
    let world = TestServer::new(&["a"]).await;
    let client = world.client().await;
    world.events(EventKind::Token);
    let id = ("client_id", client.id.as_str());
    for (asked, form) in [
        ("token: no grant_type", &[id][..]),
        ("token: no client_id", &[("grant_type", "refresh_token")]),
        ("token: grant_type that is not known", &[id, ("grant_type", "password")]),
        ("token: parameter twice", &[id, id, ("grant_type", "refresh_token")]),
        ("token: no refresh_token", &[id, ("grant_type", "refresh_token")]),
        ("token: client credentials that are not set up", &[id, ("grant_type", "client_credentials")]),
    ] {
        seen.add(&world, asked, &world.post(TOKEN, form).await);
    }
    seen.add(&world, "token: route that is not served", &world.post("/mcp/x/oauth/token", &[id]).await);
    let basic = format!("Basic {}", STANDARD.encode("pc_client_x:secret"));
    let form = [("grant_type", "refresh_token"), ("refresh_token", "x")];
    seen.add(&world, "token: unknown client", &world.post_as(TOKEN, &form, Some(&basic)).await);
    seen.add(&world, "revoke: no token", &world.post("/mcp/a/oauth/revoke", &[id]).await);
    seen.add(
        &world,
        "metadata: route that is not served",
        &world.get("/mcp/x/.well-known/openid-configuration").await,
    );
    world.store.close().await;
    seen.add(&world, "token: store that does not answer", &world.refresh("a", &client, "pc_refresh_x").await);
    while world.post(TOKEN, &[id]).await.status != 429 {}
    world.events(EventKind::Token);
    seen.add(&world, "token: too many failures", &world.post(TOKEN, &[id]).await);
    seen.add(&world, "revoke: too many failures", &world.post("/mcp/a/oauth/revoke", &[id]).await);
}

async fn codes(seen: &mut Seen) {
    let world = TestServer::new(&["a", "b"]).await;
    let (client, other) = (world.client().await, world.client().await);
    world.events(EventKind::Token);
    for (asked, path, change) in [
        ("code: unknown", TOKEN, ("code", "pc_code_x")),
        ("code: of another client", TOKEN, ("client_id", other.id.as_str())),
        ("code: of another issuer", "/mcp/b/oauth/token", ("grant_type", "authorization_code")),
        ("code: another redirect_uri", TOKEN, ("redirect_uri", "http://127.0.0.1:9/other")),
        ("code: another verifier", TOKEN, ("code_verifier", "x")),
        ("code: another resource", TOKEN, ("resource", "https://gateway.example/mcp/b")),
    ] {
        let code = world.code(&client, "a", false).await;
        seen.add(&world, asked, &world.exchange(path, &client, &code, &[change]).await);
    }
    for asked in ["code: used", "ended: by a code that was used"] {
        let code = world.code(&client, "a", false).await;
        world.exchange(TOKEN, &client, &code, &[]).await;
        world.events(EventKind::Token);
        seen.add(&world, asked, &world.exchange(TOKEN, &client, &code, &[]).await);
    }
    let code = world.code(&client, "a", false).await;
    world.advance(60);
    seen.add(&world, "code: expired", &world.exchange(TOKEN, &client, &code, &[]).await);
}

async fn refresh_tokens(seen: &mut Seen) {
    let world = TestServer::new(&["a", "b"]).await;
    let (client, other) = (world.client().await, world.client().await);
    let issued = world.tokens(&client, "a").await;
    let token = issued.text("refresh_token");
    world.events(EventKind::Token);
    seen.add(&world, "refresh token: unknown", &world.refresh("a", &client, "x").await);
    seen.add(&world, "refresh token: of another client", &world.refresh("a", &other, token).await);
    seen.add(&world, "refresh token: of another issuer", &world.refresh("b", &client, token).await);
    let used = world.refresh("a", &client, token).await;
    world.events(EventKind::Token);
    let unused = world.refresh("a", &client, token).await;
    seen.add(&world, "refresh token: repeated within the grace period", &unused);
    world.refresh("a", &client, used.text("refresh_token")).await;
    world.events(EventKind::Token);
    world.advance(60);
    let answer = world.refresh("a", &client, unused.text("refresh_token")).await;
    seen.add(&world, "refresh token: superseded by a sibling", &answer);
    seen.add(&world, "refresh token: used", &world.refresh("a", &client, token).await);
    seen.add(&world, "refresh token: of a grant that has ended", &world.refresh("a", &client, token).await);
    let issued = world.tokens(&client, "b").await;
    let token = issued.text("refresh_token");
    world.swap(&["a"], |_| {});
    world.events(EventKind::Token);
    seen.add(&world, "refresh token: route is gone", &world.refresh("b", &client, token).await);
    world.swap(&["a", "b"], |_| {});
    world.events(EventKind::Token);
    let form = [("client_id", other.id.as_str()), ("token", token)];
    seen.add(&world, "revoke: token of another client", &world.post("/mcp/b/oauth/revoke", &form).await);
    let form = [("client_id", client.id.as_str()), ("token", token)];
    seen.add(&world, "revoke: token of the client", &world.post("/mcp/b/oauth/revoke", &form).await);
    let issued = world.tokens(&client, "a").await;
    world.events(EventKind::Token);
    world.advance(30 * 24 * 3600);
    let answer = world.refresh("a", &client, issued.text("refresh_token")).await;
    seen.add(&world, "refresh token: expired", &answer);
}

async fn assertions(seen: &mut Seen) {
    let world = TestServer::in_cluster(&["a"]).await;
    world.swap(&["a"], |contract| {
        let team = json!({
            "uid": "t", "name": "default/t", "displayName": "T",
            "members": {"groups": [], "users": [], "serviceAccounts": ["mcp/reporter"]},
            "access": [{"route": "uid-a", "tools": {"include": null, "exclude": [], "overrides": []}}],
        });
        contract.teams = vec![serde_json::from_value(team).unwrap()];
        contract.routes[0].access = portcullis_config::Access::Teams;
    });
    let sign = |signer: &Signer, account: &str, audience: &str, away: bool| {
        let sub = format!("system:serviceaccount:mcp:{account}");
        signer.sign(None, &json!({"sub": sub, "aud": [audience], "exp": 1_790_003_600, "away": away}))
    };
    let (ours, cluster) = ("https://gateway.example/mcp/a", cluster_key());
    let other = sign(&Signer::new("other", 1), "reporter", ours, false);
    for (asked, assertion) in [
        ("assertion: malformed", "x".to_owned()),
        ("assertion: another audience", sign(&cluster, "reporter", "https://x.example", false)),
        ("assertion: another signer", other),
        ("assertion: review that is not available", sign(&cluster, "reporter", ours, true)),
        ("assertion: account of no team", sign(&cluster, "other", ours, false)),
    ] {
        seen.add(&world, asked, &world.post(TOKEN, &[JWT_BEARER, ("assertion", &assertion)]).await);
    }
    let good = sign(&cluster, "reporter", ours, false);
    let form = [JWT_BEARER, ("assertion", good.as_str())];
    while world.post(TOKEN, &form).await.status == 200 {}
    world.events(EventKind::Token);
    seen.add(&world, "assertion: too many reviews", &world.post(TOKEN, &form).await);
}

async fn registrations(seen: &mut Seen) {
    let world = TestServer::new(&["a"]).await;
    let sound = json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none"});
    for (asked, document) in [
        ("registration: redirect that is not acceptable", json!({"redirect_uris": ["http://evil.example/"]})),
        ("registration: not an object", json!([1])),
        (
            "registration: method that is not known",
            json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "x"}),
        ),
        (
            "registration: metadata of more than 4 KiB",
            json!({"redirect_uris": vec![format!("https://client.example/{}", "x".repeat(1_000)); 5]}),
        ),
        ("registration: sound", sound.clone()),
    ] {
        seen.add(&world, asked, &world.register("/register", &document).await);
    }
    while world.register("/register", &sound).await.status == 201 {}
    world.events(EventKind::Token);
    seen.add(&world, "registration: too many", &world.register("/register", &sound).await);
    world.swap(&["a"], |contract| contract.gateway.clients.dynamic_registration = false);
    seen.add(&world, "registration: closed", &world.register("/register", &sound).await);
}
