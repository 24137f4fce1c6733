use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use portcullis_config::canonical_ip;
use tokio::net::TcpStream;

use crate::proxy::Proxies;
use crate::{AddressPolicy, Destination, EgressError};

/// How long one address may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// More addresses of one name are not tried.
const MAX_CONNECT_ATTEMPTS: usize = 4;
/// More addresses of API servers are not remembered.
const MAX_API_SERVERS: usize = 256;

/// The way out of this process, for whoever it calls: whom it never dials, and through which proxy. Cheap to clone; clones
/// share what they are told.
///
/// A name is resolved here and its addresses are checked here; the very address that was checked is then dialled, or asked of
/// the proxy, whatever DNS says next.
#[derive(Clone, Default)]
pub struct Egress(Arc<Inner>);

#[derive(Default)]
struct Inner {
    denied: RwLock<DeniedAddresses>,
    proxies: Proxies,
}

/// What no tenancy opens.
#[derive(Default)]
struct DeniedAddresses {
    api_servers: Vec<SocketAddr>,
    listeners: Vec<SocketAddr>,
}

impl Egress {
    /// Straight out, or through a proxy where these say so.
    #[must_use]
    pub fn through(proxies: Proxies) -> Self {
        Self(Arc::new(Inner { denied: RwLock::default(), proxies }))
    }

    /// Never dial the Kubernetes API server, which lives at this host, a name or an address: not its address at all, or, where
    /// that is loopback and a whole development machine is behind it, not its port there.
    ///
    /// # Errors
    /// When the name has no address now.
    pub async fn deny_api_server(&self, host: &str, port: u16) -> io::Result<()> {
        for address in lookup(host, port).await? {
            let address = SocketAddr::new(canonical_ip(address.ip()), port);
            let mut off_limits = self.0.denied.write().unwrap_or_else(PoisonError::into_inner);
            if !off_limits.api_servers.contains(&address) && off_limits.api_servers.len() < MAX_API_SERVERS {
                tracing::info!(%address, "the API server's address is never called for anybody");
                off_limits.api_servers.push(address);
            }
        }
        Ok(())
    }

    /// Never dial this listener of our own.
    pub fn deny_own_listener(&self, listener: SocketAddr) {
        let mut off_limits = self.0.denied.write().unwrap_or_else(PoisonError::into_inner);
        off_limits.listeners.push(SocketAddr::new(canonical_ip(listener.ip()), listener.port()));
    }

    /// The addresses at which a destination may be dialled, in the order of the resolver.
    ///
    /// # Errors
    /// When the host has no address, or none that may be dialled.
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

    /// A TCP connection to a destination, or through the proxy to it. TLS is the caller's, and so is what the name is.
    ///
    /// # Errors
    /// When it may not be dialled, or nobody answers there in time.
    pub async fn connect(
        &self,
        to: Destination<'_>,
        policy: &AddressPolicy,
    ) -> Result<TcpStream, EgressError> {
        let addresses = self.resolve(to, policy).await?;
        let mut problem = String::new();
        for address in addresses.into_iter().take(MAX_CONNECT_ATTEMPTS) {
            match self.dial(to, address).await {
                Ok(stream) if self.is_own_listener(&stream) => {
                    return Err(EgressError::Forbidden { host: to.host.to_owned() });
                }
                Ok(stream) => {
                    stream.set_nodelay(true).ok();
                    return Ok(stream);
                }
                Err(failed) => problem = failed,
            }
        }
        Err(EgressError::NoResponse { host: to.host.to_owned(), problem })
    }

    async fn dial(&self, to: Destination<'_>, address: SocketAddr) -> Result<TcpStream, String> {
        let connecting = async {
            match self.0.proxies.for_destination(to) {
                Some(proxy) => proxy.connect(address).await,
                None => TcpStream::connect(address).await.map_err(|error| error.to_string()),
            }
        };
        tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .unwrap_or_else(|_| Err(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs())))
    }

    fn is_denied(&self, address: SocketAddr) -> bool {
        let address = SocketAddr::new(canonical_ip(address.ip()), address.port());
        let off_limits = self.0.denied.read().unwrap_or_else(PoisonError::into_inner);
        let is_api_server = |server: &SocketAddr| {
            server.ip() == address.ip() && (!address.ip().is_loopback() || server.port() == address.port())
        };
        let is_listener = |listener: &SocketAddr| {
            listener.port() == address.port()
                && (listener.ip() == address.ip()
                    || (listener.ip().is_unspecified() && address.ip().is_loopback()))
        };
        off_limits.api_servers.iter().any(is_api_server) || off_limits.listeners.iter().any(is_listener)
    }

    /// Whether a connection came back to a listener of our own that is bound to every address of this machine: both its ends
    /// are then here.
    fn is_own_listener(&self, stream: &TcpStream) -> bool {
        let (Ok(here), Ok(there)) = (stream.local_addr(), stream.peer_addr()) else { return false };
        let off_limits = self.0.denied.read().unwrap_or_else(PoisonError::into_inner);
        canonical_ip(here.ip()) == canonical_ip(there.ip())
            && off_limits
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
            // What else listens at that address (etcd, the kubelet of the control plane) is none of an origin's either.
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
