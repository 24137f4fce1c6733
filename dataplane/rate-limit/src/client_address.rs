//! The address of the client that a task serves, as a task-local value.

use std::net::{IpAddr, Ipv4Addr};

tokio::task_local! {
    static CLIENT_ADDRESS: IpAddr;
}

/// Runs a future on behalf of a client at this address. Code that the future calls reads it with
/// [`client_address`]. A parameter would have to be passed through many layers (pages, endpoints, limits,
/// events) that do not use it.
pub fn with_client_address<F: Future>(client: IpAddr, doing: F) -> impl Future<Output = F::Output> {
    CLIENT_ADDRESS.scope(client, doing)
}

/// Address of the client that the current task serves; `None` outside [`with_client_address`].
#[must_use]
pub fn client_address() -> Option<IpAddr> {
    CLIENT_ADDRESS.try_with(|address| *address).ok()
}

/// The network that counts as one client in rate limits: an IPv4 address, or a /64 network of IPv6, of which
/// one machine can use every address. `0.0.0.0` if the task serves no client.
#[must_use]
pub fn client_network() -> IpAddr {
    masked(64)
}

/// The network of an address that counts as one client.
#[must_use]
pub fn network_of(address: IpAddr) -> IpAddr {
    network(address.to_canonical(), 64)
}

/// The same for limits on what is stored. It counts a /48 network of IPv6 as one client: that is what one
/// customer of a provider gets, and storage does not recover as quickly as a rate.
#[must_use]
pub fn client_site() -> IpAddr {
    masked(48)
}

fn masked(prefix: u32) -> IpAddr {
    let address = client_address().map(|address| address.to_canonical());
    address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| network(address, prefix))
}

fn network(address: IpAddr, prefix: u32) -> IpAddr {
    match address {
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & (u128::MAX << (128 - prefix))).into()),
        IpAddr::V4(_) => address,
    }
}
