//! Differences that were found before: each must still be one for some decoder, and the gateway must reject it.

use anyhow::Result;
use serde_json::Value;

use crate::compare::contradiction;
use crate::decoder::Decoders;
use crate::gateway::{self, Accepted};
use crate::reading::{GatewayReading, Reading};
use crate::sample::Sample;

/// Why a known difference does not show that the oracle works; `None` if it does.
pub fn fault(processes: &mut [Decoders], sample: &Sample) -> Result<Option<&'static str>> {
    if gateway::read(sample).is_some() {
        return Ok(Some("the gateway accepts it"));
    }
    let Some(accepted) = accept_anything(sample) else { return Ok(Some("no plain JSON parser reads it")) };
    for decoders in processes {
        let mut answers = decoders.post(&accepted.content_type, &sample.body)?;
        if sample.has_plain_headers() {
            answers.extend(decoders.ask(&[&sample.body])?.remove(0));
        }
        let absent_is_empty = decoders.absent_is_empty();
        if answers.iter().any(|answer| contradiction(&accepted.reading, answer, absent_is_empty).is_some()) {
            return Ok(None);
        }
    }
    Ok(Some("all decoders read it as a plain JSON parser does: the oracle would not find it"))
}

/// A reader without any check: of a repeated key the last counts, unknown keys and the charset are ignored.
fn accept_anything(sample: &Sample) -> Option<Accepted> {
    let message: Value = serde_json::from_slice(&sample.body).ok()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let params = &message["params"];
    let method = text(&message["method"]).unwrap_or_default();
    let kind = match (message.get("method"), message.get("id")) {
        (Some(_), Some(_)) => "request",
        (Some(_), None) => "notification",
        _ => "response",
    };
    let version = text(&params["_meta"]["io.modelcontextprotocol/protocolVersion"]);
    let initialize = (method == "initialize").then(|| text(&params["protocolVersion"])).flatten();
    let subscriptions = params["notifications"]["resourceSubscriptions"].as_array();
    let shared = Reading {
        kind: kind.to_owned(),
        method,
        name: Some(text(&params["name"])),
        uri: Some(text(&params["uri"])),
        cursor: Some(text(&params["cursor"])),
        task: Some(text(&params["taskId"])),
        subscriptions: Some(subscriptions.into_iter().flatten().filter_map(text).collect()),
        version: Some(version.or(initialize)),
        ..Reading::default()
    };
    let reading = GatewayReading {
        shared,
        reference_name: text(&params["ref"]["name"]),
        reference_uri: text(&params["ref"]["uri"]),
    };
    let content_type = sample.headers.iter().find(|(name, _)| name == "content-type")?.1.clone();
    Some(Accepted { reading, content_type })
}
