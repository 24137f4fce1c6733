//! Validates URLs that the gateway connects to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use portcullis_config::{AddressClass, address_class, any_network_contains, is_loopback};
use url::{Host, Url};

use super::diagnostics::ResourceDiagnostics;
use super::tenancy::TenancyRules;

/// Parses a URL that the gateway connects to and reports why connections are not allowed. Host names are
/// resolved and checked by the same rules when the data plane connects.
pub(super) fn parse_endpoint(
    diagnostics: &mut ResourceDiagnostics,
    field: &str,
    text: &str,
    tenancy: &TenancyRules<'_>,
) -> Option<Url> {
    let url = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "https" | "http") && url.has_host() => url,
        Ok(_) => {
            diagnostics.error(
                field,
                "InvalidUrl",
                format!("'{text}' is not an HTTP URL; write https://host/path"),
            );
            return None;
        }
        Err(error) => {
            diagnostics.error(
                field,
                "InvalidUrl",
                format!("'{text}' is not a URL ({error}); write https://host/path"),
            );
            return None;
        }
    };
    if !url.username().is_empty() || url.password().is_some() {
        // The message does not quote the URL, because it contains a secret.
        diagnostics.error(
            field,
            "CredentialInUrl",
            "the URL contains a credential; put it into a Secret and use auth.header or auth.queryParameter",
        );
        return None;
    }
    if url.fragment().is_some() {
        diagnostics.error(
            field,
            "InvalidUrl",
            format!("'{text}' has a fragment, which is never sent; remove '#' and the text after it"),
        );
    }
    if let Some(public) = tenancy.public_url.as_ref().filter(|public| is_same_host_and_port(public, &url)) {
        let message = format!(
            "'{text}' is under the gateway's own publicUrl {public}, so the gateway would call itself; use the address of the \
             server"
        );
        diagnostics.error(field, "GatewayItself", message);
        return Some(url);
    }
    let networks = tenancy.private_networks(diagnostics.namespace());
    if tenancy.has_gateway() {
        check_host(diagnostics, field, &url, &networks, tenancy);
    }
    Some(url)
}

fn is_same_host_and_port(one: &Url, other: &Url) -> bool {
    let place = |url: &Url| url.host_str().map(str::to_ascii_lowercase).zip(url.port_or_known_default());
    place(one) == place(other)
}

fn check_host(
    diagnostics: &mut ResourceDiagnostics,
    field: &str,
    url: &Url,
    networks: &[IpNet],
    tenancy: &TenancyRules<'_>,
) {
    let literal = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        _ => None,
    };
    let namespace = diagnostics.namespace().to_owned();
    let tenancy = tenancy.tenancy_location();
    let allow = |network: &str| {
        format!(
            "ask the owner of the gateway to allow it in {tenancy}: an entry for '{namespace}' with privateNetworks: \
             [\"{network}\"]"
        )
    };
    match literal.map(|address| (address, address_class(address))) {
        Some((address, AddressClass::Forbidden)) => {
            let message = format!(
                "connections to {address} are never allowed: it is link-local, multicast, a cloud metadata service, or not a \
                 valid destination"
            );
            diagnostics.error(field, "AddressNeverAllowed", message);
        }
        Some((address, AddressClass::Private)) if !any_network_contains(networks, address) => {
            let network = IpNet::from(address);
            let message = format!("{address} is a private address; {}", allow(&network.to_string()));
            diagnostics.error(field, "PrivateAddress", message);
        }
        Some((address, AddressClass::Public)) if url.scheme() == "http" => {
            let message = format!("plain http to {address} is not encrypted; use https");
            diagnostics.error(field, "PlainHttp", message);
        }
        None if is_loopback(url) => {
            let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
            if !loopback.into_iter().any(|address| any_network_contains(networks, address)) {
                let host = url.host_str().unwrap_or_default();
                let message = format!("{host} is a private address; {}", allow("127.0.0.0/8"));
                diagnostics.error(field, "PrivateAddress", message);
            }
        }
        None if url.scheme() == "http" && networks.is_empty() => {
            let message = format!(
                "plain http is allowed only in private networks, and the namespace '{namespace}' has none; use https, or {}",
                allow("10.0.0.0/8")
            );
            diagnostics.error(field, "PlainHttp", message);
        }
        _ => {}
    }
}
