//! Host names that cannot be registered in public DNS. A private listener accepts only these in `Host`.

use std::net::IpAddr;

use http::uri::Authority;

/// Domains that public DNS never delegates (RFC 6761; ICANN's reservation of `internal`), and those of a
/// cluster.
const INTERNAL_DOMAINS: [&str; 4] = [".svc", ".cluster.local", ".internal", ".localhost"];

/// Whether a `Host` header is an IP address, a name without a dot, or a name under a domain that is never
/// delegated.
///
/// This rejects DNS rebinding: a web page can point its own domain at a private address and send requests
/// there. The browser treats them as same-origin, so `Origin` does not reveal them, but `Host` is the page's
/// domain.
#[must_use]
pub fn is_internal_host(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if host.contains('@') {
        return false;
    }
    let name = authority.host().trim_end_matches('.').to_ascii_lowercase();
    name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
        || (!name.is_empty() && !name.contains('.'))
        || INTERNAL_DOMAINS.iter().any(|domain| name.ends_with(domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Advisory class: Host and Origin unchecked on any listener (DNS rebinding).
    #[test]
    fn given_a_host_then_only_what_a_stranger_cannot_own_is_internal() {
        for internal in [
            "127.0.0.1:9090",
            "10.1.2.3",
            "[fd00::1]:9090",
            "localhost",
            "LOCALHOST:9090",
            "portcullis-admin",
            "portcullis-admin.mcp.svc",
            "portcullis-admin.mcp.svc.cluster.local:9090",
            "metadata.internal.",
        ] {
            assert!(is_internal_host(internal), "{internal}");
        }
        for strange in [
            "evil.example",
            "evil.example:9090",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "mcp.svc.evil.example",
            "user@localhost",
            "a b",
            "",
            ":9090",
            ".",
        ] {
            assert!(!is_internal_host(strange), "{strange}");
        }
    }
}
