//! Token buckets per client address and in total.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use moka::sync::Cache;
use parking_lot::Mutex;

use portcullis_clock::UnixMillis;

use crate::{client_address, client_network};

/// Maximum number of tracked addresses. An evicted address starts again with a full bucket; the total limit
/// still applies.
const MAX_ADDRESSES: u64 = 10_000;

/// Rate limit for unauthenticated requests. The limit per address prevents one client from using the whole
/// total. The total limit protects the store and external hosts from many clients.
pub struct RateLimit {
    each: (u32, u32),
    addresses: Cache<IpAddr, Arc<TokenBucket>>,
    all: TokenBucket,
}

impl RateLimit {
    /// Each limit is (burst, requests per second): `each` applies per address, `all` to all addresses
    /// together.
    pub fn new(each: (u32, u32), all: (u32, u32)) -> Self {
        let addresses = Cache::builder().max_capacity(MAX_ADDRESSES).build();
        Self { each, addresses, all: TokenBucket::new(all.0, all.1) }
    }

    /// Takes a token for the current client. Returns false if its bucket or the total bucket is empty.
    pub fn take(&self, now: UnixMillis) -> bool {
        let network = client_address().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), client_network);
        let its = self.addresses.get_with(network, || Arc::new(TokenBucket::new(self.each.0, self.each.1)));
        its.take(now) && self.all.take(now)
    }
}

/// A token bucket.
struct TokenBucket {
    capacity: f64,
    per_second: f64,
    state: Mutex<(f64, Option<UnixMillis>)>,
}

impl TokenBucket {
    /// Creates a full bucket.
    fn new(capacity: u32, per_second: u32) -> Self {
        let capacity = f64::from(capacity);
        Self { capacity, per_second: f64::from(per_second), state: Mutex::new((capacity, None)) }
    }

    /// Takes a token. Returns false if the bucket is empty.
    fn take(&self, now: UnixMillis) -> bool {
        let mut state = self.state.lock();
        let passed = state.1.map_or(0.0, |before| now.since(before).as_secs_f64());
        let left = (state.0 + passed * self.per_second).min(self.capacity);
        let taken = left >= 1.0;
        *state = (if taken { left - 1.0 } else { left }, Some(now));
        taken
    }
}

#[cfg(test)]
mod tests {
    use crate::with_client_address;

    use super::*;

    #[test]
    fn given_an_empty_bucket_when_a_second_has_passed_then_there_is_one_more() {
        let bucket = TokenBucket::new(2, 1);
        assert_eq!(
            [bucket.take(UnixMillis(0)), bucket.take(UnixMillis(0)), bucket.take(UnixMillis(500))],
            [true, true, false]
        );
        assert_eq!([bucket.take(UnixMillis(1_000)), bucket.take(UnixMillis(1_000))], [true, false]);
    }

    #[tokio::test]
    async fn given_an_address_that_asks_too_much_then_others_are_still_served_until_all_together_ask_too_much()
     {
        let limit = RateLimit::new((2, 1), (5, 1));
        let asked = |address: &str| {
            with_client_address(address.parse().unwrap(), async { limit.take(UnixMillis(0)) })
        };
        assert_eq!(
            [asked("192.0.2.1").await, asked("192.0.2.1").await, asked("192.0.2.1").await],
            [true, true, false]
        );
        assert_eq!(
            [asked("192.0.2.2").await, asked("192.0.2.2").await, asked("192.0.2.3").await],
            [true, true, true]
        );
        assert!(!asked("192.0.2.4").await);
    }

    #[tokio::test]
    async fn given_addresses_of_one_network_of_ipv6_then_they_count_as_one() {
        let limit = RateLimit::new((1, 1), (5, 1));
        let asked = |address: &str| {
            with_client_address(address.parse().unwrap(), async { limit.take(UnixMillis(0)) })
        };
        assert_eq!(
            [asked("2001:db8::1").await, asked("2001:db8::2").await, asked("2001:db8:0:1::1").await],
            [true, false, true]
        );
    }
}
