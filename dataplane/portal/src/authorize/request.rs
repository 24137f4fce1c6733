use portcullis_authorization_server::{Issuer, TargetError};
use portcullis_policy::RouteTable;
use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use crate::Portal;
use crate::authorize::redirect::{ClientRedirect, OAuthError};
use crate::error::PortalError;

/// Longest query that is looked at.
const MAX_QUERY_LEN: usize = 16 * 1024;

/// The one scope there is. What else a client asks for is narrowed to it.
const SCOPE: &str = "mcp";

/// What a client asked for, checked: everything that is remembered of an authorization request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AuthorizationParams {
    /// Whether the root's authorization server was asked, not the route's own.
    pub(crate) at_root: bool,
    /// For which route.
    pub(crate) route_uid: String,
    /// By which client.
    pub(crate) client_id: String,
    /// Where the answer goes.
    pub(crate) answer: ClientRedirect,
    /// PKCE, S256.
    pub(crate) code_challenge: String,
    /// What for.
    pub(crate) scope: String,
    /// Ask although it has been approved before (`prompt=consent`).
    pub(crate) ask_again: bool,
    /// Only a sign-in from then on counts, in Unix milliseconds (`prompt=login`, or "another account").
    pub(crate) signed_in_after: Option<i64>,
}

/// A request that was checked, and whether the client wants no page to be shown (`prompt=none`).
pub(crate) struct CheckedRequest {
    pub(crate) asked: AuthorizationParams,
    pub(crate) silent: bool,
}

/// Why a request is not taken.
pub(crate) enum AuthorizeError {
    /// Whoever asked cannot be trusted with an answer: the person is told instead (RFC 6749, section 4.1.2.1).
    Page(PortalError),
    /// The client is told.
    Client(ClientRedirect, OAuthError),
}

impl From<PortalError> for AuthorizeError {
    fn from(failure: PortalError) -> Self {
        Self::Page(failure)
    }
}

impl CheckedRequest {
    /// Checks a request: first who asks and where the answer would go, then everything else.
    pub(crate) async fn check(
        portal: &Portal,
        table: &RouteTable,
        issuer: &Issuer,
        query: &str,
    ) -> Result<Self, AuthorizeError> {
        if query.len() > MAX_QUERY_LEN {
            return Err(PortalError::Client("The app's request is too long.".to_owned()).into());
        }
        let parameters = Parameters::read(query);
        let sole = |name: &str| {
            parameters.single(name).ok_or_else(|| {
                PortalError::Client(format!("The app's request must name {name} exactly once."))
            })
        };
        let client_id = sole("client_id")?;
        let redirect_uri = sole("redirect_uri")?;
        let client = portal.identity.client(&client_id).await.map_err(PortalError::from)?;
        if !client.allows_redirect(&redirect_uri) {
            return Err(PortalError::Client(format!(
                "{} asks for an answer at an address that it has not registered: {redirect_uri}.",
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

/// The parameters of a query, values as they came.
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

    /// A parameter that is there once, still encoded. An empty one counts as left out (RFC 6749, section 3.1).
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
                        "One resource at a time: a token is for one virtual MCP.",
                    )
                } else {
                    invalid("A parameter is there more than once (RFC 6749, section 3.1).")
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

/// One parameter of a query, as it came and decoded.
#[cfg(fuzzing)]
pub(super) fn parameter(query: &str, name: &str) -> (Option<String>, Option<String>) {
    let parameters = Parameters::read(query);
    (parameters.single_raw(name), parameters.single(name))
}

const fn target_problem(error: &TargetError) -> &'static str {
    match error {
        TargetError::NotThisRoute(_) => {
            "resource must be the URL of the virtual MCP whose authorization server this is, or be left out."
        }
        TargetError::Unknown => "resource names no virtual MCP of this gateway.",
        TargetError::Ambiguous => {
            "resource is missing, and this gateway serves several virtual MCPs: name one (RFC 8707)."
        }
    }
}

/// 32 bytes in base64url without padding.
fn is_sha256(challenge: &str) -> bool {
    challenge.len() == 43
        && challenge.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// Undoes `application/x-www-form-urlencoded`.
fn decode(text: &str) -> String {
    // A value on its own: `&` and `=` were split off before.
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
