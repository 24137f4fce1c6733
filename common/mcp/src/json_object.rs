//! Changes a JSON object, for example an item of a list: replaces, adds or removes members and leaves the JSON
//! text of all others unchanged.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::strict::{DUPLICATE_KEY, Key};

/// The members of a JSON object, in their original order.
pub struct JsonObject<'a>(Vec<(String, Member<'a>)>);

enum Member<'a> {
    Original(&'a RawValue),
    Replaced(Vec<u8>),
}

impl<'a> JsonObject<'a> {
    /// Parses an object.
    ///
    /// # Errors
    /// When the text is not an object, or contains a key twice.
    pub fn parse(json: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// Sets a string member; adds it if it is missing.
    pub fn set(&mut self, key: &str, text: &str) {
        self.put(key, serde_json::to_vec(text).unwrap_or_default());
    }

    /// Merges values into an object member, key by key.
    pub fn merge(&mut self, key: &str, values: &BTreeMap<String, Value>) {
        let mut merged: serde_json::Map<String, Value> = match self.0.iter().find(|(name, _)| name == key) {
            Some((_, Member::Original(raw))) => serde_json::from_str(raw.get()).unwrap_or_default(),
            Some((_, Member::Replaced(text))) => serde_json::from_slice(text).unwrap_or_default(),
            None => serde_json::Map::new(),
        };
        merged.extend(values.iter().map(|(name, value)| (name.clone(), value.clone())));
        self.put(key, serde_json::to_vec(&merged).unwrap_or_default());
    }

    /// JSON text of the object.
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
                Member::Original(raw) => raw.get().as_bytes(),
                Member::Replaced(text) => text,
            });
        }
        out.push(b'}');
        out
    }

    /// JSON text of a member that was not changed.
    pub(crate) fn get(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find_map(|(name, member)| match member {
            Member::Original(raw) if name == key => Some(raw.get()),
            _ => None,
        })
    }

    /// The text of a string member.
    pub(crate) fn string(&self, key: &str) -> Option<Cow<'a, str>> {
        serde_json::from_str(self.get(key)?).ok().map(|Key(text)| text)
    }

    /// The keys, in their original order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.as_str())
    }

    /// Changes a member that is an object. Returns whether `change` did.
    ///
    /// # Errors
    /// When the object contains a key twice, or `change` fails.
    pub(crate) fn edit(
        &mut self,
        key: &str,
        change: impl FnOnce(&mut JsonObject<'a>) -> Result<bool, serde_json::Error>,
    ) -> Result<bool, serde_json::Error> {
        let Some(text) = self.get(key).filter(|text| text.starts_with('{')) else { return Ok(false) };
        let mut member = Self::parse(text)?;
        let changed = change(&mut member)?;
        if changed {
            self.put(key, member.to_json());
        }
        Ok(changed)
    }

    /// Removes a member. Returns whether it was present.
    pub(crate) fn remove(&mut self, key: &str) -> bool {
        let members = self.0.len();
        self.0.retain(|(name, _)| name != key);
        self.0.len() < members
    }

    /// Sets a member to this JSON text; adds it if it is missing.
    pub(crate) fn put(&mut self, key: &str, text: Vec<u8>) {
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some((_, place)) => *place = Member::Replaced(text),
            None => self.0.push((key.to_owned(), Member::Replaced(text))),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for JsonObject<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct JsonObjectVisitor;
        impl<'de> Visitor<'de> for JsonObjectVisitor {
            type Value = Vec<(String, Member<'de>)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Self::Value = Vec::new();
                while let Some(Key(key)) = map.next_key()? {
                    members.push((key.into_owned(), Member::Original(map.next_value()?)));
                }
                // Checked once at the end, with a set: an origin may send items with any number of members.
                let mut names = HashSet::with_capacity(members.len());
                if !members.iter().all(|(name, _)| names.insert(name.as_str())) {
                    return Err(A::Error::custom(DUPLICATE_KEY));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(JsonObjectVisitor).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_an_item_when_presented_differently_then_only_what_was_asked_for_changes() {
        let mut item = JsonObject::parse(
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
        assert!(JsonObject::parse(r#"{"name":"a","name":"b"}"#).is_err());
    }
}
