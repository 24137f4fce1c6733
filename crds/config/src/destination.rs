//! Destinations of credentials, as lists of allowed hosts name them.

use url::Url;

/// The host and port of a URL to which a credential is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialDestination {
    host: String,
    port: Option<u16>,
    is_default_port: bool,
}

impl CredentialDestination {
    /// The destination of requests to a URL.
    #[must_use]
    pub fn of(url: &Url) -> Self {
        Self {
            host: url.host_str().unwrap_or_default().to_ascii_lowercase(),
            port: url.port_or_known_default(),
            is_default_port: url.port().is_none(),
        }
    }

    /// Whether a list allows the destination. An entry without a port allows every port of its host, an entry
    /// with a port only that one. `contains` compares a name with the entries, which may be globs.
    pub fn is_allowed(&self, contains: impl Fn(&str) -> bool) -> bool {
        contains(&self.host) || self.port.is_some_and(|port| contains(&format!("{}:{port}", self.host)))
    }
}

/// The host, with the port unless it is the default of the scheme.
impl std::fmt::Display for CredentialDestination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.host)?;
        match self.port {
            Some(port) if !self.is_default_port => write!(f, ":{port}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_an_entry_with_a_port_then_it_allows_that_port_alone_and_one_without_allows_all() {
        for (url, entry, allowed) in [
            ("https://a.example/mcp", "a.example", true),
            ("https://a.example:8443/mcp", "a.example", true),
            ("https://A.example:8443/mcp", "a.example:8443", true),
            ("https://a.example/mcp", "a.example:443", true),
            ("http://a.example/mcp", "a.example:80", true),
            ("https://a.example/mcp", "a.example:8443", false),
            ("https://a.example:9000/mcp", "a.example:8443", false),
            ("https://b.example:8443/mcp", "a.example:8443", false),
            ("https://[::1]:8443/mcp", "[::1]:8443", true),
            ("https://[::1]:8443/mcp", "[::1]", true),
        ] {
            let destination = CredentialDestination::of(&url.parse().unwrap());
            assert_eq!(destination.is_allowed(|name| name == entry), allowed, "{url} {entry}");
        }
    }

    #[test]
    fn given_a_destination_when_shown_then_with_its_port_unless_that_is_the_default() {
        let shown = |url: &str| CredentialDestination::of(&url.parse().unwrap()).to_string();
        assert_eq!(shown("https://a.example/mcp"), "a.example");
        assert_eq!(shown("https://a.example:8443/mcp"), "a.example:8443");
    }
}
