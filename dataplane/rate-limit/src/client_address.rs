use std::net::IpAddr;

tokio::task_local! {
    static CLIENT_ADDRESS: IpAddr;
}

/// Does something on behalf of a client at this address: [`client_address`] tells it to whatever is called on the way. That way
/// is long (pages, endpoints, limits, events), and few on it care; a parameter all along it would be forgotten somewhere.
pub fn with_client_address<F: Future>(client: IpAddr, doing: F) -> impl Future<Output = F::Output> {
    CLIENT_ADDRESS.scope(client, doing)
}

/// The address of the client on whose behalf this task works; `None` where the gateway acts by itself.
#[must_use]
pub fn client_address() -> Option<IpAddr> {
    CLIENT_ADDRESS.try_with(|address| *address).ok()
}
