//! Leader election by a Lease. Only the leader writes; the other operators keep their cluster state up to
//! date.
//!
//! The Lease is claimed and renewed by compare-and-swap (its `resourceVersion`). Its expiry is measured from
//! the last observed renewal, so the clocks of two machines are never compared.

use std::fmt::Display;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::{Api, Client};
use portcullis_clock::Clock;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

const LEASE_NAME: &str = "portcullis-operator";
/// A holder that has not renewed for this long loses the Lease.
const LEASE_DURATION: Duration = Duration::from_secs(15);
/// A leader that cannot renew for this long stops writing, well before another operator can take over.
const RENEW_DEADLINE: Duration = Duration::from_secs(9);
/// Interval between reads or renewals.
const RETRY_PERIOD: Duration = Duration::from_secs(2);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// A candidate for the Lease.
pub(crate) struct LeaderElector {
    api: Api<Lease>,
    identity: String,
    clock: Clock,
    leading: watch::Sender<bool>,
    /// The Lease as last read, and when its renewal was last observed to change.
    seen: Option<(Lease, Instant)>,
    renewed: Instant,
}

impl LeaderElector {
    /// The candidate, and a channel that reports whether it leads.
    pub(crate) fn new(
        client: &Client,
        namespace: &str,
        identity: String,
        clock: Clock,
    ) -> (Self, watch::Receiver<bool>) {
        let (leading, follower) = watch::channel(false);
        let api = Api::namespaced(client.clone(), namespace);
        (Self { api, identity, clock, leading, seen: None, renewed: Instant::now() }, follower)
    }

    /// Takes part until `stop` completes, then releases the Lease: the next leader need not wait for its
    /// expiry.
    pub(crate) async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            match timeout(REQUEST_TIMEOUT, self.acquire_or_renew()).await {
                Ok(Ok(leads)) => self.set_leading(leads),
                Ok(Err(error)) => self.handle_failure(&error),
                Err(_) => self.handle_failure(&"no response from the API server"),
            }
            tokio::select! {
                () = sleep(RETRY_PERIOD) => {}
                () = &mut stop => break,
            }
        }
        let led = *self.leading.borrow();
        self.leading.send_replace(false);
        if led && !matches!(timeout(REQUEST_TIMEOUT, self.release()).await, Ok(Ok(()))) {
            tracing::warn!(
                lease = LEASE_NAME,
                "failed to release the leader election Lease; the next leader waits until it expires"
            );
        }
    }

    fn set_leading(&mut self, leads: bool) {
        if leads {
            self.renewed = Instant::now();
        }
        if self.leading.send_replace(leads) != leads {
            match leads {
                true => tracing::info!(identity = %self.identity, "started leading"),
                false => tracing::warn!(identity = %self.identity, "stopped leading"),
            }
        }
    }

    fn handle_failure(&mut self, error: &dyn Display) {
        self.seen = self.seen.take().filter(|_| !*self.leading.borrow());
        tracing::warn!(
            %error,
            lease = LEASE_NAME,
            "failed to read or renew the leader election Lease"
        );
        if self.renewed.elapsed() > RENEW_DEADLINE {
            self.set_leading(false);
        }
    }

    /// Renews the Lease if this operator holds it, or claims it if it is free. Returns whether this operator
    /// leads.
    async fn acquire_or_renew(&mut self) -> Result<bool, kube::Error> {
        let known = if *self.leading.borrow() { self.seen.take().map(|(lease, _)| lease) } else { None };
        let lease = match known {
            Some(lease) => lease,
            None => match self.api.get_opt(LEASE_NAME).await? {
                Some(lease) => lease,
                None => return self.create().await,
            },
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let changed = |(seen, _): &(Lease, Instant)| {
            seen.spec.as_ref().and_then(|spec| spec.renew_time.clone()) != spec.renew_time
        };
        let since = match &self.seen {
            Some(seen) if !changed(seen) => seen.1,
            _ => Instant::now(),
        };
        let holder = spec.holder_identity.clone().unwrap_or_default();
        let free = holder.is_empty() || since.elapsed() > LEASE_DURATION;
        self.seen = Some((lease.clone(), since));
        if holder != self.identity && !free {
            return Ok(false);
        }
        let mine = self.spec(&spec, holder != self.identity);
        self.update_lease(lease, mine).await
    }

    fn spec(&self, before: &LeaseSpec, taken_over: bool) -> LeaseSpec {
        let now = self.now();
        let transitions = before.lease_transitions.unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(LEASE_DURATION.as_secs()).ok(),
            acquire_time: if taken_over { now.clone() } else { before.acquire_time.clone() },
            renew_time: now,
            lease_transitions: Some(transitions.saturating_add(i32::from(taken_over))),
            ..LeaseSpec::default()
        }
    }

    fn now(&self) -> Option<MicroTime> {
        Timestamp::from_millisecond(self.clock.now().0).ok().map(MicroTime)
    }

    async fn create(&mut self) -> Result<bool, kube::Error> {
        let metadata = ObjectMeta { name: Some(LEASE_NAME.to_owned()), ..ObjectMeta::default() };
        let lease = Lease { metadata, spec: Some(self.spec(&LeaseSpec::default(), true)) };
        self.acquired(self.api.create(&PostParams::default(), &lease).await)
    }

    async fn update_lease(&mut self, mut lease: Lease, spec: LeaseSpec) -> Result<bool, kube::Error> {
        lease.spec = Some(spec);
        lease.metadata.managed_fields = None;
        self.acquired(self.api.replace(LEASE_NAME, &PostParams::default(), &lease).await)
    }

    /// Whether the write succeeded. After a conflict the next attempt reads the Lease again.
    fn acquired(&mut self, written: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
        match written {
            Ok(lease) => {
                self.seen = Some((lease, Instant::now()));
                Ok(true)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => {
                self.seen = None;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    async fn release(&mut self) -> Result<(), kube::Error> {
        let Some((lease, _)) = self.seen.take() else { return Ok(()) };
        let mut spec = lease.spec.clone().unwrap_or_default();
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        self.update_lease(lease, spec).await.map(|_| ())
    }
}
