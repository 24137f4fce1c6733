//! Requests to token endpoints, and validation of their responses (RFC 6749 section 5).

use std::time::Duration;

use http::header::ACCEPT;
use portcullis_egress::{EgressError, HttpClient};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

use crate::client::{OriginClient, RequestAuth};
use crate::client_assertion::ClientAssertionError;

/// Deadline for a request to a token endpoint. Shorter than the lease on a refresh ([`crate::refresh`]), so a
/// replica never uses a response after another replica may have taken the lease.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(8);

/// Maximum size of a token response, in bytes.
const MAX_RESPONSE_LEN: usize = 128 * 1024;

/// A successful token response (RFC 6749 section 5.1).
pub(crate) struct TokenResponse {
    pub(crate) access: SecretString,
    pub(crate) refresh: Option<SecretString>,
    /// Seconds.
    pub(crate) lifetime: Option<u64>,
    pub(crate) scope: Option<String>,
}

/// A failed token request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenRequestError {
    /// The server rejected the request, and would reject it again (RFC 6749 section 5.2).
    #[error("{}", description.as_ref().map_or_else(|| code.clone(), |text| format!("{text} ({code})")))]
    Refused {
        /// `error`.
        code: String,
        /// `error_description`.
        description: Option<String>,
    },
    /// A later request may succeed.
    #[error(transparent)]
    Unavailable(#[from] TokenEndpointError),
}

impl TokenRequestError {
    /// Whether the server does not recognize the client, or rejects its credentials.
    pub(crate) fn is_invalid_client(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "invalid_client")
    }
}

/// The token endpoint is unavailable, or its response is invalid.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenEndpointError {
    #[error(transparent)]
    Authentication(#[from] ClientAssertionError),
    #[error(transparent)]
    Egress(#[from] EgressError),
    #[error("{host} answered with status {status}")]
    Status { host: String, status: u16 },
    #[error("{host} answered with status {status} and an invalid token response")]
    InvalidResponse { host: String, status: u16, source: Option<EgressError> },
}

#[derive(Deserialize)]
struct RawTokenResponse {
    access_token: Option<SecretString>,
    token_type: Option<String>,
    issued_token_type: Option<String>,
    expires_in: Option<Seconds>,
    refresh_token: Option<SecretString>,
    scope: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// A number, or a number in quotes, as some providers send it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(f64),
    Text(String),
}

impl Seconds {
    /// At least one: a token that is already expired would be refreshed at every call.
    fn to_whole(&self) -> Option<u64> {
        let seconds = match self {
            Self::Number(seconds) => *seconds,
            Self::Text(text) => text.trim().parse().ok()?,
        };
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates, which is meant"
        )]
        seconds.is_finite().then_some((seconds as u64).max(1))
    }
}

/// Requests an access token.
pub(crate) async fn request_token(
    http: &HttpClient,
    endpoint: &Url,
    client: &OriginClient,
    parameters: &[(&'static str, &str)],
) -> Result<TokenResponse, TokenRequestError> {
    send_request(http, endpoint, client, parameters).await.and_then(validate_response)
}

/// Requests a token that is not an access token and is only presented to another server (RFC 8693 section
/// 2.2.1).
pub(crate) async fn request_token_of_type(
    http: &HttpClient,
    endpoint: &Url,
    client: &OriginClient,
    parameters: &[(&'static str, &str)],
    issued_token_type: &str,
) -> Result<SecretString, TokenRequestError> {
    let body = send_request(http, endpoint, client, parameters).await?;
    match body.access_token {
        Some(grant)
            if body.issued_token_type.as_deref() == Some(issued_token_type)
                && is_b64token(grant.expose_secret()) =>
        {
            Ok(grant)
        }
        _ => Err(refused("invalid_token", "the provider issued another type of token than requested")),
    }
}

/// Sends a token request, and returns a response without an error.
async fn send_request(
    http: &HttpClient,
    endpoint: &Url,
    client: &OriginClient,
    parameters: &[(&'static str, &str)],
) -> Result<RawTokenResponse, TokenRequestError> {
    let request = http.post(endpoint.clone()).timeout(REQUEST_TIMEOUT).header(ACCEPT, "application/json");
    let authentication = client.authentication().map_err(TokenEndpointError::from)?;
    let request = authentication.form(request, parameters);
    let response = http.send(request, MAX_RESPONSE_LEN).await.map_err(TokenEndpointError::from)?;
    let status = response.status;
    let host = endpoint.host_str().unwrap_or_default().to_owned();
    if status.is_server_error() || status.as_u16() == 429 {
        return Err(TokenEndpointError::Status { host, status: status.as_u16() }.into());
    }
    match response.json::<RawTokenResponse>() {
        // Some providers send errors with status 200.
        Ok(RawTokenResponse { error: Some(code), error_description, .. }) => {
            let clean = |text: &str| sanitize(&redact_secrets(text, parameters, &authentication));
            Err(TokenRequestError::Refused {
                code: clean(&code),
                description: error_description.as_deref().map(clean),
            })
        }
        Ok(body) if status.is_success() => Ok(body),
        body => {
            let (status, source) = (status.as_u16(), body.err());
            Err(TokenEndpointError::InvalidResponse { host, status, source }.into())
        }
    }
}

fn validate_response(body: RawTokenResponse) -> Result<TokenResponse, TokenRequestError> {
    if let Some(kind) = &body.token_type
        && !kind.eq_ignore_ascii_case("bearer")
    {
        return Err(refused(
            "unsupported_token_type",
            "the provider issued a token of a type other than Bearer",
        ));
    }
    match body.access_token {
        Some(access) if is_b64token(access.expose_secret()) => Ok(TokenResponse {
            access,
            refresh: body.refresh_token.filter(|token| !token.expose_secret().is_empty()),
            lifetime: body.expires_in.as_ref().and_then(Seconds::to_whole),
            scope: body.scope,
        }),
        _ => Err(refused("invalid_token", "the provider's response contains no valid access token")),
    }
}

fn refused(code: &str, description: &str) -> TokenRequestError {
    TokenRequestError::Refused { code: code.to_owned(), description: Some(description.to_owned()) }
}

/// The access token in a response.
#[cfg(fuzzing)]
pub(crate) fn access_token(answer: &[u8]) -> Option<String> {
    validate_response(portcullis_egress::parse_json_object(answer).ok()?)
        .ok()
        .map(|answer| answer.access.expose_secret().to_owned())
}

/// Characters allowed after `Bearer ` (RFC 6750 section 2.1, and tokens that providers use in practice):
/// visible ASCII.
fn is_b64token(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Removes secrets from error texts, which appear on pages, in logs and in events. Some providers quote the
/// token that they reject; a hostile one could too.
fn redact_secrets(text: &str, parameters: &[(&'static str, &str)], shown: &RequestAuth<'_>) -> String {
    let sent = parameters
        .iter()
        .filter(|(name, _)| {
            matches!(*name, "code" | "code_verifier" | "refresh_token" | "subject_token" | "assertion")
        })
        .map(|(_, value)| *value);
    sent.chain(shown.secret().map(|secret| secret.expose_secret()))
        .filter(|secret| !secret.is_empty())
        .fold(text.to_owned(), |text, secret| text.replace(secret, "…"))
}

/// Makes untrusted text safe for a page, a log line or an event: no control characters, at most 300
/// characters.
pub(crate) fn sanitize(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(300).collect()
}
