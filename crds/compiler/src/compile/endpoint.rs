use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use portcullis_contract::{Reach, covers, reach};
use url::{Host, Url};

use super::case::Case;
use super::surroundings::{Surroundings, is_loopback};

/// Reads the address of somebody whom the gateway calls, and says what is wrong with calling it. Names are resolved when they
/// are dialled, by the same rules.
pub(super) fn read(case: &mut Case, field: &str, text: &str, surroundings: &Surroundings<'_>) -> Option<Url> {
    let url = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "https" | "http") && url.has_host() => url,
        Ok(_) => {
            case.error(
                field,
                "InvalidUrl",
                format!("'{text}' is not an address of HTTP; write https://host/path"),
            );
            return None;
        }
        Err(error) => {
            case.error(
                field,
                "InvalidUrl",
                format!("'{text}' is not a URL ({error}); write https://host/path"),
            );
            return None;
        }
    };
    if !url.username().is_empty() || url.password().is_some() {
        // Without the text: it holds a secret.
        case.error(
            field,
            "CredentialInUrl",
            "a URL is no place for a credential; put it into a Secret and use auth.header or auth.queryParameter",
        );
        return None;
    }
    if url.fragment().is_some() {
        case.error(
            field,
            "InvalidUrl",
            format!("'{text}' has a fragment, which is never sent; leave out '#' and what follows"),
        );
    }
    if let Some(public) = surroundings.public_url.as_ref().filter(|public| is_same_place(public, &url)) {
        let message = format!(
            "'{text}' is under the gateway's own publicUrl {public}, so that the gateway would call itself; name the server's \
             own address"
        );
        case.error(field, "GatewayItself", message);
        return Some(url);
    }
    let networks = surroundings.networks(case.namespace());
    if surroundings.are_known() {
        check_host(case, field, &url, &networks, surroundings);
    }
    Some(url)
}

fn is_same_place(one: &Url, other: &Url) -> bool {
    let place = |url: &Url| url.host_str().map(str::to_ascii_lowercase).zip(url.port_or_known_default());
    place(one) == place(other)
}

fn check_host(case: &mut Case, field: &str, url: &Url, networks: &[IpNet], surroundings: &Surroundings<'_>) {
    let literal = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        _ => None,
    };
    let namespace = case.namespace().to_owned();
    let tenancy = surroundings.tenancy_of();
    let allow = |network: &str| {
        format!(
            "the gateway's owner allows it in {tenancy}: an entry for '{namespace}' with privateNetworks: [\"{network}\"]"
        )
    };
    match literal.map(|address| (address, reach(address))) {
        Some((address, Reach::Never)) => {
            let message = format!(
                "{address} is never called: it is link-local, multicast, a metadata service of a cloud, or no address at all"
            );
            case.error(field, "AddressNeverAllowed", message);
        }
        Some((address, Reach::Private)) if !covers(networks, address) => {
            let network = IpNet::from(address);
            let message = format!("{address} is a private address; {}", allow(&network.to_string()));
            case.error(field, "PrivateAddress", message);
        }
        Some((address, Reach::Public)) if url.scheme() == "http" => {
            let message = format!("plain http to {address} could be read on the way; use https");
            case.error(field, "PlainHttp", message);
        }
        None if is_loopback(url) => {
            let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
            if !loopback.into_iter().any(|address| covers(networks, address)) {
                let host = url.host_str().unwrap_or_default();
                let message = format!("{host} is a private address; {}", allow("127.0.0.0/8"));
                case.error(field, "PrivateAddress", message);
            }
        }
        None if url.scheme() == "http" && networks.is_empty() => {
            let message = format!(
                "plain http is for private networks, and the namespace '{namespace}' has none; use https, or {}",
                allow("10.0.0.0/8")
            );
            case.error(field, "PlainHttp", message);
        }
        _ => {}
    }
}
