//! Golden test of the sealed snapshot. A later version starts from it while the API server is unavailable.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::golden::{assert_sealed, keys};

#[test]
fn a_sealed_snapshot_opens_as_before() {
    let serials = [("route-a", 5, false), ("route-b", 6, true)].map(|(name, serial, removed)| {
        (name.to_owned(), AcceptedSerial { serial, hash: "hash".to_owned(), removed })
    });
    let place: &[&str] = &["snapshot", "namespace"];
    assert_sealed(
        "config-distribution/sealed-snapshot.json",
        &[
            ("snapshot", place, sealed(BTreeMap::new())),
            ("snapshot with serials", place, sealed(serials.into())),
        ],
    );
}

fn sealed(serials: BTreeMap<String, AcceptedSerial>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot.sealed");
    let object = WatchedObject {
        name: "route-a".to_owned(),
        version: 7,
        label: "route".to_owned(),
        data: [("document".to_owned(), "{}".to_owned()), ("mac".to_owned(), "key.mac".to_owned())].into(),
    };
    let publication = ConfigSnapshot {
        observed: [("configmaps".to_owned(), 9), ("secrets".to_owned(), 8)].into(),
        objects: vec![Arc::new(object)],
        serials,
    };
    SealedSnapshot::new(path.clone(), keys(), Random::system(), "namespace").write(&publication).unwrap();
    URL_SAFE_NO_PAD.encode(std::fs::read(path).unwrap())
}
