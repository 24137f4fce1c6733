use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use url::form_urlencoded;

use super::ClientAuthError;
use crate::endpoint::form::Form;
use portcullis_jwt_verification::UnverifiedJwt;

/// RFC 7523, section 2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Who a client says it is, and what it shows for it.
pub(super) struct PresentedClient {
    pub(super) id: String,
    pub(super) credential: Credential,
}

/// By which method. More than one at a time is refused (RFC 6749, section 2.3).
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
                    malformed("the client authenticates by a secret and by an assertion; choose one")
                }
                (None, Some((id, assertion))) => {
                    // The assertion says who it is from; client_id may be left out (RFC 7523, section 3, rule 2).
                    if in_form.is_some_and(|in_form| in_form != id) {
                        return malformed("client_id and the sub of the client_assertion name two clients");
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
            return malformed("there are two Authorization headers");
        }
        let Some((id, in_header)) = header.to_str().ok().and_then(basic) else {
            return malformed("the Authorization header is not Basic with a client_id and a secret");
        };
        if secret.is_some() || assertion.is_some() || in_form.is_some_and(|in_form| in_form != id) {
            return malformed(
                "the client is named in the Authorization header and, differently or with another credential, in the form",
            );
        }
        let credential =
            if in_header.is_empty() { Credential::Nothing } else { Credential::Basic(in_header) };
        Ok(Self { id, credential })
    }
}

/// The assertion of a form, and whose it says that it is.
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
        _ => malformed(
            "client_assertion_type has to be urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
    }
}

/// The id and secret of `Basic …`, each form-encoded before they were joined (RFC 6749, section 2.3.1).
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
    // Parsed as the name of a parameter; `&` and `=` cannot be in encoded text, and never are in ids or secrets of ours.
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
