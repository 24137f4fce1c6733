//! The replicas of the data plane: their pods, and the reports in their Leases.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use portcullis_compiler::ResourceId;
use portcullis_config_distribution::{REPORT_ANNOTATION, REPORT_MAX_AGE_SECONDS, ReplicaReport};
use tokio::time::Instant;

use super::RefusedSerial;

/// Pods and Leases of the data plane.
#[derive(Default)]
pub(crate) struct Replicas {
    leases: BTreeMap<ResourceId, ReplicaLease>,
    pods: BTreeMap<ResourceId, ReplicaPod>,
}

/// Readiness and address of a pod.
struct ReplicaPod {
    ready: bool,
    ip: Option<IpAddr>,
}

/// The content of a replica's Lease.
struct ReplicaLease {
    holder: Option<String>,
    renewed: Option<MicroTime>,
    /// When this operator observed the renewal. Its age never depends on another machine's clock.
    seen: Instant,
    report: Option<ReplicaReport>,
}

/// A replica that counts for `Programmed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Replica {
    pub(crate) name: String,
    /// Its report; `None` if the report is missing or outdated.
    pub(crate) report: Option<ReplicaReport>,
    /// Address of its admin listener.
    pub(crate) private: Option<SocketAddr>,
}

/// A replica without a renewal for this long is gone. Used only if replicas do not run as pods.
const LEASE_ABANDONED_AFTER: Duration = Duration::from_secs(300);

/// The Lease of a replica that is gone is deleted after this time.
const LEASE_DELETED_AFTER: Duration = Duration::from_secs(3600);

impl Replicas {
    pub(super) fn lease(&mut self, id: ResourceId, lease: Lease) {
        let annotations = lease.metadata.annotations.unwrap_or_default();
        let spec = lease.spec.unwrap_or_default();
        let report = annotations.get(REPORT_ANNOTATION).and_then(|text| serde_json::from_str(text).ok());
        let known = self.leases.get(&id).filter(|known| known.renewed == spec.renew_time);
        let seen = known.map_or_else(Instant::now, |known| known.seen);
        let holder = spec.holder_identity.filter(|holder| !holder.is_empty());
        self.leases.insert(id, ReplicaLease { holder, renewed: spec.renew_time, seen, report });
    }

    /// Leases that nobody has renewed for a long time: their replicas are gone.
    pub(crate) fn abandoned_leases(&self, now: Instant) -> Vec<String> {
        let abandoned =
            self.leases.iter().filter(|(_, lease)| now.duration_since(lease.seen) > LEASE_DELETED_AFTER);
        abandoned.map(|(id, _)| id.name.clone()).collect()
    }

    pub(super) fn remove_lease(&mut self, id: &ResourceId) {
        self.leases.remove(id);
    }

    pub(super) fn leases(&self) -> Vec<ResourceId> {
        self.leases.keys().cloned().collect()
    }

    /// A pod counts if it is ready and not terminating.
    pub(super) fn pod(&mut self, id: ResourceId, pod: &Pod) {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let ready = conditions.into_iter().any(|it| it.type_ == "Ready" && it.status == "True");
        let ready = ready && pod.metadata.deletion_timestamp.is_none();
        let ip = pod.status.as_ref().and_then(|status| status.pod_ip.as_ref()?.parse().ok());
        self.pods.insert(id, ReplicaPod { ready, ip });
    }

    pub(super) fn remove_pod(&mut self, id: &ResourceId) {
        self.pods.remove(id);
    }

    pub(super) fn pods(&self) -> Vec<ResourceId> {
        self.pods.keys().cloned().collect()
    }

    /// The ready pods with their reports.
    pub(crate) fn list_from_pods(&self, now: Instant) -> Vec<Replica> {
        let ready = self.pods.iter().filter(|(_, pod)| pod.ready);
        ready
            .map(|(id, pod)| {
                let lease = self.leases.values().find(|lease| lease.holder.as_ref() == Some(&id.name));
                let report = lease.and_then(|lease| lease.fresh_report(now));
                // The address comes from the pod's status. Only the port comes from the Lease, which any
                // replica can write.
                let port = report.as_ref().and_then(|report| report.private).map(|private| private.port());
                let private = pod.ip.zip(port).map(SocketAddr::from);
                Replica { name: id.name.clone(), report, private }
            })
            .collect()
    }

    /// Versions of published objects that a replica refuses because of their serial, by object name. Replicas
    /// that are not ready count too: an object that they refuse may be the reason.
    pub(crate) fn refused_serials(&self, now: Instant) -> BTreeMap<String, RefusedSerial> {
        let mut refused = BTreeMap::new();
        for report in self.leases.values().filter_map(|lease| lease.fresh_report(now)) {
            for rejection in report.rejected {
                let version = rejection.resource_version.parse().ok();
                if let Some((version, accepted)) = version.zip(rejection.accepted_serial) {
                    let found = RefusedSerial { version, accepted };
                    let known = refused.entry(rejection.name).or_insert(found);
                    *known = found.max(*known);
                }
            }
        }
        refused
    }

    /// The holders of Leases, if replicas do not run as pods.
    pub(crate) fn list_from_leases(&self, now: Instant) -> Vec<Replica> {
        let held =
            self.leases.values().filter(|lease| now.duration_since(lease.seen) < LEASE_ABANDONED_AFTER);
        held.filter_map(|lease| {
            let report = lease.fresh_report(now);
            let private = report.as_ref().and_then(|report| report.private);
            let private = private.filter(|private| !private.ip().is_unspecified());
            Some(Replica { name: lease.holder.clone()?, report, private })
        })
        .collect()
    }
}

impl ReplicaLease {
    fn fresh_report(&self, now: Instant) -> Option<ReplicaReport> {
        let fresh = Duration::from_secs(REPORT_MAX_AGE_SECONDS.unsigned_abs());
        self.report.clone().filter(|_| now.duration_since(self.seen) < fresh)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn id(name: &str) -> ResourceId {
        ResourceId::new("Any", "portcullis", name)
    }

    const REPORT: &str = r#"{"observed":{"configmaps":"7"},"private":"0.0.0.0:9090"}"#;

    fn lease(holder: &str, renewed: &str) -> Lease {
        serde_json::from_value(json!({
            "metadata": {"name": holder, "annotations": {REPORT_ANNOTATION: REPORT}},
            "spec": {"holderIdentity": holder, "renewTime": renewed},
        }))
        .unwrap()
    }

    fn pod(ready: bool, leaving: bool) -> Pod {
        let deletion = leaving.then_some("2026-01-01T00:00:00Z");
        serde_json::from_value(json!({
            "metadata": {"deletionTimestamp": deletion},
            "status": {
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
                "podIP": "10.1.2.3",
            },
        }))
        .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn given_a_report_when_it_is_not_renewed_then_it_says_nothing_any_more() {
        let mut replicas = Replicas::default();
        replicas.lease(id("a"), lease("a", "2026-01-01T00:00:00.000000Z"));
        assert!(replicas.list_from_leases(Instant::now())[0].report.is_some());
        tokio::time::advance(Duration::from_secs(16)).await;
        // Observed again, but not renewed.
        replicas.lease(id("a"), lease("a", "2026-01-01T00:00:00.000000Z"));
        assert_eq!(replicas.list_from_leases(Instant::now())[0].report, None);
        replicas.lease(id("a"), lease("a", "2026-01-01T00:00:16.000000Z"));
        assert!(replicas.list_from_leases(Instant::now())[0].report.is_some());
        tokio::time::advance(LEASE_ABANDONED_AFTER).await;
        assert_eq!(replicas.list_from_leases(Instant::now()), []);
        assert_eq!(replicas.abandoned_leases(Instant::now()), Vec::<String>::new());
        tokio::time::advance(LEASE_DELETED_AFTER).await;
        assert_eq!(replicas.abandoned_leases(Instant::now()), ["a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn given_replicas_that_refuse_serials_then_the_highest_of_the_latest_version_counts() {
        let mut replicas = Replicas::default();
        for (name, version, accepted) in [("a", 7, 50), ("b", 8, 40), ("c", 8, 45)] {
            let report = json!({"rejected": [
                {"name": "route-x", "resourceVersion": version.to_string(), "reason": "Replayed", "acceptedSerial": accepted},
                {"name": "route-y", "resourceVersion": "9", "reason": "Forged"},
            ]});
            let mut lease = lease(name, "2026-01-01T00:00:00.000000Z");
            lease.metadata.annotations = Some([(REPORT_ANNOTATION.to_owned(), report.to_string())].into());
            replicas.lease(id(name), lease);
        }
        let expected = [("route-x".to_owned(), RefusedSerial { version: 8, accepted: 45 })].into();
        assert_eq!(replicas.refused_serials(Instant::now()), expected);
        tokio::time::advance(Duration::from_secs(16)).await;
        assert!(replicas.refused_serials(Instant::now()).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn given_pods_when_one_is_not_ready_or_leaving_then_it_does_not_count() {
        let mut replicas = Replicas::default();
        replicas.pod(id("ready"), &pod(true, false));
        replicas.pod(id("starting"), &pod(false, false));
        replicas.pod(id("leaving"), &pod(true, true));
        replicas.lease(id("lease"), lease("ready", "2026-01-01T00:00:00.000000Z"));
        let replicas = replicas.list_from_pods(Instant::now());
        assert_eq!(replicas.len(), 1);
        assert!(replicas[0].name == "ready" && replicas[0].report.is_some());
        assert_eq!(replicas[0].private, "10.1.2.3:9090".parse().ok(), "the pod's address, the Lease's port");
    }
}
