//! Reports the served and rejected config of this replica in a Lease of the publication namespace. The operator
//! reads the reports to decide whether all replicas serve a resource. Its own Lease, which decides who leads, is
//! in another namespace: the data plane may write every Lease of the namespace of its reports.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, OwnerReference};
use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::{Api, Client};
use portcullis_clock::{Clock, UnixMillis};
use portcullis_config_distribution::{
    OWNER_CONFIG_MAP, REPLICA_OF_LABEL, REPORT_ANNOTATION, REPORT_MAX_AGE_SECONDS, ReplicaReport,
};
use tokio::sync::watch;
use tokio::time::{Instant as Monotonic, sleep_until, timeout};

use super::ReplicaIdentity;
use super::watches::kube_error_message;
use crate::catalog::Catalogs;
use crate::reencrypt::Reencryption;

/// How often an unchanged report is renewed. A report expires after three missed renewals.
const RENEW_INTERVAL: Duration = Duration::from_secs(5);
/// Minimum time between two reports: changes in quick succession share a report.
const MIN_REPORT_INTERVAL: Duration = Duration::from_millis(100);
/// Deadline of a write.
const WRITE_TIMEOUT: Duration = Duration::from_secs(4);
/// Field manager of the Lease (server-side apply).
const FIELD_MANAGER: &str = "portcullis";

/// Writes the reports.
pub(super) struct Reporter {
    leases: Api<Lease>,
    config_maps: Api<ConfigMap>,
    namespace: String,
    replica: ReplicaIdentity,
    /// UID of the ConfigMap that owns the published config. The Lease is deleted with it.
    owner: Option<String>,
    /// UID of the Lease, to notice that it was deleted.
    lease_uid: Option<String>,
    clock: Clock,
    started_at: UnixMillis,
    private: SocketAddr,
    catalogs: Catalogs,
    reencryption: Reencryption,
}

/// Why a report was not written.
#[derive(Debug, thiserror::Error)]
enum ReportError {
    /// A time of the Lease is out of range.
    #[error(transparent)]
    Time(#[from] jiff::Error),
    /// The report cannot be serialized.
    #[error(transparent)]
    Serialize(#[from] serde_json::Error),
    /// The API server rejected the Lease, or is unavailable.
    #[error("{}", kube_error_message(.0))]
    Api(#[from] kube::Error),
    /// The API server did not respond in time.
    #[error("the API server did not respond within {} s", WRITE_TIMEOUT.as_secs())]
    Timeout,
}

impl Reporter {
    pub(super) fn new(
        client: &Client,
        namespace: &str,
        replica: ReplicaIdentity,
        clock: Clock,
        private: SocketAddr,
        catalogs: Catalogs,
        reencryption: Reencryption,
    ) -> Self {
        let since = clock.now();
        Self {
            leases: Api::namespaced(client.clone(), namespace),
            config_maps: Api::namespaced(client.clone(), namespace),
            namespace: namespace.to_owned(),
            replica,
            owner: None,
            lease_uid: None,
            clock,
            started_at: since,
            private,
            catalogs,
            reencryption,
        }
    }

    /// Writes each received report at once and renews it regularly. Releases the Lease when the sender is
    /// dropped.
    pub(super) async fn run(mut self, mut shown: watch::Receiver<ReplicaReport>) {
        if shown.changed().await.is_err() {
            return;
        }
        let mut healthy = true;
        loop {
            let written_at = Monotonic::now();
            let mut report = shown.borrow_and_update().clone();
            report.private = Some(self.private);
            // A new catalog observation does not trigger a report; it is part of the next one.
            report.catalogs = self.catalogs.observations_hash();
            report.sealed_under = self.reencryption.key_id();
            let written = self.write(Some(&report)).await;
            match &written {
                Ok(()) if !healthy => tracing::info!("writing reports works again"),
                Err(error) if healthy => tracing::warn!(
                    %error,
                    "failed to write the report of this replica; the operator cannot tell what it serves"
                ),
                _ => {}
            }
            healthy = written.is_ok();
            if shown.has_changed().is_ok() {
                sleep_until(written_at + MIN_REPORT_INTERVAL).await;
            }
            tokio::select! {
                changed = shown.changed() => if changed.is_err() { break },
                () = sleep_until(written_at + RENEW_INTERVAL) => {}
            }
        }
        self.write(None).await.ok();
    }

    async fn write(&mut self, report: Option<&ReplicaReport>) -> Result<(), ReportError> {
        timeout(WRITE_TIMEOUT, self.apply(report)).await.map_err(|_| ReportError::Timeout)?
    }

    async fn apply(&mut self, report: Option<&ReplicaReport>) -> Result<(), ReportError> {
        if self.owner.is_none() {
            let owner = self.config_maps.get_opt(OWNER_CONFIG_MAP).await?;
            self.owner = owner.and_then(|owner| owner.metadata.uid);
        }
        let place = LeasePlace { namespace: &self.namespace, owner: self.owner.as_deref() };
        let lease = lease(&self.replica, place, report, self.started_at, self.clock.now())?;
        let (name, how) = (&self.replica.name, PatchParams::apply(FIELD_MANAGER).force());
        let written = self.leases.patch(name, &how, &Patch::Apply(&lease)).await?;
        if self.lease_uid != written.metadata.uid {
            // A new Lease: the owner may have been deleted with the previous one.
            self.owner = self.owner.take().filter(|_| self.lease_uid.is_none());
            self.lease_uid = written.metadata.uid;
        }
        Ok(())
    }
}

/// Namespace and owner of a Lease.
#[derive(Clone, Copy)]
struct LeasePlace<'a> {
    namespace: &'a str,
    /// UID of the ConfigMap that owns the published config.
    owner: Option<&'a str>,
}

/// The Lease with a report; without a report, a Lease without a holder.
fn lease(
    replica: &ReplicaIdentity,
    place: LeasePlace<'_>,
    report: Option<&ReplicaReport>,
    since: UnixMillis,
    now: UnixMillis,
) -> Result<Lease, ReportError> {
    let time = |at: UnixMillis| Timestamp::from_millisecond(at.0).map(MicroTime);
    let text = report.map(serde_json::to_string).transpose()?;
    let owner = place.owner.map(|uid| OwnerReference {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        name: OWNER_CONFIG_MAP.to_owned(),
        uid: uid.to_owned(),
        ..OwnerReference::default()
    });
    let release = replica.release.as_ref().map(|release| (REPLICA_OF_LABEL.to_owned(), release.clone()));
    Ok(Lease {
        metadata: ObjectMeta {
            name: Some(replica.name.clone()),
            namespace: Some(place.namespace.to_owned()),
            labels: release.map(|label| [label].into()),
            annotations: text.map(|text| [(REPORT_ANNOTATION.to_owned(), text)].into()),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            acquire_time: Some(time(since)?),
            holder_identity: report.map(|_| replica.name.clone()),
            lease_duration_seconds: i32::try_from(REPORT_MAX_AGE_SECONDS).ok(),
            renew_time: Some(time(now)?),
            ..LeaseSpec::default()
        }),
    })
}

#[cfg(test)]
mod golden;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn replica() -> ReplicaIdentity {
        ReplicaIdentity { name: "portcullis-7d-x".to_owned(), release: Some("portcullis".to_owned()) }
    }

    const PLACE: LeasePlace<'static> = LeasePlace { namespace: "publication", owner: Some("uid-1") };

    #[test]
    fn given_a_report_when_written_then_the_lease_is_held_owned_and_fresh() {
        let report = ReplicaReport { table_hash: "abc".to_owned(), ..ReplicaReport::default() };
        let lease = lease(&replica(), PLACE, Some(&report), UnixMillis(1_000), UnixMillis(2_500)).unwrap();
        let lease = serde_json::to_value(lease).unwrap();
        assert_eq!(
            lease["spec"],
            json!({
                "acquireTime": "1970-01-01T00:00:01.000000Z", "holderIdentity": "portcullis-7d-x",
                "leaseDurationSeconds": 15, "renewTime": "1970-01-01T00:00:02.500000Z",
            })
        );
        assert_eq!(
            lease["metadata"]["ownerReferences"],
            json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "portcullis-owner", "uid": "uid-1"}])
        );
        assert_eq!(lease["metadata"]["labels"], json!({"portcullis.dev/replica-of": "portcullis"}));
        let text = lease["metadata"]["annotations"]["portcullis.dev/report"].as_str().unwrap();
        assert_eq!(serde_json::from_str::<ReplicaReport>(text).unwrap(), report);
    }

    #[test]
    fn given_a_replica_that_leaves_when_its_lease_is_written_then_nobody_holds_it_and_it_says_nothing() {
        let lease = lease(&replica(), PLACE, None, UnixMillis(1_000), UnixMillis(2_500)).unwrap();
        assert_eq!(lease.metadata.annotations, None);
        assert_eq!(lease.spec.unwrap().holder_identity, None);
    }
}
