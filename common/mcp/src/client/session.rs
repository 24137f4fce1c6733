//! What a client has agreed with an origin, and the HTTP requests that follow from it.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method as HttpMethod, Request};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::header::{METHOD, NAME, PROTOCOL_VERSION, SESSION_ID};

/// The newest stateless revision.
pub const MODERN_VERSION: &str = "2026-07-28";
/// The newest revision with sessions.
pub const LEGACY_VERSION: &str = "2025-11-25";

/// The state that every request to the origin carries: era, protocol revision, session id.
#[derive(Clone, Debug)]
pub struct Session {
    /// Whether requests follow the stateless era (2026-07-28 and later).
    modern: bool,
    protocol_version: Option<String>,
    /// Legacy era: the id that the origin assigned.
    id: Option<HeaderValue>,
    client_info: Option<Value>,
    /// Sent with every request.
    headers: HeaderMap,
}

#[derive(Serialize)]
struct RequestBody<'a, I, P> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<I>,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<P>,
}

impl Session {
    /// Requests of the stateless era.
    #[must_use]
    pub fn modern(protocol_version: &str) -> Self {
        Self { modern: true, protocol_version: Some(protocol_version.to_owned()), ..Self::legacy() }
    }

    /// Requests of the legacy era, before the origin has chosen a revision or assigned a session id.
    #[must_use]
    pub fn legacy() -> Self {
        Self { modern: false, protocol_version: None, id: None, client_info: None, headers: HeaderMap::new() }
    }

    /// The client's name and version, for requests of the stateless era.
    #[must_use]
    pub fn with_client_info(mut self, client_info: Value) -> Self {
        self.client_info = Some(client_info);
        self
    }

    /// Continues a session with this id.
    #[must_use]
    pub fn with_id(mut self, id: Option<HeaderValue>) -> Self {
        self.id = id;
        self
    }

    /// Headers that every request carries. The session's own headers replace them.
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// The protocol revision, if it is agreed.
    #[must_use]
    pub fn protocol_version(&self) -> Option<&str> {
        self.protocol_version.as_deref()
    }

    /// The id that the origin assigned (legacy era).
    #[must_use]
    pub fn id(&self) -> Option<&HeaderValue> {
        self.id.as_ref()
    }

    /// Records the origin's response to `initialize`.
    pub(super) fn accept(&mut self, id: Option<HeaderValue>, result: &RawValue) {
        #[derive(serde::Deserialize)]
        struct InitializeResult {
            #[serde(rename = "protocolVersion")]
            protocol_version: String,
        }
        self.id = id;
        self.protocol_version = serde_json::from_str::<InitializeResult>(result.get())
            .ok()
            .map(|result| result.protocol_version)
            .filter(|version| HeaderValue::from_str(version).is_ok());
    }

    /// A request with its JSON-RPC id. Without params the legacy era omits them.
    #[must_use]
    pub fn request(
        &self,
        method: &str,
        id: impl Serialize,
        mut params: Map<String, Value>,
    ) -> Request<Bytes> {
        if self.modern {
            params.insert("_meta".to_owned(), self.meta());
        }
        let params = (!params.is_empty()).then_some(params);
        self.post(method, &RequestBody { jsonrpc: "2.0", id: Some(id), method, params })
    }

    /// `initialize`, which negotiates the revision and therefore carries no version header.
    #[must_use]
    pub fn initialize(&self, id: impl Serialize, params: &(impl Serialize + ?Sized)) -> Request<Bytes> {
        let method = "initialize";
        let body = RequestBody { jsonrpc: "2.0", id: Some(id), method, params: Some(params) };
        let mut request = self.post(method, &body);
        request.headers_mut().remove(PROTOCOL_VERSION);
        request
    }

    pub(super) fn notification(&self, method: &str) -> Request<Bytes> {
        self.post(method, &RequestBody::<(), ()> { jsonrpc: "2.0", id: None, method, params: None })
    }

    /// The request that ends the session; `None` if there is none.
    pub(super) fn end(&self) -> Option<Request<Bytes>> {
        self.id.as_ref()?;
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = HttpMethod::DELETE;
        *request.headers_mut() = self.headers();
        Some(request)
    }

    /// `_meta` of a request (2026-07-28, basic/index, "_meta").
    fn meta(&self) -> Value {
        let mut meta = json!({
            "io.modelcontextprotocol/protocolVersion": self.protocol_version,
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        if let (Some(client), Some(meta)) = (&self.client_info, meta.as_object_mut()) {
            meta.insert("io.modelcontextprotocol/clientInfo".to_owned(), client.clone());
        }
        meta
    }

    fn post(&self, method: &str, body: &impl Serialize) -> Request<Bytes> {
        // A struct of strings and JSON values always serializes.
        let mut request = Request::new(Bytes::from(serde_json::to_vec(body).unwrap_or_default()));
        *request.method_mut() = HttpMethod::POST;
        let mut headers = self.headers();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.remove(NAME);
        headers.remove(METHOD);
        if self.modern
            && let Ok(method) = HeaderValue::from_str(method)
        {
            headers.insert(METHOD, method);
        }
        *request.headers_mut() = headers;
        request
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        if let Some(version) = self.protocol_version.as_deref().and_then(|version| version.parse().ok()) {
            headers.insert(PROTOCOL_VERSION, version);
        }
        if let Some(id) = &self.id {
            headers.insert(SESSION_ID, id.clone());
        }
        headers
    }
}
