//! Tests of replayed objects: older versions that the operator once signed and that someone writes again.

use std::sync::Arc;

use portcullis_policy::Principal;
use portcullis_store::PublishedSerialRow;

use super::operator::{Operator, anywhere, keys_without_required_serials, slugs};
use crate::config_source::cluster::mirror::ConfigMirror;
use crate::config_source::cluster::object::{WatchEvent, WatchedObject, WatchedResource};

const MAPS: WatchedResource = WatchedResource::ConfigMaps;

/// The current and the previous version of the objects, with ascending resource versions.
struct Published {
    operator: Operator,
    current: Vec<WatchedObject>,
    /// The team with a member who was removed since.
    old_team: WatchedObject,
    /// The route before it was suspended.
    old_route: WatchedObject,
    mirror: ConfigMirror,
    /// What the store contains.
    stored: Vec<PublishedSerialRow>,
}

fn published() -> Published {
    let mut operator = Operator::new();
    let (old_team, old_route) = (operator.team("t", "a"), operator.route("a", "a", "x"));
    let current = vec![
        operator.gateway("https://gateway.example"),
        operator.origin("x", &portcullis_config::OriginAuth::None),
        operator.suspended_route("a", "a", "x"),
        operator.team_of("t", "a", "others"),
    ];
    let mut mirror = mirror(&operator, &[]);
    list(&mut mirror, &current);
    assert_eq!(mirror.report().rejected, []);
    let stored = mirror.take_serial_changes();
    Published { operator, current, old_team, old_route, mirror, stored }
}

fn mirror(operator: &Operator, stored: &[PublishedSerialRow]) -> ConfigMirror {
    ConfigMirror::new(Arc::clone(&operator.keys), anywhere(), stored.to_vec())
}

fn list(mirror: &mut ConfigMirror, maps: &[WatchedObject]) {
    mirror.apply(WatchEvent::Listed(MAPS, maps.to_vec()));
    mirror.apply(WatchEvent::Listed(WatchedResource::Secrets, Vec::new()));
}

/// The object at a new resource version, as after someone wrote it again.
fn written_again(operator: &mut Operator, object: &WatchedObject) -> WatchedObject {
    operator.version += 1;
    WatchedObject { version: operator.version, ..object.clone() }
}

fn is_member(mirror: &mut ConfigMirror, group: &str) -> bool {
    let person = Principal::new("company", "ana", None, None, [group]);
    let table = mirror.table(1).unwrap();
    table.route("a").is_some_and(|route| route.authorize(&person).is_some())
}

fn replayed(mirror: &ConfigMirror, name: &str) -> Option<i64> {
    let report = mirror.report();
    let rejection = report.rejected.iter().find(|rejection| rejection.name == name)?;
    assert!(rejection.reason.starts_with("Replayed: "), "{}", rejection.reason);
    rejection.accepted_serial
}

#[test]
fn given_an_older_version_when_it_is_applied_again_then_the_current_one_stays_and_it_is_reported() {
    let mut it = published();
    let before = it.mirror.report().table_hash;
    for old in [it.old_team.clone(), it.old_route.clone()] {
        let old = written_again(&mut it.operator, &old);
        let accepted = it.current.iter().find(|current| current.name == old.name).unwrap().version;
        it.mirror.apply(WatchEvent::Applied(MAPS, old.clone()));
        assert_eq!(replayed(&it.mirror, &old.name), i64::try_from(accepted).ok());
    }
    assert!(!is_member(&mut it.mirror, "readers"), "the removed member");
    assert_eq!(it.mirror.report().table_hash, before);
    // The operator writes the current version again, under the same serial.
    let current = it.current.clone();
    for object in &current {
        let again = written_again(&mut it.operator, object);
        it.mirror.apply(WatchEvent::Applied(MAPS, again));
    }
    assert_eq!(it.mirror.report().rejected, []);
}

#[test]
fn given_a_new_pod_when_an_older_version_is_published_then_the_serials_in_the_store_refuse_it() {
    let mut it = published();
    let mut maps = it.current.clone();
    maps[3] = written_again(&mut it.operator, &it.old_team);
    let mut fresh = mirror(&it.operator, &it.stored);
    list(&mut fresh, &maps);
    assert!(replayed(&fresh, &it.old_team.name).is_some());
    assert!(!is_member(&mut fresh, "readers"));
    // Without the store's serials nothing shows that the version is old.
    let mut without = mirror(&it.operator, &[]);
    list(&mut without, &maps);
    assert_eq!(without.report().rejected, []);
}

#[test]
fn given_a_sealed_snapshot_then_its_serials_refuse_older_versions_too() {
    let mut it = published();
    let mut fresh = mirror(&it.operator, &[]);
    fresh.restore(it.mirror.to_snapshot());
    let old = written_again(&mut it.operator, &it.old_team);
    fresh.apply(WatchEvent::Applied(MAPS, old.clone()));
    assert!(replayed(&fresh, &old.name).is_some());
    // An older snapshot does not bring back what the store knows to be replaced.
    let mut replaced = it.operator.team_of("t", "a", "nobody");
    replaced.version = 900;
    it.mirror.apply(WatchEvent::Applied(MAPS, replaced));
    let (stored, mut older) = (it.mirror.take_serial_changes(), mirror(&it.operator, &[]));
    list(&mut older, &it.current);
    let mut fresh = mirror(&it.operator, &stored);
    fresh.restore(older.to_snapshot());
    assert!(replayed(&fresh, &it.old_team.name).is_some());
}

#[test]
fn given_a_deleted_object_when_it_is_applied_again_then_only_a_higher_serial_is_accepted() {
    let mut it = published();
    let team = it.current[3].clone();
    it.mirror.apply(WatchEvent::Deleted(MAPS, written_again(&mut it.operator, &team)));
    let again = written_again(&mut it.operator, &team);
    it.mirror.apply(WatchEvent::Applied(MAPS, again.clone()));
    assert!(replayed(&it.mirror, &team.name).is_some());
    assert!(!is_member(&mut it.mirror, "others"));
    // A new pod knows the removal from the store.
    let mut stored = it.stored.clone();
    stored.extend(it.mirror.take_serial_changes());
    let mut fresh = mirror(&it.operator, &stored);
    let mut maps = it.current.clone();
    maps[3] = again;
    list(&mut fresh, &maps);
    assert!(replayed(&fresh, &team.name).is_some());
    // The operator writes the missing object with a higher serial.
    let higher = it.operator.team_of("t", "a", "others");
    for mirror in [&mut it.mirror, &mut fresh] {
        mirror.apply(WatchEvent::Applied(MAPS, higher.clone()));
        assert_eq!(mirror.report().rejected, []);
    }
    assert!(is_member(&mut it.mirror, "others"));
}

#[test]
fn given_an_object_that_was_removed_while_no_replica_ran_then_it_cannot_be_applied_again() {
    let mut it = published();
    let mut fresh = mirror(&it.operator, &it.stored);
    list(&mut fresh, &it.current[..3]);
    let again = written_again(&mut it.operator, &it.current[3]);
    fresh.apply(WatchEvent::Applied(MAPS, again.clone()));
    assert!(replayed(&fresh, &again.name).is_some());
    let removed = fresh.take_serial_changes();
    assert!(removed.iter().any(|row| row.object == again.name && row.removed == 1), "{removed:?}");
}

#[test]
fn given_a_restored_etcd_when_the_operator_raises_the_serials_then_the_restored_versions_are_served() {
    let mut it = published();
    let mut maps = it.current.clone();
    maps[2] = it.old_route.clone();
    maps[3] = it.old_team.clone();
    list(&mut it.mirror, &maps);
    assert_eq!(it.mirror.report().rejected.len(), 2);
    assert!(!is_member(&mut it.mirror, "readers"), "not before the operator confirms the old versions");
    for restored in [it.operator.team("t", "a"), it.operator.route("a", "a", "x")] {
        it.mirror.apply(WatchEvent::Applied(MAPS, restored));
    }
    assert_eq!(it.mirror.report().rejected, []);
    assert!(is_member(&mut it.mirror, "readers"));
    assert_eq!(slugs(&it.mirror.table(1).unwrap()), ["a"]);
}

#[test]
fn given_documents_without_serials_during_an_upgrade_then_they_are_valid_until_a_serial_was_accepted() {
    let mut operator = Operator { keys: keys_without_required_serials(), version: 100 };
    let old: Vec<_> = [
        operator.gateway("https://gateway.example"),
        operator.origin("x", &portcullis_config::OriginAuth::None),
        operator.route("a", "a", "x"),
    ]
    .map(|object| operator.without_serial(object))
    .into();
    let mut mirror = mirror(&operator, &[]);
    list(&mut mirror, &old);
    assert_eq!(slugs(&mirror.table(1).unwrap()), ["a"]);
    assert_eq!(mirror.take_serial_changes(), []);
    mirror.apply(WatchEvent::Applied(MAPS, operator.route("a", "a", "x")));
    let again = written_again(&mut operator, &old[2]);
    mirror.apply(WatchEvent::Applied(MAPS, again.clone()));
    assert!(replayed(&mirror, &again.name).is_some());
}
