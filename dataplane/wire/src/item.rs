//! One item of a list, presented differently: members are replaced or added, the others stay as they were written.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::strict::{Key, REPEATED};

/// The members of a JSON object, in their order.
pub struct Members<'a>(Vec<(String, Text<'a>)>);

enum Text<'a> {
    AsItWas(&'a RawValue),
    Changed(Vec<u8>),
}

impl<'a> Members<'a> {
    /// Reads an object.
    ///
    /// # Errors
    /// When it is none, or names a key twice.
    pub fn parse(json: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// Puts a text member in place, adding it where there was none.
    pub fn set(&mut self, key: &str, text: &str) {
        self.put(key, serde_json::to_vec(text).unwrap_or_default());
    }

    /// Merges values into an object member, key by key.
    pub fn merge(&mut self, key: &str, values: &BTreeMap<String, Value>) {
        let mut merged: serde_json::Map<String, Value> = match self.0.iter().find(|(name, _)| name == key) {
            Some((_, Text::AsItWas(raw))) => serde_json::from_str(raw.get()).unwrap_or_default(),
            Some((_, Text::Changed(text))) => serde_json::from_slice(text).unwrap_or_default(),
            None => serde_json::Map::new(),
        };
        merged.extend(values.iter().map(|(name, value)| (name.clone(), value.clone())));
        self.put(key, serde_json::to_vec(&merged).unwrap_or_default());
    }

    /// The object's JSON text.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = vec![b'{'];
        for (place, (key, text)) in self.0.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&serde_json::to_vec(key).unwrap_or_default());
            out.push(b':');
            out.extend_from_slice(match text {
                Text::AsItWas(raw) => raw.get().as_bytes(),
                Text::Changed(text) => text,
            });
        }
        out.push(b'}');
        out
    }

    fn put(&mut self, key: &str, text: Vec<u8>) {
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some((_, place)) => *place = Text::Changed(text),
            None => self.0.push((key.to_owned(), Text::Changed(text))),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Vec<(String, Text<'de>)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Self::Value = Vec::new();
                while let Some(Key(key)) = map.next_key()? {
                    members.push((key.into_owned(), Text::AsItWas(map.next_value()?)));
                }
                // In one go: an origin may give an item any number of members.
                let mut names = HashSet::with_capacity(members.len());
                if !members.iter().all(|(name, _)| names.insert(name.as_str())) {
                    return Err(A::Error::custom(REPEATED));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(MembersVisitor).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_an_item_when_presented_differently_then_only_what_was_asked_for_changes() {
        let mut item = Members::parse(
            r#"{"name":"get_issue","inputSchema":{"b":1.50,"a":2},"annotations":{"readOnlyHint":true}}"#,
        )
        .unwrap();
        item.set("name", "issue");
        item.set("description", "Reads \"one\".");
        item.merge("annotations", &BTreeMap::from([("title".to_owned(), Value::from("x"))]));
        assert_eq!(
            String::from_utf8(item.to_json()).unwrap(),
            r#"{"name":"issue","inputSchema":{"b":1.50,"a":2},"annotations":{"readOnlyHint":true,"title":"x"},"description":"Reads \"one\"."}"#
        );
    }

    #[test]
    fn given_an_item_that_names_a_key_twice_then_it_is_refused() {
        assert!(Members::parse(r#"{"name":"a","name":"b"}"#).is_err());
    }
}
