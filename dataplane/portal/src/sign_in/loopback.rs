//! Restricts the development sign-in, which has no authentication, to loopback addresses.

use http::{HeaderMap, header};
use portcullis_policy::Gateway;
use url::{Host, Url};

use crate::error::PortalError;

/// Checks that the gateway's public URL has a loopback host.
pub(crate) fn check(gateway: &Gateway) -> Result<(), PortalError> {
    if is_loopback(&gateway.public_url) { Ok(()) } else { Err(PortalError::NotLoopback) }
}

/// Also checks the `Host` of the request, which prevents DNS rebinding.
pub(crate) fn check_host(gateway: &Gateway, headers: &HeaderMap) -> Result<(), PortalError> {
    check(gateway)?;
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if is_loopback(&format!("http://{host}")) { Ok(()) } else { Err(PortalError::NotLoopback) }
}

fn is_loopback(url: &str) -> bool {
    match Url::parse(url).ok().as_ref().and_then(Url::host) {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn given_addresses_then_only_this_machines_are_loopback() {
        for ours in ["http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:80", "http://127.9.9.9"] {
            assert!(is_loopback(ours), "{ours}");
        }
        for theirs in [
            "http://localhost.example.com",
            "http://10.0.0.1",
            "http://127.0.0.1.example.com",
            "http://",
            "x",
        ] {
            assert!(!is_loopback(theirs), "{theirs}");
        }
    }
}
