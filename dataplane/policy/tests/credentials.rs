//! Credentials of providers and origins: how they are used, and when a rotation or removal takes effect.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::sync::Arc;

use portcullis_config::{GatewayConfig, OriginConfig, SecretKey, SecretValue};
use portcullis_golden::config::{self, with};
use portcullis_policy::{DocumentRef, Gateway, OriginCredential, RouteTable, RouteTableBuilder};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

fn provider(name: &str, secret: &Value) -> Value {
    json!({"name": name, "kind": {"oidc": {
        "issuer": "https://idp.example", "clientId": "portcullis", "clientSecret": secret,
        "claims": {"subject": "sub", "email": "email", "name": "name", "groups": "groups"},
        "scopes": ["openid"], "trustEmail": false, "privateNetworks": [], "caBundlePem": null,
    }}})
}

fn gateway(changes: Value) -> GatewayConfig {
    serde_json::from_value(with(config::gateway(), changes)).unwrap()
}

fn gateway_with(providers: &[Value]) -> GatewayConfig {
    gateway(json!({"identityProviders": providers}))
}

fn key(name: &str) -> SecretKey {
    SecretKey(name.to_owned())
}

fn secret(value: &str) -> SecretValue {
    SecretValue { value: SecretString::from(value), allowed_hosts: vec!["origin.example".to_owned()] }
}

fn whole(builder: &mut RouteTableBuilder) -> RouteTable {
    let (table, problems) = builder.table(1);
    assert!(problems.is_empty(), "{problems:?}");
    table.unwrap()
}

/// Builds a table of which only the gateway document is rejected.
fn rejected_gateway(builder: &mut RouteTableBuilder) -> Option<RouteTable> {
    let (table, problems) = builder.table(1);
    assert_eq!(
        problems.iter().map(|problem| &problem.document).collect::<Vec<_>>(),
        [&DocumentRef::Gateway],
        "{problems:?}"
    );
    table
}

/// Client secrets of the identity providers.
fn client_secrets(gateway: &Gateway) -> Vec<Option<&str>> {
    let secrets = gateway.identity_providers.iter().map(|provider| provider.client_secret.as_ref());
    secrets.map(|secret| secret.map(SecretString::expose_secret)).collect()
}

#[test]
fn given_a_gateway_when_nothing_changes_then_it_is_reused() {
    let mut builder = RouteTableBuilder::default();
    builder.put_credential(key("k"), secret("one"));
    let workload = json!({"name": "w", "displayName": "W", "credential": {"secret": "k"}});
    let clients = json!({"metadataDocumentHosts": [], "dynamicRegistration": false, "workloads": [workload]});
    builder.put_gateway(gateway(json!({
        "identityProviders": [provider("company", &json!("k")), provider("public", &json!(null))],
        "clients": clients,
    })));
    let before = whole(&mut builder);
    builder.put_credential(key("other"), secret("unused"));
    assert!(Arc::ptr_eq(&before.gateway, &whole(&mut builder).gateway));
}

#[test]
fn given_a_provider_when_its_secret_is_rotated_then_it_alone_is_rebuilt() {
    let mut builder = RouteTableBuilder::default();
    builder.put_credential(key("k"), secret("one"));
    builder.put_credential(key("fixed"), secret("fixed"));
    builder.put_gateway(gateway_with(&[
        provider("company", &json!("k")),
        provider("customers", &json!("fixed")),
        provider("public", &json!(null)),
    ]));
    let before = whole(&mut builder);
    assert_eq!(client_secrets(&before.gateway), [Some("one"), Some("fixed"), None]);
    builder.put_credential(key("k"), secret("two"));
    let after = whole(&mut builder);
    assert_eq!(client_secrets(&after.gateway), [Some("two"), Some("fixed"), None]);
    for other in [1, 2] {
        let [before, after] = [&before, &after].map(|table| &table.gateway.identity_providers[other]);
        assert!(Arc::ptr_eq(before, after), "{}", before.name);
    }
}

#[test]
fn given_a_provider_when_its_document_changes_then_it_is_rebuilt() {
    let mut builder = RouteTableBuilder::default();
    builder.put_gateway(gateway_with(&[provider("company", &json!(null))]));
    whole(&mut builder);
    let moved = with(provider("company", &json!(null)), json!({"previousIssuers": ["https://old.example"]}));
    builder.put_gateway(gateway_with(&[moved]));
    let gateway = whole(&mut builder).gateway;
    assert_eq!(gateway.identity_providers[0].previous_issuers, ["https://old.example"]);
}

#[test]
fn given_a_provider_whose_new_secret_is_missing_then_the_old_one_stays_until_gone() {
    let mut builder = RouteTableBuilder::default();
    builder.put_credential(key("old"), secret("old"));
    builder.put_gateway(gateway_with(&[provider("company", &json!("old"))]));
    let before = whole(&mut builder);
    builder.put_gateway(gateway_with(&[provider("company", &json!("new"))]));
    assert!(Arc::ptr_eq(&rejected_gateway(&mut builder).unwrap().gateway, &before.gateway));
    builder.remove_credential(&key("old"));
    assert!(rejected_gateway(&mut builder).is_none());
    builder.put_credential(key("new"), secret("new"));
    assert_eq!(client_secrets(&whole(&mut builder).gateway), [Some("new")]);
}

#[test]
fn given_gateway_settings_then_they_are_served_as_written() {
    for (url, loopback, prefix) in [
        ("http://127.0.0.1:8080", true, "http://127.0.0.1:8080"),
        ("https://gateway.example/", false, "https://gateway.example"),
    ] {
        for (overload, refuse) in [("refuse", true), ("drop", false)] {
            let mut builder = RouteTableBuilder::default();
            builder.put_gateway(gateway(json!({"publicUrl": url, "eventOverload": overload})));
            let gateway = whole(&mut builder).gateway;
            assert_eq!((gateway.loopback_http, &*gateway.public_url), (loopback, prefix));
            assert_eq!(gateway.refuse_when_events_overflow, refuse, "{overload}");
        }
    }
}

fn origin(auth: Value) -> OriginConfig {
    serde_json::from_value(with(config::origin("o"), json!({"auth": auth}))).unwrap()
}

/// A builder with an origin whose credential is in the header `X-Key`.
fn with_header_origin() -> RouteTableBuilder {
    let mut builder = RouteTableBuilder::default();
    builder.put_gateway(gateway(json!({})));
    builder.put_credential(key("k"), secret("one"));
    builder.put_origin(origin(json!({"header": {"name": "X-Key", "prefix": "Token ", "value": "k"}})));
    builder
}

#[test]
fn given_an_origin_with_a_header_then_its_value_is_sensitive_prefix_and_secret() {
    let table = whole(&mut with_header_origin());
    let OriginCredential::Header(name, value) = &table.origin("o").unwrap().credential else {
        panic!("{:?}", table.origin("o").unwrap().credential);
    };
    assert_eq!((name.as_str(), value.as_bytes()), ("x-key", &b"Token one"[..]));
    assert!(value.is_sensitive(), "debug output must not show it");
}

#[test]
fn given_an_origin_with_a_credential_when_nothing_changes_then_it_is_reused() {
    let mut builder = with_header_origin();
    let before = whole(&mut builder);
    builder.put_credential(key("other"), secret("unused"));
    assert!(Arc::ptr_eq(before.origin("o").unwrap(), whole(&mut builder).origin("o").unwrap()));
}

#[test]
fn given_an_origin_with_a_query_parameter_then_its_request_target_has_the_secret() {
    let mut builder = with_header_origin();
    builder.put_credential(key("k"), secret("a&b"));
    builder.put_origin(origin(json!({"queryParameter": {"name": "key", "value": "k"}})));
    let table = whole(&mut builder);
    let OriginCredential::RequestTarget(target) = &table.origin("o").unwrap().credential else {
        panic!("{:?}", table.origin("o").unwrap().credential);
    };
    assert_eq!(target.expose_secret(), "/mcp?key=a%26b");
}

/// A gateway with a provider and a workload whose secrets have the names of their values, and a provider whose
/// secret is missing.
fn with_missing_provider(workload_secret: &str) -> GatewayConfig {
    let workload = json!({"name": "w", "displayName": "W", "credential": {"secret": workload_secret}});
    gateway(json!({
        "identityProviders": [provider("company", &json!("k")), provider("new", &json!("missing"))],
        "clients": {"metadataDocumentHosts": [], "dynamicRegistration": false, "workloads": [workload]},
    }))
}

#[test]
fn given_a_provider_without_its_secret_then_removed_and_rotated_secrets_still_take_effect() {
    let mut builder = RouteTableBuilder::default();
    builder.put_credential(key("k"), secret("one"));
    builder.put_credential(key("w"), secret("workload"));
    let mut before = with_missing_provider("w");
    before.identity_providers.pop();
    builder.put_gateway(before);
    let built = whole(&mut builder).gateway;
    assert!(built.workloads.contains_key("w"));

    builder.put_gateway(with_missing_provider("w"));
    assert!(Arc::ptr_eq(&rejected_gateway(&mut builder).unwrap().gateway, &built));
    builder.put_credential(key("k"), secret("two"));
    let kept = rejected_gateway(&mut builder).unwrap().gateway;
    assert_eq!(client_secrets(&kept), [Some("two")], "the new provider is not in use");
    assert!(kept.workloads.contains_key("w"));
    builder.remove_credential(&key("w"));
    let kept = rejected_gateway(&mut builder).unwrap().gateway;
    assert!(kept.workloads.is_empty(), "a workload without its secret has no access");
    assert!(rejected_gateway(&mut builder).is_some(), "the error is reported again");

    builder.put_credential(key("w"), secret("workload"));
    builder.put_credential(key("missing"), secret("three"));
    let all = whole(&mut builder).gateway;
    assert_eq!(client_secrets(&all), [Some("two"), Some("three")]);
    assert!(all.workloads.contains_key("w"));
}
