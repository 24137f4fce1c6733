use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Annotation of a replica's Lease: its [`ReplicaReport`], as JSON.
pub const REPORT_ANNOTATION: &str = "portcullis.dev/report";
/// Label of a replica's Lease: the release that it belongs to.
pub const REPLICA_OF_LABEL: &str = "portcullis.dev/replica-of";
/// A report says nothing any more when its Lease was last renewed this long ago.
pub const REPORT_MAX_AGE_SECONDS: i64 = 15;

/// What a replica says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicaReport {
    /// What each watch (`configmaps`, `secrets`) has seen and put into the table that is served: a `resourceVersion`.
    pub observed: BTreeMap<String, String>,
    /// Hash of the table that is served; replicas that serve the same have the same.
    pub table_hash: String,
    /// Objects that are not believed or not usable.
    pub rejected: Vec<Rejection>,
    /// Version of the program.
    pub version: String,
    /// Where its private listener is, as it was told to listen: the IP address may be unspecified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private: Option<SocketAddr>,
    /// Hash of what its users were shown of origins ([`ObservedCatalogs::hash`](crate::Observations::hash)); asked for once it changes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub catalogs: String,
    /// Fingerprint of the key rings that it works with ([`KeyDocument::fingerprint`](portcullis_keyring::KeyDocument::fingerprint)).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub keys: String,
    /// Id of the key under which everything in the store is sealed, as it looked last; empty where it does not know.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sealed_under: String,
}

/// An object that a replica does not serve from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    /// Its name.
    pub name: String,
    /// The version that was refused.
    pub resource_version: String,
    /// Why: one CamelCase word, and more where there is more to say.
    pub reason: String,
}

/// How far a replica is with one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolloutState<'a> {
    /// It serves this version or a later one.
    Current,
    /// It serves something older.
    Behind,
    /// It refused this version.
    Rejected(&'a str),
}

impl ReplicaReport {
    /// How far the replica is with an object that was last written at `version`. Versions of one API server grow.
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
