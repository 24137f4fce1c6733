//! OAuth error responses.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde_json::json;

/// An OAuth error response (RFC 6749, section 5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OAuthError {
    pub(super) status: StatusCode,
    pub(super) error: &'static str,
    description: String,
    header: Option<(http::HeaderName, &'static str)>,
}

impl OAuthError {
    pub(super) fn new(status: StatusCode, error: &'static str, description: impl Into<String>) -> Self {
        Self { status, error, description: description.into(), header: None }
    }

    /// An error with status 400.
    pub(super) fn bad_request(error: &'static str, description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, description)
    }

    /// Adds `Retry-After`, in seconds.
    pub(super) fn retry_after(mut self, seconds: &'static str) -> Self {
        self.header = Some((RETRY_AFTER, seconds));
        self
    }

    /// Adds the `WWW-Authenticate` header that a client with an `Authorization` header must get (RFC 6749,
    /// section 5.2).
    pub(super) fn challenge_basic(mut self) -> Self {
        self.header = Some((WWW_AUTHENTICATE, r#"Basic realm="portcullis""#));
        self
    }

    /// An internal failure of the gateway. Never `invalid_client` or `invalid_grant`, because clients then
    /// discard valid credentials.
    pub(super) fn unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "server_error",
            "the gateway is temporarily unavailable; try again shortly",
        )
        .retry_after("5")
    }

    /// Another server that the request depends on does not respond. Never `invalid_client`, for the same
    /// reason.
    pub(super) fn temporarily_unavailable(problem: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", problem).retry_after("5")
    }

    /// Too many requests of this client address failed. Never `invalid_client`, for the same reason.
    pub(super) fn too_many_failures() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "temporarily_unavailable",
            "too many requests with invalid credentials came from this address; try again in 10 seconds",
        )
        .retry_after("10")
    }

    pub(super) fn not_ready() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "server_error",
            "the gateway has no configuration yet; try again shortly",
        )
        .retry_after("5")
    }

    pub(super) fn no_such_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "this gateway serves no virtual MCP at this path")
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        // Keep only the characters that RFC 6749 allows: the description may contain text from the client.
        let allowed = |c: char| if matches!(c, ' '..='~') && c != '"' && c != '\\' { c } else { '\'' };
        let description: String = self.description.chars().map(allowed).collect();
        let body = json!({ "error": self.error, "error_description": description }).to_string();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some((name, value)) = self.header {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn given_a_clients_own_words_in_a_description_then_only_the_characters_of_the_rfc_are_repeated() {
        let answer =
            OAuthError::bad_request("invalid_request", "a ~ \"b\" \\ caf\u{e9}\n\u{7f}!").into_response();
        let body = axum::body::to_bytes(answer.into_body(), 1000).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["error_description"], "a ~ 'b' ' caf'''!");
    }
}
