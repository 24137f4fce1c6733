//! Errors of requests to an origin: no credential is available, the origin does not respond, or its response
//! must not be passed on.

use http::StatusCode;
use portcullis_mcp::error::code;
use portcullis_origin_auth::CredentialError;
use serde_json::value::RawValue;

use super::PipelineError;
use crate::upstream::SendError;

impl PipelineError {
    /// No credential is available, and connecting an account would not provide one.
    pub(in crate::pipeline) fn credential_error(
        id: Option<&RawValue>,
        origin: &str,
        error: &CredentialError,
    ) -> Self {
        match error {
            CredentialError::Rejected => Self::credential_rejected(id, origin),
            // The event of the token exchange records which server refused and why.
            CredentialError::Refused(_) => Self::new(
                StatusCode::OK,
                code::GATEWAY,
                "exchange_refused",
                format!("Your sign-in does not give you access to {origin}. Ask an administrator; the gateway's events record the reason."),
            )
            .with_id(id)
            .denied(),
            error => {
                // Only the log has the details, as in `upstream_failed`.
                tracing::warn!(%error, origin, "failed to get credential for origin");
                Self::credential_unavailable(id, origin)
            }
        }
    }

    pub(in crate::pipeline) fn credential_unavailable(id: Option<&RawValue>, origin: &str) -> Self {
        Self::unavailable(
            "credential_unavailable",
            format!("The {origin} credential is temporarily unavailable. Try again; if it keeps failing, contact an administrator."),
        )
        .with_id(id)
    }

    pub(in crate::pipeline) fn credential_rejected(id: Option<&RawValue>, origin: &str) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            "credential_rejected",
            format!("{origin} rejected the credential that is configured for it. Contact an administrator."),
        )
        .with_id(id)
        .upstream()
    }

    pub(in crate::pipeline) fn upstream_forbidden(id: Option<&RawValue>, origin: &str) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            "forbidden_upstream",
            format!("{origin} denied this request to the connected account. Connect an account with permission, or request permission at {origin}."),
        )
        .with_id(id)
        .upstream()
    }

    /// The user consented recently, so the gateway does not request consent again yet. Without an id (a
    /// stream or a notification), the scopes cannot be reported to the user.
    pub(in crate::pipeline) fn scope_denied(id: Option<&RawValue>, origin: &str, scopes: &[String]) -> Self {
        if id.is_none() {
            return Self::upstream_forbidden(id, origin);
        }
        let scopes = scopes.join(" ");
        Self::new(
            StatusCode::OK,
            code::GATEWAY,
            "scope_refused",
            format!("{origin} still denied this request, although you recently consented to the required scopes. Missing scopes: {scopes}. Ask at {origin} whether your account can have them; connecting again now would not help."),
        )
        .with_id(id)
        .upstream()
    }

    /// The user must contact an administrator or sign in again before the gateway can serve this request.
    pub(in crate::pipeline) fn user_action_required(
        id: Option<&RawValue>,
        reason: &'static str,
        sentence: &str,
    ) -> Self {
        Self::new(StatusCode::OK, code::GATEWAY, reason, sentence).with_id(id)
    }

    /// `sentence` contains the connect link.
    pub(in crate::pipeline) fn connect_required(
        id: Option<&RawValue>,
        reason: &'static str,
        sentence: &str,
    ) -> Self {
        Self::new(StatusCode::OK, code::GATEWAY, reason, sentence).with_id(id).denied()
    }

    pub(in crate::pipeline) fn upstream_failed(id: Option<&RawValue>, error: &SendError) -> Self {
        let reason = match error {
            SendError::Connect(error) if error.is_forbidden() => "upstream_address_refused",
            SendError::Connect(_) => "upstream_unreachable",
            SendError::Disconnected(_) => "upstream_broke_off",
            SendError::InvalidUrl(_) => "upstream_url",
        };
        // Only the log has the details: they would reveal the network behind the gateway to clients.
        tracing::warn!(%error, reason, "request to origin failed");
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            reason,
            "The request to the origin of this virtual MCP failed. Try again; if it keeps failing, contact an administrator.",
        )
        .with_id(id)
        .upstream()
    }

    pub(in crate::pipeline) fn upstream_timeout(id: Option<&RawValue>, limit_ms: u64) -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            code::GATEWAY,
            "upstream_timeout",
            format!("The origin did not start to respond within {limit_ms} ms. Try again; if it keeps failing, contact an administrator."),
        )
        .with_id(id)
        .upstream()
    }

    pub(in crate::pipeline) fn upstream_redirects(id: Option<&RawValue>, origin: &str) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            "upstream_redirects",
            format!("{origin} responded with a redirect, which the gateway does not follow. Ask an administrator to configure the final URL."),
        )
        .with_id(id)
        .upstream()
    }

    pub(in crate::pipeline) fn session_not_opened(id: Option<&RawValue>, status: StatusCode) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            "session_not_opened",
            format!(
                "The origin did not open a session (HTTP {}). Initialize a new session.",
                status.as_u16()
            ),
        )
        .with_id(id)
        .upstream()
    }

    pub(in crate::pipeline) fn response_interrupted(
        id: Option<&RawValue>,
        error: &(dyn std::error::Error + 'static),
    ) -> Self {
        tracing::warn!(%error, "origin response was interrupted");
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            "upstream_broke_off",
            "The response of the origin was interrupted. Try again.",
        )
        .with_id(id)
        .upstream()
    }

    pub(in crate::pipeline) fn response_too_large(id: Option<&RawValue>, limit: u64) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            "answer_too_large",
            format!(
                "The response of the origin exceeds the limit of {limit} bytes. Request less data at a time."
            ),
        )
        .with_id(id)
        .upstream()
    }

    /// The origin started a task, although the route offers no tasks.
    pub(in crate::pipeline) fn unsolicited_task(id: Option<&RawValue>, origin: &str) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            "unsolicited_task",
            format!("{origin} started a task instead of responding, but tasks are not available here. Use another tool, or ask an administrator."),
        )
        .with_id(id)
        .upstream()
    }

    pub(in crate::pipeline) fn response_unreadable(id: Option<&RawValue>, problem: &str) -> Self {
        tracing::warn!(problem, "origin response is invalid");
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            "answer_unreadable",
            "The response of the origin is invalid, so the gateway cannot apply its policy and rejects it. Contact an administrator.",
        )
        .with_id(id)
        .upstream()
    }
}
