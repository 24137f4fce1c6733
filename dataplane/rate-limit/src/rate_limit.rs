//! Token buckets per client address and in total.

use std::net::IpAddr;
use std::sync::Arc;

use moka::sync::Cache;
use parking_lot::Mutex;

use portcullis_clock::UnixMillis;

use crate::client_network;

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
        self.bucket().take(now) && self.all.take(now)
    }

    /// Whether [`take`](Self::take) would succeed. Takes nothing. With this a limit counts only some requests:
    /// check it before each, and take a token after those that count.
    pub fn has_room(&self, now: UnixMillis) -> bool {
        self.bucket().has_room(now) && self.all.has_room(now)
    }

    fn bucket(&self) -> Arc<TokenBucket> {
        let new = || Arc::new(TokenBucket::new(self.each.0, self.each.1));
        self.addresses.get_with(client_network(), new)
    }
}

/// Rate limit for authenticated callers, per key: a principal, or a grant.
pub struct KeyedRateLimit {
    each: (u32, u32),
    buckets: Cache<Box<str>, Arc<TokenBucket>>,
}

impl KeyedRateLimit {
    /// The limit of each key: burst, and requests per second.
    pub fn new(each: (u32, u32)) -> Self {
        Self { each, buckets: Cache::builder().max_capacity(MAX_ADDRESSES).build() }
    }

    /// Takes a token for a key. Returns false if its bucket is empty.
    pub fn take(&self, key: &str, now: UnixMillis) -> bool {
        let new = || Arc::new(TokenBucket::new(self.each.0, self.each.1));
        self.buckets.get_with(key.into(), new).take(now)
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

    fn has_room(&self, now: UnixMillis) -> bool {
        self.left(*self.state.lock(), now) >= 1.0
    }

    fn left(&self, (left, at): (f64, Option<UnixMillis>), now: UnixMillis) -> f64 {
        let passed = at.map_or(0.0, |before| now.since(before).as_secs_f64());
        (left + passed * self.per_second).min(self.capacity)
    }

    /// Takes a token. Returns false if the bucket is empty.
    fn take(&self, now: UnixMillis) -> bool {
        let mut state = self.state.lock();
        let left = self.left(*state, now);
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
    async fn given_a_limit_that_counts_some_requests_when_it_is_only_checked_then_nothing_is_taken() {
        let limit = RateLimit::new((1, 1), (1, 1));
        assert!(limit.has_room(UnixMillis(0)) && limit.has_room(UnixMillis(0)));
        assert!(limit.take(UnixMillis(0)));
        assert!(!limit.has_room(UnixMillis(500)) && limit.has_room(UnixMillis(1_000)));
    }

    #[test]
    fn given_two_keys_when_one_is_at_its_limit_then_the_other_is_not() {
        let limit = KeyedRateLimit::new((1, 1));
        assert_eq!(
            [("a", 0), ("a", 0), ("b", 0), ("a", 1_000)].map(|(key, at)| limit.take(key, UnixMillis(at))),
            [true, false, true, true]
        );
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
