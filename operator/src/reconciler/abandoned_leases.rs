//! Deletes the Leases of replicas that are gone.

use tokio::time::Instant;

use super::{Reconciler, with_timeout};

impl Reconciler {
    /// Replicas' Leases belong to no pod, because a pod cannot own an object of another namespace.
    pub(super) async fn delete_abandoned_leases(&mut self) {
        for name in self.context.cluster_state.replicas.abandoned_leases(Instant::now()) {
            let key = format!("Lease {name}");
            if !self.retry_queue.can_try(&key) || !*self.context.leading.borrow() {
                continue;
            }
            match with_timeout(self.config_writer.delete_lease(&name)).await {
                Ok(()) => self.retry_queue.succeeded(&key),
                Err(error) => self.record_failure(&key, &error),
            }
        }
    }
}
