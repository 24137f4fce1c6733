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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Result<(), serde_json::Error> {
        SkipValue(&mut KeyTracker::default()).deserialize(&mut serde_json::Deserializer::from_str(json))
    }

    fn object(keys: impl IntoIterator<Item = usize>, last: &str) -> String {
        let members: String = keys.into_iter().map(|key| format!("\"{key}\":0,")).collect();
        format!("{{{members}{last}}}")
    }

    #[test]
    fn given_a_key_in_different_objects_then_it_is_not_repeated() {
        for json in [
            r#"{"a":{"b":1},"b":2}"#,
            r#"{"a":{"a":{"a":1}}}"#,
            r#"[{"a":1},{"a":2}]"#,
            r#"{"x":[{"a":1},{"a":2}],"a":3}"#,
        ] {
            check(json).unwrap_or_else(|error| panic!("{json}: {error}"));
        }
    }

    #[test]
    fn given_a_key_twice_in_an_object_of_any_size_then_it_is_rejected() {
        for size in [1, MAX_LINEAR_KEYS - 1, MAX_LINEAR_KEYS, MAX_LINEAR_KEYS + 1, MAX_LINEAR_KEYS * 2] {
            let keys = 0..size;
            check(&object(keys.clone(), r#""new":0"#)).unwrap();
            for repeated in keys.clone() {
                let json = object(keys.clone(), &format!("\"{repeated}\":0"));
                assert!(check(&json).unwrap_err().to_string().starts_with(DUPLICATE_KEY), "{json}");
            }
            // Neither the members before a nested object nor those after it belong to the nested one.
            let inner = object(keys.clone(), r#""new":0"#);
            check(&object(keys.clone(), &format!(r#""inner":{inner},"new":0"#))).unwrap();
            assert!(check(&object(keys, &format!(r#""inner":{inner},"0":0"#))).is_err(), "{inner}");
        }
    }

    /// Otherwise the time for an object is quadratic in the number of its keys.
    #[test]
    fn given_more_keys_than_are_searched_one_by_one_then_a_hash_set_holds_them() {
        let mut tracker = KeyTracker::default();
        let mut object = tracker.enter();
        for key in 0..MAX_LINEAR_KEYS {
            assert!(tracker.insert(&mut object, key.to_string().into()));
        }
        assert!(object.many.is_none());
        assert!(tracker.insert(&mut object, "one more".into()));
        assert_eq!(object.many.as_ref().map(HashSet::len), Some(MAX_LINEAR_KEYS + 1));
    }
}
