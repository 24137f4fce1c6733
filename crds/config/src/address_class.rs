//! Classifies IP addresses as public, private or forbidden.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Class of an IP address, independent of tenancy. The compiler validates URLs with it; the data plane checks
/// connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressClass {
    /// The public internet.
    Public,
    /// A private network or this machine. Connections need permission from the gateway's tenancy.
    Private,
    /// No valid destination, a cloud's internal services, or an address whose real destination is unknown.
    /// Never connected to, whatever tenancy allows.
    Forbidden,
}

/// Class of an address. If an IPv6 address embeds an IPv4 address, the IPv4 address decides.
#[must_use]
pub fn address_class(address: IpAddr) -> AddressClass {
    match canonical_ip(address) {
        IpAddr::V4(ip) if FORBIDDEN_V4.iter().any(|net| net.contains(&ip)) => AddressClass::Forbidden,
        IpAddr::V4(ip) if PRIVATE_V4.iter().any(|net| net.contains(&ip)) => AddressClass::Private,
        IpAddr::V4(_) => AddressClass::Public,
        IpAddr::V6(ip) if FORBIDDEN_V6.iter().any(|net| net.contains(&ip)) => AddressClass::Forbidden,
        IpAddr::V6(ip) if !GLOBAL_V6.contains(&ip) || PRIVATE_V6.iter().any(|net| net.contains(&ip)) => {
            AddressClass::Private
        }
        IpAddr::V6(_) => AddressClass::Public,
    }
}

/// The IPv4 address that an IPv6 address embeds, if packets finally go there; otherwise the address itself.
#[must_use]
pub fn canonical_ip(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        // The unspecified address and loopback look like IPv4-compatible addresses but are not.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => address,
        // Compatible (deprecated), mapped and translated (RFC 4291 section 2.5.5, RFC 2765).
        [0, 0, 0, 0, 0, 0, high, low]
        | [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        // NAT64 with the well-known prefix (RFC 6052 section 2.1).
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        // 6to4 (RFC 3056) and ISATAP (RFC 5214 section 6.1).
        | [0x2002, high, low, ..]
        | [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => embedded(high, low),
        _ => address,
    }
}

/// Whether one of the networks contains the address or the IPv4 address that it embeds.
#[must_use]
pub fn any_network_contains(networks: &[IpNet], address: IpAddr) -> bool {
    let address = canonical_ip(address);
    networks.iter().any(|network| network.contains(&address))
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, c: u16, h: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, h), prefix)
}

/// IANA's special-purpose registry, without the forbidden networks.
const PRIVATE_V4: [Ipv4Net; 12] = [
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    v4(192, 88, 99, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(240, 0, 0, 0, 4),
];

const FORBIDDEN_V4: [Ipv4Net; 7] = [
    v4(0, 0, 0, 0, 8),
    // Link-local: the metadata services of most clouds, and of containers (169.254.170.2).
    v4(169, 254, 0, 0, 16),
    v4(224, 0, 0, 0, 4),
    v4(255, 255, 255, 255, 32),
    // Metadata services elsewhere: Alibaba Cloud, Oracle Cloud, and Azure's host, which has a public address.
    v4(100, 100, 100, 200, 32),
    v4(192, 0, 0, 192, 32),
    v4(168, 63, 129, 16, 32),
];

const FORBIDDEN_V6: [Ipv6Net; 7] = [
    v6(0, 0, 0, 0, 128),
    v6(0xfe80, 0, 0, 0, 10),
    v6(0xff00, 0, 0, 0, 8),
    // Metadata services: AWS, Google Cloud.
    v6(0xfd00, 0xec2, 0, 0x254, 128),
    v6(0xfd20, 0xce, 0, 0x254, 128),
    // NAT64 with a local prefix (RFC 8215): only the translator knows the position of the IPv4 address (RFC
    // 6052 section 2.2).
    v6(0x64, 0xff9b, 1, 0, 48),
    // Teredo (RFC 4380): a relay would choose the destination.
    v6(0x2001, 0, 0, 0, 32),
];

/// Global unicast. [`PRIVATE_V6`] lists its special parts: protocol assignments and documentation.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 0, 0, 3);
const PRIVATE_V6: [Ipv6Net; 3] =
    [v6(0x2001, 0, 0, 0, 23), v6(0x2001, 0xdb8, 0, 0, 32), v6(0x3fff, 0, 0, 0, 20)];

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> AddressClass {
        address_class(text.parse().unwrap())
    }

    #[test]
    fn given_an_address_of_the_internet_then_it_is_public_however_it_is_written() {
        for public in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "192.0.1.1",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::1",
        ] {
            assert_eq!(of(public), AddressClass::Public, "{public}");
        }
    }

    #[test]
    fn given_an_address_of_somebodys_own_network_then_it_is_private_however_it_is_written() {
        for private in [
            "127.0.0.1",
            "127.8.8.8",
            "10.1.2.3",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "198.18.0.1",
            "240.0.0.1",
            "::1",
            "::127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:0:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:a00:1::",
            "2606:4700::5efe:10.0.0.1",
            "fec0::1",
            "fc00::1",
            "fd00::1",
            "2001:2::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
            "5f00::1",
        ] {
            assert_eq!(of(private), AddressClass::Private, "{private}");
        }
    }

    #[test]
    fn given_an_address_of_nobody_or_of_the_cloud_itself_then_it_is_never_reached_however_it_is_written() {
        for never in [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "224.0.0.1",
            "239.0.0.1",
            "255.255.255.255",
            "::",
            "::169.254.169.254",
            "::ffff:169.254.169.254",
            "::ffff:0:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "2606:4700::200:5efe:169.254.169.254",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "2001::1",
            "2001:0:a9fe:a9fe::1",
            // The same local translator, with the address at /48 and at /96: 127.0.0.1 beside a public one.
            "64:ff9b:1:7f00:0:100:808:808",
            "64:ff9b:1::a00:1",
        ] {
            assert_eq!(of(never), AddressClass::Forbidden, "{never}");
        }
    }

    #[test]
    fn given_a_mapped_address_when_looked_for_then_its_ipv4_address_decides() {
        let networks = ["10.0.0.0/8".parse().unwrap()];
        assert!(any_network_contains(&networks, "10.1.1.1".parse().unwrap()));
        assert!(any_network_contains(&networks, "::ffff:10.1.1.1".parse().unwrap()));
        assert!(!any_network_contains(&networks, "127.0.0.1".parse().unwrap()));
    }
}
