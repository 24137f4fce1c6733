use axum_extra::extract::cookie::CookieJar;
use http::{HeaderMap, HeaderValue};
use portcullis_policy::Gateway;

/// The portal's cookies. Each carries random bits and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CookieKind {
    /// Tells one browser from another, for flows that must end where they began. Signs nobody in.
    Browser,
    /// Who has signed in. Another one after each sign-in.
    Session,
}

impl CookieKind {
    /// `__Host-` keeps other hosts of the domain, and plain http, from setting it (RFC 6265bis, section 4.1.3.2). Browsers take
    /// such a cookie over https only, so on plain http, which is for loopback alone, there is no prefix.
    const fn name(self, gateway: &Gateway) -> &'static str {
        match (self, gateway.loopback_http) {
            (Self::Browser, false) => "__Host-portcullis-browser",
            (Self::Session, false) => "__Host-portcullis-session",
            (Self::Browser, true) => "portcullis-browser",
            (Self::Session, true) => "portcullis-session",
        }
    }

    /// What the browser sent.
    pub(crate) fn read(self, gateway: &Gateway, headers: &HeaderMap) -> Option<String> {
        let jar = CookieJar::from_headers(headers);
        jar.get(self.name(gateway)).map(|cookie| cookie.value().to_owned()).filter(|value| !value.is_empty())
    }

    /// A `Set-Cookie` that keeps a token for as long as a session can last.
    pub(crate) fn set(self, gateway: &Gateway, token: &str) -> Option<HeaderValue> {
        self.header(gateway, token, gateway.tokens.session_seconds)
    }

    /// A `Set-Cookie` that makes the browser forget it.
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
