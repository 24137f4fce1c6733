//! The response to a client: its redirect URI with a code or an error.

use serde::{Deserialize, Serialize};
use url::form_urlencoded::byte_serialize;
use url::{Host, Url};

/// Where the response to a client goes: its verified redirect URI, and the parameters to return.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClientRedirect {
    /// Exactly as the client sent it.
    pub(crate) redirect_uri: String,
    /// `state` as in the query, still encoded. Returned unchanged, it decodes to the same value in any
    /// encoding.
    pub(crate) state: Option<String>,
    /// The issuer (RFC 9207).
    pub(crate) iss: String,
}

/// An OAuth error for the client (RFC 6749 section 4.1.2.1, RFC 8707 section 2, OpenID Connect Core section
/// 3.1.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OAuthError {
    pub(crate) error: &'static str,
    pub(crate) description: &'static str,
}

impl OAuthError {
    pub(crate) const DENIED: Self = Self::new("access_denied", "The user denied the request.");
    pub(crate) const NO_ACCESS: Self =
        Self::new("access_denied", "The user has no access to this virtual MCP. A team must grant access.");

    pub(crate) const fn new(error: &'static str, description: &'static str) -> Self {
        Self { error, description }
    }
}

impl ClientRedirect {
    /// The redirect with a code.
    pub(crate) fn with_code(&self, code: &str) -> String {
        self.with(&[("code", code)])
    }

    /// The redirect with an error.
    pub(crate) fn with_error(&self, error: OAuthError) -> String {
        self.with(&[("error", error.error), ("error_description", error.description)])
    }

    fn with(&self, parameters: &[(&str, &str)]) -> String {
        let mut uri = self.redirect_uri.clone();
        let mut separator = match uri.split_once('?') {
            None => "?",
            Some((_, "")) => "",
            Some((_, query)) if query.ends_with('&') => "",
            Some(_) => "&",
        };
        let encoded = |value: &str| byte_serialize(value.as_bytes()).collect::<String>();
        let parameters = parameters.iter().map(|(name, value)| (*name, encoded(value)));
        let state = self.state.iter().map(|state| ("state", state.clone()));
        let iss = std::iter::once(("iss", encoded(&self.iss)));
        for (name, value) in parameters.chain(state).chain(iss) {
            uri.push_str(separator);
            uri.push_str(name);
            uri.push('=');
            uri.push_str(&value);
            separator = "&";
        }
        uri
    }

    /// The redirect URI under which consents are stored. The port is removed from `http` URIs, which are on
    /// loopback, because such clients listen on a different port each time.
    pub(crate) fn approved_as(&self) -> String {
        if let Ok(mut url) = Url::parse(&self.redirect_uri)
            && url.scheme() == "http"
            && url.set_port(None).is_ok()
        {
            return url.into();
        }
        self.redirect_uri.clone()
    }
}

/// The target of a redirect URI, for display to users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A web site: `https` to a host that is not this machine.
    Site(String),
    /// A program that listens on the user's own machine.
    Loopback {
        /// Host and port.
        host: String,
    },
    /// The program on the user's machine that is registered for a custom scheme.
    CustomScheme(String),
}

impl Destination {
    pub(crate) fn of(redirect_uri: &str) -> Self {
        let Ok(url) = Url::parse(redirect_uri) else { return Self::CustomScheme(redirect_uri.to_owned()) };
        let host = match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => String::new(),
        };
        match url.scheme() {
            "https" if !is_this_machine(&url) => Self::Site(host),
            "https" | "http" => Self::Loopback { host },
            scheme => Self::CustomScheme(scheme.to_owned()),
        }
    }

    /// Whether the redirect itself proves who receives the response. Only a web site does: its certificate
    /// proves the host. Any program on the user's machine can listen on loopback or register a scheme.
    pub(crate) const fn proves_receiver(&self) -> bool {
        matches!(self, Self::Site(_))
    }

    /// In a sentence such as "You will be sent to …".
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Site(host) => host.clone(),
            Self::Loopback { host } => format!("a program on this computer ({host})"),
            Self::CustomScheme(scheme) => format!("the program on this computer that opens {scheme}: links"),
        }
    }
}

/// Whether a URL leads to the machine of the browser. Besides loopback, an unspecified address does, and so
/// does a name with a trailing dot or an IPv4 address written as IPv6.
fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost") || name == "localhost.localdomain"
        }
        Some(Host::Ipv4(ip)) => ip.is_loopback() || matches!(ip.octets(), [0, ..]),
        Some(Host::Ipv6(ip)) => {
            let mapped = ip.to_ipv4().is_some_and(|ip| ip.is_loopback() || matches!(ip.octets(), [0, ..]));
            ip.is_loopback() || ip.is_unspecified() || mapped
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(redirect_uri: &str, state: Option<&str>) -> ClientRedirect {
        ClientRedirect {
            redirect_uri: redirect_uri.to_owned(),
            state: state.map(ToOwned::to_owned),
            iss: "https://mcp.example.com/mcp/a".to_owned(),
        }
    }

    /// Requirements: as.state.exact
    #[test]
    fn given_a_state_with_reserved_characters_when_answered_then_it_is_repeated_as_it_came() {
        assert_eq!(
            address("http://127.0.0.1:9/cb", Some("a+/%2B=")).with_code("c"),
            "http://127.0.0.1:9/cb?code=c&state=a+/%2B=&iss=https%3A%2F%2Fmcp.example.com%2Fmcp%2Fa"
        );
    }

    #[test]
    fn given_a_redirect_with_a_query_when_answered_then_it_is_kept() {
        assert!(address("app:/cb?x=1", None).with_code("c").starts_with("app:/cb?x=1&code=c&iss="));
        assert!(address("app:/cb?x=1&", None).with_code("c").starts_with("app:/cb?x=1&code=c&iss="));
        assert!(address("app:/cb?", None).with_code("c").starts_with("app:/cb?code=c&iss="));
    }

    #[test]
    fn given_a_client_on_this_machine_when_its_port_differs_then_its_approval_is_the_same() {
        let approved = |uri: &str| address(uri, None).approved_as();
        assert_eq!(approved("http://localhost:4000/cb"), approved("http://localhost/cb"));
        assert_ne!(approved("http://localhost:4000/cb"), approved("http://127.0.0.1:4000/cb"));
        assert_ne!(approved("https://a.example:4000/cb"), approved("https://a.example/cb"));
        assert_ne!(approved("https://localhost:4000/cb"), approved("https://localhost/cb"));
    }

    /// Requirements: as.consent.kept
    #[test]
    fn given_redirects_then_only_https_to_another_machine_proves_who_receives_the_answer() {
        for uri in ["https://app.example/cb", "https://localhost.example/cb", "https://10.0.0.1/cb"] {
            assert!(Destination::of(uri).proves_receiver(), "{uri}");
        }
        for uri in [
            "http://127.0.0.1:1/cb",
            "https://localhost:1/cb",
            "https://LOCALHOST/cb",
            "https://localhost./cb",
            "https://app.localhost/cb",
            "https://127.1/cb",
            "https://2130706433/cb",
            "https://127.8.8.8/cb",
            "https://0.0.0.0:1/cb",
            "https://[::1]:1/cb",
            "https://[::]/cb",
            "https://[::ffff:127.0.0.1]/cb",
            "cursor://x/cb",
            "not a url",
        ] {
            assert!(!Destination::of(uri).proves_receiver(), "{uri}");
        }
    }
}
