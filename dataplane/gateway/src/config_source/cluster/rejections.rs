//! Published objects that a replica does not use, and why.

use std::collections::{BTreeMap, HashSet};

use portcullis_config_distribution::{Rejection, VerifyError};

use super::accepted_serials::ReplayError;
use super::object::{WatchedObject, WatchedResource};
use crate::config_source::table_publisher::PublishError;

/// Maximum length of a rejection reason in a report, in characters.
const MAX_REASON_LEN: usize = 240;

/// Why a published object is rejected. The message starts with a machine-readable reason.
#[derive(Debug, thiserror::Error)]
pub(super) enum RejectError {
    /// The object fails verification.
    #[error("{}: {}", .0.reason(), .0)]
    Verify(#[from] VerifyError),
    /// This process cannot serve the gateway.
    #[error("Unusable: {0}")]
    Unusable(#[from] PublishError),
    /// The object contains the document of another one.
    #[error("Misnamed: the object's name does not match its document")]
    Misnamed,
    /// The object is an older version than the accepted one.
    #[error("Replayed: {0}")]
    Replayed(#[from] ReplayError),
}

/// Objects that were rejected. They are verified again after a key rotation.
#[derive(Default)]
pub(super) struct Rejections {
    by_name: BTreeMap<String, RejectedObject>,
    total: u64,
}

struct RejectedObject {
    resource: WatchedResource,
    object: WatchedObject,
    reason: String,
    /// For a replayed version: the serial that the next version must exceed.
    accepted_serial: Option<i64>,
}

impl Rejections {
    /// Adds an object. The same version again, as after a relist, is not counted.
    pub(super) fn add(&mut self, resource: WatchedResource, object: WatchedObject, error: &RejectError) {
        let reason = error.to_string();
        let accepted_serial = match error {
            RejectError::Replayed(replayed) => Some(replayed.accepted),
            _ => None,
        };
        let known = self.by_name.get(&object.name);
        if known.is_none_or(|known| known.object.version != object.version) {
            self.total += 1;
            tracing::warn!(
                object = object.name,
                version = object.version,
                error = %reason,
                "rejected a published object; its last verified version stays in use"
            );
        }
        let name = object.name.clone();
        self.by_name.insert(name, RejectedObject { resource, object, reason, accepted_serial });
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    /// Removes the objects of a resource that a list does not contain.
    pub(super) fn retain_listed(&mut self, resource: WatchedResource, listed: &HashSet<String>) {
        self.by_name.retain(|name, rejected| rejected.resource != resource || listed.contains(name));
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Object versions that were rejected since the process started.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Removes and returns all objects.
    pub(super) fn take(&mut self) -> impl Iterator<Item = (WatchedResource, WatchedObject)> + use<> {
        std::mem::take(&mut self.by_name).into_values().map(|rejected| (rejected.resource, rejected.object))
    }

    /// The objects as a replica reports them.
    pub(super) fn report(&self) -> impl Iterator<Item = Rejection> {
        self.by_name.iter().map(|(name, rejected)| Rejection {
            name: name.clone(),
            resource_version: rejected.object.version.to_string(),
            reason: clip(&rejected.reason),
            accepted_serial: rejected.accepted_serial,
        })
    }
}

/// A reason as a report contains it.
pub(super) fn clip(text: &str) -> String {
    text.chars().take(MAX_REASON_LEN).collect()
}
