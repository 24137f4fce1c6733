//! Sealed sessions (legacy era). The id that a client holds *is* the session: the origin's id, sealed and bound to the person,
//! the route and the origin, so that any replica serves it and nobody else can use it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue};
use portcullis_ambient::Instant;
use portcullis_keys::Purpose;
use portcullis_wire::header::SESSION_ID;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Context;
use super::principal::Authenticated;
use super::refusal::Refusal;

/// Ids are headers: larger ones would not pass common servers.
const MAX_SEALED: usize = 6 * 1024;
/// Sessions end after this long, however busy.
pub(super) const MAX_AGE_SECONDS: u64 = 30 * 24 * 3600;

/// What the sealed id holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Contents {
    /// Issued at, Unix seconds.
    t: i64,
    /// The client can be sent to a URL.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    e: bool,
    /// Which of the two kinds it is.
    #[serde(flatten)]
    kind: Kind,
}

/// Two kinds of sessions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Kind {
    /// One of the origin's.
    #[serde(rename = "o")]
    Origin(String),
    /// Opened before the user had connected an account: the `params` of the client's `initialize`, with which the origin's
    /// session is opened once they have; and a nonce that makes the id unique.
    #[serde(rename = "l")]
    Late {
        #[serde(rename = "i")]
        initialize: String,
        #[serde(rename = "n")]
        nonce: String,
    },
}

/// A session that is the caller's own.
pub(super) struct Session {
    contents: Contents,
    digest: String,
}

impl Session {
    /// Opens the session that the headers name; `None` when they name none.
    pub(super) fn open(
        context: &Context,
        by: &Authenticated,
        headers: &HeaderMap,
    ) -> Result<Option<Self>, Refusal> {
        let mut values = headers.get_all(SESSION_ID).iter();
        let Some(value) = values.next() else { return Ok(None) };
        // Exactly 404: it tells a client to start anew (2025-11-25, basic/transports, "Session Management").
        if values.next().is_some() || value.len() > MAX_SEALED {
            return Err(Refusal::unknown_session());
        }
        let sealed = URL_SAFE_NO_PAD.decode(value.as_bytes()).map_err(|_| Refusal::unknown_session())?;
        let opened = context
            .keys
            .sealing
            .open(Purpose::McpSession, &bound_to(by), &sealed)
            .map_err(|_| Refusal::unknown_session())?;
        let contents: Contents = serde_json::from_slice(&opened).map_err(|_| Refusal::unknown_session())?;
        if Instant(contents.t.saturating_mul(1000)).after_seconds(MAX_AGE_SECONDS) < context.clock.now() {
            return Err(Refusal::unknown_session());
        }
        let digest = Sha256::digest(value.as_bytes());
        Ok(Some(Self { contents, digest: URL_SAFE_NO_PAD.encode(digest.get(..12).unwrap_or_default()) }))
    }

    /// The outward id of a session.
    pub(super) fn seal(
        context: &Context,
        by: &Authenticated,
        kind: Kind,
        url_elicitation: bool,
    ) -> Result<HeaderValue, Refusal> {
        let contents = Contents { t: context.clock.now().seconds(), e: url_elicitation, kind };
        let text = serde_json::to_vec(&contents).map_err(|_| Refusal::session_too_large())?;
        let sealed = context
            .keys
            .sealing
            .seal(&context.random, Purpose::McpSession, &bound_to(by), &text)
            .map_err(|_| Refusal::no_randomness())?;
        let text = URL_SAFE_NO_PAD.encode(sealed);
        if text.len() > MAX_SEALED {
            return Err(Refusal::session_too_large());
        }
        HeaderValue::try_from(text).map_err(|_| Refusal::session_too_large())
    }

    pub(super) fn kind(&self) -> &Kind {
        &self.contents.kind
    }

    pub(super) fn url_elicitation(&self) -> bool {
        self.contents.e
    }

    /// Stands for the session in events and rows; tells nothing of it.
    pub(super) fn digest(&self) -> &str {
        &self.digest
    }
}

fn bound_to(by: &Authenticated) -> [&str; 4] {
    let route = by.route();
    [by.caller().principal.id.as_str(), &route.uid, &route.origin.uid, route.origin.url.as_str()]
}
