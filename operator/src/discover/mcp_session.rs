//! Sends MCP requests to one origin, in the modern and in the legacy era.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};
use portcullis_config::OriginAuth;
use portcullis_egress::{EgressError, HttpClient};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::Target;

/// Longer lists are truncated.
const MAX_ITEMS: usize = 5_000;
const MAX_PAGES: usize = 100;
/// Maximum size of one response, even if the origin's own limit is higher.
const MAX_RESPONSE_BYTES: u64 = 10 * 1024 * 1024;

/// Maximum length of an origin's error message in a status condition, in characters.
const MAX_MESSAGE_LEN: usize = 200;

/// A series of requests to one origin.
pub(super) struct Session<'a> {
    http: &'a HttpClient,
    target: &'a Target,
    /// Sent with every request except `initialize`.
    pub(super) protocol_version: String,
    /// Legacy era: the session id that the origin assigned.
    pub(super) id: Option<HeaderValue>,
    /// Whether requests follow the modern, stateless era.
    pub(super) modern: bool,
    last_id: u64,
}

/// The reply to one request.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    /// The JSON-RPC response to this request, if there was one.
    pub(super) response: Option<Value>,
    pub(super) session: Option<HeaderValue>,
}

/// Why a list cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ListError {
    /// The request failed.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// The response is not a list.
    #[error(
        "The origin responded to {method} with {status}. Check the origin's log.{}",
        .message.as_ref().map(|message| format!(" Its error: {message}")).unwrap_or_default()
    )]
    NotAList {
        /// Method of the request.
        method: String,
        /// Status of the response.
        status: StatusCode,
        /// The beginning of the origin's error message, if it returned one.
        message: Option<String>,
    },
}

impl Reply {
    /// The result of a request that succeeded.
    pub(super) fn result(&self) -> Option<&Value> {
        self.response
            .as_ref()
            .filter(|_| self.status.is_success())
            .and_then(|response| response.get("result"))
    }
}

impl<'a> Session<'a> {
    pub(super) fn new(
        http: &'a HttpClient,
        target: &'a Target,
        modern: bool,
        protocol_version: &str,
    ) -> Self {
        Self { http, target, protocol_version: protocol_version.to_owned(), id: None, modern, last_id: 0 }
    }

    /// Sends a request and reads its response from JSON or from an event stream.
    pub(super) async fn request(&mut self, method: &str, params: Value) -> Result<Reply, EgressError> {
        self.last_id += 1;
        let id = self.last_id;
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": self.params(params)});
        let answer = self.post(method, message).await?;
        let is_ours = |value: &Value| value.get("id") == Some(&json!(id)) || value.get("error").is_some();
        let is_stream = answer.headers.get(CONTENT_TYPE).is_some_and(|it| {
            it.to_str().is_ok_and(|it| it.to_ascii_lowercase().starts_with("text/event-stream"))
        });
        let response = if is_stream {
            events(&String::from_utf8_lossy(&answer.body)).find(is_ours)
        } else {
            answer.json::<Value>().ok().filter(is_ours)
        };
        let session = answer.headers.get("mcp-session-id").cloned();
        Ok(Reply { status: answer.status, response, session })
    }

    /// Sends a notification.
    pub(super) async fn notify(&self, method: &str) -> Result<(), EgressError> {
        self.post(method, json!({"jsonrpc": "2.0", "method": method})).await.map(|_| ())
    }

    /// Ends a legacy session. Errors are ignored.
    pub(super) async fn end(&self) {
        if self.id.is_some() {
            let request = self.http.request(http::Method::DELETE, self.target.url());
            self.http.send(self.headers(request, ""), 64 * 1024).await.ok();
        }
    }

    /// All items of a list, from all pages.
    pub(super) async fn list(&mut self, method: &str, key: &str) -> Result<Vec<Value>, ListError> {
        let mut items: Vec<Value> = Vec::new();
        let mut cursor: Option<Value> = None;
        for _ in 0..MAX_PAGES {
            let params = cursor.take().map_or_else(|| json!({}), |cursor| json!({"cursor": cursor}));
            let reply = self.request(method, params).await?;
            let Some(result) = reply.result() else {
                let message =
                    reply.response.as_ref().and_then(|response| response.pointer("/error/message")?.as_str());
                let message = message.map(|message| message.chars().take(MAX_MESSAGE_LEN).collect());
                return Err(ListError::NotAList { method: method.to_owned(), status: reply.status, message });
            };
            items.extend(result.get(key).and_then(Value::as_array).into_iter().flatten().cloned());
            match result.get("nextCursor").filter(|cursor| cursor.is_string()) {
                Some(next) if items.len() < MAX_ITEMS => cursor = Some(next.clone()),
                _ => break,
            }
        }
        items.truncate(MAX_ITEMS);
        Ok(items)
    }

    fn params(&self, mut params: Value) -> Value {
        if self.modern
            && let Some(params) = params.as_object_mut()
        {
            let meta = json!({
                "io.modelcontextprotocol/protocolVersion": self.protocol_version,
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": client_info(),
            });
            params.insert("_meta".to_owned(), meta);
        }
        params
    }

    async fn post(
        &self,
        method: &str,
        message: Value,
    ) -> Result<portcullis_egress::HttpResponse, EgressError> {
        let limit = self.target.document.limits.response_bytes.min(MAX_RESPONSE_BYTES);
        let request = self.headers(self.http.post(self.target.url()), method).json(&message);
        self.http.send(request, usize::try_from(limit).unwrap_or(usize::MAX)).await
    }

    fn headers(&self, request: reqwest::RequestBuilder, method: &str) -> reqwest::RequestBuilder {
        let mut request = request.header(ACCEPT, "application/json, text/event-stream");
        if self.modern && !method.is_empty() {
            request = request.header("mcp-method", method);
        }
        // `initialize` negotiates the version, so it has no version header.
        if method != "initialize" {
            request = request.header("mcp-protocol-version", &self.protocol_version);
        }
        if let Some(id) = &self.id {
            request = request.header("mcp-session-id", id);
        }
        if let OriginAuth::Header { name, .. } = &self.target.document.auth
            && let Some(credential) = &self.target.credential
            && let (Ok(name), Ok(mut value)) =
                (HeaderName::try_from(name.as_str()), HeaderValue::from_str(credential.expose_secret()))
        {
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        request
    }
}

/// `clientInfo` of the operator.
pub(super) fn client_info() -> Value {
    json!({"name": "portcullis-operator", "version": env!("CARGO_PKG_VERSION")})
}

/// The JSON messages of a stream of server-sent events, one per event.
fn events(text: &str) -> impl Iterator<Item = Value> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let events: Vec<_> = text
        .split("\n\n")
        .filter_map(|event| {
            let data: Vec<_> = event
                .lines()
                .filter_map(|line| line.strip_prefix("data:"))
                .map(|data| data.strip_prefix(' ').unwrap_or(data))
                .collect();
            serde_json::from_str(&data.join("\n")).ok()
        })
        .collect();
    events.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_stream_of_events_when_read_then_each_message_is_whole() {
        let text = ": hello\r\n\r\nevent: message\r\nid: 1\r\ndata: {\"id\":1,\r\ndata: \"result\":{}}\r\n\r\ndata:{\"method\":\"x\"}\n\n";
        let events: Vec<_> = events(text).collect();
        assert_eq!(events, [json!({"id": 1, "result": {}}), json!({"method": "x"})]);
    }
}
