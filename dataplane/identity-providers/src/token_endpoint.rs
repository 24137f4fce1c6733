//! Requests to a provider's token endpoint (RFC 6749, sections 4.1.3 and 6).

use std::time::Duration;

use http::header::ACCEPT;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;
use url::form_urlencoded;

use crate::error::Problem;
use crate::provider::Provider;

/// Deadline of a token request. Shorter than the lease of a renewal.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(8);
/// Maximum size of a response, in bytes.
const MAX_RESPONSE_LEN: usize = 512 * 1024;

/// Tokens from a provider.
pub(crate) struct Tokens {
    pub(crate) access: SecretString,
    pub(crate) refresh: Option<SecretString>,
    pub(crate) id_token: Option<SecretString>,
    /// Lifetime of the access token in seconds, if known.
    pub(crate) lifetime: Option<u64>,
}

/// A token request failed. Messages never contain the response, which may hold a token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenRequestError {
    /// The provider returned an error response (RFC 6749, section 5.2).
    #[error("{}", description.as_ref().map_or_else(|| code.clone(), |text| format!("{text} ({code})")))]
    Refused { code: String, description: Option<String> },
    /// The provider did not respond, or is temporarily unavailable.
    #[error(transparent)]
    Unavailable(Problem),
    /// The response is invalid.
    #[error(transparent)]
    InvalidResponse(Problem),
}

#[derive(Deserialize)]
struct TokenResponse {
    access_token: Option<SecretString>,
    token_type: Option<String>,
    expires_in: Option<Value>,
    refresh_token: Option<SecretString>,
    id_token: Option<SecretString>,
    error: Option<String>,
    error_description: Option<String>,
}

impl Provider<'_> {
    /// Requests tokens, authenticated as the gateway's client.
    pub(crate) async fn tokens(
        &self,
        parameters: &[(&'static str, &str)],
    ) -> Result<Tokens, TokenRequestError> {
        let endpoint = self.discovered.metadata.token_endpoint.clone();
        let endpoint = endpoint.ok_or_else(|| {
            TokenRequestError::InvalidResponse(Problem::new("its metadata has no token_endpoint"))
        })?;
        let mut form = parameters.to_vec();
        let request = self.http.post(endpoint).timeout(REQUEST_TIMEOUT).header(ACCEPT, "application/json");
        let request = self.authenticate(request, &mut form).form(&form);
        let answer = self
            .http
            .send(request, MAX_RESPONSE_LEN)
            .await
            .map_err(|error| TokenRequestError::Unavailable(Problem::of(error)))?;
        let status = answer.status;
        if status.is_server_error() || status.as_u16() == 429 {
            let problem = format!("its token endpoint returned status {}", status.as_u16());
            return Err(TokenRequestError::Unavailable(Problem::new(problem)));
        }
        let malformed = || {
            let status = status.as_u16();
            Problem::new(format!("the response of its token endpoint (status {status}) is malformed"))
        };
        match answer.json::<TokenResponse>() {
            // Some providers send errors with status 200.
            Ok(TokenResponse { error: Some(code), error_description, .. }) => {
                Err(TokenRequestError::Refused {
                    code: sanitize(&code),
                    description: error_description.as_deref().map(sanitize),
                })
            }
            Ok(body) if status.is_success() => parse_tokens(body),
            Ok(_) => Err(TokenRequestError::InvalidResponse(malformed())),
            Err(error) => Err(TokenRequestError::InvalidResponse(malformed().with_source(error))),
        }
    }

    /// Adds the client's credentials (RFC 6749, section 2.3.1): in the `Authorization` header, unless the
    /// metadata lists only `client_secret_post`.
    fn authenticate<'a>(
        &'a self,
        request: reqwest::RequestBuilder,
        form: &mut Vec<(&'static str, &'a str)>,
    ) -> reqwest::RequestBuilder {
        let id = self.client.client_id.as_str();
        let Some(secret) = self.secret else {
            form.push(("client_id", id));
            return request;
        };
        let methods = self.discovered.metadata.token_endpoint_auth_methods_supported.as_deref();
        let takes = |method: &str| methods.is_some_and(|methods| methods.iter().any(|known| known == method));
        if takes("client_secret_post") && !takes("client_secret_basic") {
            form.extend([("client_id", id), ("client_secret", secret.expose_secret())]);
            return request;
        }
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        request.basic_auth(encode(id), Some(encode(secret.expose_secret())))
    }
}

fn parse_tokens(body: TokenResponse) -> Result<Tokens, TokenRequestError> {
    if body.token_type.as_ref().is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(TokenRequestError::InvalidResponse(Problem::new(
            "its token endpoint returned a token_type other than Bearer",
        )));
    }
    let given = |token: Option<SecretString>| token.filter(|token| !token.expose_secret().is_empty());
    let access = given(body.access_token)
        .filter(|token| token.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()))
        .ok_or_else(|| {
            TokenRequestError::InvalidResponse(Problem::new("its token endpoint returned no access token"))
        })?;
    Ok(Tokens {
        access,
        refresh: given(body.refresh_token),
        id_token: given(body.id_token),
        lifetime: body.expires_in.as_ref().and_then(seconds),
    })
}

/// A number of seconds. Some providers send it as a string.
fn seconds(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// Makes text from a provider safe for logs: no control characters, at most 300 characters.
pub(crate) fn sanitize(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(300).collect()
}
