//! Probes one origin: determines its protocol era and lists its capabilities.

use http::StatusCode;
use portcullis_compiler::Catalog;
use portcullis_config_distribution::content_hash;
use portcullis_crds::kinds::origin_mcp as kind;
use portcullis_egress::{EgressError, HttpClient, HttpClients};
use serde_json::{Value, json};

use super::Target;
use super::mcp_session::{ListError, Session, client_info};
use super::outcome::{DiscoveredCatalog, DiscoveryOutcome};

/// The stateless revision, which is tried first.
const MODERN_VERSION: &str = "2026-07-28";
/// The revision of the `initialize` request, for origins that do not support the stateless one.
const LEGACY_VERSION: &str = "2025-11-25";

/// Lists the capabilities of one origin.
pub(super) async fn probe(clients: &HttpClients, target: &Target) -> DiscoveryOutcome {
    let network = &target.document.network;
    let http = match clients.http(&network.private_networks, network.ca_bundle_pem.as_deref()) {
        Ok(http) => http,
        Err(error) => return DiscoveryOutcome::Unreachable(error.to_string()),
    };
    probe_modern(&http, target).await.unwrap_or_else(|error| DiscoveryOutcome::Unreachable(error.to_string()))
}

async fn probe_modern(http: &HttpClient, target: &Target) -> Result<DiscoveryOutcome, EgressError> {
    let mut session = Session::new(http, target, true, MODERN_VERSION);
    let reply = session.request("server/discover", json!({})).await?;
    if let Some(outcome) = outcome_of_status(reply.status, target) {
        return Ok(outcome);
    }
    if let Some(found) = reply.result().filter(|result| result.get("supportedVersions").is_some()) {
        let capabilities = found.get("capabilities").cloned().unwrap_or_default();
        return list_catalog(&mut session, &capabilities).await;
    }
    probe_legacy(http, target).await
}

/// Probes with a session, as in revisions before 2026-07-28.
async fn probe_legacy(http: &HttpClient, target: &Target) -> Result<DiscoveryOutcome, EgressError> {
    let mut session = Session::new(http, target, false, LEGACY_VERSION);
    let params = json!({"protocolVersion": LEGACY_VERSION, "capabilities": {}, "clientInfo": client_info()});
    let reply = session.request("initialize", params).await?;
    if let Some(outcome) = outcome_of_status(reply.status, target) {
        return Ok(outcome);
    }
    let Some(found) = reply.result() else {
        let message = format!(
            "The origin responded to initialize with {}. Check that {} is the URL of its Streamable HTTP endpoint.",
            reply.status, target.document.url
        );
        return Ok(DiscoveryOutcome::NotMcp(message));
    };
    let text = |pointer| found.pointer(pointer).and_then(Value::as_str);
    let capabilities = found.get("capabilities").cloned().unwrap_or_default();
    session.protocol_version = text("/protocolVersion").unwrap_or(LEGACY_VERSION).to_owned();
    session.id = reply.session;
    session.notify("notifications/initialized").await?;
    let outcome = list_catalog(&mut session, &capabilities).await;
    session.end().await;
    outcome
}

/// The outcome of statuses that are final: they do not depend on the protocol era.
fn outcome_of_status(status: StatusCode, target: &Target) -> Option<DiscoveryOutcome> {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if target.wants_token() => {
            Some(DiscoveryOutcome::NeedsAccount)
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let message = if target.credential.is_some() {
                format!(
                    "The origin rejected the credential with {status}. Check the Secret, and how spec.auth sends it."
                )
            } else {
                format!(
                    "The origin responded with {status} and requires a credential. Set another mode in spec.auth."
                )
            };
            Some(DiscoveryOutcome::Refused(message))
        }
        status if status.is_server_error() => {
            let message = format!("The origin responded with {status}. Check the origin's log.");
            Some(DiscoveryOutcome::Unreachable(message))
        }
        _ => None,
    }
}

/// Lists the capabilities that the origin declares.
async fn list_catalog(
    session: &mut Session<'_>,
    capabilities: &Value,
) -> Result<DiscoveryOutcome, EgressError> {
    let mut lists = Vec::new();
    for (capability, method, key) in [
        ("tools", "tools/list", "tools"),
        ("prompts", "prompts/list", "prompts"),
        ("resources", "resources/list", "resources"),
        ("resources", "resources/templates/list", "resourceTemplates"),
    ] {
        if capabilities.get(capability).is_none_or(Value::is_null) {
            lists.push(Vec::new());
            continue;
        }
        match session.list(method, key).await {
            Ok(items) => lists.push(items),
            Err(ListError::Egress(error)) => return Err(error),
            // A server with resources does not have to support templates.
            Err(ListError::NotAList { .. }) if key == "resourceTemplates" => lists.push(Vec::new()),
            Err(error @ ListError::NotAList { .. }) => {
                return Ok(DiscoveryOutcome::NotMcp(error.to_string()));
            }
        }
    }
    let [tools, prompts, resources, templates] = <[Vec<Value>; 4]>::try_from(lists).unwrap_or_default();
    let names = |items: &[Value]| {
        items.iter().filter_map(|item| item.get("name").and_then(Value::as_str)).map(str::to_owned).collect()
    };
    let count = |items: &[Value]| i64::try_from(items.len()).unwrap_or(i64::MAX);
    let counts = kind::Catalog {
        tools: count(&tools),
        prompts: count(&prompts),
        resources: Some(count(&resources)),
        resource_templates: count(&templates),
        hash: hash(&[&tools, &prompts, &resources, &templates]),
    };
    let names = Catalog { tools: Some(names(&tools)), prompts: Some(names(&prompts)), observed: false };
    Ok(DiscoveryOutcome::Offers(DiscoveredCatalog {
        protocol_version: session.protocol_version.clone(),
        counts,
        names,
    }))
}

/// A hash over all definitions that does not depend on their order.
fn hash(lists: &[&[Value]]) -> String {
    let mut text = String::new();
    for list in lists {
        let mut items: Vec<_> = list.iter().map(Value::to_string).collect();
        items.sort_unstable();
        text.push_str(&items.join("\n"));
        text.push_str("\n\n");
    }
    content_hash(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_lists_when_their_order_changes_then_the_hash_stays_and_when_a_definition_does_then_not() {
        let (a, b) = (json!({"name": "a"}), json!({"name": "b"}));
        let one = hash(&[&[a.clone(), b.clone()], &[]]);
        assert_eq!(one, hash(&[&[b.clone(), a.clone()], &[]]));
        assert_ne!(one, hash(&[std::slice::from_ref(&a), std::slice::from_ref(&b)]));
        assert_ne!(one, hash(&[&[a, json!({"name": "b", "title": "B"})], &[]]));
    }
}
