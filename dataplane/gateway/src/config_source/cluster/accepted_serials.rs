//! The highest accepted serial of each published object, removals included. Older versions of an object are
//! valid by their MAC, so only the serial shows that they are replayed.
//!
//! The serials are kept in the store, which all replicas share, and in the sealed snapshot. Pure.

use std::collections::BTreeMap;

use portcullis_config_distribution::DocumentKind;
use portcullis_store::PublishedSerialRow;
use serde::{Deserialize, Serialize};

use super::object::WatchedResource;

/// Removed objects that are remembered one by one. Beyond that only their highest serial is kept.
const MAX_REMOVED: usize = 4096;
/// Name of the row with the highest serial of removed objects that are no longer remembered.
const FLOOR: &str = "";

/// The highest accepted serial of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AcceptedSerial {
    pub(super) serial: i64,
    /// Hash of the document with this serial.
    pub(super) hash: String,
    /// Whether the object was removed after that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) removed: bool,
}

/// The accepted serials by object name.
#[derive(Default)]
pub(super) struct AcceptedSerials {
    known: BTreeMap<String, AcceptedSerial>,
    /// Serials that changed since they were last taken.
    changed: BTreeMap<String, AcceptedSerial>,
    removed: usize,
}

/// An object's serial is not higher than the accepted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the serial {serial} is not higher than the accepted serial {accepted}, so an older version was written; the operator writes the current one again"
)]
pub(super) struct ReplayError {
    serial: i64,
    /// The serial that the next version must exceed.
    pub(super) accepted: i64,
}

impl AcceptedSerials {
    /// Adds the serials of an earlier process or of other replicas. Higher ones win.
    pub(super) fn restore(&mut self, serials: impl IntoIterator<Item = (String, AcceptedSerial)>) {
        for (name, serial) in serials {
            self.raise(name, serial);
        }
    }

    /// Checks the serial of a verified document; 0 for a document of a version without serials.
    pub(super) fn check(&self, name: &str, serial: i64, hash: &str) -> Result<(), ReplayError> {
        let refuse = |accepted| Err(ReplayError { serial, accepted });
        match self.known.get(name) {
            Some(known) if serial > known.serial => Ok(()),
            Some(known) if serial == known.serial && !known.removed && hash == known.hash => Ok(()),
            Some(known) => refuse(known.serial),
            None => match self.known.get(FLOOR) {
                Some(floor) if serial <= floor.serial => refuse(floor.serial),
                _ => Ok(()),
            },
        }
    }

    /// Records that a version was accepted. Versions without a serial are not recorded.
    pub(super) fn accept(&mut self, name: &str, serial: i64, hash: &str) {
        if serial > 0 {
            self.change(name, AcceptedSerial { serial, hash: hash.to_owned(), removed: false });
        }
    }

    /// Records that an object was removed. Returns whether it was known.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let Some(known) = self.known.get(name).filter(|known| !known.removed) else { return false };
        self.change(name, AcceptedSerial { removed: true, ..known.clone() });
        true
    }

    /// Names of the objects of a resource that were not removed.
    pub(super) fn present(&self, resource: WatchedResource) -> impl Iterator<Item = &str> {
        let present = self.known.iter().filter(|(_, known)| !known.removed);
        present.map(|(name, _)| name.as_str()).filter(move |name| {
            DocumentKind::of_object(name).is_some_and(|kind| kind.resource() == resource.plural())
        })
    }

    /// All serials, for the snapshot.
    pub(super) fn all(&self) -> BTreeMap<String, AcceptedSerial> {
        self.known.clone()
    }

    /// The serials that changed since the last call, for the store.
    pub(super) fn take_changes(&mut self) -> Vec<PublishedSerialRow> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|(name, serial)| row(name, serial)).collect()
    }

    fn change(&mut self, name: &str, serial: AcceptedSerial) {
        if self.raise(name.to_owned(), serial.clone()) {
            self.changed.insert(name.to_owned(), serial);
            self.limit_removed();
        }
    }

    /// Returns whether the serial differs from the known one.
    fn raise(&mut self, name: String, serial: AcceptedSerial) -> bool {
        let before = self.known.get(&name);
        if before.is_some_and(|before| (before.serial, before.removed) >= (serial.serial, serial.removed)) {
            return false;
        }
        let counts = |it: &AcceptedSerial| usize::from(it.removed && name != FLOOR);
        self.removed = self.removed + counts(&serial) - before.map_or(0, counts);
        self.known.insert(name, serial);
        true
    }

    /// Forgets the older half of the removed objects if there are too many. Unknown objects then need a
    /// serial above all that were forgotten.
    fn limit_removed(&mut self) {
        if self.removed <= MAX_REMOVED {
            return;
        }
        let removed = self.known.iter().filter(|(name, known)| known.removed && *name != FLOOR);
        let mut serials: Vec<_> = removed.map(|(_, known)| known.serial).collect();
        serials.sort_unstable();
        let Some(floor) = serials.get(serials.len() / 2).copied() else { return };
        self.known.retain(|name, known| name == FLOOR || !known.removed || known.serial > floor);
        self.removed = serials.iter().filter(|serial| **serial > floor).count();
        let floor = AcceptedSerial { serial: floor, hash: String::new(), removed: true };
        if self.raise(FLOOR.to_owned(), floor.clone()) {
            self.changed.insert(FLOOR.to_owned(), floor);
        }
    }
}

/// The serial of a row in the store.
pub(super) fn from_row(row: PublishedSerialRow) -> (String, AcceptedSerial) {
    let PublishedSerialRow { object, serial, hash, removed } = row;
    (object, AcceptedSerial { serial, hash, removed: removed != 0 })
}

/// The floor that a list of changes contains, if it does.
pub(super) fn floor(rows: &[PublishedSerialRow]) -> Option<i64> {
    rows.iter().find(|row| row.object == FLOOR).map(|row| row.serial)
}

fn row(object: String, serial: AcceptedSerial) -> PublishedSerialRow {
    let AcceptedSerial { serial, hash, removed } = serial;
    PublishedSerialRow { object, serial, hash, removed: i64::from(removed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(serials: &AcceptedSerials, name: &str, serial: i64, hash: &str) -> Option<i64> {
        serials.check(name, serial, hash).err().map(|error| error.accepted)
    }

    #[test]
    fn given_an_accepted_serial_then_lower_ones_and_equal_ones_with_another_hash_are_refused() {
        let mut serials = AcceptedSerials::default();
        assert_eq!(refused(&serials, "a", 0, "x"), None, "a version without serials");
        serials.accept("a", 0, "x");
        assert_eq!(serials.take_changes(), []);
        serials.accept("a", 5, "x");
        for (serial, hash, expected) in
            [(0, "x", Some(5)), (4, "x", Some(5)), (5, "y", Some(5)), (5, "x", None), (6, "y", None)]
        {
            assert_eq!(refused(&serials, "a", serial, hash), expected, "{serial} {hash}");
        }
        assert_eq!(refused(&serials, "b", 1, "x"), None);
    }

    #[test]
    fn given_a_removed_object_then_only_a_higher_serial_is_accepted() {
        let mut serials = AcceptedSerials::default();
        serials.accept("a", 5, "x");
        assert!(serials.remove("a") && !serials.remove("a") && !serials.remove("b"));
        assert_eq!(refused(&serials, "a", 5, "x"), Some(5));
        assert_eq!(refused(&serials, "a", 6, "x"), None);
        let expected = PublishedSerialRow { object: "a".into(), serial: 5, hash: "x".into(), removed: 1 };
        assert_eq!(serials.take_changes(), [expected]);
        serials.accept("a", 6, "y");
        assert_eq!(refused(&serials, "a", 6, "y"), None);
    }

    #[test]
    fn given_serials_of_several_sources_when_restored_then_the_highest_wins() {
        let mut serials = AcceptedSerials::default();
        let at = |serial, removed| AcceptedSerial { serial, hash: "x".to_owned(), removed };
        serials.restore([("a".to_owned(), at(5, true)), ("b".to_owned(), at(9, false))]);
        serials.restore([("a".to_owned(), at(5, false)), ("b".to_owned(), at(8, true))]);
        assert_eq!(serials.all(), [("a".to_owned(), at(5, true)), ("b".to_owned(), at(9, false))].into());
        assert_eq!(serials.take_changes(), [], "the store has them already");
    }

    #[test]
    fn given_many_removed_objects_then_the_oldest_are_forgotten_and_still_refused() {
        let mut serials = AcceptedSerials::default();
        let many = i64::try_from(MAX_REMOVED).unwrap() * 3;
        serials.accept("route-kept", 1, "x");
        for serial in 2..many {
            let name = format!("route-{serial}");
            serials.accept(&name, serial, "x");
            serials.remove(&name);
            assert!(serials.known.len() <= MAX_REMOVED + 2);
        }
        for serial in 2..many {
            assert!(refused(&serials, &format!("route-{serial}"), serial, "x").is_some(), "{serial}");
        }
        assert_eq!(refused(&serials, "route-kept", 1, "x"), None);
        assert_eq!(refused(&serials, "route-new", many, "x"), None);
        assert_eq!(serials.present(WatchedResource::ConfigMaps).collect::<Vec<_>>(), ["route-kept"]);
        assert!(floor(&serials.take_changes()).is_some_and(|floor| floor > 2));
    }
}
