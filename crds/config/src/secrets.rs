use std::collections::BTreeMap;
use std::fmt;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// Names a static credential without revealing it: `namespace/secret/key`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretKey(pub String);

/// A static credential and what it may be used for.
#[derive(Clone)]
pub struct SecretValue {
    /// The value, wiped from memory when dropped.
    pub value: SecretString,
    /// Hosts that it may be sent to; empty for one that is sent to no origin.
    pub allowed_hosts: Vec<String>,
}

/// Static credentials by name. Kept apart from the documents so that no document, hash, log line or debug print holds one.
#[derive(Clone, Default)]
pub struct Secrets(BTreeMap<SecretKey, SecretValue>);

impl Secrets {
    /// Adds a credential.
    pub fn insert(&mut self, key: SecretKey, value: SecretValue) {
        self.0.insert(key, value);
    }

    /// Looks a credential up.
    #[must_use]
    pub fn get(&self, key: &SecretKey) -> Option<&SecretValue> {
        self.0.get(key)
    }

    /// All names and values, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&SecretKey, &SecretValue)> {
        self.0.iter()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
