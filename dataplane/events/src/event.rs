use portcullis_clock::UnixMillis;
use serde::Serialize;

/// What kind of thing happened. The part before the dot is its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum EventKind {
    /// A request at a route's boundary that carries no capability: `initialize`, lists, `ping`, streams.
    #[serde(rename = "mcp.request")]
    McpRequest,
    /// A tool call, prompt get or resource read.
    #[serde(rename = "mcp.capability")]
    McpCapability,
    /// A request that policy refused before it reached the origin.
    #[serde(rename = "policy.denied")]
    PolicyDenied,
    /// A request without a valid token.
    #[serde(rename = "auth.unauthenticated")]
    Unauthenticated,
    /// A client registered, or its metadata document was accepted.
    #[serde(rename = "auth.client_registered")]
    ClientRegistered,
    /// Somebody signed in, or failed to.
    #[serde(rename = "auth.sign_in")]
    SignIn,
    /// An identity provider was asked again who somebody is, and said so, or that they have left; or that failed.
    #[serde(rename = "auth.renewed")]
    Renewed,
    /// An identity provider has logged somebody out, or tried to.
    #[serde(rename = "auth.logged_out")]
    LoggedOut,
    /// Somebody approved or refused a client.
    #[serde(rename = "auth.consent")]
    Consent,
    /// A token was issued or refused.
    #[serde(rename = "auth.token")]
    Token,
    /// A grant was revoked.
    #[serde(rename = "auth.revoked")]
    Revoked,
    /// An account at an origin was connected, or failed to be.
    #[serde(rename = "auth.connected")]
    Connected,
    /// An account at an origin was disconnected.
    #[serde(rename = "auth.disconnected")]
    Disconnected,
    /// A token of an origin was refreshed or fetched, or failed to be.
    #[serde(rename = "upstream.refresh")]
    UpstreamRefresh,
    /// A request of the gateway's own to an origin or its authorization server.
    #[serde(rename = "upstream.request")]
    UpstreamRequest,
    /// An administrator connected an account for everybody, or failed to.
    #[serde(rename = "admin.connected")]
    AdminConnected,
    /// An administrator ended what others had been given.
    #[serde(rename = "admin.revoked")]
    AdminRevoked,
    /// The route table changed, or a change was rejected.
    #[serde(rename = "admin.snapshot")]
    Snapshot,
    /// The key rings are others, or nothing in the store is sealed under a replaced key any more.
    #[serde(rename = "admin.keys")]
    Keys,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As asked.
    Success,
    /// The tool ran and reported an error (`isError`), or the origin answered with a JSON-RPC error.
    ToolError,
    /// The client's fault.
    ClientError,
    /// The gateway's fault.
    GatewayError,
    /// The origin's fault.
    UpstreamError,
    /// Refused by policy.
    Denied,
}

/// Who is to be asked about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureOrigin {
    /// Whoever called.
    Client,
    /// Portcullis.
    Gateway,
    /// The origin.
    Upstream,
}

/// Kind of a capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CapabilityKind {
    /// `tools/call`.
    Tool,
    /// `prompts/get`.
    Prompt,
    /// `resources/read`.
    Resource,
    /// `resources/templates/list`.
    ResourceTemplate,
}

/// How the gateway authenticated to the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMode {
    /// Not at all.
    None,
    /// A static header.
    Header,
    /// A static parameter of the URL's query.
    QueryParameter,
    /// The user's own account.
    UserOauth,
    /// An account that an administrator has connected for everybody.
    SharedOauth,
    /// A token that the gateway got in its own name.
    ClientCredentials,
    /// The token of the user's identity provider, exchanged.
    TokenExchange,
    /// An assertion of the user's identity provider.
    IdJag,
}

/// One thing that happened. Fields that do not apply are absent from the output. Times are milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// When it ended (RFC 3339 in the output).
    #[serde(serialize_with = "rfc3339")]
    pub time: UnixMillis,
    /// What kind of thing.
    pub event: EventKind,
    /// How it ended.
    pub outcome: Outcome,
    /// Name of the gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<std::sync::Arc<str>>,
    /// Slug of the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<std::sync::Arc<str>>,
    /// `namespace/name` of the origin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<std::sync::Arc<str>>,
    /// `identity provider:sub` of whoever acted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<std::sync::Arc<str>>,
    /// Whom or what an administrator's action was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Box<str>>,
    /// Names of the teams that gave access.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teams: Option<std::sync::Arc<[std::sync::Arc<str>]>>,
    /// Address of the client that asked (OpenTelemetry: `client.address`): the connection's, or what a trusted proxy says of it.
    #[serde(rename = "client.address", skip_serializing_if = "Option::is_none")]
    pub client_address: Option<std::net::IpAddr>,
    /// OAuth client id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<std::sync::Arc<str>>,
    /// The client's own name, from its registration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<std::sync::Arc<str>>,
    /// JSON-RPC method (OpenTelemetry: `mcp.method.name`).
    #[serde(rename = "mcp.method.name", skip_serializing_if = "Option::is_none")]
    pub method: Option<Box<str>>,
    /// The capability's exposed name or URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capability: Option<Box<str>>,
    /// Its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capability_kind: Option<CapabilityKind>,
    /// MCP revision (OpenTelemetry: `mcp.protocol.version`).
    #[serde(rename = "mcp.protocol.version", skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<Box<str>>,
    /// A digest of the session id (OpenTelemetry: `mcp.session.id`), which lets events of a session be found together.
    #[serde(rename = "mcp.session.id", skip_serializing_if = "Option::is_none")]
    pub session: Option<Box<str>>,
    /// How the gateway authenticated to the origin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_mode: Option<AuthMode>,
    /// Who is to be asked about a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_origin: Option<FailureOrigin>,
    /// Stable, machine-readable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// For people; never a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Box<str>>,
    /// HTTP status of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// From the request's arrival to the answer's last byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<f64>,
    /// Of that, waiting for the origin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_ms: Option<f64>,
    /// Of that, the gateway's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway_ms: Option<f64>,
    /// Size of the request's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_bytes: Option<u64>,
    /// Size of the answer's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_bytes: Option<u64>,
    /// W3C trace id, where the client sent one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<Box<str>>,
}

impl Event {
    /// An event with nothing but its kind and outcome, and whoever the task works for.
    #[must_use]
    pub fn new(time: UnixMillis, event: EventKind, outcome: Outcome) -> Self {
        Self {
            time,
            event,
            outcome,
            gateway: None,
            route: None,
            origin: None,
            subject: None,
            target: None,
            teams: None,
            client_address: portcullis_rate_limit::client_address(),
            client_id: None,
            client_name: None,
            method: None,
            capability: None,
            capability_kind: None,
            protocol_version: None,
            session: None,
            auth_mode: None,
            failure_origin: None,
            reason: None,
            message: None,
            status: None,
            total_ms: None,
            upstream_ms: None,
            gateway_ms: None,
            request_bytes: None,
            response_bytes: None,
            trace_id: None,
        }
    }
}

fn rfc3339<S: serde::Serializer>(time: &UnixMillis, serializer: S) -> Result<S::Ok, S::Error> {
    let time = jiff::Timestamp::from_millisecond(time.0).map_err(serde::ser::Error::custom)?;
    serializer.collect_str(&format_args!("{time:.3}"))
}
