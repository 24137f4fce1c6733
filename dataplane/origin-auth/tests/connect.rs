//! Connecting an account, against a real authorization server on loopback.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod support;

use http::StatusCode;
use portcullis_events::{EventKind, Outcome};
use portcullis_origin_auth::{ConnectCallback, ConnectError, ConnectionStatus, client_metadata_document};
use portcullis_policy::PrincipalId;
use portcullis_store::Store;
use serde_json::{Value, json};
use support::provider::SERVER_AT;
use support::{BROWSER, Harness, Settings, ana, parameter, table};

#[tokio::test]
async fn given_a_person_when_they_consent_then_their_calls_have_a_credential_and_others_have_none() {
    let world = Harness::new().await;
    let mut changes = world.broker.changes();
    assert_eq!(
        world.broker.accounts.status(&ana(), &world.origin()).await.unwrap(),
        ConnectionStatus::NeverConnected
    );
    let url = world.begin().await.unwrap();
    let resource = format!("{}mcp", world.provider.base);
    assert_eq!(parameter(&url, "resource"), Some(resource.clone()));
    assert_eq!(parameter(&url, "scope").as_deref(), Some("read"), "the challenge's");
    assert_eq!(parameter(&url, "redirect_uri").as_deref(), Some("http://127.0.0.1:8080/connect/o1/callback"));
    assert_eq!(parameter(&url, "prompt"), None);
    world.finish(&world.provider.consent(&url)).await.unwrap();
    assert!(world.token().await.starts_with("plain-access"));
    assert_eq!(
        world.broker.accounts.status(&ana(), &world.origin()).await.unwrap(),
        ConnectionStatus::Connected
    );
    let change = changes.recv().await.unwrap();
    assert_eq!((change.who, &*change.origin_uid, change.connected), (ana(), "origin-uid", true));
    let bob = PrincipalId::of("company", "bob");
    assert_eq!(
        world.broker.accounts.status(&bob, &world.origin()).await.unwrap(),
        ConnectionStatus::NeverConnected
    );
    assert!(world.broker.credential(&bob, &world.origin()).await.is_err());
    let registration = world.provider.levers.lock().registrations[0].clone();
    assert_eq!(registration["client_name"], "Portcullis (127.0.0.1)");
    assert_eq!(registration["application_type"], "native");
    assert_eq!(world.provider.requests("authorization_code")[0]["resource"], resource);
    let event = world.events.drain().into_iter().find(|event| event.event == EventKind::Connected).unwrap();
    assert_eq!(event.outcome, Outcome::Success);
}

/// Requirements: client.state
#[tokio::test]
async fn given_a_state_when_used_again_or_late_or_by_another_browser_then_it_is_of_no_use() {
    let world = Harness::new().await;
    let url = world.begin().await.unwrap();
    let callback = world.provider.consent(&url);
    world.finish(&callback).await.unwrap();
    assert!(matches!(world.finish(&callback).await, Err(ConnectError::UnknownFlow)));

    let late = world.provider.consent(&world.begin().await.unwrap());
    world.advance(600);
    assert!(matches!(world.finish(&late).await, Err(ConnectError::UnknownFlow)));

    let stolen = world.provider.consent(&world.begin().await.unwrap());
    let elsewhere =
        world.broker.connect_flows.finish(&world.table.gateway, &world.origin(), "another", &stolen).await;
    assert!(matches!(elsewhere, Err(ConnectError::UnknownFlow)));
    assert!(matches!(world.finish(&stolen).await, Err(ConnectError::UnknownFlow)), "and it is spent");

    let guessed = ConnectCallback { state: Some("guess".into()), ..world.provider.consent(&url) };
    assert!(matches!(world.finish(&guessed).await, Err(ConnectError::UnknownFlow)));
    assert_eq!(
        world
            .provider
            .requests("authorization_code")
            .iter()
            .filter(|form| form.contains_key("resource"))
            .count(),
        1
    );
}

/// RFC 9700, section 4.4: each origin has its own callback, and a state is only valid at that one.
#[tokio::test]
async fn given_a_state_when_it_comes_to_the_callback_of_another_origin_then_it_is_of_no_use() {
    let world = Harness::new().await;
    let other = table(&world.provider.base, &Settings { uid: "another-uid", ..Settings::default() });
    let callback = world.provider.consent(&world.begin().await.unwrap());
    let there = world
        .broker
        .connect_flows
        .finish(&other.gateway, other.origin("o1").unwrap(), BROWSER, &callback)
        .await;
    assert!(matches!(there, Err(ConnectError::UnknownFlow)));
    assert_eq!(world.provider.requests("authorization_code").len(), 0);
}

#[tokio::test]
async fn given_another_url_while_a_consent_is_out_then_its_code_goes_nowhere() {
    let world = Harness::new().await;
    let moved = table(&world.provider.base, &Settings { path: "/other", ..Settings::default() });
    let callback = world.provider.consent(&world.begin().await.unwrap());
    let there = world
        .broker
        .connect_flows
        .finish(&moved.gateway, moved.origin("o1").unwrap(), BROWSER, &callback)
        .await;
    assert!(matches!(there, Err(ConnectError::OriginChanged)));
    assert_eq!(world.provider.requests("authorization_code").len(), 0);
}

/// RFC 6749, section 7.1; RFC 6750, section 2.1.
/// Requirements: client.token
#[tokio::test]
async fn given_an_answer_that_is_no_token_then_nothing_is_kept() {
    let world = Harness::new().await;
    for answer in [
        json!({"token_type": "mac"}),
        json!({"access_token": null}),
        json!({"access_token": ""}),
        json!({"access_token": "two words"}),
        json!({"access_token": "zwölf"}),
        json!({"error": "bad_verification_code"}),
    ] {
        world.provider.levers.lock().tokens = answer.clone();
        let url = world.begin().await.unwrap();
        let finished = world.finish(&world.provider.consent(&url)).await;
        assert!(matches!(finished, Err(ConnectError::NoToken(_))), "{answer}");
        let status = world.broker.accounts.status(&ana(), &world.origin()).await.unwrap();
        assert_eq!(status, ConnectionStatus::NeverConnected, "{answer}");
    }
}

/// Requirements: client.iss
#[tokio::test]
async fn given_an_answer_from_another_issuer_then_neither_its_code_nor_its_error_is_believed() {
    let world = Harness::new().await;
    for iss in [Some("https://evil.example".to_owned()), None] {
        let url = world.begin().await.unwrap();
        let code = ConnectCallback { iss: iss.clone(), ..world.provider.consent(&url) };
        assert!(matches!(world.finish(&code).await, Err(ConnectError::WrongIssuer)));
        let url = world.begin().await.unwrap();
        let error = ConnectCallback {
            iss,
            code: None,
            error: Some("access_denied".into()),
            error_description: Some("call 555".into()),
            ..world.provider.consent(&url)
        };
        let told = world.finish(&error).await.unwrap_err();
        assert!(matches!(told, ConnectError::WrongIssuer) && !told.to_string().contains("555"));
    }
    let codes = world.provider.requests("authorization_code");
    assert!(codes.iter().all(|form| !form.contains_key("resource")), "no code was sent anywhere");
    // If the server does not promise `iss`, it may be absent, but never wrong.
    world.provider.levers.lock().server = json!({"authorization_response_iss_parameter_supported": null});
    let url = world.begin().await.unwrap();
    let wrong = ConnectCallback {
        iss: Some(format!("{}/", world.provider.issuer())),
        ..world.provider.consent(&url)
    };
    assert!(matches!(world.finish(&wrong).await, Err(ConnectError::WrongIssuer)));
    let url = world.begin().await.unwrap();
    world.finish(&ConnectCallback { iss: None, ..world.provider.consent(&url) }).await.unwrap();
}

#[tokio::test]
async fn given_a_refused_consent_then_the_person_can_read_why() {
    let world = Harness::new().await;
    let url = world.begin().await.unwrap();
    let refused = ConnectCallback {
        code: None,
        error: Some("access_denied".into()),
        error_description: Some("not\u{7} today".into()),
        ..world.provider.consent(&url)
    };
    let told = world.finish(&refused).await.unwrap_err().to_string();
    assert_eq!(told, "the provider did not grant access: the request was denied: not today");
}

/// Requirements: client.discovery.mismatch, client.pkce, advisory.prm-resource
#[tokio::test]
async fn given_metadata_that_does_not_hold_then_nobody_is_sent_anywhere() {
    let world = Harness::new().await;
    let set = |resource: Value, server: Value| {
        let mut levers = world.provider.levers.lock();
        (levers.resource, levers.server) = (resource, server);
    };
    let issuer = world.provider.issuer();
    for (resource, server, told) in [
        (json!({"resource": "https://other.example/mcp"}), json!({}), "another resource"),
        (json!({"resource": world.provider.base.as_str()}), json!({}), "another resource"),
        (json!({"authorization_servers": []}), json!({}), "names no authorization server"),
        (json!({"authorization_servers": [format!("{issuer}?as=us")]}), json!({}), "query or a fragment"),
        (json!({"authorization_servers": [format!("{issuer}#us")]}), json!({}), "query or a fragment"),
        (json!({}), json!({"issuer": "https://honest.example"}), "states the issuer https://honest.example"),
        (json!({}), json!({"issuer": format!("{issuer}/")}), "states the issuer"),
        (json!({}), json!({"code_challenge_methods_supported": null}), "S256"),
        (json!({}), json!({"code_challenge_methods_supported": ["plain"]}), "S256"),
        (json!({}), json!({"authorization_endpoint": "javascript:alert(1)"}), "not http or https"),
        (json!({}), json!({"authorization_endpoint": "http://1.1.1.1/"}), "plain http"),
        (json!({}), json!({"registration_endpoint": "http://169.254.169.254/"}), "no permitted address"),
        (json!({}), json!({"registration_endpoint": null}), "http://127.0.0.1:8080/connect/o1/callback"),
    ] {
        set(resource, server);
        let error = world.begin().await.unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
    let events = world.events.drain();
    assert!(events.iter().all(|event| event.event == EventKind::UpstreamRequest && event.reason.is_some()));
}

/// Requirements: client.discovery.order, client.scopes
#[tokio::test]
async fn given_no_challenge_then_the_metadata_is_found_at_its_well_known_place() {
    let world = Harness::new().await;
    world.provider.levers.lock().challenge = false;
    let url = world.begin().await.unwrap();
    assert_eq!(parameter(&url, "scope").as_deref(), Some("read write"), "the metadata's");
    world.finish(&world.provider.consent(&url)).await.unwrap();
}

/// Requirements: client.scopes
#[tokio::test]
async fn given_an_origin_that_anybody_may_greet_then_it_is_asked_further_until_it_says_what_it_wants() {
    let world = Harness::new().await;
    world.provider.levers.lock().greets = true;
    let url = world.begin().await.unwrap();
    assert_eq!(parameter(&url, "scope").as_deref(), Some("read"), "the challenge's, not the metadata's");
}

/// RFC 9728 section 3.3: a document at a well-known URL describes the URL that its own was derived from. A
/// document that a challenge points to describes the challenged URL.
/// Requirements: client.discovery.root
#[tokio::test]
async fn given_metadata_at_the_root_then_it_may_name_the_root_unless_a_challenge_pointed_to_it() {
    let world = Harness::new().await;
    let root = world.provider.base.to_string();
    {
        let mut levers = world.provider.levers.lock();
        (levers.challenge, levers.at_root) = (false, true);
    }
    for stated in [root.trim_end_matches('/').to_owned(), root.clone(), format!("{root}mcp")] {
        world.provider.levers.lock().resource = json!({ "resource": stated });
        let url = world.begin().await.unwrap();
        assert_eq!(parameter(&url, "resource"), Some(stated));
        world.finish(&world.provider.consent(&url)).await.unwrap();
    }
    for stated in [format!("{root}other"), "https://other.example/".to_owned()] {
        world.provider.levers.lock().resource = json!({ "resource": stated });
        let error = world.begin().await.unwrap_err().to_string();
        assert!(error.contains("another resource"), "{error}");
    }
    {
        let mut levers = world.provider.levers.lock();
        (levers.challenge, levers.resource) = (true, json!({ "resource": root }));
    }
    let error = world.begin().await.unwrap_err().to_string();
    assert!(error.contains("another resource"), "{error}");
}

/// Requirements: client.discovery.order
#[tokio::test]
async fn given_a_server_of_the_first_revision_then_it_is_its_own_authorization_server() {
    let world = Harness::new().await;
    {
        let mut levers = world.provider.levers.lock();
        (levers.challenge, levers.resource) = (false, Value::Null);
    }
    let url = world.begin().await.unwrap();
    assert_eq!(parameter(&url, "scope"), None);
    let callback = ConnectCallback { iss: None, ..world.provider.consent(&url) };
    world.finish(&callback).await.unwrap();
    // If a challenge points to metadata, only that is fetched.
    world.provider.levers.lock().challenge = true;
    assert!(matches!(world.begin().await, Err(ConnectError::Discovery(_))));
}

#[tokio::test]
async fn given_metadata_that_cannot_be_had_now_then_the_origin_is_not_taken_for_one_that_has_none() {
    let world = Harness::new().await;
    world.provider.levers.lock().undescribed = Some(StatusCode::SERVICE_UNAVAILABLE);
    for challenge in [true, false] {
        world.provider.levers.lock().challenge = challenge;
        let error = world.begin().await.unwrap_err().to_string();
        assert!(error.contains("answered with status 503"), "{error}");
    }
}

#[tokio::test]
async fn given_an_issuer_with_a_path_then_its_metadata_is_found_wherever_it_may_lie() {
    let world = Harness::new().await;
    for place in SERVER_AT {
        world.provider.levers.lock().server_at = place;
        world.connect().await;
    }
    world.provider.levers.lock().server_at = "/nowhere";
    let error = world.begin().await.unwrap_err().to_string();
    assert!(error.contains("there is no authorization server metadata"), "{error}");
}

#[tokio::test]
async fn given_an_authorization_endpoint_on_another_host_then_the_browser_is_sent_there() {
    let world = Harness::new().await;
    let endpoint = "https://sign-in.example/authorize";
    world.provider.levers.lock().server = json!({ "authorization_endpoint": endpoint });
    let url = world.begin().await.unwrap();
    assert!(url.as_str().starts_with(endpoint), "{url}");
}

/// Requirements: client.addresses
#[tokio::test]
async fn given_no_allowance_then_a_loopback_origin_is_not_even_asked() {
    let world = Harness::with(Settings { private_networks: Vec::new(), ..Settings::default() }).await;
    assert!(matches!(world.begin().await, Err(ConnectError::Outbound(_))));
}

/// Requirements: client.scopes
#[tokio::test]
async fn given_configured_scopes_then_they_count() {
    let world = Harness::with(Settings { scopes: vec!["mail".into()], ..Settings::default() }).await;
    for (supported, scope, prompt) in [
        (json!(["mail", "offline_access"]), "mail offline_access", Some("consent")),
        (json!(["mail", "calendar"]), "mail", None),
    ] {
        world.provider.levers.lock().server = json!({ "scopes_supported": supported });
        let url = world.begin().await.unwrap();
        assert_eq!(parameter(&url, "scope").as_deref(), Some(scope));
        assert_eq!(parameter(&url, "prompt").as_deref(), prompt);
    }
}

/// Requirements: client.registration.again
#[tokio::test]
async fn given_a_registration_then_it_is_used_again_until_the_server_forgets_it() {
    let world = Harness::new().await;
    world.connect().await;
    world.connect().await;
    assert_eq!(world.provider.levers.lock().registrations.len(), 1);
    world.provider.levers.lock().clients.clear();
    // Another replica has not verified the registration yet, so it checks first.
    let replica = world.replica();
    let url = replica
        .connect_flows
        .begin(&ana(), &world.table.gateway, &world.origin(), BROWSER, "/")
        .await
        .unwrap();
    assert_eq!(world.provider.levers.lock().registrations.len(), 2);
    replica
        .connect_flows
        .finish(&world.table.gateway, &world.origin(), BROWSER, &world.provider.consent(&url))
        .await
        .unwrap();
}

#[tokio::test]
async fn given_a_server_for_confidential_clients_then_the_secret_that_it_gave_is_used_and_sealed() {
    for method in ["client_secret_basic", "client_secret_post"] {
        let world = Harness::new().await;
        world.provider.levers.lock().server = json!({"token_endpoint_auth_methods_supported": [method]});
        world.connect().await;
        let first = world.token().await;
        world.advance(3600);
        assert_ne!(world.token().await, first, "the refresh authenticates too");
        assert_eq!(world.provider.levers.lock().registrations[0]["token_endpoint_auth_method"], method);
        let row = world.store.connection(ana().as_str(), "origin-uid").await.unwrap().unwrap();
        assert_eq!(row.auth_method, method);
    }
}

/// Requirements: client.registration.order
#[tokio::test]
async fn given_a_client_that_was_registered_by_hand_then_its_secret_goes_only_to_allowed_hosts() {
    let world = Harness::with(Settings::registered_by_hand(&["127.0.0.1"])).await;
    let url = world.begin().await.unwrap();
    assert_eq!(parameter(&url, "client_id").as_deref(), Some("by-hand"));
    world.finish(&world.provider.consent(&url)).await.unwrap();
    assert!(world.provider.levers.lock().registrations.is_empty());

    let world = Harness::with(Settings::registered_by_hand(&["as.example"])).await;
    let error = world.begin().await.unwrap_err().to_string();
    assert!(error.contains("portcullis.dev/allowed-hosts"), "{error}");
    assert!(world.provider.levers.lock().token_requests.is_empty());
}

/// Requirements: client.registration.order
#[tokio::test]
async fn given_a_public_gateway_and_a_server_that_reads_documents_then_the_document_is_the_client() {
    let world =
        Harness::with(Settings { public_url: "https://mcp.example.com", ..Settings::default() }).await;
    world.provider.levers.lock().server = json!({"client_id_metadata_document_supported": true});
    let url = world.begin().await.unwrap();
    let id = parameter(&url, "client_id").unwrap();
    let document = client_metadata_document(&world.table.gateway, &world.origin());
    assert_eq!(document["client_id"], id);
    assert_eq!(id, "https://mcp.example.com/connect/o1/client.json");
    assert_eq!(document["redirect_uris"], json!([parameter(&url, "redirect_uri").unwrap()]));
    assert!(world.provider.levers.lock().registrations.is_empty());
}

/// Requirements: client.secrets
#[tokio::test]
async fn given_a_store_on_disk_then_no_secret_lies_there_in_the_clear_nor_in_an_event() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_sqlite(&folder.path().join("store.db")).await.unwrap();
    let world = Harness::on(store, Settings::default()).await;
    world.provider.levers.lock().server =
        json!({"token_endpoint_auth_methods_supported": ["client_secret_post"]});
    let pending = world.begin().await.unwrap();
    world.connect().await;
    world.advance(3600);
    world.token().await;
    let mut secrets = world.provider.levers.lock().issued.clone();
    assert!(secrets.len() >= 5, "{secrets:?}");
    secrets.push(parameter(&pending, "state").unwrap());
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for secret in &secrets {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
        }
    }
    let events = world.events.drain();
    assert!(events.len() >= 2);
    let events = format!("{events:?}");
    assert!(secrets.iter().all(|secret| !events.contains(secret)), "{events}");
}
