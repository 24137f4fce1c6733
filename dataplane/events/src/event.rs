//! The schema of audit events. `EVENTS.md` documents it for readers.

use portcullis_clock::UnixMillis;
use serde::Serialize;

use crate::text;

/// Kind of an event. The part before the dot is its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum EventKind {
    /// A request at a route's boundary that carries no capability: `initialize`, lists, `ping`, streams.
    #[serde(rename = "mcp.request")]
    McpRequest,
    /// A tool call, prompt get or resource read.
    #[serde(rename = "mcp.capability")]
    McpCapability,
    /// A request that policy denied before it reached the origin.
    #[serde(rename = "policy.denied")]
    PolicyDenied,
    /// A request without a valid token.
    #[serde(rename = "auth.unauthenticated")]
    Unauthenticated,
    /// A client registered, or its metadata document was accepted.
    #[serde(rename = "auth.client_registered")]
    ClientRegistered,
    /// A sign-in succeeded or failed.
    #[serde(rename = "auth.sign_in")]
    SignIn,
    /// A sign-in was renewed at the identity provider, ended by it, or could not be renewed.
    #[serde(rename = "auth.renewed")]
    Renewed,
    /// An identity provider logged a user out, or the attempt failed.
    #[serde(rename = "auth.logged_out")]
    LoggedOut,
    /// A user approved or refused a client.
    #[serde(rename = "auth.consent")]
    Consent,
    /// A token was issued or refused.
    #[serde(rename = "auth.token")]
    Token,
    /// A grant was revoked.
    #[serde(rename = "auth.revoked")]
    Revoked,
    /// An account at an origin was connected, or connecting it failed.
    #[serde(rename = "auth.connected")]
    Connected,
    /// An account at an origin was disconnected.
    #[serde(rename = "auth.disconnected")]
    Disconnected,
    /// A token of an origin was refreshed or fetched, or that failed.
    #[serde(rename = "upstream.refresh")]
    UpstreamRefresh,
    /// The gateway itself sent a request to an origin or its authorization server.
    #[serde(rename = "upstream.request")]
    UpstreamRequest,
    /// An administrator connected the shared account of an origin, or connecting it failed.
    #[serde(rename = "admin.connected")]
    AdminConnected,
    /// An administrator revoked access of others.
    #[serde(rename = "admin.revoked")]
    AdminRevoked,
    /// The route table changed, or a change was rejected.
    #[serde(rename = "admin.snapshot")]
    Snapshot,
    /// The key rings changed, or the store no longer contains values sealed under a replaced key.
    #[serde(rename = "admin.keys")]
    Keys,
}

/// Result of the request or action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It succeeded.
    Success,
    /// The tool ran and reported an error (`isError`), or the origin answered with a JSON-RPC error.
    ToolError,
    /// The client caused the failure.
    ClientError,
    /// The gateway caused the failure.
    GatewayError,
    /// The origin caused the failure.
    UpstreamError,
    /// Denied by policy.
    Denied,
}

/// Where a failure originates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureOrigin {
    /// The client.
    Client,
    /// The gateway.
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
    /// No authentication.
    None,
    /// A static header.
    Header,
    /// A static parameter of the URL's query.
    QueryParameter,
    /// The user's own account.
    UserOauth,
    /// A shared account that an administrator connected.
    SharedOauth,
    /// A token issued to the gateway itself (client credentials grant).
    ClientCredentials,
    /// A token exchanged for the user's token from their identity provider (RFC 8693).
    TokenExchange,
    /// An identity assertion (ID-JAG) from the user's identity provider.
    IdJag,
}

/// One audit event. Fields that do not apply are absent from the output. Durations are in milliseconds. Texts
/// are bounded when they are written (`text.rs`).
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// When the request or action ended (RFC 3339 in the output).
    #[serde(serialize_with = "rfc3339")]
    pub time: UnixMillis,
    /// Kind of the event.
    pub event: EventKind,
    /// Result of the request or action.
    pub outcome: Outcome,
    /// Number of events that this one stands for, if it is a summary of anonymous failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Name of the gateway.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text::optional")]
    pub gateway: Option<std::sync::Arc<str>>,
    /// Slug of the route.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text::optional")]
    pub route: Option<std::sync::Arc<str>>,
    /// `namespace/name` of the origin.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text::optional")]
    pub origin: Option<std::sync::Arc<str>>,
    /// `identity provider:sub` of the principal that acted.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text::optional")]
    pub subject: Option<std::sync::Arc<str>>,
    /// Target of an administrator's action.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text::optional")]
    pub target: Option<Box<str>>,
    /// Names of the teams that grant access.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text::optional_list")]
    pub teams: Option<std::sync::Arc<[std::sync::Arc<str>]>>,
    /// IP address of the client (OpenTelemetry: `client.address`): the connection's, or the one that a
    /// trusted proxy reports.
    #[serde(rename = "client.address", skip_serializing_if = "Option::is_none")]
    pub client_address: Option<std::net::IpAddr>,
    /// OAuth client id.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text::optional")]
    pub client_id: Option<std::sync::Arc<str>>,
    /// Name from the client's registration.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text::optional")]
    pub client_name: Option<std::sync::Arc<str>>,
    /// JSON-RPC method (OpenTelemetry: `mcp.method.name`).
    #[serde(
        rename = "mcp.method.name",
        skip_serializing_if = "Option::is_none",
        serialize_with = "text::optional"
    )]
    pub method: Option<Box<str>>,
    /// Exposed name or URI of the capability.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text::optional")]
    pub capability: Option<Box<str>>,
    /// Kind of the capability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capability_kind: Option<CapabilityKind>,
    /// MCP revision (OpenTelemetry: `mcp.protocol.version`).
    #[serde(
        rename = "mcp.protocol.version",
        skip_serializing_if = "Option::is_none",
        serialize_with = "text::optional"
    )]
    pub protocol_version: Option<Box<str>>,
    /// Digest of the session id (OpenTelemetry: `mcp.session.id`). Correlates the events of a session.
    #[serde(
        rename = "mcp.session.id",
        skip_serializing_if = "Option::is_none",
        serialize_with = "text::optional"
    )]
    pub session: Option<Box<str>>,
    /// How the gateway authenticated to the origin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_mode: Option<AuthMode>,
    /// Where a failure originates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_origin: Option<FailureOrigin>,
    /// Stable, machine-readable reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Human-readable message. Never contains a secret.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text::optional_message")]
    pub message: Option<Box<str>>,
    /// HTTP status of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Time from the request's arrival to the last byte of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<f64>,
    /// Part of `total_ms` spent waiting for the origin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_ms: Option<f64>,
    /// Part of `total_ms` spent in the gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway_ms: Option<f64>,
    /// Size of the request body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_bytes: Option<u64>,
    /// Size of the response body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_bytes: Option<u64>,
    /// W3C trace id, if the client sent one.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text::optional")]
    pub trace_id: Option<Box<str>>,
}

impl Event {
    /// Creates an event with its kind and outcome, and the client address of the current task.
    #[must_use]
    pub fn new(time: UnixMillis, event: EventKind, outcome: Outcome) -> Self {
        Self {
            time,
            event,
            outcome,
            count: None,
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
