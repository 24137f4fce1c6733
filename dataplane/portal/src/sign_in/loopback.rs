//! Restricts the development sign-in, which has no authentication, to loopback addresses.

use http::{HeaderMap, header};
use portcullis_config::is_loopback;
use portcullis_policy::Gateway;
use url::Url;

use crate::error::PortalError;

/// Checks that the gateway's public URL has a loopback host.
pub(crate) fn check(gateway: &Gateway) -> Result<(), PortalError> {
    if has_loopback_host(&gateway.public_url) { Ok(()) } else { Err(PortalError::NotLoopback) }
}

/// Also checks the `Host` of the request, which prevents DNS rebinding.
pub(crate) fn check_host(gateway: &Gateway, headers: &HeaderMap) -> Result<(), PortalError> {
    check(gateway)?;
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if has_loopback_host(&format!("http://{host}")) { Ok(()) } else { Err(PortalError::NotLoopback) }
}

fn has_loopback_host(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| is_loopback(&url))
}
