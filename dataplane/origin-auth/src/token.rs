use std::time::Duration;

use http::header::ACCEPT;
use portcullis_egress::HttpClient;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

use crate::client::{OriginClient, RequestAuth};

/// The deadline of a request to a token endpoint. Shorter than the lease on the refreshing ([`crate::refresh`]), so that a
/// replica never acts on an answer after another may have claimed the same.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(8);

/// More than this no token answer has.
const MAX_RESPONSE_LEN: usize = 128 * 1024;

/// What a token endpoint gave (RFC 6749 section 5.1).
pub(crate) struct TokenResponse {
    pub(crate) access: SecretString,
    pub(crate) refresh: Option<SecretString>,
    /// Seconds.
    pub(crate) lifetime: Option<u64>,
    pub(crate) scope: Option<String>,
}

/// What a token endpoint did not give.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenRequestError {
    /// It refused, and would again (RFC 6749 section 5.2).
    #[error("{}", description.as_ref().map_or_else(|| code.clone(), |text| format!("{text} ({code})")))]
    Refused {
        /// `error`.
        code: String,
        /// `error_description`.
        description: Option<String>,
    },
    /// It does not answer, or not as it should.
    #[error("{0}")]
    Unavailable(String),
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

/// A number, or one in quotes, as some providers have it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(f64),
    Text(String),
}

impl Seconds {
    /// At least one: a token that is dead on arrival would be refreshed at every call.
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

/// Asks a token endpoint.
pub(crate) async fn request_token(
    http: &HttpClient,
    endpoint: &Url,
    client: &OriginClient,
    parameters: &[(&'static str, &str)],
) -> Result<TokenResponse, TokenRequestError> {
    send_request(http, endpoint, client, parameters).await.and_then(validate_response)
}

/// Asks a token endpoint for something that is no access token, and only shown to another server (RFC 8693 section 2.2.1).
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
        _ => Err(refused("invalid_token", "the provider's answer is not what was asked for")),
    }
}

/// An answer that is no refusal.
async fn send_request(
    http: &HttpClient,
    endpoint: &Url,
    client: &OriginClient,
    parameters: &[(&'static str, &str)],
) -> Result<RawTokenResponse, TokenRequestError> {
    let request = http.post(endpoint.clone()).timeout(REQUEST_TIMEOUT).header(ACCEPT, "application/json");
    let authentication = client.authentication().map_err(unavailable)?;
    let request = authentication.form(request, parameters);
    let answer = http.send(request, MAX_RESPONSE_LEN).await.map_err(unavailable)?;
    let status = answer.status;
    let body = answer.json::<RawTokenResponse>();
    let host = endpoint.host_str().unwrap_or_default();
    if status.is_server_error() || status.as_u16() == 429 {
        return Err(TokenRequestError::Unavailable(format!(
            "{host} answered with status {}",
            status.as_u16()
        )));
    }
    match body {
        // Some providers answer 200 to what they refuse.
        Ok(RawTokenResponse { error: Some(code), error_description, .. }) => {
            let told = |text: &str| sanitize(&redact_secrets(text, parameters, &authentication));
            Err(TokenRequestError::Refused {
                code: told(&code),
                description: error_description.as_deref().map(told),
            })
        }
        Ok(body) if status.is_success() => Ok(body),
        _ => Err(TokenRequestError::Unavailable(format!(
            "{host} answered with status {}, and not as a token endpoint does",
            status.as_u16()
        ))),
    }
}

fn validate_response(body: RawTokenResponse) -> Result<TokenResponse, TokenRequestError> {
    if let Some(kind) = &body.token_type
        && !kind.eq_ignore_ascii_case("bearer")
    {
        return Err(refused(
            "unsupported_token_type",
            "the provider gives tokens of a type other than Bearer",
        ));
    }
    match body.access_token {
        Some(access) if is_b64token(access.expose_secret()) => Ok(TokenResponse {
            access,
            refresh: body.refresh_token.filter(|token| !token.expose_secret().is_empty()),
            lifetime: body.expires_in.as_ref().and_then(Seconds::to_whole),
            scope: body.scope,
        }),
        _ => Err(refused("invalid_token", "the provider's answer has no token that can be sent")),
    }
}

fn unavailable(error: impl std::fmt::Display) -> TokenRequestError {
    TokenRequestError::Unavailable(error.to_string())
}

fn refused(code: &str, description: &str) -> TokenRequestError {
    TokenRequestError::Refused { code: code.to_owned(), description: Some(description.to_owned()) }
}

/// The access token of an answer.
#[cfg(fuzzing)]
pub(crate) fn access_token(answer: &[u8]) -> Option<String> {
    validate_response(portcullis_egress::parse_json_object(answer).ok()?)
        .ok()
        .map(|answer| answer.access.expose_secret().to_owned())
}

/// What may stand after `Bearer ` (RFC 6750 section 2.1 and what providers make of it): visible ASCII.
fn is_b64token(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Some providers quote the token that they refuse, and a hostile one might; it would stand on a page, in a log and in an event.
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

/// A stranger's text, fit for a page, a log line and an event.
pub(crate) fn sanitize(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(300).collect()
}
