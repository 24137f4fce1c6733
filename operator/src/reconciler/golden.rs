//! Golden test of the reconciler's writes for a small installation.

mod conditions;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::DynamicObject;
use kube::runtime::watcher::Event;
use portcullis_compiler::Catalog;
use portcullis_config_distribution::{
    DocumentKind, KEYS_SECRET, KEYS_SECRET_ENTRY, REPORT_ANNOTATION, ReplicaReport,
};
use portcullis_golden::assert_golden;
use serde_json::{Value, json};

use super::*;
use crate::discover::outcome::{DiscoveredCatalog, Discovery, DiscoveryOutcome};
use crate::golden::api_server::{self, Requests};
use crate::golden::pretty;

const NAMESPACE: &str = "portcullis-publication";
const START: i64 = 1_800_000_000_000;

fn stored_keys() -> Vec<u8> {
    portcullis_golden::key_document().into_bytes()
}

fn resource(kind: &'static str, name: &str, spec: &Value) -> ClusterEvent {
    let object: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "portcullis.dev/v1alpha1", "kind": kind,
        "metadata": {
            "name": name, "namespace": "mcp", "uid": format!("uid-{name}"), "generation": 3, "resourceVersion": "7",
        },
        "spec": spec,
    }))
    .unwrap();
    ClusterEvent::Resource(kind, Event::Apply(object))
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

fn cluster_state() -> ClusterState {
    let mut cluster_state = ClusterState::new(NAMESPACE, []);
    let provider = json!({"name": "company", "oidc": {"issuer": "https://idp.example.com", "clientId": "x"}});
    let gateway = json!({
        "publicUrl": "https://mcp.example.com", "identityProviders": [provider],
        "tenancy": [{"namespaces": ["mcp"], "everyone": true}],
    });
    let header = json!({"name": "X-Api-Key", "valueRef": {"name": "key", "key": "value"}});
    let origin = json!({"url": "https://mcp.linear.app/mcp", "auth": {"header": header}});
    let team = json!({"members": {"groups": ["finance"]}, "access": [{"virtualMcp": "read"}]});
    cluster_state.handle(ClusterEvent::Secret(Event::Apply(secret(
        KEYS_SECRET,
        KEYS_SECRET_ENTRY,
        &stored_keys(),
    ))));
    cluster_state.handle(ClusterEvent::Credential(Event::Apply(secret("key", "value", b"hush"))));
    cluster_state.handle(resource("McpGateway", "gateway", &gateway));
    cluster_state.handle(resource("OriginMcp", "linear", &origin));
    cluster_state.handle(resource(
        "VirtualMcp",
        "read",
        &json!({"origins": [{"name": "linear"}], "access": "Everyone"}),
    ));
    cluster_state.handle(resource("Team", "finance", &team));
    cluster_state
}

fn reconciler() -> (Reconciler, Requests, watch::Sender<bool>) {
    let (client, requests) = api_server::start();
    let (leads, leading) = watch::channel(true);
    let context = ReconcilerContext {
        cluster_state: cluster_state(),
        client,
        namespace: NAMESPACE.to_owned(),
        replicas_from: ReplicasFrom::Leases,
        identity: "operator-0".to_owned(),
        leading,
        stats: Arc::default(),
        clock: Clock::manual(portcullis_clock::UnixMillis(START)),
        random: Random::system(),
        key_encryption: KeyEncryption::plain(),
        targets: Some(watch::channel(Arc::default()).0),
        catalog_sources: watch::channel(None).0,
    };
    (Reconciler::new(context), requests, leads)
}

fn report() -> ReplicaReport {
    let observed =
        ["configmaps", "secrets"].map(|resource| (resource.to_owned(), "100000".to_owned())).into();
    ReplicaReport { observed, ..ReplicaReport::default() }
}

fn lease() -> ClusterEvent {
    let report = serde_json::to_string(&report()).unwrap();
    let lease = json!({
        "metadata": {"name": "a", "namespace": "portcullis", "annotations": {REPORT_ANNOTATION: report}},
        "spec": {"holderIdentity": "replica-0", "renewTime": "2027-01-15T08:00:00.000000Z"},
    });
    ClusterEvent::Lease(Event::Apply(serde_json::from_value(lease).unwrap()))
}

fn offers() -> DiscoveryOutcome {
    let counts = serde_json::from_value(
        json!({"tools": 1, "prompts": 2, "resources": 3, "resourceTemplates": 4, "hash": "hash"}),
    );
    let names = Catalog::default();
    DiscoveryOutcome::Offers(DiscoveredCatalog {
        protocol_version: "2025-11-25".into(),
        counts: counts.unwrap(),
        names,
    })
}

fn asked(reconciler: &Reconciler, outcome: DiscoveryOutcome) -> Discovery {
    Discovery { document: Arc::new(reconciler.desired_state.compiled.origins[0].clone()), outcome }
}

async fn settle(reconciler: &mut Reconciler) {
    reconciler.refresh_replicas();
    for _ in 0..8 {
        reconciler.reconcile().await;
    }
}

#[tokio::test]
async fn writes_of_objects_statuses_events_and_keys_stay() {
    let (mut reconciler, requests, _leads) = reconciler();
    settle(&mut reconciler).await;
    assert!(
        reconciler.desired_state.diagnostics.is_empty(),
        "diagnostic messages would be part of a document"
    );
    for outcome in [DiscoveryOutcome::Unreachable(String::new()), offers()] {
        let asked = asked(&reconciler, outcome);
        reconciler.context.cluster_state.handle(ClusterEvent::Discovery(asked.document.uid.clone(), asked));
        settle(&mut reconciler).await;
    }
    reconciler.context.cluster_state.handle(lease());
    settle(&mut reconciler).await;
    let deleted = json!({"metadata": {"name": "finance", "namespace": "mcp", "resourceVersion": "200"}});
    reconciler
        .context
        .cluster_state
        .handle(ClusterEvent::Resource("Team", Event::Delete(serde_json::from_value(deleted).unwrap())));
    settle(&mut reconciler).await;
    // The signing key that is announced at START becomes the current one.
    reconciler.context.clock.advance(Duration::from_secs(600));
    settle(&mut reconciler).await;
    let keys = reconciler.keys().await.unwrap();
    let restored_uids = [("uid-new".to_owned(), "uid-old".to_owned())].into();
    reconciler.config_writer.resign_restored_uids(&keys, &restored_uids).await.unwrap();
    reconciler.config_writer.remove(DocumentKind::Credential, "credential-x").await.unwrap();
    crate::keys_secret::create(&reconciler.context.client, NAMESPACE, b"{}").await.unwrap();
    assert_golden("operator/api-requests.json", &pretty(&requests.sorted()));
}
