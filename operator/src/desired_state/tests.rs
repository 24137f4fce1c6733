//! Tests of the desired state, and a cluster state for other tests.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::DynamicObject;
use kube::runtime::watcher::Event;
use portcullis_clock::Random;
use portcullis_config_distribution::{Stamp, sign_document, sign_stamped};
use portcullis_keyring::Keyring;
use serde_json::{Value, json};

use super::*;
use crate::cluster_state::{ClusterEvent, RefusedSerial};
use crate::publish::difference;

pub(crate) fn keys() -> Keyring {
    Keyring::from_json(&Keyring::generate(&Random::system()).unwrap()).unwrap()
}

fn gateway() -> Value {
    json!({
        "publicUrl": "https://mcp.example.com",
        "identityProviders": [{"name": "company", "oidc": {"issuer": "https://idp.example.com", "clientId": "x"}}],
        "tenancy": [{"namespaces": ["mcp"], "everyone": true}],
    })
}

fn resource(cluster_state: &mut ClusterState, kind: &'static str, name: &str, generation: i64, spec: &Value) {
    let object: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "portcullis.dev/v1alpha1", "kind": kind,
        "metadata": {
            "name": name, "namespace": "mcp", "uid": format!("uid-{kind}-{name}"), "generation": generation,
            "resourceVersion": generation.to_string(),
        },
        "spec": spec,
    }))
    .unwrap();
    cluster_state.handle(ClusterEvent::Resource(kind, Event::Apply(object)));
}

/// A gateway, an origin, and virtual MCPs with these names.
fn cluster_state<'a>(names: impl IntoIterator<Item = &'a str>) -> ClusterState {
    let mut cluster_state = ClusterState::new("publication", []);
    let selector = GatewaySelector::InNamespace { namespace: "mcp".to_owned(), name: None };
    cluster_state.resources.gateway_selector = selector;
    resource(&mut cluster_state, "McpGateway", "gateway", 1, &gateway());
    let origin = json!({"url": "https://mcp.linear.app/mcp", "auth": {"none": {}}});
    resource(&mut cluster_state, "OriginMcp", "linear", 1, &origin);
    for name in names {
        resource(&mut cluster_state, "VirtualMcp", name, 1, &virtual_mcp(None));
    }
    cluster_state
}

fn virtual_mcp(description: Option<&str>) -> Value {
    json!({"origins": [{"name": "linear"}], "access": "Everyone", "description": description})
}

/// Simulates that all desired documents were applied at this version.
fn apply(cluster_state: &mut ClusterState, desired_state: &DesiredState, keys: &Keyring, version: u64) {
    for (name, desired) in &desired_state.objects {
        let Content::Document { text, .. } = &desired.content else { continue };
        let installation = keys.installation().unwrap().id.clone();
        let stamp = Stamp { installation, serial: i64::try_from(version).unwrap() };
        let sealed = sign_stamped(&keys.mac, desired.kind, name, &stamp, text).unwrap();
        publish(cluster_state, desired.kind, name, version, &sealed.data());
    }
}

fn publish(
    cluster_state: &mut ClusterState,
    kind: DocumentKind,
    name: &str,
    version: u64,
    data: &BTreeMap<String, String>,
) {
    let object: ConfigMap = serde_json::from_value(json!({
        "metadata": {
            "name": name, "namespace": "publication", "resourceVersion": version.to_string(),
            "labels": {portcullis_config_distribution::OBJECT_KIND_LABEL: kind.label()},
        },
        "data": data,
    }))
    .unwrap();
    cluster_state.handle(ClusterEvent::ConfigMap(Event::Apply(object)));
}

fn desired_state(cluster_state: &ClusterState, keys: &Keyring) -> DesiredState {
    DesiredState::build(cluster_state, &keys.mac).unwrap()
}

fn names(found: &[(DocumentKind, String)]) -> Vec<&str> {
    found.iter().map(|(kind, _)| kind.label()).collect()
}

#[test]
fn given_nothing_published_when_compared_then_all_is_written_and_what_others_need_comes_first() {
    let keys = keys();
    let mut cluster_state = cluster_state(["a", "b"]);
    let desired_state = desired_state(&cluster_state, &keys);
    let found = difference(&desired_state, &mut cluster_state.published, &keys);
    assert_eq!(names(&found.write), ["gateway", "origin", "route", "route", "diagnoses"]);
    assert_eq!(found.remove, []);
    let id = ResourceId::new("VirtualMcp", "mcp", "a");
    assert_eq!(desired_state.urls[&id], "https://mcp.example.com/mcp/a");
    assert_eq!(
        desired_state.objects_by_resource[&id],
        [object_name(DocumentKind::Route, "uid-VirtualMcp-a")]
    );
}

#[test]
fn given_all_published_when_one_is_edited_then_one_object_differs_however_many_there_are() {
    let keys = keys();
    let all: Vec<_> = (0..50).map(|number| format!("v{number}")).collect();
    let mut cluster_state = cluster_state(all.iter().map(String::as_str));
    let first = desired_state(&cluster_state, &keys);
    apply(&mut cluster_state, &first, &keys, 7);
    let again = desired_state(&cluster_state, &keys);
    assert_eq!(difference(&again, &mut cluster_state.published, &keys), Default::default());
    resource(&mut cluster_state, "VirtualMcp", "v7", 2, &virtual_mcp(Some("new")));
    let edited = desired_state(&cluster_state, &keys);
    let found = difference(&edited, &mut cluster_state.published, &keys);
    assert_eq!(found.write, [(DocumentKind::Route, object_name(DocumentKind::Route, "uid-VirtualMcp-v7"))]);
    assert_eq!(found.remove, []);
}

#[test]
fn given_a_document_that_somebody_changed_or_an_old_key_made_then_it_is_written_again() {
    let (keys, others) = (keys(), self::keys());
    let mut cluster_state = cluster_state(["a"]);
    let desired_state = desired_state(&cluster_state, &keys);
    apply(&mut cluster_state, &desired_state, &others, 7);
    assert_eq!(
        difference(&desired_state, &mut cluster_state.published, &keys).write.len(),
        desired_state.objects.len()
    );
    apply(&mut cluster_state, &desired_state, &keys, 8);
    assert_eq!(difference(&desired_state, &mut cluster_state.published, &keys).write, []);
}

#[test]
fn given_documents_without_serials_or_of_another_installation_then_they_are_written_again() {
    let keys = keys();
    let mut cluster_state = cluster_state(["a"]);
    let desired_state = desired_state(&cluster_state, &keys);
    let route = object_name(DocumentKind::Route, "uid-VirtualMcp-a");
    let Content::Document { text, .. } = &desired_state.objects[&route].content else { panic!() };
    let raw: &serde_json::value::RawValue = serde_json::from_str(text).unwrap();
    let without = sign_document(&keys.mac, DocumentKind::Route, &route, &raw).unwrap();
    let stamp = Stamp { installation: "another".to_owned(), serial: 9 };
    let foreign = sign_stamped(&keys.mac, DocumentKind::Route, &route, &stamp, text).unwrap();
    for (version, data) in [(8, without.data()), (9, foreign.data())] {
        apply(&mut cluster_state, &desired_state, &keys, 7);
        publish(&mut cluster_state, DocumentKind::Route, &route, version, &data);
        let found = difference(&desired_state, &mut cluster_state.published, &keys);
        assert_eq!(names(&found.write), ["route"]);
    }
}

#[test]
fn given_a_replica_that_refuses_a_serial_then_the_unchanged_document_is_written_again() {
    let keys = keys();
    let mut cluster_state = cluster_state(["a"]);
    let desired_state = desired_state(&cluster_state, &keys);
    apply(&mut cluster_state, &desired_state, &keys, 7);
    let route = object_name(DocumentKind::Route, "uid-VirtualMcp-a");
    let refused = |version| [(route.clone(), RefusedSerial { version, accepted: 50 })].into();
    cluster_state.published.refused_serials = refused(6);
    assert_eq!(difference(&desired_state, &mut cluster_state.published, &keys).write, []);
    cluster_state.published.refused_serials = refused(7);
    let found = difference(&desired_state, &mut cluster_state.published, &keys);
    assert_eq!(found.write, [(DocumentKind::Route, route)]);
}

#[test]
fn given_a_resource_that_is_gone_or_unsound_then_its_document_is_removed_last_made_first() {
    let keys = keys();
    let mut cluster_state = cluster_state(["a"]);
    let first = desired_state(&cluster_state, &keys);
    apply(&mut cluster_state, &first, &keys, 7);
    let broken = json!({"url": "https://mcp.example.com/mcp/a", "auth": {"none": {}}});
    resource(&mut cluster_state, "OriginMcp", "linear", 2, &broken);
    let desired_state = desired_state(&cluster_state, &keys);
    let found = difference(&desired_state, &mut cluster_state.published, &keys);
    assert_eq!(names(&found.remove), ["route", "origin"]);
    assert_eq!(names(&found.write), ["diagnoses"]);
}

#[test]
fn given_a_gateway_that_became_unsound_then_its_last_good_document_stays_and_edits_of_others_go_on() {
    let keys = keys();
    let mut cluster_state = cluster_state(["a"]);
    let first = desired_state(&cluster_state, &keys);
    apply(&mut cluster_state, &first, &keys, 7);
    let mut unsound = gateway();
    unsound["tokens"] = json!({"access": "2d"});
    unsound["identityProviders"][0]["name"] = json!("another");
    resource(&mut cluster_state, "McpGateway", "gateway", 2, &unsound);
    resource(&mut cluster_state, "VirtualMcp", "a", 2, &virtual_mcp(Some("new")));
    let desired_state = desired_state(&cluster_state, &keys);
    assert_eq!(desired_state.gateway, GatewayState::Invalid);
    let found = difference(&desired_state, &mut cluster_state.published, &keys);
    assert_eq!((names(&found.write), names(&found.remove)), (vec!["route", "diagnoses"], vec![]));
    assert_eq!(desired_state.urls.len(), 1);
    let route = &desired_state.objects[&object_name(DocumentKind::Route, "uid-VirtualMcp-a")];
    let Content::Document { text, .. } = &route.content else { panic!("the route is not written") };
    assert!(text.contains(r#""identityProvider":"company""#), "{text}");
}

#[test]
fn given_a_gateway_that_cannot_be_read_then_all_stays_but_what_was_deleted() {
    let keys = keys();
    let mut cluster_state = cluster_state(["a", "b"]);
    let first = desired_state(&cluster_state, &keys);
    apply(&mut cluster_state, &first, &keys, 7);
    resource(&mut cluster_state, "McpGateway", "gateway", 2, &json!({"publicUrl": 7}));
    resource(&mut cluster_state, "VirtualMcp", "a", 2, &virtual_mcp(Some("new")));
    let deleted: DynamicObject = serde_json::from_value(json!({
        "metadata": {"name": "b", "namespace": "mcp", "resourceVersion": "9"},
    }))
    .unwrap();
    cluster_state.handle(ClusterEvent::Resource("VirtualMcp", Event::Delete(deleted)));
    let desired_state = desired_state(&cluster_state, &keys);
    let found = difference(&desired_state, &mut cluster_state.published, &keys);
    assert_eq!((names(&found.write), names(&found.remove)), (vec!["diagnoses"], vec!["route"]));
}

#[test]
fn given_a_served_gateway_outside_the_selected_namespace_then_all_stays_until_it_is_deleted() {
    let keys = keys();
    let mut cluster_state = cluster_state(["a"]);
    let first = desired_state(&cluster_state, &keys);
    apply(&mut cluster_state, &first, &keys, 7);
    let elsewhere = GatewaySelector::InNamespace { namespace: "release".to_owned(), name: None };
    cluster_state.resources.gateway_selector = elsewhere;
    let object = cluster_state.published.objects.get_mut("gateway").unwrap();
    object.source = Some("McpGateway mcp/gateway".to_owned());
    let kept = desired_state(&cluster_state, &keys);
    let found = difference(&kept, &mut cluster_state.published, &keys);
    assert_eq!(names(&found.remove), Vec::<&str>::new());
    let deleted: DynamicObject = serde_json::from_value(json!({
        "metadata": {"name": "gateway", "namespace": "mcp", "resourceVersion": "9"},
    }))
    .unwrap();
    cluster_state.handle(ClusterEvent::Resource("McpGateway", Event::Delete(deleted)));
    let gone = desired_state(&cluster_state, &keys);
    let found = difference(&gone, &mut cluster_state.published, &keys);
    assert_eq!(names(&found.remove), ["diagnoses", "route", "origin", "gateway"]);
}

#[test]
fn given_several_gateways_and_no_name_then_all_stays_but_what_was_deleted() {
    let keys = keys();
    let mut cluster_state = cluster_state(["a", "b"]);
    let first = desired_state(&cluster_state, &keys);
    apply(&mut cluster_state, &first, &keys, 7);
    resource(&mut cluster_state, "McpGateway", "an-older-name", 1, &gateway());
    resource(&mut cluster_state, "VirtualMcp", "a", 2, &virtual_mcp(Some("new")));
    let ambiguous = desired_state(&cluster_state, &keys);
    assert_eq!(ambiguous.gateway, GatewayState::Ambiguous);
    let found = difference(&ambiguous, &mut cluster_state.published, &keys);
    assert_eq!((names(&found.write), names(&found.remove)), (vec!["diagnoses"], vec![]));
    for name in ["gateway", "an-older-name"] {
        let found = &ambiguous.diagnostics[&ResourceId::new("McpGateway", "mcp", name)];
        assert_eq!(found[0].reason, "Ambiguous");
    }
    // A name selects one of them.
    let name = Some("gateway".to_owned());
    cluster_state.resources.gateway_selector =
        GatewaySelector::InNamespace { namespace: "mcp".to_owned(), name };
    let selected = desired_state(&cluster_state, &keys);
    assert_eq!(selected.gateway, GatewayState::Valid);
    let other = &selected.diagnostics[&ResourceId::new("McpGateway", "mcp", "an-older-name")];
    assert_eq!(other[0].reason, "NotSelected");
}

#[test]
fn given_no_gateway_then_nothing_is_published() {
    let keys = keys();
    let mut cluster_state = cluster_state(["a"]);
    let first = desired_state(&cluster_state, &keys);
    apply(&mut cluster_state, &first, &keys, 7);
    let deleted: DynamicObject = serde_json::from_value(json!({
        "metadata": {"name": "gateway", "namespace": "mcp", "resourceVersion": "9"},
    }))
    .unwrap();
    cluster_state.handle(ClusterEvent::Resource("McpGateway", Event::Delete(deleted)));
    let desired_state = desired_state(&cluster_state, &keys);
    let found = difference(&desired_state, &mut cluster_state.published, &keys);
    assert_eq!(names(&found.remove), ["diagnoses", "route", "origin", "gateway"]);
    assert_eq!(found.write, []);
}
