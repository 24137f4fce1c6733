use std::collections::BTreeSet;

use portcullis_contract::{ClientPolicy, WorkloadCredential, WorkloadDoc};
use portcullis_crds::kinds::mcp_gateway::McpGatewaySpec;
use portcullis_crds::kinds::workload::{Jwk, Jwks, Workload};

use super::case::Case;
use super::credential::{Credentials, Use};
use super::endpoint;
use super::surroundings::Surroundings;

pub(super) fn compile(
    case: &mut Case,
    spec: &McpGatewaySpec,
    surroundings: &Surroundings<'_>,
    credentials: &Credentials<'_>,
) -> ClientPolicy {
    let clients = spec.clients.clone().unwrap_or_default();
    let hosts = clients.metadata_documents.unwrap_or_default().allowed_hosts;
    let hosts = hosts.unwrap_or_else(|| vec!["*".to_owned()]);
    for (index, host) in hosts.iter().enumerate() {
        let is_host = |c: char| c.is_ascii_alphanumeric() || "*.-:[]".contains(c);
        if host.is_empty() || !host.chars().all(is_host) {
            let message = format!("'{host}' is no host; write a host or a glob of hosts, like *.example.com");
            case.error(
                format!("spec.clients.metadataDocuments.allowedHosts[{index}]"),
                "InvalidValue",
                message,
            );
        }
    }
    let mut workloads = Vec::new();
    for (index, it) in clients.workloads.iter().enumerate() {
        let field = format!("spec.clients.workloads[{index}]");
        workloads.extend(workload(case, &field, it, surroundings, credentials));
    }
    ClientPolicy {
        metadata_document_hosts: hosts,
        dynamic_registration: clients.dynamic_registration.unwrap_or(true),
        workloads,
    }
}

fn workload(
    case: &mut Case,
    field: &str,
    workload: &Workload,
    surroundings: &Surroundings<'_>,
    credentials: &Credentials<'_>,
) -> Option<WorkloadDoc> {
    let credential = match workload {
        Workload { secret_ref: Some(reference), jwks: None, jwks_uri: None, .. } => {
            let field = format!("{field}.secretRef");
            WorkloadCredential::Secret(credentials.take(case, &field, reference, Use::Workload)?)
        }
        Workload { secret_ref: None, jwks: Some(jwks), jwks_uri: None, .. } => {
            WorkloadCredential::Jwks(public_keys(case, &format!("{field}.jwks"), jwks)?)
        }
        Workload { secret_ref: None, jwks: None, jwks_uri: Some(url), .. } => {
            let url = endpoint::read(case, &format!("{field}.jwksUri"), url, surroundings)?;
            WorkloadCredential::JwksUri { url, private_networks: surroundings.networks(case.namespace()) }
        }
        _ => {
            let message =
                "a workload has exactly one of secretRef, jwks, jwksUri: what it shows to be itself";
            case.error(field, "NotExactlyOne", message);
            return None;
        }
    };
    let display_name = workload.display_name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    Some(WorkloadDoc {
        name: workload.name.clone(),
        display_name: display_name.unwrap_or(&workload.name).to_owned(),
        credential,
    })
}

/// Keys that a gateway can verify with. What is wrong with one is told here, where somebody reads it; a client would only hear
/// that its signature does not verify.
fn public_keys(case: &mut Case, field: &str, jwks: &Jwks) -> Option<serde_json::Value> {
    let before = case.is_sound();
    let mut ids = BTreeSet::new();
    for (index, key) in jwks.keys.iter().enumerate() {
        let field = format!("{field}.keys[{index}]");
        if let Some(problem) = unusable(key) {
            case.error(field, "InvalidKey", format!("the key cannot be used: {problem}"));
        } else if !ids.insert(&key.kid) {
            let message =
                "its kid is missing or another key's too; of several keys each needs one of its own";
            case.error(format!("{field}.kid"), "Duplicate", message);
        }
    }
    if before && !case.is_sound() {
        return None;
    }
    serde_json::to_value(jwks).ok()
}

fn unusable(key: &Jwk) -> Option<&'static str> {
    if key.usage.as_deref().is_some_and(|usage| usage != "sig") {
        return Some("its use is not sig");
    }
    if !key.key_ops.is_empty() && !key.key_ops.iter().any(|operation| operation == "verify") {
        return Some("its key_ops do not name verify");
    }
    let algorithms: &[&str] = match (key.kty.as_str(), key.crv.as_deref()) {
        ("RSA", None) => &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
        ("EC", Some("P-256")) => &["ES256"],
        ("EC", Some("P-384")) => &["ES384"],
        ("OKP", Some("Ed25519")) => &["EdDSA"],
        _ => {
            return Some("write a key of kty RSA, of EC with crv P-256 or P-384, or of OKP with crv Ed25519");
        }
    };
    if key.alg.as_deref().is_some_and(|alg| !algorithms.contains(&alg)) {
        return Some("its alg is none of those that a key of its kind is used with");
    }
    let given = |member: &Option<String>, least: usize| {
        let is_base64url =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        member.as_deref().is_some_and(|text| text.len() >= least && is_base64url(text))
    };
    match key.kty.as_str() {
        // 2048 bits in base64url.
        "RSA" if !given(&key.n, 342) => Some("n is missing, not base64url, or has less than 2048 bits"),
        "RSA" if !given(&key.e, 2) => Some("e is missing or not base64url"),
        "EC" if !(given(&key.x, 42) && given(&key.y, 42)) => Some("x or y is missing or not base64url"),
        "OKP" if !given(&key.x, 43) => Some("x is missing or not base64url"),
        _ => None,
    }
}
