//! Determines the client's IP address. It is used only for rate limits and events; no authorization depends
//! on it.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;
use portcullis_config::{any_network_contains, canonical_ip};

/// Each proxy appends the address of its peer. RFC 7239's `Forwarded` is ignored: if a proxy sets only one of
/// the two headers, a client can spoof the other.
const X_FORWARDED_FOR: &str = "x-forwarded-for";
/// Maximum number of hops that are read.
const MAX_HOPS: usize = 16;

/// Returns the right-most address that is not a trusted proxy, starting at the peer. Hops to its left can be
/// spoofed by the client.
pub(super) fn resolve(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut client = canonical_ip(peer);
    if trusted.is_empty() {
        return client;
    }
    // A header value that is not text ends the chain, like a hop that is not an address.
    let chain: Vec<_> =
        headers.get_all(X_FORWARDED_FOR).iter().map(|value| value.to_str().unwrap_or_default()).collect();
    let mut hops = chain.iter().rev().flat_map(|value| value.rsplit(',')).take(MAX_HOPS);
    while any_network_contains(trusted, client) {
        // An invalid hop ends the chain: the proxy that sent it is the client.
        let Some(hop) = hops.next().and_then(hop) else { break };
        client = canonical_ip(hop);
    }
    client
}

/// Parses an address as proxies write it. Some add the port, and then IPv6 addresses are in brackets.
fn hop(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    text.parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()))
        .or_else(|_| text.trim_start_matches('[').trim_end_matches(']').parse())
        .ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let headers = forwarded
            .iter()
            .map(|value| (http::HeaderName::from_static(X_FORWARDED_FOR), value.parse().unwrap()))
            .collect();
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        resolve(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn given_a_peer_that_nobody_trusts_then_what_it_says_of_others_counts_for_nothing() {
        assert_eq!(seen("203.0.113.9", &["198.51.100.1"], &[]), "203.0.113.9");
        assert_eq!(seen("203.0.113.9", &["198.51.100.1"], &["10.0.0.0/8"]), "203.0.113.9");
    }

    #[test]
    fn given_trusted_proxies_then_the_client_is_the_right_most_hop_that_is_not_one_of_them() {
        let trusted = &["10.0.0.0/8", "fd00::/8"];
        assert_eq!(seen("10.0.0.1", &["198.51.100.1"], trusted), "198.51.100.1");
        // Values from the client are further left.
        assert_eq!(seen("10.0.0.1", &["1.1.1.1, 198.51.100.1"], trusted), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.7"], trusted), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["1.1.1.1", "198.51.100.1 , fd00::2"], trusted), "198.51.100.1");
        assert_eq!(seen("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], trusted), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["198.51.100.1:443"], trusted), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["[2001:db8::1]:443"], trusted), "2001:db8::1");
        assert_eq!(seen("10.0.0.1", &["[2001:db8::1]"], trusted), "2001:db8::1");
    }

    #[test]
    fn given_a_chain_that_ends_or_does_not_read_then_the_last_hop_that_is_known_counts() {
        let trusted = &["10.0.0.0/8"];
        assert_eq!(seen("10.0.0.1", &[], trusted), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["10.0.0.9"], trusted), "10.0.0.9");
        for nonsense in ["unknown", "", "198.51.100.1, _hidden", "198.51.100.1,"] {
            assert_eq!(seen("10.0.0.1", &[nonsense], trusted), "10.0.0.1", "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn given_any_header_from_a_peer_that_is_not_trusted_then_the_peer_is_the_client(header in "[ -~]{0,80}") {
            prop_assert_eq!(seen("203.0.113.9", &[&header], &["10.0.0.0/8"]), "203.0.113.9");
        }

        #[test]
        fn given_anything_left_of_the_first_hop_that_is_not_trusted_then_it_changes_nothing(left in "[ -~]{0,80}") {
            let header = format!("{left}, 198.51.100.1");
            prop_assert_eq!(seen("10.0.0.1", &[&header], &["10.0.0.0/8"]), "198.51.100.1");
        }
    }
}
