//! Compiles `spec.clients` of the gateway: client registration and workloads.

use std::collections::BTreeSet;

use portcullis_config::{ClientPolicy, WorkloadConfig, WorkloadCredential};
use portcullis_crds::kinds::mcp_gateway::McpGatewaySpec;
use portcullis_crds::kinds::workload::{Jwk, Jwks, Workload};

use super::credential::{SecretResolver, SecretUse};
use super::diagnostics::ResourceDiagnostics;
use super::endpoint;
use super::tenancy::TenancyRules;

pub(super) fn compile(
    diagnostics: &mut ResourceDiagnostics,
    spec: &McpGatewaySpec,
    tenancy: &TenancyRules<'_>,
    credentials: &SecretResolver<'_>,
) -> ClientPolicy {
    let clients = spec.clients.clone().unwrap_or_default();
    let hosts = clients.metadata_documents.unwrap_or_default().allowed_hosts;
    let hosts = hosts.unwrap_or_else(|| vec!["*".to_owned()]);
    for (index, host) in hosts.iter().enumerate() {
        let is_host = |c: char| c.is_ascii_alphanumeric() || "*.-:[]".contains(c);
        if host.is_empty() || !host.chars().all(is_host) {
            let message =
                format!("'{host}' is not a host; write a host or a glob of hosts, like *.example.com");
            diagnostics.error(
                format!("spec.clients.metadataDocuments.allowedHosts[{index}]"),
                "InvalidValue",
                message,
            );
        }
    }
    let mut workloads = Vec::new();
    for (index, it) in clients.workloads.iter().enumerate() {
        let field = format!("spec.clients.workloads[{index}]");
        workloads.extend(workload(diagnostics, &field, it, tenancy, credentials));
    }
    ClientPolicy {
        metadata_document_hosts: hosts,
        dynamic_registration: clients.dynamic_registration.unwrap_or(true),
        workloads,
    }
}

fn workload(
    diagnostics: &mut ResourceDiagnostics,
    field: &str,
    workload: &Workload,
    tenancy: &TenancyRules<'_>,
    credentials: &SecretResolver<'_>,
) -> Option<WorkloadConfig> {
    let credential = match workload {
        Workload { secret_ref: Some(reference), jwks: None, jwks_uri: None, .. } => {
            let field = format!("{field}.secretRef");
            WorkloadCredential::Secret(credentials.resolve(
                diagnostics,
                &field,
                reference,
                SecretUse::Workload,
            )?)
        }
        Workload { secret_ref: None, jwks: Some(jwks), jwks_uri: None, .. } => {
            WorkloadCredential::Jwks(check_jwks(diagnostics, &format!("{field}.jwks"), jwks)?)
        }
        Workload { secret_ref: None, jwks: None, jwks_uri: Some(url), .. } => {
            let url = endpoint::parse_endpoint(diagnostics, &format!("{field}.jwksUri"), url, tenancy)?;
            WorkloadCredential::JwksUri {
                url,
                private_networks: tenancy.private_networks(diagnostics.namespace()),
            }
        }
        _ => {
            let message =
                "a workload must have exactly one of secretRef, jwks, jwksUri, with which it authenticates";
            diagnostics.error(field, "NotExactlyOne", message);
            return None;
        }
    };
    let display_name = workload.display_name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    Some(WorkloadConfig {
        name: workload.name.clone(),
        display_name: display_name.unwrap_or(&workload.name).to_owned(),
        credential,
    })
}

/// Checks that the gateway can verify signatures with these keys. Problems are reported here, because a
/// client would only get the error that its signature is invalid.
fn check_jwks(diagnostics: &mut ResourceDiagnostics, field: &str, jwks: &Jwks) -> Option<serde_json::Value> {
    let before = diagnostics.is_valid();
    let mut ids = BTreeSet::new();
    for (index, key) in jwks.keys.iter().enumerate() {
        let field = format!("{field}.keys[{index}]");
        if let Some(problem) = unusable_key_reason(key) {
            diagnostics.error(field, "InvalidKey", format!("the key is not usable: {problem}"));
        } else if !ids.insert(&key.kid) {
            let message = "the kid is missing or not unique; give each of several keys a different kid";
            diagnostics.error(format!("{field}.kid"), "Duplicate", message);
        }
    }
    if before && !diagnostics.is_valid() {
        return None;
    }
    serde_json::to_value(jwks).ok()
}

fn unusable_key_reason(key: &Jwk) -> Option<&'static str> {
    if key.usage.as_deref().is_some_and(|usage| usage != "sig") {
        return Some("use is not sig");
    }
    if !key.key_ops.is_empty() && !key.key_ops.iter().any(|operation| operation == "verify") {
        return Some("key_ops does not contain verify");
    }
    let algorithms: &[&str] = match (key.kty.as_str(), key.crv.as_deref()) {
        ("RSA", None) => &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
        ("EC", Some("P-256")) => &["ES256"],
        ("EC", Some("P-384")) => &["ES384"],
        ("OKP", Some("Ed25519")) => &["EdDSA"],
        _ => {
            return Some(
                "the key type is not supported; use kty RSA, EC with crv P-256 or P-384, or OKP with crv Ed25519",
            );
        }
    };
    if key.alg.as_deref().is_some_and(|alg| !algorithms.contains(&alg)) {
        return Some("alg does not match the key type");
    }
    let given = |member: &Option<String>, least: usize| {
        let is_base64url =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        member.as_deref().is_some_and(|text| text.len() >= least && is_base64url(text))
    };
    match key.kty.as_str() {
        // 2048 bits in base64url.
        "RSA" if !given(&key.n, 342) => Some("n is missing, not base64url, or shorter than 2048 bits"),
        "RSA" if !given(&key.e, 2) => Some("e is missing or not base64url"),
        "EC" if !(given(&key.x, 42) && given(&key.y, 42)) => Some("x or y is missing or not base64url"),
        "OKP" if !given(&key.x, 43) => Some("x is missing or not base64url"),
        _ => None,
    }
}
