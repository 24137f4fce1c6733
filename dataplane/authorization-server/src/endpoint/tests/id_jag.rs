//! Identity assertions: MCP "Enterprise-Managed Authorization", sections 4.3 and 5.1.

use axum::Router;
use axum::routing::get;
use portcullis_config::{Config, IdentityProviderKind, WorkloadCredential};
use portcullis_events::EventKind;
use portcullis_policy::Principal;
use serde_json::{Value, json};

use super::headless::{team, workload};
use super::{A, error};
use crate::testing::{REDIRECT, Signer, TestResponse, TestServer, serve};

const GRANT: (&str, &str) = ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
const TYPE: (&str, &str) =
    ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
const TYP: Option<&str> = Some("oauth-id-jag+jwt");
const RESOURCE: &str = "https://gateway.example/mcp/a";

fn provider() -> Signer {
    Signer::new("provider", 9)
}

/// Starts a provider that publishes its metadata and keys. Returns its issuer.
async fn published() -> String {
    let listener = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let known = std::sync::Arc::clone(&listener);
    let metadata = get(move || async move {
        let issuer = known.get().cloned().unwrap_or_default();
        axum::Json(json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")}))
    });
    let keys = get(|| async { axum::Json(provider().jwks()) });
    let router = Router::new().route("/.well-known/openid-configuration", metadata).route("/keys", keys);
    let issuer = serve(router).await;
    listener.set(issuer.clone()).unwrap();
    issuer
}

fn settings(contract: &mut Config, issuer: &str, id_jag: bool) {
    contract.gateway.identity_providers[0].kind = IdentityProviderKind::Oidc(
        serde_json::from_value(json!({
            "issuer": issuer, "clientId": "portcullis", "clientSecret": null, "scopes": ["openid"],
            "claims": {"subject": "sub", "email": "email", "name": "name", "groups": "groups"},
            "trustEmail": false, "idJag": id_jag, "privateNetworks": ["127.0.0.0/8"], "caBundlePem": null,
        }))
        .unwrap(),
    );
    contract.gateway.clients.workloads =
        vec![workload(WorkloadCredential::Jwks(Signer::new("client", 5).jwks()))];
    contract.teams = vec![team(json!({"groups": ["finance"]}))];
    contract.routes.iter_mut().for_each(|route| route.access = portcullis_config::Access::Teams);
}

struct Company {
    world: TestServer,
    issuer: String,
    count: std::cell::Cell<u32>,
}

impl Company {
    async fn new() -> Self {
        let (world, issuer) = (TestServer::new(&["a", "b"]).await, published().await);
        world.swap(&["a", "b"], |contract| settings(contract, &issuer, true));
        Self { world, issuer, count: std::cell::Cell::new(0) }
    }

    fn next(&self) -> String {
        self.count.set(self.count.get() + 1);
        self.count.get().to_string()
    }

    fn claims(&self) -> Value {
        let now = self.world.clock.now().seconds();
        json!({
            "iss": self.issuer, "sub": "ana", "aud": RESOURCE, "resource": RESOURCE, "client_id": "reporter",
            "jti": self.next(), "iat": now, "exp": now + 300, "scope": "mcp",
        })
    }

    fn with(&self, name: &str, value: Value) -> Value {
        let mut claims = self.claims();
        claims[name] = value;
        claims
    }

    /// Sends an identity assertion, authenticated as the workload.
    async fn show(&self, assertion: &str) -> TestResponse {
        let exp = self.world.clock.now().seconds() + 300;
        let client = Signer::new("client", 5).sign(
            None,
            &json!({"iss": "reporter", "sub": "reporter", "aud": RESOURCE, "exp": exp, "jti": self.next()}),
        );
        self.world.post(A, &[GRANT, ("assertion", assertion), TYPE, ("client_assertion", &client)]).await
    }
}

/// Requirements: as.headless.person
#[tokio::test]
async fn given_an_identity_assertion_then_the_token_is_for_the_same_person_as_who_signs_in_by_a_browser() {
    let company = Company::new().await;
    let assertion = provider().sign(TYP, &company.claims());
    let answer = company.show(&assertion).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json.get("refresh_token"), None);
    let caller = company.world.authenticate(answer.text("access_token"), "a").await.unwrap();
    // Claims that the assertion lacks keep their values from the sign-in.
    assert_eq!(caller.principal, crate::testing::ana());
    assert_eq!((&*caller.client_id, &*caller.client_name), ("reporter", "The reporter"));
    assert_eq!(error(&company.show(&assertion).await), (400, "invalid_grant"), "it counts once");
}

#[tokio::test]
async fn given_an_assertion_that_describes_the_person_then_that_is_what_is_known_of_them() {
    let company = Company::new().await;
    let mut claims = company.with("groups", json!(["finance", "board"]));
    claims["email"] = json!("ana@elsewhere.example");
    let answer = company.show(&provider().sign(TYP, &claims)).await;
    let caller = company.world.authenticate(answer.text("access_token"), "a").await.unwrap();
    let expected = Principal::new("company", "ana", None, Some("Ana"), ["finance", "board"]);
    assert_eq!(caller.principal, expected, "an unverified address is ignored");
    let mut newcomer = company.with("sub", json!("new"));
    newcomer["groups"] = json!(["finance"]);
    assert_eq!(company.show(&provider().sign(TYP, &newcomer)).await.status, 200);
    let stranger = provider().sign(TYP, &company.with("sub", json!("stranger")));
    assert_eq!(error(&company.show(&stranger).await), (400, "access_denied"));
}

/// Requirements: as.headless.person
#[tokio::test]
async fn given_an_identity_assertion_when_anything_in_it_is_not_as_it_must_be_then_it_does_not_count() {
    let company = Company::new().await;
    let now = company.world.clock.now().seconds();
    for claims in [
        company.with("iss", json!("https://elsewhere.example")),
        company.with("aud", json!("https://gateway.example/mcp/b")),
        company.with("aud", json!("https://gateway.example")),
        company.with("aud", json!([RESOURCE, "https://elsewhere.example"])),
        company.with("resource", json!("https://gateway.example/mcp/b")),
        company.with("resource", json!(null)),
        company.with("client_id", json!("another")),
        company.with("client_id", json!(null)),
        company.with("sub", json!("")),
        company.with("exp", json!(now - 60)),
        company.with("exp", json!(now + 7200)),
        company.with("iat", json!(null)),
        company.with("jti", json!(null)),
    ] {
        assert_eq!(
            error(&company.show(&provider().sign(TYP, &claims)).await),
            (400, "invalid_grant"),
            "{claims}"
        );
    }
    let mut undated = company.claims();
    undated.as_object_mut().unwrap().remove("iat");
    assert_eq!(error(&company.show(&provider().sign(TYP, &undated)).await), (400, "invalid_grant"));
    let sound = company.claims();
    for forged in [
        Signer::new("provider", 8).sign(TYP, &sound),
        provider().sign_with_public_key_as_secret(TYP, &sound),
        provider().sign(Some("at+jwt"), &sound),
        "x".to_owned(),
    ] {
        assert_eq!(error(&company.show(&forged).await), (400, "invalid_grant"), "{forged}");
    }
    // An id_token of the same provider is not an assertion: without the typ it is read as a service account
    // token.
    assert_eq!(error(&company.show(&provider().sign(None, &sound)).await).0, 400);
    assert_eq!(company.show(&provider().sign(TYP, &sound)).await.status, 200);
}

/// OpenID Connect Discovery 1.0, section 4.3.
/// Requirements: as.headless.person
#[tokio::test]
async fn given_a_provider_whose_metadata_name_another_issuer_when_it_vouches_for_somebody_then_it_is_not_believed()
 {
    let mut company = Company::new().await;
    // The metadata has the same URL, but its issuer has no trailing slash.
    company.issuer.push('/');
    company.world.swap(&["a", "b"], |contract| settings(contract, &company.issuer, true));
    let answer = company.show(&provider().sign(TYP, &company.claims())).await;
    assert_eq!(error(&answer), (400, "invalid_grant"));
    assert_eq!(company.world.events(EventKind::Token)[0].reason, Some("keys_unusable"));
}

/// Requirements: as.headless.person
#[tokio::test]
async fn given_a_public_client_when_it_shows_an_identity_assertion_then_it_may_not() {
    let company = Company::new().await;
    let document = json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none"});
    let client = company.world.register("/register", &document).await;
    let id = client.text("client_id");
    let assertion = provider().sign(TYP, &company.with("client_id", json!(id)));
    let form = [GRANT, ("assertion", assertion.as_str())];
    let as_public = [form.as_slice(), &[("client_id", id)]].concat();
    assert_eq!(error(&company.world.post(A, &as_public).await), (400, "unauthorized_client"));
    assert_eq!(
        error(&company.world.post(A, &form).await),
        (400, "invalid_request"),
        "and a client must present it"
    );
}

/// Requirements: as.headless.metadata
#[tokio::test]
async fn given_a_provider_whose_assertions_are_not_taken_then_the_grant_is_off_and_metadata_says_so() {
    let company = Company::new().await;
    let path = "/.well-known/oauth-authorization-server/mcp/a";
    let on = company.world.get(path).await.json;
    assert_eq!(
        on["authorization_grant_profiles_supported"],
        json!(["urn:ietf:params:oauth:grant-profile:id-jag"])
    );
    assert!(on["grant_types_supported"].as_array().unwrap().contains(&json!(GRANT.1)));
    company.world.swap(&["a", "b"], |contract| settings(contract, &company.issuer, false));
    let off = company.world.get(path).await.json;
    assert!(off.get("authorization_grant_profiles_supported").is_none());
    assert!(!off["grant_types_supported"].as_array().unwrap().contains(&json!(GRANT.1)));
    let answer = company.show(&provider().sign(TYP, &company.claims())).await;
    assert_eq!(error(&answer), (400, "unsupported_grant_type"));
}
