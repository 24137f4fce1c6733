//! Responses for users who have not connected an account at the origin, or whose account lacks scopes.
//! `initialize` and lists are served from the shared catalog, if there is one. Otherwise the only tool is
//! `connect_account`, which returns the link. A call leads the user to the connect page in the way that the
//! client supports.

use std::sync::Arc;

use http::{Response, StatusCode};
use portcullis_events::{FailureOrigin, Outcome};
use portcullis_mcp::error::{self, code};
use portcullis_mcp::header::SESSION_ID;
use portcullis_mcp::list::{Item, ItemAction};
use portcullis_mcp::message::{Message, MessageKind};
use portcullis_mcp::method::Method;
use portcullis_mcp::tasks;
use portcullis_origin_auth::ConnectionStatus;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Context;
use super::audit_record::AuditRecord;
use super::authorize::{Authorized, CONNECT_TOOL};
use super::body::{self, Body};
use super::curate::Curator;
use super::error::PipelineError;
use super::parse::{Parsed, RequestKind};
use super::placeholder_stream::PlaceholderStream;
use super::relay::session_ended;
use super::session::{Session, SessionKind};
use crate::catalog::CatalogSection;

/// Revisions of the legacy era, newest first.
const LEGACY_VERSIONS: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];
/// Revisions of the modern era.
const MODERN_VERSIONS: [&str; 1] = ["2026-07-28"];

/// What the user must connect or grant at an origin.
pub(super) enum ConnectRequired {
    /// A connected account.
    Account(ConnectionStatus),
    /// More scopes for the connected account.
    Scopes(Vec<String>),
}

impl ConnectRequired {
    const fn reason(&self) -> &'static str {
        match self {
            Self::Account(_) => "connect_needed",
            Self::Scopes(_) => "step_up_needed",
        }
    }

    fn user_message(&self, origin: &str, url: &str) -> String {
        match self {
            Self::Account(ConnectionStatus::ReconnectNeeded) => format!(
                "Your {origin} account must be connected again, because {origin} no longer accepts the previous \
                 connection. Open this link in a browser, then try again: {url}"
            ),
            Self::Account(_) => format!(
                "Your {origin} account is not connected yet. Open this link in a browser, then try again: {url}"
            ),
            Self::Scopes(scopes) => format!(
                "{origin} requires more scopes than your connected account has ({}). Open this link in a browser to \
                 grant them, then try again: {url}",
                scopes.join(" ")
            ),
        }
    }
}

/// Responds locally instead of forwarding the request to the origin.
pub(super) async fn respond(
    context: &Arc<Context>,
    parsed: &Parsed<'_>,
    is_connect_tool: bool,
    lack: ConnectRequired,
    record: &mut AuditRecord,
) -> Result<Response<Body>, PipelineError> {
    let by = parsed.authenticated();
    let message = match parsed.kind() {
        RequestKind::Message(message) => message,
        RequestKind::OpenStream => return Ok(PlaceholderStream::legacy(context, by, record).respond()),
        RequestKind::EndSession => return Ok(session_ended(record)),
    };
    if message.kind != MessageKind::Request {
        record.finish_with_status(StatusCode::ACCEPTED, 0);
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::ACCEPTED;
        return Ok(response);
    }
    let responder = LocalResponder { context, parsed, message };
    match message.method {
        Method::Initialize => responder.initialize(record),
        Method::Discover => Ok(responder.result(responder.discover(), record)),
        Method::Listen => Ok(PlaceholderStream::modern(context, by, message, record).respond()),
        Method::Neutral => Ok(responder.result(json!({}), record)),
        method if method.list().is_some() => Ok(responder.result(responder.list(method), record)),
        _ => match lack {
            ConnectRequired::Account(
                status @ (ConnectionStatus::AdminNeeded | ConnectionStatus::SignInNeeded),
            ) => responder.explain_unavailable(status, record),
            lack => responder.request_connect(is_connect_tool, &lack, record).await,
        },
    }
}

struct LocalResponder<'a, 'r> {
    context: &'a Arc<Context>,
    parsed: &'a Parsed<'r>,
    message: &'a Message<'r>,
}

impl LocalResponder<'_, '_> {
    fn result(&self, result: Value, record: &mut AuditRecord) -> Response<Body> {
        let message = self.message;
        local_response(record, error::result(message.id, mark_complete(message.modern, result)))
    }

    /// The sealed session id contains the client's `initialize` parameters. The session is opened at the
    /// origin once an account is connected.
    fn initialize(&self, record: &mut AuditRecord) -> Result<Response<Body>, PipelineError> {
        let (by, message) = (self.parsed.authenticated(), self.message);
        let asked = message.protocol_version.as_deref().unwrap_or_default();
        let version = LEGACY_VERSIONS.into_iter().find(|known| *known == asked).unwrap_or(LEGACY_VERSIONS[0]);
        let mut greeting = self.server_info(CatalogSection::Initialize);
        greeting.insert("protocolVersion".to_owned(), version.into());
        let kind = SessionKind::Deferred {
            initialize: initialize_params(self.parsed, version)?,
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
        // This response is valid only until the account is connected.
        greeting.insert("ttlMs".to_owned(), 0.into());
        greeting.insert("cacheScope".to_owned(), "private".into());
        Value::Object(greeting)
    }

    /// The origin's own server info if it is known, with `listChanged` set for each list.
    fn server_info(&self, part: CatalogSection) -> serde_json::Map<String, Value> {
        let route = self.parsed.authenticated().route();
        let known = self.context.catalogs.shared_items(&route.origin, part);
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
        let curate = Curator::new(&self.context.catalogs, self.parsed);
        let origin = &self.parsed.authenticated().route().origin;
        let known = CatalogSection::from_method(method)
            .and_then(|part| self.context.catalogs.shared_items(origin, part));
        let mut items: Vec<Value> = known
            .iter()
            .flat_map(|items| items.iter())
            .filter_map(|item| visible_item(&curate, method, item))
            .collect();
        if method == Method::ToolsList && self.parsed.authenticated().route().needs_account() {
            items.push(connect_tool(&origin.display_name));
        }
        let mut result = serde_json::Map::new();
        result.insert(method.list().map_or("items", |shape| shape.key).to_owned(), Value::Array(items));
        if self.message.modern {
            result.insert("ttlMs".to_owned(), 0.into());
            result.insert("cacheScope".to_owned(), "private".into());
        }
        Value::Object(result)
    }

    /// Rejects a call that no connect link can fix, and says who can fix it.
    fn explain_unavailable(
        &self,
        status: ConnectionStatus,
        record: &mut AuditRecord,
    ) -> Result<Response<Body>, PipelineError> {
        let (by, message) = (self.parsed.authenticated(), self.message);
        let origin = &by.route().origin.display_name;
        let (reason, failure, sentence) = if status == ConnectionStatus::SignInNeeded {
            let portal = &by.table().gateway.public_url;
            let sentence = format!(
                "{origin} uses your sign-in at this gateway, but no valid sign-in is stored. Sign out and in again at \
                 {portal}/, then try again. If it keeps failing, contact an administrator: the identity provider does \
                 not issue a refresh token to the gateway."
            );
            ("sign_in_needed", FailureOrigin::Client, sentence)
        } else {
            let sentence = format!(
                "{origin} uses one shared account, and that account is not connected. Ask an administrator of this \
                 gateway to connect {origin} on the administration pages, then try again."
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

    /// Leads the user to the connect page by the best method that the client supports: URL elicitation, or a
    /// message with the link.
    async fn request_connect(
        &self,
        is_connect_tool: bool,
        lack: &ConnectRequired,
        record: &mut AuditRecord,
    ) -> Result<Response<Body>, PipelineError> {
        let (by, message) = (self.parsed.authenticated(), self.message);
        let route = by.route();
        let url =
            self.context.portal.connect_link(by.table(), &by.caller().principal.id, route).await.map_err(
                |error| {
                    tracing::error!(%error, "failed to create connect link");
                    PipelineError::store_unavailable()
                },
            )?;
        let (reason, sentence) = (lack.reason(), lack.user_message(&route.origin.display_name, &url));
        let elicit = self.parsed.url_elicitation() && !is_connect_tool && !message.has_input_responses;
        if elicit && !message.modern {
            let elicitation = json!({"mode": "url", "elicitationId": nonce(self.context)?, "url": url, "message": sentence});
            let data = json!({"reason": reason, "elicitations": [elicitation]});
            record.set_outcome(Outcome::Denied, FailureOrigin::Client, reason);
            let text = match lack {
                ConnectRequired::Account(_) => "Connect an account first",
                ConnectRequired::Scopes(_) => "The connected account requires more scopes",
            };
            return Ok(local_response(
                record,
                error::error(message.id, code::URL_ELICITATION_REQUIRED, text, data),
            ));
        }
        if elicit && message.method.is_invocation() {
            let request = json!({"method": "elicitation/create", "params": {"mode": "url", "url": url, "message": sentence}});
            record.set_outcome(Outcome::Denied, FailureOrigin::Client, reason);
            let result =
                json!({"resultType": "input_required", "inputRequests": {"connect_account": request}});
            return Ok(local_response(record, error::result(message.id, result)));
        }
        if message.method != Method::ToolsCall {
            return Err(PipelineError::connect_required(message.id, reason, &sentence));
        }
        let outcome = if is_connect_tool { Outcome::Success } else { Outcome::Denied };
        record.set_outcome(outcome, FailureOrigin::Client, reason);
        let result = text_result(message.modern, &sentence, !is_connect_tool);
        Ok(local_response(record, error::result(message.id, result)))
    }
}

/// Serves `connect_account` for a user with a connected account: returns a connect link if more scopes are
/// pending, otherwise says that the account is connected.
pub(super) async fn call_connect_tool(
    context: &Arc<Context>,
    authorized: Authorized<'_>,
    record: &mut AuditRecord,
) -> Result<Response<Body>, PipelineError> {
    let parsed = authorized.parsed();
    let (by, id) = (parsed.authenticated(), parsed.id());
    let origin = &by.route().origin;
    let pending = context.broker.pending_scopes(&by.caller().principal.id, origin).await;
    let pending =
        pending.map_err(|error| PipelineError::credential_error(id, &origin.display_name, &error))?;
    if !pending.is_empty() {
        let (is_connect_tool, lack) = (authorized.is_connect_tool(), ConnectRequired::Scopes(pending));
        return respond(context, parsed, is_connect_tool, lack, record).await;
    }
    let modern = parsed.message().is_some_and(|message| message.modern);
    let text = format!("Your {} account is already connected. List the tools again.", origin.display_name);
    Ok(local_response(record, error::result(id, text_result(modern, &text, false))))
}

/// A response by the gateway itself.
fn local_response(record: &mut AuditRecord, message: Vec<u8>) -> Response<Body> {
    record.finish_with_status(StatusCode::OK, message.len() as u64);
    body::json(StatusCode::OK, message)
}

/// A tool result with a text for the user.
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
            "Returns the link to connect the user's {origin} account. No other tool works until the account is connected. \
             Call this tool first, show the link to the user, and list the tools again after the user has opened it."
        ),
        "inputSchema": {"type": "object", "properties": {}},
        "annotations": {"readOnlyHint": true, "openWorldHint": false},
    })
}

/// The client's `initialize` parameters, with the protocol revision of the response.
fn initialize_params(parsed: &Parsed<'_>, version: &str) -> Result<String, PipelineError> {
    #[derive(serde::Deserialize)]
    struct Initialize {
        params: serde_json::Map<String, Value>,
    }
    let Initialize { mut params } =
        serde_json::from_slice(parsed.body()).map_err(|_| PipelineError::incomplete_request())?;
    if !parsed.authenticated().route().origin.allows_tasks()
        && let Some(declared) = params.get("capabilities").map(Value::to_string)
        && let Ok(Some(remaining)) = tasks::remove_from_capabilities(&declared)
        && let Ok(remaining) = serde_json::from_slice(&remaining)
    {
        params.insert("capabilities".to_owned(), remaining);
    }
    params.insert("protocolVersion".to_owned(), version.into());
    serde_json::to_string(&params).map_err(|_| PipelineError::incomplete_request())
}

fn nonce(context: &Context) -> Result<String, PipelineError> {
    context.random.token().map_err(|_| PipelineError::randomness_unavailable())
}

#[cfg(test)]
mod golden;
