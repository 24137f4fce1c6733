//! Checks that no object in a JSON value contains a key twice, without storing the value.
//!
//! Two parsers that disagree on a repeated key see two different messages, and a policy that checks only one
//! of them is ineffective. Therefore objects at every depth are checked, in the same pass that finds the
//! parts of the message.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Keys of the objects that are currently being parsed, innermost last. One buffer is used for the whole
/// message.
#[derive(Default)]
pub(crate) struct KeyTracker<'a> {
    open: Vec<Cow<'a, str>>,
}

/// Maximum number of keys per object for linear search. With more keys, a linear search would allow a CPU
/// attack.
const MAX_LINEAR_KEYS: usize = 24;

/// The part of [`KeyTracker`] that belongs to one object.
pub(crate) struct OpenObject<'a> {
    start: usize,
    many: Option<HashSet<Cow<'a, str>>>,
}

impl<'a> KeyTracker<'a> {
    pub(crate) fn enter(&self) -> OpenObject<'a> {
        OpenObject { start: self.open.len(), many: None }
    }

    /// Adds a key. Returns `false` if the object already contains it.
    pub(crate) fn insert(&mut self, object: &mut OpenObject<'a>, key: Cow<'a, str>) -> bool {
        if let Some(many) = &mut object.many {
            return many.insert(key);
        }
        let seen = self.open.get(object.start..).unwrap_or_default();
        if seen.contains(&key) {
            return false;
        }
        if seen.len() >= MAX_LINEAR_KEYS {
            let mut many: HashSet<_> = self.open.drain(object.start..).collect();
            many.insert(key);
            object.many = Some(many);
        } else {
            self.open.push(key);
        }
        true
    }

    pub(crate) fn leave(&mut self, object: &OpenObject<'a>) {
        self.open.truncate(object.start);
    }
}

/// Checks any value for repeated keys and discards it.
pub(crate) struct SkipValue<'k, 'a>(pub(crate) &'k mut KeyTracker<'a>);

impl<'a> DeserializeSeed<'a> for SkipValue<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for SkipValue<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let mut object = self.0.enter();
        while let Some(Key(key)) = map.next_key()? {
            if !self.0.insert(&mut object, key) {
                return Err(A::Error::custom(DUPLICATE_KEY));
            }
            map.next_value_seed(SkipValue(self.0))?;
        }
        self.0.leave(&object);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(SkipValue(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

pub(crate) const DUPLICATE_KEY: &str = "an object contains a key twice";

/// A string, for example a key. Borrowed from the input unless it contains escape sequences.
pub(crate) struct Key<'a>(pub(crate) Cow<'a, str>);

impl<'a> serde::Deserialize<'a> for Key<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'a> Visitor<'a> for KeyVisitor {
            type Value = Key<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, key: &'a str) -> Result<Key<'a>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }
            fn visit_str<E>(self, key: &str) -> Result<Key<'a>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// Skips a value without checking it.
pub(crate) fn skip_value<'a, A: MapAccess<'a>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(|_| ())
}
