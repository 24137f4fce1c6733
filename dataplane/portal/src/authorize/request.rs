//! Checks the parameters of an authorization request (RFC 6749, RFC 7636, RFC 8707, OpenID Connect).

use portcullis_authorization_server::{Issuer, TargetError};
use portcullis_policy::RouteTable;
use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use crate::Portal;
use crate::authorize::redirect::{ClientRedirect, OAuthError};
use crate::error::PortalError;

/// Maximum length of a query, in bytes.
const MAX_QUERY_LEN: usize = 16 * 1024;

/// The only scope. Requests for other scopes are narrowed to it.
const SCOPE: &str = "mcp";

/// The checked parameters of an authorization request, as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AuthorizationParams {
    /// Whether the request was sent to the root issuer instead of the route's.
    pub(crate) at_root: bool,
    pub(crate) route_uid: String,
    pub(crate) client_id: String,
    /// Where the response goes.
    pub(crate) answer: ClientRedirect,
    /// PKCE, S256 (RFC 7636).
    pub(crate) code_challenge: String,
    pub(crate) scope: String,
    /// Ask for consent even if it was given before (`prompt=consent`).
    pub(crate) ask_again: bool,
    /// Only a sign-in at or after this time is accepted, in Unix milliseconds (`prompt=login` or
    /// `prompt=select_account`, or the user chose another account).
    pub(crate) signed_in_after: Option<i64>,
}

/// A checked request. `silent` means that no page may be shown (`prompt=none`).
pub(crate) struct CheckedRequest {
    pub(crate) asked: AuthorizationParams,
    pub(crate) silent: bool,
}

/// Why a request is rejected.
pub(crate) enum AuthorizeError {
    /// Client or redirect URI are invalid: the error is shown to the user (RFC 6749, section 4.1.2.1).
    Page(PortalError),
    /// The error is sent to the client.
    Client(ClientRedirect, OAuthError),
}

impl From<PortalError> for AuthorizeError {
    fn from(failure: PortalError) -> Self {
        Self::Page(failure)
    }
}

impl CheckedRequest {
    /// Checks a request: first the client and its redirect URI, then the other parameters.
    pub(crate) async fn check(
        portal: &Portal,
        table: &RouteTable,
        issuer: &Issuer,
        query: &str,
    ) -> Result<Self, AuthorizeError> {
        if query.len() > MAX_QUERY_LEN {
            return Err(PortalError::Client(
                "The app's request is too long. The limit is 16 KiB.".to_owned(),
            )
            .into());
        }
        let parameters = Parameters::read(query);
        let sole = |name: &str| {
            parameters.single(name).ok_or_else(|| {
                PortalError::Client(format!("The app's request must contain {name} exactly once."))
            })
        };
        let client_id = sole("client_id")?;
        let redirect_uri = sole("redirect_uri")?;
        let client = portal.clients.client(&client_id).await.map_err(PortalError::from)?;
        if !client.allows_redirect(&redirect_uri) {
            return Err(PortalError::Client(format!(
                "{} requested a redirect to an address that is not registered: {redirect_uri}.",
                client.name
            ))
            .into());
        }
        let answer = ClientRedirect {
            redirect_uri,
            state: parameters.single_raw("state"),
            iss: issuer.identifier(table),
        };
        let checked = parameters.check_parameters(portal, table, issuer, &client_id, answer.clone());
        checked.map_err(|error| AuthorizeError::Client(answer, error))
    }
}

/// The parameters of a query, with raw values.
struct Parameters<'a>(Vec<(String, &'a str)>);

impl<'a> Parameters<'a> {
    fn read(query: &'a str) -> Self {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(name, value)| (decode(name), value))
                .collect(),
        )
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(each, _)| each == name).map(|(_, value)| *value)
    }

    /// A parameter that occurs exactly once, still encoded. An empty value counts as omitted (RFC 6749,
    /// section 3.1).
    fn single_raw(&self, name: &str) -> Option<String> {
        let mut values = self.all(name);
        values.next().filter(|value| !value.is_empty() && values.next().is_none()).map(ToOwned::to_owned)
    }

    fn single(&self, name: &str) -> Option<String> {
        self.single_raw(name).map(|value| decode(&value))
    }

    fn check_parameters(
        &self,
        portal: &Portal,
        table: &RouteTable,
        issuer: &Issuer,
        client_id: &str,
        answer: ClientRedirect,
    ) -> Result<CheckedRequest, OAuthError> {
        let invalid = |description| OAuthError::new("invalid_request", description);
        for (index, (name, _)) in self.0.iter().enumerate() {
            if self.0.iter().skip(index + 1).any(|(other, _)| other == name) {
                return Err(if name == "resource" {
                    OAuthError::new(
                        "invalid_target",
                        "resource must occur at most once: a token is valid for one virtual MCP.",
                    )
                } else {
                    invalid("A parameter is repeated (RFC 6749, section 3.1).")
                });
            }
        }
        if self.single("request").is_some() {
            return Err(OAuthError::new("request_not_supported", "Request objects are not supported."));
        }
        if self.single("request_uri").is_some() {
            return Err(OAuthError::new("request_uri_not_supported", "Request objects are not supported."));
        }
        match self.single("response_type").as_deref() {
            Some("code") => {}
            None => return Err(invalid("response_type is missing; it must be code.")),
            Some(_) => {
                return Err(OAuthError::new(
                    "unsupported_response_type",
                    "Only response_type=code is supported.",
                ));
            }
        }
        if !matches!(self.single("response_mode").as_deref(), None | Some("query")) {
            return Err(invalid("Only response_mode=query is supported."));
        }
        let Some(code_challenge) = self.single("code_challenge") else {
            return Err(invalid("PKCE is required: code_challenge is missing (RFC 7636)."));
        };
        if self.single("code_challenge_method").as_deref() != Some("S256") {
            return Err(invalid("PKCE must use code_challenge_method=S256."));
        }
        if !is_sha256(&code_challenge) {
            return Err(invalid(
                "code_challenge is not a SHA-256 digest in base64url (RFC 7636, section 4.2).",
            ));
        }
        let route = issuer
            .target(table, self.single("resource").as_deref())
            .map_err(|error| OAuthError::new("invalid_target", target_problem(&error)))?;
        let prompt = self.single("prompt").unwrap_or_default();
        let prompts: Vec<&str> = prompt.split_ascii_whitespace().collect();
        let silent = prompts.contains(&"none");
        if silent && prompts.len() > 1 {
            return Err(invalid("prompt=none cannot be combined with other prompts."));
        }
        let sign_in = prompts.iter().any(|prompt| matches!(*prompt, "login" | "select_account"));
        let asked = AuthorizationParams {
            at_root: matches!(issuer, Issuer::Root),
            route_uid: route.uid.to_string(),
            client_id: client_id.to_owned(),
            answer,
            code_challenge,
            scope: SCOPE.to_owned(),
            ask_again: prompts.contains(&"consent"),
            signed_in_after: sign_in.then(|| portal.clock.now().0),
        };
        Ok(CheckedRequest { asked, silent })
    }
}

/// One parameter of a query, raw and decoded.
#[cfg(fuzzing)]
pub(super) fn parameter(query: &str, name: &str) -> (Option<String>, Option<String>) {
    let parameters = Parameters::read(query);
    (parameters.single_raw(name), parameters.single(name))
}

const fn target_problem(error: &TargetError) -> &'static str {
    match error {
        TargetError::NotThisRoute(_) => {
            "resource must be the URL of the virtual MCP of this authorization server, or be omitted."
        }
        TargetError::Unknown => "resource is not the URL of a virtual MCP of this gateway.",
        TargetError::Ambiguous => {
            "resource is missing. This gateway serves several virtual MCPs: send the URL of one (RFC 8707)."
        }
    }
}

/// 32 bytes in base64url without padding.
fn is_sha256(challenge: &str) -> bool {
    challenge.len() == 43
        && challenge.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// Decodes `application/x-www-form-urlencoded`.
fn decode(text: &str) -> String {
    // A single name or value: `&` and the first `=` were split off before.
    form_urlencoded::parse(text.replace('=', "%3D").as_bytes())
        .next()
        .map(|(value, _)| value.into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_encoded_parameters_when_read_then_values_decode_and_state_stays_as_it_came() {
        let parameters = Parameters::read("a=x%20y+z&state=%2B/=+&empty=&b&c=1&c=2");
        assert_eq!(parameters.single("a").as_deref(), Some("x y z"));
        assert_eq!(parameters.single_raw("state").as_deref(), Some("%2B/=+"));
        assert_eq!(parameters.single("state").as_deref(), Some("+/= "));
        for absent in ["empty", "b", "c", "d"] {
            assert_eq!(parameters.single(absent), None, "{absent}");
        }
    }

    /// Requirements: as.pkce.challenge
    #[test]
    fn given_challenges_then_only_digests_pass() {
        assert!(is_sha256("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"));
        assert!(!is_sha256("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-c"));
        assert!(!is_sha256("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM"));
    }
}
