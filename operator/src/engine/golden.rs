//! What the loop writes for a small installation.

mod conditions;

use std::path::Path;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::DynamicObject;
use kube::runtime::watcher::Event;
use portcullis_compiler::Catalog;
use portcullis_golden::assert_golden;
use portcullis_publication::{KEYS_DATA, KEYS_NAME, Kind, REPORT_ANNOTATION, Report};
use serde_json::{Value, json};

use super::*;
use crate::discover::answer::{Answer, Asked, Offer};
use crate::golden::api_server::{self, Requests};
use crate::golden::pretty;

const NAMESPACE: &str = "portcullis-publication";
const START: i64 = 1_800_000_000_000;

/// The golden tests of the key ring write this file.
fn stored_keys() -> Vec<u8> {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/files");
    std::fs::read(files.join("keyring/document.json")).unwrap()
}

fn resource(kind: &'static str, name: &str, spec: &Value) -> Change {
    let object: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "portcullis.dev/v1alpha1", "kind": kind,
        "metadata": {
            "name": name, "namespace": "mcp", "uid": format!("uid-{name}"), "generation": 3, "resourceVersion": "7",
        },
        "spec": spec,
    }))
    .unwrap();
    Change::Resource(kind, Event::Apply(object))
}

fn secret(name: &str, key: &str, value: &[u8]) -> Secret {
    let mut secret: Secret = serde_json::from_value(json!({
        "metadata": {
            "name": name, "namespace": "mcp", "resourceVersion": "7",
            "labels": {"portcullis.dev/credential": "true"},
            "annotations": {"portcullis.dev/allowed-hosts": "mcp.linear.app"},
        },
    }))
    .unwrap();
    secret.data = Some([(key.to_owned(), ByteString(value.to_vec()))].into());
    secret
}

fn world() -> World {
    let mut world = World::new(NAMESPACE, []);
    let provider = json!({"name": "company", "oidc": {"issuer": "https://idp.example.com", "clientId": "x"}});
    let gateway = json!({
        "publicUrl": "https://mcp.example.com", "identityProviders": [provider],
        "tenancy": [{"namespaces": ["mcp"], "everyone": true}],
    });
    let header = json!({"name": "X-Api-Key", "valueRef": {"name": "key", "key": "value"}});
    let origin = json!({"url": "https://mcp.linear.app/mcp", "auth": {"header": header}});
    let team = json!({"members": {"groups": ["finance"]}, "access": [{"virtualMcp": "read"}]});
    world.take(Change::Secret(Event::Apply(secret(KEYS_NAME, KEYS_DATA, &stored_keys()))));
    world.take(Change::Credential(Event::Apply(secret("key", "value", b"hush"))));
    world.take(resource("McpGateway", "gateway", &gateway));
    world.take(resource("OriginMcp", "linear", &origin));
    world.take(resource(
        "VirtualMcp",
        "read",
        &json!({"origins": [{"name": "linear"}], "access": "Everyone"}),
    ));
    world.take(resource("Team", "finance", &team));
    world
}

fn engine() -> (Engine, Requests, watch::Sender<bool>) {
    let (client, requests) = api_server::start();
    let (leads, leading) = watch::channel(true);
    let parts = Parts {
        world: world(),
        client,
        namespace: NAMESPACE.to_owned(),
        replicas_from: ReplicasFrom::Leases,
        identity: "operator-0".to_owned(),
        leading,
        figures: Arc::default(),
        clock: Clock::manual(portcullis_ambient::Instant(START)),
        random: Random::system(),
        custody: Custody::plain(),
        targets: Some(watch::channel(Arc::default()).0),
        witnesses: watch::channel(None).0,
    };
    (Engine::new(parts), requests, leads)
}

fn report() -> Report {
    let observed =
        ["configmaps", "secrets"].map(|resource| (resource.to_owned(), "100000".to_owned())).into();
    Report { observed, ..Report::default() }
}

fn lease() -> Change {
    let report = serde_json::to_string(&report()).unwrap();
    let lease = json!({
        "metadata": {"name": "a", "namespace": "portcullis", "annotations": {REPORT_ANNOTATION: report}},
        "spec": {"holderIdentity": "replica-0", "renewTime": "2027-01-15T08:00:00.000000Z"},
    });
    Change::Lease(Event::Apply(serde_json::from_value(lease).unwrap()))
}

fn offers() -> Answer {
    let counts = serde_json::from_value(
        json!({"tools": 1, "prompts": 2, "resources": 3, "resourceTemplates": 4, "hash": "hash"}),
    );
    let names = Catalog::default();
    Answer::Offers(Offer { protocol_version: "2025-11-25".into(), counts: counts.unwrap(), names })
}

fn asked(engine: &Engine, answer: Answer) -> Asked {
    Asked { document: Arc::new(engine.plan.compiled.origins[0].clone()), answer }
}

async fn settle(engine: &mut Engine) {
    engine.look_at_replicas();
    for _ in 0..8 {
        engine.pass().await;
    }
}

#[tokio::test]
async fn writes_of_objects_statuses_events_and_keys_stay() {
    let (mut engine, requests, _leads) = engine();
    settle(&mut engine).await;
    assert!(engine.plan.diagnoses.is_empty(), "their texts would be part of a document");
    for answer in [Answer::Unreachable(String::new()), offers()] {
        let asked = asked(&engine, answer);
        engine.parts.world.take(Change::Asked(asked.document.uid.clone(), asked));
        settle(&mut engine).await;
    }
    engine.parts.world.take(lease());
    settle(&mut engine).await;
    let gone = json!({"metadata": {"name": "finance", "namespace": "mcp", "resourceVersion": "200"}});
    engine.parts.world.take(Change::Resource("Team", Event::Delete(serde_json::from_value(gone).unwrap())));
    settle(&mut engine).await;
    // The signing key that is announced at START becomes the current one.
    engine.parts.clock.advance(Duration::from_secs(600));
    settle(&mut engine).await;
    let keys = engine.keys().await.unwrap();
    let identities = [("uid-new".to_owned(), "uid-old".to_owned())].into();
    engine.publisher.vouch_for_identities(&keys, &identities).await.unwrap();
    engine.publisher.remove(Kind::Credential, "credential-x").await.unwrap();
    crate::keys::make(&engine.parts.client, NAMESPACE, b"{}").await.unwrap();
    assert_golden("operator/api-requests.json", &pretty(&requests.sorted()));
}
