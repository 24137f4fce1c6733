//! Networks that tenancy must not allow.

use ipnet::IpNet;
use portcullis_config::{AddressClass, address_class};

/// Whether connections to every address of a network are forbidden. Its first and last address decide. The
/// network of all addresses is an exception.
pub(super) fn is_forbidden_network(network: IpNet) -> bool {
    network.prefix_len() > 0
        && address_class(network.network()) == AddressClass::Forbidden
        && address_class(network.broadcast()) == AddressClass::Forbidden
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_network_when_all_of_it_is_forbidden_then_it_is_known() {
        for never in ["169.254.0.0/16", "169.254.169.254/32", "fe80::/10", "224.0.0.0/4"] {
            assert!(is_forbidden_network(never.parse().unwrap()), "{never}");
        }
        for mixed in ["10.0.0.0/8", "0.0.0.0/0", "::/0", "127.0.0.0/8"] {
            assert!(!is_forbidden_network(mixed.parse().unwrap()), "{mixed}");
        }
    }
}
