//! Bounds the concurrent requests to other servers that callers cause. A caller waits for a slot instead of
//! failing, and one slow host or one client cannot take all slots.

use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::keyed_slots::{KeyedSlot, KeyedSlots};

/// The limits of a [`FetchPool`].
#[derive(Clone, Copy, Debug)]
pub struct FetchLimits {
    /// Requests at a time.
    pub concurrent: usize,
    /// Requests at a time that one client causes.
    pub per_client: usize,
    /// Tasks that wait for the same host or for the same client.
    pub waiting: usize,
    /// How long a task waits.
    pub max_wait: Duration,
}

/// A pool of slots for requests: one at a time per host, a few per client, and a number in total.
pub struct FetchPool {
    limits: FetchLimits,
    clients: KeyedSlots<IpAddr>,
    hosts: KeyedSlots<Box<str>>,
    slots: Semaphore,
}

/// No slot became free in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests to other servers are in progress; try again shortly")]
pub struct FetchPoolBusy;

/// A slot for one request. Dropping it frees the slot.
pub struct FetchPermit<'a> {
    _slot: SemaphorePermit<'a>,
    _host: KeyedSlot<'a, Box<str>>,
    _client: KeyedSlot<'a, IpAddr>,
}

impl FetchPool {
    /// Creates a pool with free slots.
    #[must_use]
    pub fn new(limits: FetchLimits) -> Self {
        Self {
            limits,
            clients: KeyedSlots::new(limits.per_client, limits.waiting),
            hosts: KeyedSlots::new(1, limits.waiting),
            slots: Semaphore::new(limits.concurrent),
        }
    }

    /// Waits for a slot for a request to a host on behalf of a client.
    ///
    /// # Errors
    /// If too many tasks wait already, or no slot becomes free in time.
    pub async fn enter(&self, host: &str, client: IpAddr) -> Result<FetchPermit<'_>, FetchPoolBusy> {
        tokio::time::timeout(self.limits.max_wait, self.wait(host, client))
            .await
            .ok()
            .flatten()
            .ok_or(FetchPoolBusy)
    }

    /// The slots in total come last: while a task waits for its client or its host, others can use them.
    async fn wait(&self, host: &str, client: IpAddr) -> Option<FetchPermit<'_>> {
        let client = self.clients.enter(client).await?;
        let host = self.hosts.enter(host.into()).await?;
        let slot = self.slots.acquire().await.ok()?;
        Some(FetchPermit { _slot: slot, _host: host, _client: client })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FetchLimits =
        FetchLimits { concurrent: 3, per_client: 2, waiting: 8, max_wait: Duration::from_secs(5) };

    fn client(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    #[tokio::test(start_paused = true)]
    async fn given_a_slow_host_when_it_is_asked_again_then_only_its_own_requests_wait() {
        let pool = FetchPool::new(LIMITS);
        let slow = pool.enter("slow.example", client(1)).await.unwrap();
        assert_eq!(pool.enter("slow.example", client(2)).await.err(), Some(FetchPoolBusy));
        assert!(pool.enter("other.example", client(2)).await.is_ok());
        drop(slow);
        assert!(pool.enter("slow.example", client(2)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn given_a_client_that_names_slow_hosts_then_it_cannot_take_the_slots_of_others() {
        let pool = FetchPool::new(LIMITS);
        let mut held = Vec::new();
        for host in ["a.example", "b.example"] {
            held.push(pool.enter(host, client(1)).await.unwrap());
        }
        assert_eq!(pool.enter("c.example", client(1)).await.err(), Some(FetchPoolBusy));
        held.push(pool.enter("c.example", client(2)).await.unwrap());
        assert_eq!(pool.enter("d.example", client(3)).await.err(), Some(FetchPoolBusy), "all slots");
    }

    #[tokio::test(start_paused = true)]
    async fn given_a_slot_that_becomes_free_then_a_task_that_waits_gets_it() {
        let pool = FetchPool::new(LIMITS);
        let slow = pool.enter("slow.example", client(1)).await.unwrap();
        let (entered, ()) = tokio::join!(pool.enter("slow.example", client(2)), async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            drop(slow);
        });
        assert!(entered.is_ok());
    }
}
