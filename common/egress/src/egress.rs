//! Resolves, checks and dials the destinations of all outbound connections.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use portcullis_config::canonical_ip;
use tokio::net::TcpStream;

use crate::proxy::Proxies;
use crate::{AddressPolicy, Destination, EgressError, RequestFailure};

/// Deadline for connecting to one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum number of addresses of one name that are tried.
const MAX_CONNECT_ATTEMPTS: usize = 4;
/// Maximum number of API server addresses that are remembered.
const MAX_API_SERVERS: usize = 256;

/// All outbound connections of this process: denied addresses and proxies. Cheap to clone; clones share the
/// denied addresses.
///
/// It resolves a name, checks the addresses, and dials exactly the address that it checked (or requests that
/// address from the proxy). A later change in DNS has no effect.
#[derive(Clone, Default)]
pub struct Egress(Arc<Inner>);

#[derive(Default)]
struct Inner {
    denied: RwLock<DeniedAddresses>,
    proxies: Proxies,
}

/// Addresses that no tenancy setting can allow.
#[derive(Default)]
struct DeniedAddresses {
    api_servers: Vec<SocketAddr>,
    listeners: Vec<SocketAddr>,
}

impl Egress {
    /// Connects through these proxies where they apply, and directly otherwise.
    #[must_use]
    pub fn through(proxies: Proxies) -> Self {
        Self(Arc::new(Inner { denied: RwLock::default(), proxies }))
    }

    /// Denies connections to the Kubernetes API server at `host`, a name or an IP address. All ports of its
    /// address are denied. On loopback only its port is denied, because a development machine runs other
    /// servers there.
    ///
    /// # Errors
    /// When the name does not resolve.
    pub async fn deny_api_server(&self, host: &str, port: u16) -> io::Result<()> {
        for address in lookup(host, port).await? {
            let address = SocketAddr::new(canonical_ip(address.ip()), port);
            let mut denied = self.0.denied.write().unwrap_or_else(PoisonError::into_inner);
            if !denied.api_servers.contains(&address) && denied.api_servers.len() < MAX_API_SERVERS {
                tracing::info!(%address, "denied outbound connections to the API server");
                denied.api_servers.push(address);
            }
        }
        Ok(())
    }

    /// Denies connections to a listener of this process.
    pub fn deny_own_listener(&self, listener: SocketAddr) {
        let mut denied = self.0.denied.write().unwrap_or_else(PoisonError::into_inner);
        denied.listeners.push(SocketAddr::new(canonical_ip(listener.ip()), listener.port()));
    }

    /// The permitted addresses of a destination, in the order of the resolver.
    ///
    /// # Errors
    /// When the host does not resolve, or none of its addresses is permitted.
    pub async fn resolve(
        &self,
        to: Destination<'_>,
        policy: &AddressPolicy,
    ) -> Result<Vec<SocketAddr>, EgressError> {
        let host = || to.host.to_owned();
        let found =
            lookup(to.host, to.port).await.map_err(|source| EgressError::Resolve { host: host(), source })?;
        let permitted: Vec<_> = found
            .into_iter()
            .filter(|address| policy.permits(address.ip()) && !self.is_denied(*address))
            .collect();
        if permitted.is_empty() {
            return Err(EgressError::Forbidden { host: host() });
        }
        if !to.plain {
            return Ok(permitted);
        }
        let plain: Vec<_> =
            permitted.into_iter().filter(|address| policy.permits_plain_http(address.ip())).collect();
        if plain.is_empty() { Err(EgressError::PlainHttp { host: host() }) } else { Ok(plain) }
    }

    /// Opens a TCP connection to a destination, directly or through its proxy. The caller does TLS and
    /// verifies the server's name.
    ///
    /// # Errors
    /// When the destination is not permitted, or no connection is established in time.
    pub async fn connect(
        &self,
        to: Destination<'_>,
        policy: &AddressPolicy,
    ) -> Result<TcpStream, EgressError> {
        let addresses = self.resolve(to, policy).await?;
        let mut last_failure = None;
        for address in addresses.into_iter().take(MAX_CONNECT_ATTEMPTS) {
            match self.dial(to, address).await {
                Ok(stream) if self.is_own_listener(&stream) => {
                    return Err(EgressError::Forbidden { host: to.host.to_owned() });
                }
                Ok(stream) => {
                    stream.set_nodelay(true).ok();
                    return Ok(stream);
                }
                Err(failure) => last_failure = Some(failure),
            }
        }
        // `resolve` returns at least one address, so at least one attempt was made.
        let failure = last_failure.unwrap_or(RequestFailure::ConnectTimeout(CONNECT_TIMEOUT));
        Err(EgressError::no_response(to.host, failure))
    }

    async fn dial(&self, to: Destination<'_>, address: SocketAddr) -> Result<TcpStream, RequestFailure> {
        let connecting = async {
            match self.0.proxies.for_destination(to) {
                Some(proxy) => proxy.connect(address).await,
                None => Ok(TcpStream::connect(address).await?),
            }
        };
        tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .unwrap_or(Err(RequestFailure::ConnectTimeout(CONNECT_TIMEOUT)))
    }

    fn is_denied(&self, address: SocketAddr) -> bool {
        let address = SocketAddr::new(canonical_ip(address.ip()), address.port());
        let denied = self.0.denied.read().unwrap_or_else(PoisonError::into_inner);
        let is_api_server = |server: &SocketAddr| {
            server.ip() == address.ip() && (!address.ip().is_loopback() || server.port() == address.port())
        };
        let is_listener = |listener: &SocketAddr| {
            listener.port() == address.port()
                && (listener.ip() == address.ip()
                    || (listener.ip().is_unspecified() && address.ip().is_loopback()))
        };
        denied.api_servers.iter().any(is_api_server) || denied.listeners.iter().any(is_listener)
    }

    /// Whether a connection reached a listener of this process that is bound to all addresses of this
    /// machine. Both ends of such a connection have the same IP address.
    fn is_own_listener(&self, stream: &TcpStream) -> bool {
        let (Ok(here), Ok(there)) = (stream.local_addr(), stream.peer_addr()) else { return false };
        let denied = self.0.denied.read().unwrap_or_else(PoisonError::into_inner);
        canonical_ip(here.ip()) == canonical_ip(there.ip())
            && denied
                .listeners
                .iter()
                .any(|listener| listener.ip().is_unspecified() && listener.port() == there.port())
    }
}

async fn lookup(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(ip) => Ok(vec![SocketAddr::new(ip, port)]),
        Err(_) => Ok(tokio::net::lookup_host((host, port)).await?.collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(host: &str, port: u16) -> Destination<'_> {
        Destination { host, port, plain: true }
    }

    fn everything() -> AddressPolicy {
        AddressPolicy::allowing(&["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()])
    }

    async fn is_forbidden(egress: &Egress, host: &str, port: u16) -> bool {
        let resolved = egress.resolve(Destination { host, port, plain: false }, &everything()).await;
        match resolved {
            Ok(_) => false,
            Err(EgressError::Forbidden { .. }) => true,
            Err(other) => unreachable!("{other}"),
        }
    }

    #[tokio::test]
    async fn given_a_name_that_changes_without_end_then_the_first_addresses_stay_denied_and_memory_is_bounded()
     {
        let egress = Egress::default();
        let host = |number: usize| format!("10.96.{}.{}", number / 250, number % 250 + 1);
        for number in (0..MAX_API_SERVERS).chain(0..MAX_API_SERVERS) {
            egress.deny_api_server(&host(number), 443).await.unwrap();
        }
        for number in [0, 1, MAX_API_SERVERS - 1] {
            assert!(is_forbidden(&egress, &host(number), 443).await, "{number}");
        }
        egress.deny_api_server(&host(MAX_API_SERVERS), 443).await.unwrap();
        assert!(!is_forbidden(&egress, &host(MAX_API_SERVERS), 443).await);
    }

    /// Requirements: advisory.ssrf
    #[tokio::test]
    async fn given_an_address_as_host_when_resolved_then_it_is_checked_with_or_without_brackets() {
        let policy = AddressPolicy::allowing(&["::1/128".parse().unwrap()]);
        let egress = Egress::default();
        for host in ["::1", "[::1]"] {
            let found = egress.resolve(to(host, 80), &policy).await.unwrap();
            assert_eq!(found, ["[::1]:80".parse().unwrap()]);
        }
        for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "169.254.169.254", "[fe80::1]"] {
            let refused = egress.resolve(to(host, 80), &policy).await;
            assert!(matches!(refused, Err(EgressError::Forbidden { .. })), "{host}");
        }
    }

    #[tokio::test]
    async fn given_a_name_of_loopback_when_resolved_then_it_is_permitted_only_by_allowance() {
        let egress = Egress::default();
        let refused = egress.resolve(to("localhost", 80), &AddressPolicy::public_only()).await;
        assert!(matches!(refused, Err(EgressError::Forbidden { .. })));
        let policy = AddressPolicy::allowing(&["127.0.0.0/8".parse().unwrap()]);
        let found = egress.resolve(to("localhost", 80), &policy).await.unwrap();
        assert!(found.iter().all(SocketAddr::is_ipv4), "{found:?}");
    }

    #[tokio::test]
    async fn given_an_api_server_when_everything_is_allowed_then_it_is_not_dialled_however_it_is_written() {
        let egress = Egress::default();
        egress.deny_api_server("10.96.0.1", 443).await.unwrap();
        egress.deny_api_server("[fd00:10:96::1]", 443).await.unwrap();
        for host in ["10.96.0.1", "::ffff:10.96.0.1", "64:ff9b::a60:1", "fd00:10:96::1"] {
            // Other servers at that address (etcd, the control plane's kubelet) are denied too.
            for port in [443, 6443, 10250] {
                assert!(is_forbidden(&egress, host, port).await, "{host}:{port}");
            }
        }
        assert!(!is_forbidden(&egress, "10.96.0.2", 443).await);
    }

    #[tokio::test]
    async fn given_an_api_server_on_loopback_then_its_port_is_not_dialled_by_address_or_by_name_and_others_are()
     {
        let egress = Egress::default();
        egress.deny_api_server("127.0.0.1", 6443).await.unwrap();
        assert!(is_forbidden(&egress, "127.0.0.1", 6443).await);
        assert!(is_forbidden(&egress, "::ffff:127.0.0.1", 6443).await);
        assert!(!is_forbidden(&egress, "127.0.0.1", 8080).await);
        let found = egress.resolve(to("localhost", 6443), &everything()).await;
        assert!(
            found.is_err() || found.is_ok_and(|found| !found.contains(&"127.0.0.1:6443".parse().unwrap()))
        );
    }

    #[tokio::test]
    async fn given_a_listener_of_our_own_when_everything_is_allowed_then_we_do_not_call_ourselves() {
        let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
        let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let egress = Egress::default();
        egress.deny_own_listener(listener.local_addr().unwrap());
        assert!(is_forbidden(&egress, "127.0.0.1", port).await);
        assert!(is_forbidden(&egress, "::ffff:127.0.0.1", port).await);
        let other = other.local_addr().unwrap().port();
        assert!(egress.connect(to("127.0.0.1", other), &everything()).await.is_ok());
    }

    #[tokio::test]
    async fn given_a_listener_on_every_address_when_dialled_at_another_address_of_this_machine_then_it_is_cut_off()
     {
        let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let probe = tokio::net::UdpSocket::bind("0.0.0.0:0").await.unwrap();
        // No packet leaves: the kernel only chooses the address that it would send from.
        if probe.connect("192.0.2.1:9").await.is_err() {
            return;
        }
        let own = probe.local_addr().unwrap().ip();
        let egress = Egress::default();
        egress.deny_own_listener(address);
        let refused = egress.connect(to(&own.to_string(), address.port()), &everything()).await;
        assert!(matches!(refused, Err(EgressError::Forbidden { .. } | EgressError::PlainHttp { .. })));
    }
}
