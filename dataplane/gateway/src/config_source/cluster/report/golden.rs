//! Golden test of the Lease in which a replica reports. Operators of other versions read it.

use portcullis_config_distribution::Rejection;
use portcullis_golden::assert_golden;
use serde_json::{Value, json};

use super::*;
use crate::golden::pretty;

#[test]
fn the_lease_and_its_report_are_stable() {
    let replica =
        ReplicaIdentity { name: "portcullis-7d-x".to_owned(), release: Some("portcullis".to_owned()) };
    let place = LeasePlace { namespace: "portcullis-publication", owner: Some("owner-uid") };
    let report = ReplicaReport {
        observed: [("configmaps".to_owned(), "9".to_owned()), ("secrets".to_owned(), "8".to_owned())].into(),
        table_hash: "table-hash".to_owned(),
        rejected: vec![Rejection {
            name: "route-a".to_owned(),
            resource_version: "7".to_owned(),
            reason: "Forged".to_owned(),
            accepted_serial: None,
        }],
        version: "version".to_owned(),
        private: Some(([0, 0, 0, 0], 9090).into()),
        catalogs: "catalogs-hash".to_owned(),
        keys: "keys-fingerprint".to_owned(),
        sealed_under: "key-id".to_owned(),
    };
    let written = |report: Option<&ReplicaReport>| {
        lease(&replica, place, report, UnixMillis(1_000), UnixMillis(2_500)).unwrap()
    };
    let held = serde_json::to_value(written(Some(&report))).unwrap();
    let annotation = held["metadata"]["annotations"][REPORT_ANNOTATION].as_str().unwrap();
    let opened: Value = serde_json::from_str(annotation).unwrap();
    let golden = json!({
        "field manager": FIELD_MANAGER, "held": held, "report": opened, "let go": written(None),
    });
    assert_golden("config-distribution/replica-lease.json", &pretty(&golden));
}
