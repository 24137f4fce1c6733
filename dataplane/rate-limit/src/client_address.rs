//! The address of the client that a task serves, as a task-local value.

use std::net::{IpAddr, Ipv6Addr};

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

/// The network that limits per address apply to. An IPv6 client can use any address of its /64 network.
#[must_use]
pub fn client_network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => IpAddr::V4(ip),
            None => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
        },
        IpAddr::V4(_) => address,
    }
}
