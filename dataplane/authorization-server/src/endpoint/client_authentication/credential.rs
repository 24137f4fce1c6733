//! Reads a client's id and credential from a request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use url::form_urlencoded;

use super::ClientAuthError;
use crate::endpoint::form::Form;
use portcullis_jwt_verification::UnverifiedJwt;

/// Required `client_assertion_type` (RFC 7523, section 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The client id and credential in a request, not verified yet.
pub(super) struct PresentedClient {
    pub(super) id: String,
    pub(super) credential: Credential,
}

/// Credential by method. Requests with more than one are rejected (RFC 6749, section 2.3).
pub(super) enum Credential {
    Nothing,
    Basic(String),
    Post(String),
    Assertion(String),
}

impl PresentedClient {
    pub(super) fn read(headers: &HeaderMap, form: &Form) -> Result<Self, ClientAuthError> {
        let malformed = |problem| Err(ClientAuthError::Malformed(problem));
        let in_form = form.get("client_id").map(ToOwned::to_owned);
        let secret = form.get("client_secret").map(ToOwned::to_owned);
        let assertion = assertion(form)?;
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(header) = values.next() else {
            return match (secret, assertion) {
                (Some(_), Some(_)) => {
                    malformed("the request has both client_secret and client_assertion; send only one")
                }
                (None, Some((id, assertion))) => {
                    // client_id is optional: the assertion has the id in `sub` (RFC 7523, section 3, rule 2).
                    if in_form.is_some_and(|in_form| in_form != id) {
                        return malformed("client_id differs from the sub of the client_assertion");
                    }
                    Ok(Self { id, credential: Credential::Assertion(assertion) })
                }
                (secret, None) => {
                    let id = in_form.ok_or(ClientAuthError::MissingClientId)?;
                    Ok(Self { id, credential: secret.map_or(Credential::Nothing, Credential::Post) })
                }
            };
        };
        if values.next().is_some() {
            return malformed("the request has two Authorization headers; send one");
        }
        let Some((id, in_header)) = header.to_str().ok().and_then(basic) else {
            return malformed("the Authorization header must be Basic with a client_id and a secret");
        };
        if secret.is_some() || assertion.is_some() || in_form.is_some_and(|in_form| in_form != id) {
            return malformed(
                "the form has another client_id or another credential than the Authorization header; send only one",
            );
        }
        let credential =
            if in_header.is_empty() { Credential::Nothing } else { Credential::Basic(in_header) };
        Ok(Self { id, credential })
    }
}

/// The assertion in a form, with the client id in its unverified `sub`: `(id, assertion)`.
fn assertion(form: &Form) -> Result<Option<(String, String)>, ClientAuthError> {
    let malformed = |problem| Err(ClientAuthError::Malformed(problem));
    match (form.get("client_assertion_type"), form.get("client_assertion")) {
        (None, None) => Ok(None),
        (Some(JWT_BEARER), Some(text)) => {
            let unverified = UnverifiedJwt::read(text).map_err(ClientAuthError::Assertion)?;
            let id = unverified.claims().text("sub").map_err(ClientAuthError::Assertion)?;
            Ok(Some((id.to_owned(), text.to_owned())))
        }
        (Some(JWT_BEARER), None) => malformed("client_assertion is missing"),
        _ => {
            malformed("client_assertion_type must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
        }
    }
}

/// The id and secret in `Basic …`. Both are form-encoded (RFC 6749, section 2.3.1).
pub(crate) fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let joined = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (id, secret) = joined.split_once(':')?;
    Some((form_decoded(id), form_decoded(secret)))
}

fn form_decoded(text: &str) -> String {
    // Parsed as the name of a parameter. Encoded text has no `&` or `=`, and neither have the gateway's ids
    // and secrets.
    form_urlencoded::parse(text.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirements: as.client.secret
    #[test]
    fn given_a_basic_header_when_read_then_both_parts_are_form_decoded() {
        let header = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert_eq!(basic(&header("a%3Ab:c+d%2B")), Some(("a:b".to_owned(), "c d+".to_owned())));
        assert_eq!(basic(&header("pc_client_x:")), Some(("pc_client_x".to_owned(), String::new())));
        assert_eq!(basic(&header("no colon")), None);
        assert_eq!(basic("Bearer x"), None);
        assert_eq!(basic("Basic !!!"), None);
    }
}
