//! The challenge of the MCP endpoint to clients without a valid access token.

use http::HeaderValue;
use portcullis_policy::Route;

use crate::AuthenticateError;
use crate::issuer::root_issuer;

/// The `WWW-Authenticate` header of a 401, or of a 403 because of a missing scope (RFC 9728, section 5.1;
/// RFC 6750, section 3). It names an error only if the request had a token.
#[must_use]
pub fn challenge(route: &Route, error: Option<&AuthenticateError>) -> HeaderValue {
    let mut challenge = String::from("Bearer ");
    if let Some(error) = error {
        let code = match error {
            AuthenticateError::InsufficientScope => "insufficient_scope",
            AuthenticateError::Invalid(_) | AuthenticateError::Unavailable => "invalid_token",
        };
        challenge.push_str(&format!(r#"error="{code}", error_description="{error}", "#));
    }
    let (base, slug) = (root_issuer(route), &route.slug);
    challenge.push_str(&format!(
        r#"resource_metadata="{base}/.well-known/oauth-protected-resource/mcp/{slug}", scope="mcp""#
    ));
    HeaderValue::from_str(&challenge).unwrap_or(HeaderValue::from_static("Bearer"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestServer;

    const REASON: &str = "the access token has expired";

    /// Requirements: rs.challenge
    #[tokio::test]
    async fn given_a_challenge_when_a_token_was_sent_then_and_only_then_it_names_an_error() {
        let world = TestServer::new(&["a"]).await;
        let route = world.route("a");
        let metadata = r#"resource_metadata="https://gateway.example/.well-known/oauth-protected-resource/mcp/a", scope="mcp""#;
        assert_eq!(challenge(&route, None), format!("Bearer {metadata}"));
        assert_eq!(
            challenge(&route, Some(&AuthenticateError::Invalid(REASON))),
            format!(r#"Bearer error="invalid_token", error_description="{REASON}", {metadata}"#)
        );
    }
}
