//! Responses of pages and OAuth endpoints to requests whose body was not read.

use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use crate::limits::{BodyError, Limits};
use crate::pipeline::Body;

/// Replaces the response of a handler that could not read the body at `path`. Other headers stay: they let
/// browser clients read the response.
pub(super) fn refuse_body(
    limits: &Limits,
    path: &str,
    failure: BodyError,
    mut response: Response<Body>,
) -> Response<Body> {
    let (status, code, text) = match failure {
        BodyError::Incomplete => return response,
        BodyError::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "invalid_request",
            "The request body is too large. Send a smaller one.",
        ),
        BodyError::TooSlow => (
            StatusCode::REQUEST_TIMEOUT,
            "invalid_request",
            "The request body arrived too slowly. Send it at 1 kB per second or faster, and within 60 seconds.",
        ),
        BodyError::NoMemory => {
            limits.count_refused();
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                "The gateway is processing too many large requests. Try again in a few seconds.",
            )
        }
    };
    let (content_type, body) = if is_oauth_endpoint(path) {
        ("application/json", json!({"error": code, "error_description": text}).to_string())
    } else {
        ("text/plain; charset=utf-8", format!("{text}\n"))
    };
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // The rest of the body may still arrive.
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    *response.body_mut() = Body::whole(body);
    response
}

/// Whether clients expect errors in the form of RFC 6749, section 5.2.
fn is_oauth_endpoint(path: &str) -> bool {
    path == "/register" || path.contains("/oauth/")
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::limits::LimitSettings;

    async fn refused(path: &str, failure: BodyError) -> (u16, Option<String>, String) {
        let limits = Limits::new(LimitSettings::default());
        let mut handler = Response::new(Body::whole("failed to read the body"));
        *handler.status_mut() = StatusCode::BAD_REQUEST;
        let response = refuse_body(&limits, path, failure, handler);
        let retry = response.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.ok().unwrap().to_bytes();
        (status, retry, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn given_a_body_that_was_not_read_then_the_response_says_why_in_the_form_of_the_endpoint() {
        let (status, retry, body) = refused("/mcp/a/oauth/token", BodyError::NoMemory).await;
        assert_eq!((status, retry.as_deref()), (503, Some("5")));
        assert!(body.starts_with(r#"{"error":"temporarily_unavailable""#), "{body}");
        let (status, retry, body) = refused("/login", BodyError::TooSlow).await;
        assert_eq!((status, retry), (408, None));
        assert!(body.starts_with("The request body arrived too slowly."), "{body}");
        assert_eq!(refused("/register", BodyError::TooLarge).await.0, 413);
        assert_eq!(refused("/login", BodyError::Incomplete).await.2, "failed to read the body");
    }
}
