//! The cookies of the portal.

use axum_extra::extract::cookie::CookieJar;
use http::{HeaderMap, HeaderValue};
use portcullis_policy::Gateway;

/// A cookie of the portal. Its value is a random token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CookieKind {
    /// Identifies the browser, for flows that must end in the browser in which they started. No sign-in.
    Browser,
    /// Identifies the session. Replaced at each sign-in.
    Session,
}

impl CookieKind {
    /// With the prefix `__Host-`, other hosts of the domain and plain http cannot set the cookie (RFC
    /// 6265bis, section 4.1.3.2). Browsers accept such a cookie only over https, so the prefix is omitted on
    /// plain http (loopback only).
    const fn name(self, gateway: &Gateway) -> &'static str {
        match (self, gateway.loopback_http) {
            (Self::Browser, false) => "__Host-portcullis-browser",
            (Self::Session, false) => "__Host-portcullis-session",
            (Self::Browser, true) => "portcullis-browser",
            (Self::Session, true) => "portcullis-session",
        }
    }

    /// The token from the request, if it is not empty.
    pub(crate) fn read(self, gateway: &Gateway, headers: &HeaderMap) -> Option<String> {
        let jar = CookieJar::from_headers(headers);
        jar.get(self.name(gateway)).map(|cookie| cookie.value().to_owned()).filter(|value| !value.is_empty())
    }

    /// A `Set-Cookie` value that stores a token for the maximum lifetime of a session.
    pub(crate) fn set(self, gateway: &Gateway, token: &str) -> Option<HeaderValue> {
        self.header(gateway, token, gateway.tokens.session_seconds)
    }

    /// A `Set-Cookie` value that deletes the cookie.
    pub(crate) fn clear(self, gateway: &Gateway) -> Option<HeaderValue> {
        self.header(gateway, "", 0)
    }

    fn header(self, gateway: &Gateway, value: &str, seconds: u64) -> Option<HeaderValue> {
        let secure = if gateway.loopback_http { "" } else { "; Secure" };
        let name = self.name(gateway);
        HeaderValue::try_from(format!(
            "{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
        ))
        .ok()
    }
}
