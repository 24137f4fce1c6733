//! Probes one origin: determines its protocol era and lists its capabilities.

use http::StatusCode;
use portcullis_compiler::Catalog;
use portcullis_config_distribution::content_hash;
use portcullis_crds::kinds::origin_mcp as kind;
use portcullis_egress::{EgressError, HttpClient, HttpClients};
use portcullis_mcp::client::{
    Client, ClientError, Handshake, LEGACY_VERSION, ListReply, MODERN_VERSION, Reply, Session,
};
use portcullis_mcp::method::Method;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::Target;
use super::outcome::{DiscoveredCatalog, DiscoveryOutcome};
use super::transport::TargetTransport;

/// Maximum size of one response, even if the origin's own limit is higher.
const MAX_RESPONSE_BYTES: u64 = 10 * 1024 * 1024;

type ProbeError = ClientError<EgressError>;

/// Lists the capabilities of one origin.
pub(super) async fn probe(clients: &HttpClients, target: &Target) -> DiscoveryOutcome {
    let network = &target.document.network;
    let http = match clients.http(&network.private_networks, network.ca_bundle_pem.as_deref()) {
        Ok(http) => http,
        Err(error) => return DiscoveryOutcome::Unreachable(error.to_string()),
    };
    probe_modern(&http, target).await.unwrap_or_else(|error| DiscoveryOutcome::Unreachable(error.to_string()))
}

async fn probe_modern(http: &HttpClient, target: &Target) -> Result<DiscoveryOutcome, ProbeError> {
    let session = Session::modern(MODERN_VERSION).with_client_info(client_info());
    let mut client = client(http, target, session);
    let reply = client.request("server/discover", Map::new()).await?;
    if let Some(outcome) = outcome_of_status(reply.status(), target) {
        return Ok(outcome);
    }
    match reply.result().and_then(members).filter(|result| result.contains_key("supportedVersions")) {
        Some(result) => list_catalog(&mut client, &result).await,
        None => probe_legacy(http, target).await,
    }
}

/// Probes with a session, as in revisions before 2026-07-28.
async fn probe_legacy(http: &HttpClient, target: &Target) -> Result<DiscoveryOutcome, ProbeError> {
    let mut client = client(http, target, Session::legacy());
    let params = json!({"protocolVersion": LEGACY_VERSION, "capabilities": {}, "clientInfo": client_info()});
    let result = match client.initialize(&params).await? {
        Handshake::Opened { result, .. } => result,
        Handshake::Rejected(reply) => return Ok(outcome_of_rejection(&reply, target)),
    };
    let outcome = list_catalog(&mut client, &members(&result).unwrap_or_default()).await;
    // A session that is not ended expires at the origin.
    client.end().await.ok();
    outcome
}

fn client<'a>(http: &'a HttpClient, target: &'a Target, session: Session) -> Client<TargetTransport<'a>> {
    let limit = target.document.limits.response_bytes.min(MAX_RESPONSE_BYTES);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Client::new(TargetTransport { http, target }, session, "portcullis-operator", limit)
}

/// `clientInfo` of the operator.
fn client_info() -> Value {
    json!({"name": "portcullis-operator", "version": env!("CARGO_PKG_VERSION")})
}

fn members(result: &RawValue) -> Option<Map<String, Value>> {
    serde_json::from_str(result.get()).ok()
}

fn outcome_of_rejection(reply: &Reply, target: &Target) -> DiscoveryOutcome {
    outcome_of_status(reply.status(), target).unwrap_or_else(|| {
        DiscoveryOutcome::NotMcp(format!(
            "The origin responded to initialize with {}. Check that {} is the URL of its Streamable HTTP endpoint.",
            reply.status(),
            target.document.url
        ))
    })
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

/// Lists the capabilities that the origin declares in its result of `initialize` or `server/discover`.
async fn list_catalog(
    client: &mut Client<TargetTransport<'_>>,
    result: &Map<String, Value>,
) -> Result<DiscoveryOutcome, ProbeError> {
    let capabilities = result.get("capabilities").cloned().unwrap_or_default();
    let mut lists = Vec::new();
    for (capability, method) in [
        ("tools", Method::ToolsList),
        ("prompts", Method::PromptsList),
        ("resources", Method::ResourcesList),
        ("resources", Method::ResourceTemplatesList),
    ] {
        if capabilities.get(capability).is_none_or(Value::is_null) {
            lists.push(Vec::new());
            continue;
        }
        match client.list(method).await? {
            ListReply::Listed(list) => {
                let items = list.items.iter().map(|item| serde_json::from_str(item.get()));
                lists.push(items.filter_map(Result::ok).collect::<Vec<Value>>());
            }
            ListReply::Unsupported => lists.push(Vec::new()),
            // A server with resources does not have to support templates.
            ListReply::Failed(_) if method == Method::ResourceTemplatesList => lists.push(Vec::new()),
            ListReply::Failed(reply) => return Ok(outcome_of_failed_list(method, &reply)),
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
    let protocol_version = client.session().protocol_version().unwrap_or(LEGACY_VERSION).to_owned();
    Ok(DiscoveryOutcome::Offers(DiscoveredCatalog { protocol_version, counts, names }))
}

fn outcome_of_failed_list(method: Method, reply: &Reply) -> DiscoveryOutcome {
    let method = method.list().map_or("a list request", |shape| shape.method);
    let detail = reply.error().map(|error| error.message.chars().take(200).collect::<String>());
    let detail = detail.map(|error| format!(" Its error: {error}")).unwrap_or_default();
    let status = reply.status();
    DiscoveryOutcome::NotMcp(format!(
        "The origin responded to {method} with {status}. Check the origin's log.{detail}"
    ))
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
