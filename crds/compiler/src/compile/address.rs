use ipnet::IpNet;
use portcullis_contract::{Reach, reach};

/// Whether nothing in a network may ever be dialled. Its ends tell, but for the network of everything.
pub(super) fn is_never(network: IpNet) -> bool {
    network.prefix_len() > 0
        && reach(network.network()) == Reach::Never
        && reach(network.broadcast()) == Reach::Never
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_network_when_all_of_it_is_forbidden_then_it_is_known() {
        for never in ["169.254.0.0/16", "169.254.169.254/32", "fe80::/10", "224.0.0.0/4"] {
            assert!(is_never(never.parse().unwrap()), "{never}");
        }
        for mixed in ["10.0.0.0/8", "0.0.0.0/0", "::/0", "127.0.0.0/8"] {
            assert!(!is_never(mixed.parse().unwrap()), "{mixed}");
        }
    }
}
