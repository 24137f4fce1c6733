//! Limits connections, in total and per client address.
//!
//! A connection is unproven until a request on it carries a valid access token. When a limit is reached, the
//! oldest unproven connection is closed to admit the new one. A client with a token proves its connection with
//! its first request, so held connections displace each other and not the clients that use the gateway. The
//! number of connections that one principal may prove is limited too.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use portcullis_policy::PrincipalId;
use portcullis_rate_limit::network_of;
use tokio::sync::Notify;

/// Maximum number of connections that were chosen to be closed and are still open.
const MAX_CLOSING: usize = 2048;

/// Limits of a listener.
#[derive(Clone, Copy)]
pub(crate) struct ConnectionLimits {
    /// Maximum number of connections.
    pub(crate) total: usize,
    /// Maximum number of unproven connections.
    pub(crate) unproven: usize,
    /// Maximum number of unproven connections per address (IPv6: per /64 network).
    pub(crate) per_address: usize,
    /// Maximum number of connections that one principal may prove.
    pub(crate) per_principal: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { total: 10_000, unproven: 4_000, per_address: 400, per_principal: 1_000 }
    }
}

/// The open connections of a listener.
pub(crate) struct ConnectionTable {
    limits: ConnectionLimits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    /// Number of open connections that were not chosen to be closed.
    open: usize,
    /// Number of connections that were chosen to be closed and are still open.
    closing: usize,
    /// Number of connections that were closed or refused because of a limit.
    refused: u64,
    /// The oldest is first.
    unproven: BTreeMap<u64, Unproven>,
    by_address: HashMap<IpAddr, BTreeSet<u64>>,
    /// Number of connections that each principal has proven.
    by_principal: HashMap<PrincipalId, usize>,
}

struct Unproven {
    network: IpAddr,
    close: Arc<Notify>,
}

/// An open connection. Dropping it frees its place.
pub(crate) struct ConnectionGuard {
    table: Arc<ConnectionTable>,
    id: u64,
    trusted: bool,
    proven_by: OnceLock<PrincipalId>,
    close: Arc<Notify>,
}

impl ConnectionTable {
    pub(crate) fn new(limits: ConnectionLimits) -> Self {
        Self { limits, state: Mutex::default() }
    }

    /// Admits a connection from `peer`, or returns `None` if it must be closed. A `trusted` peer is a proxy: its
    /// connections count only in total.
    pub(crate) fn admit(self: &Arc<Self>, peer: IpAddr, trusted: bool) -> Option<ConnectionGuard> {
        let network = network_of(peer);
        let mut state = self.state.lock();
        if state.closing >= MAX_CLOSING {
            state.refused += 1;
            return None;
        }
        if !trusted {
            if let Some(oldest) = state.oldest_above(network, self.limits.per_address) {
                state.close(oldest);
            }
            if state.unproven.len() >= self.limits.unproven {
                state.close_oldest();
            }
        }
        if state.open >= self.limits.total {
            state.close_oldest();
        }
        if state.open >= self.limits.total {
            state.refused += 1;
            return None;
        }
        let (id, close) = (state.next, Arc::new(Notify::new()));
        state.next += 1;
        state.open += 1;
        if !trusted {
            state.by_address.entry(network).or_default().insert(id);
            state.unproven.insert(id, Unproven { network, close: Arc::clone(&close) });
        }
        drop(state);
        Some(ConnectionGuard { table: Arc::clone(self), id, trusted, proven_by: OnceLock::new(), close })
    }

    /// Number of open connections.
    pub(crate) fn open(&self) -> u64 {
        let state = self.state.lock();
        (state.open + state.closing) as u64
    }

    /// Number of connections that were closed or refused because of a limit.
    pub(crate) fn refused(&self) -> u64 {
        self.state.lock().refused
    }
}

impl State {
    /// The oldest unproven connection of a network that has at least `limit` of them.
    fn oldest_above(&self, network: IpAddr, limit: usize) -> Option<u64> {
        let connections = self.by_address.get(&network)?;
        if connections.len() < limit { None } else { connections.first().copied() }
    }

    fn close_oldest(&mut self) {
        if let Some(oldest) = self.unproven.keys().next().copied() {
            self.close(oldest);
        }
    }

    fn close(&mut self, id: u64) {
        if let Some(closed) = self.remove_unproven(id) {
            self.open -= 1;
            self.closing += 1;
            self.refused += 1;
            closed.close.notify_one();
        }
    }

    fn remove_unproven(&mut self, id: u64) -> Option<Unproven> {
        let removed = self.unproven.remove(&id)?;
        if let Some(connections) = self.by_address.get_mut(&removed.network) {
            connections.remove(&id);
            if connections.is_empty() {
                self.by_address.remove(&removed.network);
            }
        }
        Some(removed)
    }

    fn forget_proven(&mut self, principal: &PrincipalId) {
        if let Some(proven) = self.by_principal.get_mut(principal) {
            *proven -= 1;
            if *proven == 0 {
                self.by_principal.remove(principal);
            }
        }
    }
}

impl ConnectionGuard {
    /// A request of `principal` on the connection carried a valid access token. From now on the connection counts
    /// only in total, unless the principal has proven too many.
    pub(crate) fn prove(&self, principal: &PrincipalId) {
        if self.trusted || self.proven_by.get().is_some() {
            return;
        }
        let mut state = self.table.state.lock();
        let proven = state.by_principal.get(principal).copied().unwrap_or(0);
        // A connection that was chosen to be closed stays so.
        if proven < self.table.limits.per_principal && state.remove_unproven(self.id).is_some() {
            state.by_principal.insert(principal.clone(), proven + 1);
            self.proven_by.set(principal.clone()).ok();
        }
    }

    /// Ready when the connection must be closed.
    pub(crate) async fn closed(&self) {
        self.close.notified().await;
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let mut state = self.table.state.lock();
        let counted = match self.proven_by.get() {
            Some(principal) => {
                state.forget_proven(principal);
                true
            }
            None => self.trusted || state.remove_unproven(self.id).is_some(),
        };
        if counted {
            state.open -= 1;
        } else {
            state.closing -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures_util::FutureExt as _;

    use super::*;

    fn table(total: usize, unproven: usize, per_address: usize) -> Arc<ConnectionTable> {
        Arc::new(ConnectionTable::new(ConnectionLimits { total, unproven, per_address, per_principal: 20 }))
    }

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(0x0a00_0000 + number).into()
    }

    fn ana() -> PrincipalId {
        PrincipalId::of("company", "ana")
    }

    fn is_closed(connection: &ConnectionGuard) -> bool {
        connection.closed().now_or_never().is_some()
    }

    #[test]
    fn given_an_address_at_its_limit_then_its_oldest_unproven_connection_makes_room() {
        let table = table(100, 100, 2);
        let held: Vec<_> = (0..3).map(|_| table.admit(address(1), false).unwrap()).collect();
        let other = table.admit(address(2), false).unwrap();
        assert_eq!(held.iter().map(is_closed).collect::<Vec<_>>(), [true, false, false]);
        assert!(!is_closed(&other));
        assert_eq!((table.open(), table.refused()), (4, 1));
        drop((held, other));
        assert_eq!(table.open(), 0);
        assert!(table.state.lock().by_address.is_empty());
    }

    #[test]
    fn given_proven_and_trusted_connections_then_no_limit_per_address_applies_to_them() {
        let table = table(100, 100, 2);
        let proven: Vec<_> = (0..20)
            .map(|_| {
                let connection = table.admit(address(1), false).unwrap();
                connection.prove(&ana());
                connection.prove(&ana());
                connection
            })
            .collect();
        let trusted: Vec<_> = (0..20).map(|_| table.admit(address(1), true).unwrap()).collect();
        let held: Vec<_> = (0..9).map(|_| table.admit(address(1), false).unwrap()).collect();
        assert!(!proven.iter().chain(&trusted).any(is_closed));
        assert_eq!(held.iter().filter(|held| is_closed(held)).count(), 7);
    }

    #[test]
    fn given_a_principal_that_has_proven_many_connections_then_its_others_stay_unproven() {
        let table = table(100, 100, 2);
        let connect = |who: &PrincipalId| {
            let connection = table.admit(address(1), false).unwrap();
            connection.prove(who);
            connection
        };
        let of_ana: Vec<_> = (0..30).map(|_| connect(&ana())).collect();
        assert_eq!(of_ana.iter().filter(|connection| is_closed(connection)).count(), 8);
        let of_bob = connect(&PrincipalId::of("company", "bob"));
        assert!(!is_closed(&of_bob));
        drop((of_ana, of_bob));
        assert!(table.state.lock().by_principal.is_empty());
        assert!(!is_closed(&connect(&ana())));
    }

    #[test]
    fn given_strangers_of_many_addresses_then_they_displace_each_other_alone() {
        let table = table(10, 4, 2);
        let proven = table.admit(address(0), false).unwrap();
        proven.prove(&ana());
        let mut strangers: Vec<_> = (1..100).map(|number| table.admit(address(number), false)).collect();
        assert!(!is_closed(&proven));
        let open = strangers.iter().flatten().filter(|stranger| !is_closed(stranger)).count();
        assert_eq!(open, 4);
        strangers.clear();
        assert_eq!(table.open(), 1);
    }

    #[test]
    fn given_only_proven_connections_then_the_total_is_the_limit() {
        let table = table(3, 3, 3);
        let proven: Vec<_> = (0..3).map(|_| table.admit(address(1), true).unwrap()).collect();
        assert!(table.admit(address(2), true).is_none());
        assert!(table.admit(address(2), false).is_none());
        drop(proven);
        assert!(table.admit(address(2), false).is_some());
    }

    #[test]
    fn given_a_client_that_proves_itself_while_it_is_closed_then_its_place_is_freed_once() {
        let table = table(10, 1, 1);
        let first = table.admit(address(1), false).unwrap();
        let second = table.admit(address(1), false).unwrap();
        first.prove(&ana());
        assert!(is_closed(&first));
        drop(first);
        assert_eq!(table.open(), 1);
        drop(second);
        assert_eq!(table.open(), 0);
    }

    #[test]
    fn given_connections_that_close_slowly_then_no_more_are_admitted() {
        let table = table(10, 1, 10);
        let held: Vec<_> =
            (0..MAX_CLOSING as u32 + 10).map(|each| table.admit(address(each), false)).collect();
        assert!(held.last().unwrap().is_none());
        assert!(table.open() <= MAX_CLOSING as u64 + 2);
        drop(held);
        assert_eq!(table.open(), 0);
    }

    #[test]
    fn given_a_network_of_ipv6_then_its_addresses_count_as_one() {
        let table = table(100, 100, 1);
        let first = table.admit("2001:db8::1".parse().unwrap(), false).unwrap();
        let _second = table.admit("2001:db8::2".parse().unwrap(), false).unwrap();
        let _third = table.admit("2001:db8:0:1::1".parse().unwrap(), false).unwrap();
        assert!(is_closed(&first));
        assert_eq!(table.refused(), 1);
    }
}
