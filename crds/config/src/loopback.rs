//! Recognizes URLs of this machine.

use url::{Host, Url};

/// Whether the host of a URL is `localhost`, a name below it (RFC 6761, section 6.3) or a loopback address.
/// Names are not resolved. An IPv4 address embedded in an IPv6 address does not count.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_urls_then_only_those_of_this_machine_are_loopback() {
        for loopback in [
            "http://127.0.0.1:8080",
            "http://127.9.9.9",
            "http://[::1]:80",
            "https://localhost:1/path",
            "http://LOCALHOST",
            "http://gateway.localhost",
        ] {
            assert!(is_loopback(&loopback.parse().unwrap()), "{loopback}");
        }
        for other in [
            "http://localhost.example.com",
            "http://localhost.",
            "http://notlocalhost",
            "http://10.0.0.1",
            "http://127.0.0.1.example.com",
            "http://[::ffff:127.0.0.1]",
            "data:,localhost",
        ] {
            assert!(!is_loopback(&other.parse().unwrap()), "{other}");
        }
    }
}
