//! Which gateway is served, which namespaces it admits, and who gets a slug.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use portcullis_compiler::{
    Diagnostic, GatewaySelection, GatewaySelector, PartialConfig, ResourceId, Resources, SlugClaims,
    compile_partial, read,
};
use support::{GATEWAY, IDP, ORIGIN, VIRTUAL};

fn resources(texts: &[String]) -> Resources {
    let (mut resources, diagnostics) = read(texts.iter().map(|text| ("all.yaml", text.as_str())));
    assert_eq!(diagnostics, []);
    for (id, uid) in resources.uids_mut() {
        *uid = Some(format!("uid of {id}"));
    }
    resources.gateway_selector = in_default(None);
    resources
}

fn in_default(name: Option<&str>) -> GatewaySelector {
    GatewaySelector::InNamespace { namespace: "default".to_owned(), name: name.map(str::to_owned) }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// The document in another namespace.
fn elsewhere(text: &str, namespace: &str) -> String {
    text.replace("metadata: {name", &format!("metadata: {{namespace: {namespace}, name"))
}

fn gateway(name: &str) -> String {
    GATEWAY.replace("name: gateway", &format!("name: {name}"))
}

fn id(kind: &str, namespace: &str, name: &str) -> ResourceId {
    ResourceId::new(kind, namespace, name)
}

fn reasons(found: &[Diagnostic], id: &ResourceId) -> Vec<&'static str> {
    found.iter().filter(|it| it.resource.as_ref() == Some(id)).map(|it| it.reason).collect()
}

fn created(resources: &mut Resources, kind: &str, name: &str, second: i64) {
    let time = Some(serde_json::from_value(format!("2026-01-01T00:00:{second:02}Z").into()).unwrap());
    let gateways = resources.gateways.iter_mut().map(|it| ("McpGateway", &mut it.metadata));
    let virtual_mcps = resources.virtual_mcps.iter_mut().map(|it| ("VirtualMcp", &mut it.metadata));
    for (of, metadata) in gateways.chain(virtual_mcps) {
        if of == kind && metadata.name.as_deref() == Some(name) {
            metadata.creation_timestamp.clone_from(&time);
        }
    }
}

// Which gateway.

#[test]
fn given_an_older_gateway_elsewhere_then_it_is_not_served_and_not_reported() {
    let mut resources = resources(&texts(&[GATEWAY, IDP, &elsewhere(&gateway("mine"), "mallory")]));
    created(&mut resources, "McpGateway", "mine", 1);
    created(&mut resources, "McpGateway", "gateway", 2);
    let (compiled, found) = compile_partial(&resources);
    assert_eq!(compiled.selection, GatewaySelection::Selected(id("McpGateway", "default", "gateway")));
    assert_eq!(reasons(&found, &id("McpGateway", "mallory", "mine")), [] as [&str; 0]);
    // The served one is deleted: nothing takes its place.
    resources.gateways.retain(|it| it.metadata.name.as_deref() == Some("mine"));
    let (compiled, _) = compile_partial(&resources);
    assert_eq!(compiled.selection, GatewaySelection::Absent);
    assert!(compiled.gateway.is_none() && compiled.admitted.is_empty());
}

#[test]
fn given_several_in_the_namespace_then_a_name_selects_and_without_one_all_are_ambiguous() {
    let mut resources = resources(&texts(&[GATEWAY, IDP, &gateway("a-second")]));
    created(&mut resources, "McpGateway", "a-second", 1);
    let (first, second) = (id("McpGateway", "default", "gateway"), id("McpGateway", "default", "a-second"));
    let (compiled, found) = compile_partial(&resources);
    assert_eq!(compiled.selection, GatewaySelection::Ambiguous);
    assert!(compiled.gateway.is_none());
    assert_eq!((reasons(&found, &first), reasons(&found, &second)), (vec!["Ambiguous"], vec!["Ambiguous"]));
    resources.gateway_selector = in_default(Some("gateway"));
    let (compiled, found) = compile_partial(&resources);
    assert_eq!(compiled.selection, GatewaySelection::Selected(first.clone()));
    assert_eq!((reasons(&found, &first), reasons(&found, &second)), (vec![], vec!["NotSelected"]));
    // One that cannot be decoded counts, too.
    resources.gateways.retain(|it| it.metadata.name.as_deref() == Some("gateway"));
    resources.unreadable.insert(second.clone());
    resources.gateway_selector = in_default(None);
    assert_eq!(compile_partial(&resources).0.selection, GatewaySelection::Ambiguous);
    resources.gateway_selector = in_default(Some("a-second"));
    assert_eq!(compile_partial(&resources).0.selection, GatewaySelection::Unreadable(second));
    resources.gateway_selector = in_default(Some("missing"));
    let (compiled, found) = compile_partial(&resources);
    assert_eq!(compiled.selection, GatewaySelection::Absent);
    assert_eq!(reasons(&found, &first), ["NotSelected"]);
}

#[test]
fn given_a_namespace_that_another_gateway_admits_too_then_the_owner_is_told_and_both_are_served() {
    let labelled = BTreeMap::from([("team".to_owned(), "a".to_owned())]);
    let by_label = "{namespaceSelector: {matchLabels: {team: a}}}";
    let by_name = "{namespaces: [default, unrelated]}";
    for (entry, namespace) in [(by_name, "default"), (by_label, "default")] {
        let twin = elsewhere(&gateway("twin"), "mallory")
            .replace("{namespaces: [default], everyone: true, privateNetworks: [127.0.0.0/8]}", entry);
        let mut resources = resources(&texts(&[GATEWAY, IDP, &twin]));
        resources.namespaces = Some([(namespace.to_owned(), labelled.clone())].into());
        let (compiled, found) = compile_partial(&resources);
        assert_eq!(reasons(&found, &id("McpGateway", "default", "gateway")), ["AdmittedTwice"], "{entry}");
        assert_eq!(compiled.contested, BTreeSet::from([namespace.to_owned()]));
        assert!(compiled.gateway.is_some() && compiled.admitted.contains(namespace));
    }
}

#[test]
fn given_thousands_of_gateways_of_tenants_then_the_comparison_is_bounded() {
    let mut all = texts(&[GATEWAY, IDP]);
    all.extend(
        (0..2000).map(|number| elsewhere(&gateway(&format!("g{number}")), &format!("tenant-{number}"))),
    );
    let resources = resources(&all);
    let (_, found) = compile_partial(&resources);
    assert_eq!(reasons(&found, &id("McpGateway", "default", "gateway")), ["AdmittedTwice"]);
}

#[test]
fn given_a_gateway_of_a_tenant_that_selects_every_namespace_then_one_short_message_reports_it() {
    let twin = elsewhere(&selecting("{}"), "tenant");
    let mut resources = resources(&texts(&[&selecting("{}"), IDP, &twin]));
    resources.namespaces = Some((0..1000).map(|number| (format!("n{number}"), BTreeMap::new())).collect());
    let (compiled, found) = compile_partial(&resources);
    let gateway = id("McpGateway", "default", "gateway");
    assert_eq!(reasons(&found, &gateway), ["AdmittedTwice"]);
    let message = &found.iter().find(|it| it.reason == "AdmittedTwice").unwrap().message;
    assert!(message.contains("'n0' (by McpGateway tenant/gateway)") && message.len() < 1000, "{message}");
    assert_eq!(compiled.contested.len(), 1000);
}

// Namespaces.

fn selecting(selector: &str) -> String {
    GATEWAY.replace("{namespaces: [default], everyone", &format!("{{namespaceSelector: {selector}, everyone"))
}

fn with_labels(mut resources: Resources, labels: &[(&str, &str, &str)]) -> Resources {
    let mut namespaces: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for (namespace, key, value) in labels {
        let labels = namespaces.entry((*namespace).to_owned()).or_default();
        labels.insert((*key).to_owned(), (*value).to_owned());
    }
    resources.namespaces = Some(namespaces);
    resources
}

#[test]
fn given_a_selector_then_labels_decide_which_namespaces_are_admitted() {
    let gateway = selecting("{matchLabels: {tenant: 'true'}}");
    let other = elsewhere(ORIGIN, "other");
    let labels = [("default", "tenant", "true"), ("other", "tenant", "false"), ("third", "tenant", "true")];
    let resources = with_labels(resources(&texts(&[&gateway, IDP, ORIGIN, VIRTUAL, &other])), &labels);
    let (compiled, found) = compile_partial(&resources);
    assert_eq!(compiled.admitted, ["default", "third"].map(str::to_owned).into());
    assert_eq!(compiled.routes.len(), 1);
    assert_eq!(reasons(&found, &id("OriginMcp", "other", "linear")), ["NamespaceNotAllowed"]);
}

#[test]
fn given_unknown_labels_then_a_selector_is_an_error() {
    let gateway = selecting("{matchLabels: {tenant: 'true'}}");
    let (compiled, found) = compile_partial(&resources(&texts(&[&gateway, IDP])));
    assert_eq!(reasons(&found, &id("McpGateway", "default", "gateway")), ["SelectorNotSupported"]);
    assert!(compiled.gateway.is_none() && compiled.admitted.is_empty());
}

// Slugs.

const OTHER: &str = "
apiVersion: portcullis.dev/v1alpha1
kind: VirtualMcp
metadata: {name: other}
spec: {slug: linear-read, origins: [{name: linear}], access: Everyone}
";

/// `default/linear-read` and the older `default/other` claim the same slug.
fn two_claims() -> Resources {
    let mut resources = resources(&texts(&[GATEWAY, IDP, ORIGIN, VIRTUAL, OTHER]));
    created(&mut resources, "VirtualMcp", "other", 1);
    created(&mut resources, "VirtualMcp", "linear-read", 2);
    resources
}

fn holder(compiled: &PartialConfig) -> Option<&str> {
    compiled.slugs.get("linear-read").map(|id| id.name.as_str())
}

fn holds(uid: &str) -> SlugClaims {
    SlugClaims { holders: [("linear-read".to_owned(), uid.to_owned())].into(), ..SlugClaims::default() }
}

#[test]
fn given_two_claims_then_the_uid_that_has_the_slug_keeps_it_and_creation_decides_between_newcomers() {
    let mut resources = two_claims();
    assert_eq!(holder(&compile_partial(&resources).0), Some("other"));
    resources.slugs = holds("uid of VirtualMcp default/linear-read");
    let (compiled, found) = compile_partial(&resources);
    assert_eq!(holder(&compiled), Some("linear-read"));
    assert_eq!(reasons(&found, &id("VirtualMcp", "default", "other")), ["SlugTaken"]);
    // The holder is gone: both are newcomers.
    resources.slugs = holds("uid of another one");
    assert_eq!(holder(&compile_partial(&resources).0), Some("other"));
    // The holder is invalid: it keeps its slug.
    resources.slugs = holds("uid of VirtualMcp default/linear-read");
    resources.virtual_mcps[0].spec.origins[0].name = "missing".to_owned();
    assert_eq!(holder(&compile_partial(&resources).0), Some("linear-read"));
}

#[test]
fn given_a_freed_slug_then_only_its_namespace_gets_it() {
    let mut resources = two_claims();
    let reserved = |namespace: &str| SlugClaims {
        reserved: [("linear-read".to_owned(), namespace.to_owned())].into(),
        ..SlugClaims::default()
    };
    resources.slugs = reserved("default");
    assert_eq!(holder(&compile_partial(&resources).0), Some("other"));
    // A namespace that the gateway does not admit any more reserves nothing.
    resources.slugs = reserved("mallory");
    assert_eq!(holder(&compile_partial(&resources).0), Some("other"));
    resources.gateways[0].spec.tenancy.as_mut().unwrap()[0].namespaces.push("mallory".to_owned());
    let (compiled, found) = compile_partial(&resources);
    assert_eq!((holder(&compiled), compiled.routes.len()), (None, 0));
    for name in ["other", "linear-read"] {
        assert_eq!(reasons(&found, &id("VirtualMcp", "default", name)), ["SlugReserved"]);
    }
}

#[test]
fn given_slugs_of_a_tenancy_entry_then_others_are_not_allowed_and_claim_nothing() {
    let mut resources = two_claims();
    let set = |resources: &mut Resources, slugs: &[&str]| {
        let slugs = slugs.iter().map(|slug| (*slug).to_owned()).collect();
        resources.gateways[0].spec.tenancy.as_mut().unwrap()[0].slugs = Some(slugs);
    };
    for (slugs, allowed) in [
        (&["linear-*"][..], true),
        (&["*"], true),
        (&["linear-read"], true),
        (&["team-*"], false),
        (&[], false),
    ] {
        set(&mut resources, slugs);
        let (compiled, found) = compile_partial(&resources);
        assert_eq!(holder(&compiled).is_some(), allowed, "{slugs:?}");
        let expected: &[&str] = if allowed { &["SlugTaken"] } else { &["SlugNotAllowed"] };
        assert_eq!(reasons(&found, &id("VirtualMcp", "default", "linear-read")), expected, "{slugs:?}");
    }
    // A holder that may not have it any more loses it.
    resources.slugs = holds("uid of VirtualMcp default/other");
    set(&mut resources, &["team-*"]);
    assert_eq!(compile_partial(&resources).0.routes.len(), 0);
}
