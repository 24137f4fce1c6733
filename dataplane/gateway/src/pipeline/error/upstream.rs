//! What the gateway says where it has nothing of the origin's to pass on: no credential for it, no answer from it, or none that may go
//! further.

use http::StatusCode;
use portcullis_mcp::error::code;
use portcullis_origin_auth::CredentialError;
use serde_json::value::RawValue;

use super::PipelineError;
use crate::upstream::SendError;

impl PipelineError {
    /// There is nothing to go to the origin with, and nothing that the person could connect.
    pub(in crate::pipeline) fn credential_error(
        id: Option<&RawValue>,
        origin: &str,
        error: &CredentialError,
    ) -> Self {
        match error {
            CredentialError::Rejected => Self::credential_rejected(id, origin),
            // Who refuses, and in what words, is in the event of the attempt.
            CredentialError::Refused(_) => Self::new(
                StatusCode::OK,
                code::GATEWAY,
                "exchange_refused",
                format!("your sign-in gives you no access to {origin}; ask an administrator, who finds the reason in the gateway's events"),
            )
            .with_id(id)
            .denied(),
            error => {
                // As with `upstream_failed`.
                tracing::warn!(%error, origin, "there is no credential for an origin now");
                Self::credential_unavailable(id, origin)
            }
        }
    }

    pub(in crate::pipeline) fn credential_unavailable(id: Option<&RawValue>, origin: &str) -> Self {
        Self::unavailable(
            "credential_unavailable",
            format!("the credential for {origin} is not to be had now; try again, and tell an administrator if it stays so"),
        )
        .with_id(id)
    }

    pub(in crate::pipeline) fn credential_rejected(id: Option<&RawValue>, origin: &str) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            "credential_rejected",
            format!("{origin} does not accept the credential that an administrator configured for it"),
        )
        .with_id(id)
        .upstream()
    }

    pub(in crate::pipeline) fn upstream_forbidden(id: Option<&RawValue>, origin: &str) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            "forbidden_upstream",
            format!("{origin} does not let the connected account do this; connect an account that may, or ask there for the right"),
        )
        .with_id(id)
        .upstream()
    }

    /// The person has consented and is not asked again for now. A stream or a notification has nobody to tell it to.
    pub(in crate::pipeline) fn scope_denied(id: Option<&RawValue>, origin: &str, scopes: &[String]) -> Self {
        if id.is_none() {
            return Self::upstream_forbidden(id, origin);
        }
        let scopes = scopes.join(" ");
        Self::new(
            StatusCode::OK,
            code::GATEWAY,
            "scope_refused",
            format!("{origin} still refuses this for want of more rights ({scopes}), although they were asked for and agreed to just now. Ask at {origin} whether your account may have them; connecting again now would change nothing"),
        )
        .with_id(id)
        .upstream()
    }

    /// The person has to ask somebody, or to sign in again, before this can be served.
    pub(in crate::pipeline) fn user_action_required(
        id: Option<&RawValue>,
        reason: &'static str,
        sentence: &str,
    ) -> Self {
        Self::new(StatusCode::OK, code::GATEWAY, reason, sentence).with_id(id)
    }

    /// `sentence` holds the link.
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
        // The details are the operator's to see, not the client's: they would map the network behind the gateway.
        tracing::warn!(%error, reason, "an origin did not answer");
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            reason,
            "the origin behind this virtual MCP did not answer; try again, and tell an administrator if it stays so",
        )
        .with_id(id)
        .upstream()
    }

    pub(in crate::pipeline) fn upstream_timeout(id: Option<&RawValue>, limit_ms: u64) -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            code::GATEWAY,
            "upstream_timeout",
            format!("the origin did not begin to answer within {limit_ms} ms"),
        )
        .with_id(id)
        .upstream()
    }

    pub(in crate::pipeline) fn upstream_redirects(id: Option<&RawValue>, origin: &str) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            "upstream_redirects",
            format!("{origin} answers with a redirect, which is not followed; an administrator must configure its final URL"),
        )
        .with_id(id)
        .upstream()
    }

    pub(in crate::pipeline) fn session_not_opened(status: StatusCode) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            "session_not_opened",
            format!("the origin did not open a session (HTTP {}); initialize a new one", status.as_u16()),
        )
        .upstream()
    }

    pub(in crate::pipeline) fn response_interrupted(
        id: Option<&RawValue>,
        error: &(dyn std::error::Error + 'static),
    ) -> Self {
        tracing::warn!(%error, "an origin broke off its answer");
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            "upstream_broke_off",
            "the origin broke off its answer; try again",
        )
        .with_id(id)
        .upstream()
    }

    pub(in crate::pipeline) fn response_too_large(id: Option<&RawValue>, limit: u64) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            "answer_too_large",
            format!("the origin's answer is larger than the {limit} bytes that are allowed; ask for less at a time"),
        )
        .with_id(id)
        .upstream()
    }

    pub(in crate::pipeline) fn response_unreadable(id: Option<&RawValue>, problem: &str) -> Self {
        tracing::warn!(problem, "an origin's answer cannot be curated");
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            "answer_unreadable",
            "the origin's answer cannot be checked against policy, so it is not passed on",
        )
        .with_id(id)
        .upstream()
    }
}
