//! A replica's report of the published objects that it serves.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Annotation of a replica's Lease: its [`ReplicaReport`] as JSON.
pub const REPORT_ANNOTATION: &str = "portcullis.dev/report";
/// Label of a replica's Lease: the release that it belongs to.
pub const REPLICA_OF_LABEL: &str = "portcullis.dev/replica-of";
/// A report is ignored if its Lease was not renewed for this many seconds.
pub const REPORT_MAX_AGE_SECONDS: i64 = 15;

/// State of a replica.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicaReport {
    /// `resourceVersion` that each watch (`configmaps`, `secrets`) has observed and that the served route
    /// table includes.
    pub observed: BTreeMap<String, String>,
    /// Hash of the served route table. Replicas that serve the same table report the same hash.
    pub table_hash: String,
    /// Objects that failed verification or are not usable.
    pub rejected: Vec<Rejection>,
    /// Version of the program.
    pub version: String,
    /// Configured address of the private listener. The IP address may be unspecified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private: Option<SocketAddr>,
    /// Hash of its observed catalogs ([`ObservedCatalogs::hash`](crate::ObservedCatalogs::hash)). The
    /// operator requests them when it changes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub catalogs: String,
    /// Fingerprint of the key rings in use
    /// ([`KeyDocument::fingerprint`](portcullis_keyring::KeyDocument::fingerprint)).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub keys: String,
    /// Id of the key that all values in the store were sealed under at the last check; empty if unknown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sealed_under: String,
}

/// A version of an object that a replica does not use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    /// Name of the object.
    pub name: String,
    /// `resourceVersion` that was rejected.
    pub resource_version: String,
    /// Reason: one CamelCase word, with details if there are any.
    pub reason: String,
    /// For a version with too low a serial: the serial that the next version must exceed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_serial: Option<i64>,
}

/// Rollout state of one object at a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolloutState<'a> {
    /// The replica serves this version or a later one.
    Current,
    /// The replica serves an older version.
    Behind,
    /// The replica rejected this version, for this reason.
    Rejected(&'a str),
}

impl ReplicaReport {
    /// Rollout state of an object that was last written with `version`. The versions of one API server
    /// increase.
    #[must_use]
    pub fn state_of(&self, resource: &str, name: &str, version: u64) -> RolloutState<'_> {
        let number = |text: &str| text.parse::<u64>().ok();
        let rejection = self.rejected.iter().find(|rejection| rejection.name == name);
        if let Some(rejection) =
            rejection.filter(|it| number(&it.resource_version).is_some_and(|at| at >= version))
        {
            return RolloutState::Rejected(&rejection.reason);
        }
        let observed = self.observed.get(resource).and_then(|version| number(version));
        if observed.is_some_and(|observed| observed >= version) {
            RolloutState::Current
        } else {
            RolloutState::Behind
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_report_when_asked_of_an_object_then_versions_are_numbers_and_rejections_count() {
        let report: ReplicaReport = serde_json::from_str(
            r#"{"observed":{"configmaps":"100"},"rejected":[{"name":"route-b","resourceVersion":"90","reason":"Forged"}]}"#,
        )
        .unwrap();
        assert_eq!(report.state_of("configmaps", "route-a", 99), RolloutState::Current);
        assert_eq!(report.state_of("configmaps", "route-a", 101), RolloutState::Behind);
        assert_eq!(report.state_of("configmaps", "route-a", 1000), RolloutState::Behind);
        assert_eq!(report.state_of("secrets", "credential-a", 1), RolloutState::Behind);
        assert_eq!(report.state_of("configmaps", "route-b", 90), RolloutState::Rejected("Forged"));
        assert_eq!(report.state_of("configmaps", "route-b", 95), RolloutState::Current);
    }
}
