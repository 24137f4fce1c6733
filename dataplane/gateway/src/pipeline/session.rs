//! Sealed sessions (legacy era). The client's session id contains the origin's session id, sealed and bound
//! to the principal, the route and the origin. Any replica can serve it, and no other user can use it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue};
use portcullis_clock::{Random, UnixMillis};
use portcullis_keyring::{Purpose, SealError, SealingRing};
use portcullis_mcp::header::SESSION_ID;
use portcullis_policy::{PrincipalId, Route};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Context;
use super::authenticate::Authenticated;
use super::error::PipelineError;

/// Maximum length of a session id. Ids are sent in headers, and common servers reject larger ones.
const MAX_SESSION_ID_LEN: usize = 6 * 1024;
/// Maximum age of a session, even if it is in use.
pub(super) const MAX_AGE_SECONDS: u64 = 30 * 24 * 3600;

/// Contents of a sealed session id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SessionContents {
    /// Issued at, Unix seconds.
    t: i64,
    /// The client supports URL elicitation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    e: bool,
    #[serde(flatten)]
    kind: SessionKind,
}

/// Kind of a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum SessionKind {
    /// The origin's session id.
    #[serde(rename = "o")]
    Origin(String),
    /// Opened before the user connected an account. Contains the `params` of the client's `initialize`, which
    /// open the origin's session later, and a nonce that makes the id unique.
    #[serde(rename = "l")]
    Deferred {
        #[serde(rename = "i")]
        initialize: String,
        #[serde(rename = "n")]
        nonce: String,
    },
}

/// A session that belongs to the caller.
pub(super) struct Session {
    contents: SessionContents,
    digest: String,
}

impl Session {
    /// Opens the session in the headers; `None` if there is none.
    ///
    /// # Errors
    /// Fails if the session is invalid, expired or belongs to another user, route or origin.
    pub(super) fn open(
        context: &Context,
        by: &Authenticated,
        headers: &HeaderMap,
    ) -> Result<Option<Self>, PipelineError> {
        let mut values = headers.get_all(SESSION_ID).iter();
        let Some(value) = values.next() else { return Ok(None) };
        // 404 makes the client start a new session (2025-11-25, basic/transports, "Session Management").
        if values.next().is_some() || value.len() > MAX_SESSION_ID_LEN {
            return Err(PipelineError::unknown_session());
        }
        let bound_to = associated_data(&by.caller().principal.id, by.route());
        let contents =
            SessionContents::open(&context.keys.sealing, &bound_to, value.as_bytes(), context.clock.now())
                .ok_or_else(PipelineError::unknown_session)?;
        let digest = Sha256::digest(value.as_bytes());
        Ok(Some(Self { contents, digest: URL_SAFE_NO_PAD.encode(digest.get(..12).unwrap_or_default()) }))
    }

    /// Returns the sealed id of a session.
    pub(super) fn seal(
        context: &Context,
        by: &Authenticated,
        kind: SessionKind,
        url_elicitation: bool,
    ) -> Result<HeaderValue, PipelineError> {
        let contents = SessionContents { t: context.clock.now().seconds(), e: url_elicitation, kind };
        let bound_to = associated_data(&by.caller().principal.id, by.route());
        let text = contents
            .seal(&context.keys.sealing, &context.random, &bound_to)
            .map_err(|_| PipelineError::randomness_unavailable())?;
        if text.len() > MAX_SESSION_ID_LEN {
            return Err(PipelineError::session_too_large());
        }
        HeaderValue::try_from(text).map_err(|_| PipelineError::session_too_large())
    }

    pub(super) fn kind(&self) -> &SessionKind {
        &self.contents.kind
    }

    pub(super) fn url_elicitation(&self) -> bool {
        self.contents.e
    }

    /// Identifies the session in events and database rows without revealing its id.
    pub(super) fn digest(&self) -> &str {
        &self.digest
    }
}

impl SessionContents {
    fn seal(&self, sealing: &SealingRing, random: &Random, bound_to: &[&str]) -> Result<String, SealError> {
        let text = serde_json::to_vec(self).unwrap_or_default();
        Ok(URL_SAFE_NO_PAD.encode(sealing.seal(random, Purpose::McpSession, bound_to, &text)?))
    }

    /// Opens an id that was sealed with the same associated data and has not expired.
    fn open(sealing: &SealingRing, bound_to: &[&str], id: &[u8], now: UnixMillis) -> Option<Self> {
        let sealed = URL_SAFE_NO_PAD.decode(id).ok()?;
        let text = sealing.open(Purpose::McpSession, bound_to, &sealed).ok()?;
        let contents: Self = serde_json::from_slice(&text).ok()?;
        let end = UnixMillis(contents.t.saturating_mul(1000)).after_seconds(MAX_AGE_SECONDS);
        (now <= end).then_some(contents)
    }
}

fn associated_data<'a>(person: &'a PrincipalId, route: &'a Route) -> [&'a str; 4] {
    [person.as_str(), &route.uid, &route.origin.uid, route.origin.url.as_str()]
}

#[cfg(test)]
pub(in crate::pipeline) mod golden;

#[cfg(test)]
mod tests {
    use portcullis_keyring::Keyring;
    use portcullis_policy::RouteTable;
    use serde_json::{Value, json};

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

    /// A route, with one member of the route's or origin's config changed.
    fn route(of: &str, member: &str, value: &str) -> std::sync::Arc<Route> {
        let all = json!({"include": null, "exclude": [], "overrides": []});
        let mut config: Value = json!({
            "gateway": {
                "name": "gateway", "publicUrl": "https://gateway.example",
                "identityProviders": [{"name": "company", "kind": {"development": {"users": []}}}],
                "tokens": {"accessSeconds": 900, "refreshSeconds": 3600, "sessionSeconds": 3600},
                "storeOutageGraceSeconds": 900,
                "admins": {"groups": [], "users": [], "serviceAccounts": []},
                "clients": {"metadataDocumentHosts": [], "dynamicRegistration": true}, "trustedProxies": [],
            },
            "origins": [{
                "uid": "origin", "id": "o", "name": "mcp/o", "displayName": "O",
                "url": "https://origin.example/mcp", "suspended": false, "auth": "none",
                "network": {"privateNetworks": [], "caBundlePem": null},
                "limits": {"requestTimeoutMs": 60_000, "responseBytes": 1_000_000},
            }],
            "routes": [{
                "uid": "route", "name": "mcp/r", "slug": "r", "displayName": "R", "description": "",
                "suspended": false, "identityProvider": "company", "origin": "origin", "access": "Everyone",
                "capabilities": {"tools": all, "prompts": all, "resources": all, "resourceTemplates": all},
            }],
            "teams": [],
        });
        config[of][0][member] = json!(value);
        if (of, member) == ("origins", "uid") {
            config["routes"][0]["origin"] = json!(value);
        }
        let table = RouteTable::build(&serde_json::from_value(config).unwrap(), 1).unwrap();
        std::sync::Arc::clone(table.route("r").unwrap())
    }

    fn ring() -> SealingRing {
        Keyring::from_json(&Keyring::generate(&Random::system()).unwrap()).unwrap().sealing
    }

    fn begun() -> SessionContents {
        SessionContents { t: NOW.seconds(), e: false, kind: SessionKind::Origin("of the origin".to_owned()) }
    }

    /// Advisory class: session ids that another person can use.
    /// Requirements: rs.session
    #[test]
    fn given_a_session_when_person_route_or_origin_is_another_then_it_does_not_open() {
        let (ring, ana) = (ring(), PrincipalId::of("company", "ana"));
        let same = route("routes", "displayName", "The same");
        let id = begun().seal(&ring, &Random::system(), &associated_data(&ana, &same)).unwrap();
        let opens = |person: &PrincipalId, route: &Route| {
            SessionContents::open(&ring, &associated_data(person, route), id.as_bytes(), NOW).is_some()
        };
        assert!(opens(&ana, &same));
        assert!(!opens(&PrincipalId::of("company", "eve"), &same));
        assert!(!opens(&PrincipalId::of("customers", "ana"), &same));
        for (of, member, value) in [
            ("routes", "uid", "another"),
            ("origins", "uid", "another"),
            ("origins", "url", "https://origin.example/other"),
        ] {
            assert!(!opens(&ana, &route(of, member, value)), "{of}: {member}");
        }
    }

    /// Requirements: rs.session
    #[test]
    fn given_a_session_when_a_month_is_over_then_it_does_not_open() {
        let ring = ring();
        let id = begun().seal(&ring, &Random::system(), &["ana"]).unwrap();
        let opens = |seconds| {
            SessionContents::open(&ring, &["ana"], id.as_bytes(), NOW.after_seconds(seconds)).is_some()
        };
        assert!(opens(MAX_AGE_SECONDS));
        assert!(!opens(MAX_AGE_SECONDS + 1));
    }
}
