//! Static credentials, kept apart from the config documents.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// Name of a static credential: `namespace/secret/key`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretKey(pub String);

/// A static credential and the hosts that it may be sent to.
#[derive(Clone)]
pub struct SecretValue {
    /// Value. It is wiped from memory when dropped.
    pub value: SecretString,
    /// Hosts (globs), with or without a port, that it may be sent to; empty if it is not sent to an origin.
    pub allowed_hosts: Vec<String>,
}

/// Static credentials by name. They are kept apart from the documents: no document, hash, log line or debug
/// output contains one.
#[derive(Clone, Default)]
pub struct Secrets(BTreeMap<SecretKey, SecretValue>);

impl Secrets {
    /// Adds a credential.
    pub fn insert(&mut self, key: SecretKey, value: SecretValue) {
        self.0.insert(key, value);
    }

    /// Returns a credential by name.
    #[must_use]
    pub fn get(&self, key: &SecretKey) -> Option<&SecretValue> {
        self.0.get(key)
    }

    /// All names and values, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&SecretKey, &SecretValue)> {
        self.0.iter()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
