//! What somebody gets who has not connected an account at the origin yet (DESIGN section 5, "Not connected yet"), or whose account
//! may do too little there: greetings and lists from the last known catalog, else one tool that gives the link; a call leads to
//! connecting, in the way that the client can follow.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use portcullis_events::{FailureOrigin, Outcome};
use portcullis_mcp::error::{self, code};
use portcullis_mcp::header::SESSION_ID;
use portcullis_mcp::list::{Item, ItemAction};
use portcullis_mcp::method::Method;
use portcullis_origin_auth::ConnectionStatus;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Context;
use super::audit_record::AuditRecord;
use super::authorize::{Authorized, CONNECT_TOOL};
use super::body::{self, Body};
use super::curate::Curator;
use super::error::PipelineError;
use super::parse::Parsed;
use super::placeholder_stream::PlaceholderStream;
use super::session::{Session, SessionKind};
use crate::catalog::CatalogSection;

/// Revisions of the legacy era, newest first.
const LEGACY_VERSIONS: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];
/// Revisions of the modern era.
const MODERN_VERSIONS: [&str; 1] = ["2026-07-28"];

/// What a person lacks at an origin.
pub(super) enum ConnectRequired {
    /// An account that is connected.
    Account(ConnectionStatus),
    /// These scopes.
    Scopes(Vec<String>),
}

impl ConnectRequired {
    /// For programs.
    const fn reason(&self) -> &'static str {
        match self {
            Self::Account(_) => "connect_needed",
            Self::Scopes(_) => "step_up_needed",
        }
    }

    /// For the person.
    fn user_message(&self, origin: &str, url: &str) -> String {
        match self {
            Self::Account(ConnectionStatus::ReconnectNeeded) => format!(
                "Your {origin} account must be connected again, because {origin} no longer accepts the earlier connection. \
                 Open this link in a browser, then try again: {url}"
            ),
            Self::Account(_) => format!(
                "Your {origin} account is not connected yet. Open this link in a browser, then try again: {url}"
            ),
            Self::Scopes(scopes) => format!(
                "{origin} needs your permission for more than your connected account may do so far ({}). \
                 Open this link in a browser, then try again: {url}",
                scopes.join(" ")
            ),
        }
    }
}

/// Answers in the origin's place.
pub(super) async fn respond(
    context: &Arc<Context>,
    allowed: Authorized<'_>,
    lack: ConnectRequired,
    body: &Bytes,
    record: &mut AuditRecord,
) -> Result<Response<Body>, PipelineError> {
    let received = allowed.parsed();
    let stand_in = LocalResponder { context, received };
    if !received.is_request() {
        record.finish_with_status(StatusCode::ACCEPTED, 0);
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::ACCEPTED;
        return Ok(response);
    }
    let message = received.message();
    match message.method {
        Method::Initialize => stand_in.initialize(body, record),
        Method::Discover => Ok(stand_in.result(stand_in.discover(), record)),
        Method::Listen => Ok(PlaceholderStream::modern(context, received, record).respond()),
        Method::Neutral => Ok(stand_in.result(json!({}), record)),
        method if method.list().is_some() => Ok(stand_in.result(stand_in.list(method), record)),
        _ => match lack {
            ConnectRequired::Account(
                status @ (ConnectionStatus::AdminNeeded | ConnectionStatus::SignInNeeded),
            ) => stand_in.explain_unavailable(status, record),
            lack => stand_in.request_connect(&allowed, &lack, record).await,
        },
    }
}

struct LocalResponder<'a, 'r> {
    context: &'a Arc<Context>,
    received: &'a Parsed<'r>,
}

impl LocalResponder<'_, '_> {
    fn result(&self, result: Value, record: &mut AuditRecord) -> Response<Body> {
        let message = self.received.message();
        local_response(record, error::result(message.id, mark_complete(message.modern, result)))
    }

    /// The session is sealed with the client's own words in it, and opened at the origin once there is an account.
    fn initialize(&self, body: &Bytes, record: &mut AuditRecord) -> Result<Response<Body>, PipelineError> {
        let (by, message) = (self.received.authenticated(), self.received.message());
        let asked = message.protocol_version.as_deref().unwrap_or_default();
        let version = LEGACY_VERSIONS.into_iter().find(|known| *known == asked).unwrap_or(LEGACY_VERSIONS[0]);
        let mut greeting = self.server_info(CatalogSection::Initialize);
        greeting.insert("protocolVersion".to_owned(), version.into());
        let kind = SessionKind::Deferred {
            initialize: initialize_params(body, version)?,
            nonce: nonce(self.context)?,
        };
        let session = Session::seal(self.context, by, kind, message.url_elicitation)?;
        let mut response = local_response(record, error::result(message.id, greeting));
        response.headers_mut().insert(SESSION_ID, session);
        Ok(response)
    }

    fn discover(&self) -> Value {
        let mut greeting = self.server_info(CatalogSection::Discover);
        greeting.entry("supportedVersions").or_insert_with(|| MODERN_VERSIONS.into_iter().collect());
        // What is said now holds only until the account is connected.
        greeting.insert("ttlMs".to_owned(), 0.into());
        greeting.insert("cacheScope".to_owned(), "private".into());
        Value::Object(greeting)
    }

    /// The origin's own greeting where it is known, with the promise to tell when lists change.
    fn server_info(&self, part: CatalogSection) -> serde_json::Map<String, Value> {
        let route = self.received.authenticated().route();
        let known = self.context.catalogs.items(&route.origin, part);
        let mut greeting: serde_json::Map<String, Value> = known
            .as_deref()
            .and_then(<[_]>::first)
            .and_then(|document| serde_json::from_str(document.get()).ok())
            .unwrap_or_default();
        let capabilities =
            greeting.entry("capabilities").or_insert_with(|| json!({"prompts": {}, "resources": {}}));
        if let Value::Object(capabilities) = capabilities {
            capabilities.entry("tools").or_insert_with(|| json!({}));
            for (kind, capability) in capabilities {
                if let ("tools" | "prompts" | "resources", Value::Object(capability)) =
                    (kind.as_str(), capability)
                {
                    capability.insert("listChanged".to_owned(), true.into());
                }
            }
        }
        let server = json!({"name": route.display_name, "version": env!("CARGO_PKG_VERSION")});
        match part {
            CatalogSection::Initialize => greeting.entry("serverInfo").or_insert(server),
            _ => greeting
                .entry("_meta")
                .or_insert_with(|| json!({"io.modelcontextprotocol/serverInfo": server})),
        };
        greeting
    }

    fn list(&self, method: Method) -> Value {
        let curate = Curator::for_request(&self.context.catalogs, self.received);
        let origin = &self.received.authenticated().route().origin;
        let known =
            CatalogSection::from_method(method).and_then(|part| self.context.catalogs.items(origin, part));
        let mut items: Vec<Value> = known
            .iter()
            .flat_map(|items| items.iter())
            .filter_map(|item| visible_item(&curate, method, item))
            .collect();
        if method == Method::ToolsList && self.received.authenticated().route().needs_account() {
            items.push(connect_tool(&origin.display_name));
        }
        let mut result = serde_json::Map::new();
        result.insert(method.list().map_or("items", |shape| shape.key).to_owned(), Value::Array(items));
        if self.received.message().modern {
            result.insert("ttlMs".to_owned(), 0.into());
            result.insert("cacheScope".to_owned(), "private".into());
        }
        Value::Object(result)
    }

    /// A call cannot be served, and no link would help. The person is told who can.
    fn explain_unavailable(
        &self,
        status: ConnectionStatus,
        record: &mut AuditRecord,
    ) -> Result<Response<Body>, PipelineError> {
        let (by, message) = (self.received.authenticated(), self.received.message());
        let origin = &by.route().origin.display_name;
        let (reason, failure, sentence) = if status == ConnectionStatus::SignInNeeded {
            let portal = &by.table().gateway.public_url;
            let sentence = format!(
                "{origin} is used with your sign-in at this gateway, and nothing of it is kept that still counts. Sign out and in \
                 again at {portal}/, then try again. If that does not help, tell an administrator: the identity provider gives the \
                 gateway no refresh token."
            );
            ("sign_in_needed", FailureOrigin::Client, sentence)
        } else {
            let sentence = format!(
                "{origin} is used with one account for everybody, and that account is not connected now. Ask an administrator \
                 of this gateway to connect {origin} on its administration pages, then try again."
            );
            ("admin_needed", FailureOrigin::Gateway, sentence)
        };
        if message.method != Method::ToolsCall {
            return Err(PipelineError::user_action_required(message.id, reason, &sentence));
        }
        let outcome = if failure == FailureOrigin::Gateway { Outcome::GatewayError } else { Outcome::Denied };
        record.set_outcome(outcome, failure, reason);
        Ok(local_response(record, error::result(message.id, text_result(message.modern, &sentence, true))))
    }

    /// A call cannot be served without an account. The client is led to connecting by the best way that it knows.
    async fn request_connect(
        &self,
        allowed: &Authorized<'_>,
        lack: &ConnectRequired,
        record: &mut AuditRecord,
    ) -> Result<Response<Body>, PipelineError> {
        let (by, message) = (self.received.authenticated(), self.received.message());
        let route = by.route();
        let url =
            self.context.portal.connect_link(by.table(), &by.caller().principal.id, route).await.map_err(
                |error| {
                    tracing::error!(%error, "a connect link cannot be made");
                    PipelineError::store_unavailable()
                },
            )?;
        let (reason, sentence) = (lack.reason(), lack.user_message(&route.origin.display_name, &url));
        let asks =
            self.received.url_elicitation() && !allowed.is_connect_tool() && !message.has_input_responses;
        if asks && !message.modern {
            let elicitation = json!({"mode": "url", "elicitationId": nonce(self.context)?, "url": url, "message": sentence});
            let data = json!({"reason": reason, "elicitations": [elicitation]});
            record.set_outcome(Outcome::Denied, FailureOrigin::Client, reason);
            let text = match lack {
                ConnectRequired::Account(_) => "an account must be connected first",
                ConnectRequired::Scopes(_) => "the connected account needs more rights first",
            };
            return Ok(local_response(
                record,
                error::error(message.id, code::URL_ELICITATION_REQUIRED, text, data),
            ));
        }
        if asks && message.method.is_invocation() {
            let request = json!({"method": "elicitation/create", "params": {"mode": "url", "url": url, "message": sentence}});
            record.set_outcome(Outcome::Denied, FailureOrigin::Client, reason);
            let result =
                json!({"resultType": "input_required", "inputRequests": {"connect_account": request}});
            return Ok(local_response(record, error::result(message.id, result)));
        }
        if message.method != Method::ToolsCall {
            return Err(PipelineError::connect_required(message.id, reason, &sentence));
        }
        let outcome = if allowed.is_connect_tool() { Outcome::Success } else { Outcome::Denied };
        record.set_outcome(outcome, FailureOrigin::Client, reason);
        let result = text_result(message.modern, &sentence, !allowed.is_connect_tool());
        Ok(local_response(record, error::result(message.id, result)))
    }
}

/// A call of the gateway's own tool by somebody who has an account connected: where that is all right they are told so.
pub(super) async fn call_connect_tool(
    context: &Arc<Context>,
    allowed: Authorized<'_>,
    body: &Bytes,
    record: &mut AuditRecord,
) -> Result<Response<Body>, PipelineError> {
    let message = allowed.parsed().message();
    let by = allowed.parsed().authenticated();
    let origin = &by.route().origin;
    let wished = context.vault.pending_scopes(&by.caller().principal.id, origin).await;
    let wished =
        wished.map_err(|error| PipelineError::credential_error(message.id, &origin.display_name, &error))?;
    if !wished.is_empty() {
        return respond(context, allowed, ConnectRequired::Scopes(wished), body, record).await;
    }
    let text = format!("Your {} account is connected already. List the tools again.", origin.display_name);
    Ok(local_response(record, error::result(message.id, text_result(message.modern, &text, false))))
}

/// An answer in the origin's place.
fn local_response(record: &mut AuditRecord, message: Vec<u8>) -> Response<Body> {
    record.finish_with_status(StatusCode::OK, message.len() as u64);
    body::json(StatusCode::OK, message)
}

/// A tool's result that says something to the person.
fn text_result(modern: bool, text: &str, is_error: bool) -> Value {
    mark_complete(modern, json!({"content": [{"type": "text", "text": text}], "isError": is_error}))
}

fn mark_complete(modern: bool, mut result: Value) -> Value {
    if modern && let Value::Object(members) = &mut result {
        members.entry("resultType").or_insert_with(|| "complete".into());
    }
    result
}

fn visible_item(curate: &Curator, method: Method, item: &RawValue) -> Option<Value> {
    let parsed: Value = serde_json::from_str(item.get()).ok()?;
    let key = parsed.get(method.list()?.identifier)?.as_str()?.to_owned();
    match curate.decide(method, &Item { key: key.into(), json: item.get() }) {
        ItemAction::Keep => Some(parsed),
        ItemAction::Hide => None,
        ItemAction::Replace(json) => serde_json::from_slice(&json).ok(),
    }
}

fn connect_tool(origin: &str) -> Value {
    json!({
        "name": CONNECT_TOOL,
        "title": format!("Connect your {origin} account"),
        "description": format!(
            "Gives the link with which the user connects their {origin} account. Until that is done, no other tool here works. \
             Call this first, show the link to the user, and list the tools again once they have opened it."
        ),
        "inputSchema": {"type": "object", "properties": {}},
        "annotations": {"readOnlyHint": true, "openWorldHint": false},
    })
}

/// The client's `initialize` parameters, with the revision that it was promised.
fn initialize_params(body: &Bytes, version: &str) -> Result<String, PipelineError> {
    #[derive(serde::Deserialize)]
    struct Initialize {
        params: serde_json::Map<String, Value>,
    }
    let mut params =
        serde_json::from_slice::<Initialize>(body).map_err(|_| PipelineError::incomplete_request())?.params;
    params.insert("protocolVersion".to_owned(), version.into());
    serde_json::to_string(&params).map_err(|_| PipelineError::incomplete_request())
}

fn nonce(context: &Context) -> Result<String, PipelineError> {
    context.random.token().map_err(|_| PipelineError::randomness_unavailable())
}

#[cfg(test)]
mod golden;
