//! Which IP addresses outbound connections may reach.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use portcullis_config::{AddressClass, address_class, any_network_contains};

/// Which addresses may be dialled. Cheap to clone.
///
/// * Public addresses are always permitted.
/// * Loopback, private, shared and reserved addresses need an allowed network that contains them.
/// * [`AddressClass::Forbidden`] (link-local, multicast, the clouds' metadata services) is never permitted.
///
/// [`Egress`](crate::Egress) additionally denies the API server and the listeners of this process.
#[derive(Clone, Debug)]
pub struct AddressPolicy {
    allowed: Arc<[IpNet]>,
}

impl AddressPolicy {
    /// Permits public addresses only.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn public_only() -> Self {
        Self { allowed: Arc::default() }
    }

    /// Permits public addresses and these networks.
    #[must_use]
    pub fn allowing(private: &[IpNet]) -> Self {
        Self { allowed: private.into() }
    }

    /// Whether an address may be dialled.
    #[must_use]
    pub fn permits(&self, ip: IpAddr) -> bool {
        match address_class(ip) {
            AddressClass::Public => true,
            AddressClass::Private => any_network_contains(&self.allowed, ip),
            AddressClass::Forbidden => false,
        }
    }

    /// Whether an address may be dialled without TLS: only addresses in an allowed private network.
    #[must_use]
    pub fn permits_plain_http(&self, ip: IpAddr) -> bool {
        self.permits(ip) && address_class(ip) == AddressClass::Private
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn permits(policy: &AddressPolicy, ip: &str) -> bool {
        policy.permits(ip.parse().unwrap())
    }

    fn everything() -> AddressPolicy {
        AddressPolicy::allowing(&["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()])
    }

    /// Requirements: client.addresses
    #[test]
    fn given_no_allowance_then_only_the_internet_is_permitted() {
        let policy = AddressPolicy::public_only();
        for ip in
            ["127.0.0.1", "10.1.2.3", "::1", "fd00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "0.0.0.0"]
        {
            assert!(!permits(&policy, ip), "{ip}");
        }
        assert!(permits(&policy, "1.1.1.1") && permits(&policy, "2606:4700::1111"));
    }

    /// Requirements: client.addresses, advisory.ssrf
    #[test]
    fn given_an_allowed_network_then_its_addresses_are_permitted_however_they_are_written_and_no_others() {
        let policy = AddressPolicy::allowing(&["127.0.0.0/8".parse().unwrap(), "fd12::/16".parse().unwrap()]);
        for ip in ["127.0.0.1", "127.0.0.4", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "fd12::1"] {
            assert!(permits(&policy, ip), "{ip}");
        }
        for ip in ["10.0.0.1", "::1", "fd13::1", "::ffff:10.0.0.1"] {
            assert!(!permits(&policy, ip), "{ip}");
        }
    }

    /// Requirements: client.addresses
    #[test]
    fn given_everything_is_allowed_then_what_is_never_reached_still_is_not() {
        for ip in
            ["0.0.0.0", "169.254.169.254", "2002:a9fe:a9fe::", "fe80::1", "fd00:ec2::254", "168.63.129.16"]
        {
            assert!(!permits(&everything(), ip), "{ip}");
        }
        assert!(permits(&everything(), "10.0.0.1") && permits(&everything(), "::1"));
    }

    #[test]
    fn given_plain_http_then_only_allowed_networks_are_permitted() {
        let policy = AddressPolicy::allowing(&["10.0.0.0/8".parse().unwrap()]);
        assert!(policy.permits_plain_http("10.0.0.1".parse().unwrap()));
        assert!(!policy.permits_plain_http("1.1.1.1".parse().unwrap()));
        assert!(!policy.permits_plain_http("127.0.0.1".parse().unwrap()));
    }

    /// Every known way to embed an IPv4 address in an IPv6 address.
    fn disguises(ip: Ipv4Addr) -> Vec<Ipv6Addr> {
        let [a, b, c, d] = ip.octets().map(u16::from);
        let (high, low) = (a << 8 | b, c << 8 | d);
        vec![
            Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
            Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            Ipv6Addr::new(0x2606, 0, 0, 0, 0, 0x5efe, high, low),
        ]
    }

    proptest! {
        #[test]
        fn given_any_ipv4_address_then_no_disguise_gets_further_than_it_does_itself(ip in any::<[u8; 4]>()) {
            let ip = Ipv4Addr::from(ip);
            for policy in [AddressPolicy::public_only(), everything(), AddressPolicy::allowing(&["10.0.0.0/8".parse().unwrap()])] {
                for disguise in disguises(ip) {
                    prop_assert_eq!(policy.permits(disguise.into()), policy.permits(ip.into()), "{} as {}", ip, disguise);
                }
            }
        }

        #[test]
        fn given_any_address_then_allowing_more_never_permits_what_the_standard_library_calls_unreachable(ip in any::<[u8; 16]>()) {
            let ip = Ipv6Addr::from(ip);
            if ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local() {
                prop_assert!(!everything().permits(ip.into()), "{}", ip);
            }
            if ip.is_loopback() || ip.is_unique_local() || ip.is_unspecified() {
                prop_assert!(!AddressPolicy::public_only().permits(ip.into()), "{}", ip);
            }
        }

        #[test]
        fn given_any_private_address_then_plain_http_is_for_allowed_networks_alone(ip in any::<[u8; 4]>()) {
            let ip = IpAddr::from(ip);
            prop_assert!(!AddressPolicy::public_only().permits_plain_http(ip));
            prop_assert_eq!(everything().permits_plain_http(ip), everything().permits(ip) && !AddressPolicy::public_only().permits(ip));
        }
    }
}
