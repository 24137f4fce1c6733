//! Curates lists of tools, prompts, resources and resource templates by splicing. The response is copied;
//! hidden items are removed and changed items replaced. Everything else stays the same, including cursors and
//! order.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::known_keys::{ENVELOPE, ITEM, RESULT, confused_with};
use crate::strict::{DUPLICATE_KEY, Key};

/// The decision about an item.
pub enum ItemAction {
    /// Copied unchanged.
    Keep,
    /// Removed.
    Hide,
    /// Replaced by this JSON text.
    Replace(Vec<u8>),
}

/// One item of a list.
pub struct Item<'a> {
    /// Name, URI or URI template.
    pub key: Cow<'a, str>,
    /// JSON text.
    pub json: &'a str,
}

/// The response is not a list that can be curated, so it must not be forwarded.
#[derive(Debug, thiserror::Error)]
#[error("invalid list from the origin: {0}")]
pub struct ListError(#[from] serde_json::Error);

/// A parsed list response.
pub struct List<'a> {
    body: &'a str,
    found: ListContents<'a>,
}

#[derive(Default)]
struct ListContents<'a> {
    items: Option<Vec<RawItem<'a>>>,
    cache_scope: Option<&'a RawValue>,
    /// `null` counts as absent.
    next_cursor: Option<&'a RawValue>,
}

/// An item, found in the single pass over the response.
struct RawItem<'a> {
    text: &'a str,
    /// Identifier; `None` if clients may disagree about it, or about another member.
    key: Option<Cow<'a, str>>,
}

/// Which member of the result holds the items, and which property of an item identifies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListShape {
    /// Name of the method.
    pub method: &'static str,
    /// `tools`, `prompts`, `resources` or `resourceTemplates`.
    pub key: &'static str,
    /// `name`, `uri` or `uriTemplate`.
    pub identifier: &'static str,
}

impl<'a> List<'a> {
    /// Parses a response whose result contains items in this shape. A JSON-RPC error, or any message without
    /// such a result, is parsed as a list without items.
    ///
    /// # Errors
    /// When the message is not JSON, or repeats a key that must be unambiguous.
    pub fn parse(body: &'a [u8], shape: ListShape) -> Result<Self, ListError> {
        let body = std::str::from_utf8(body).map_err(serde_json::Error::custom)?;
        let mut found = ListContents::default();
        let mut deserializer = serde_json::Deserializer::from_str(body);
        MessageVisitor { body, found: &mut found, shape, in_result: false }.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(Self { body, found })
    }

    /// JSON texts of the items; `None` if the response contains no such list.
    #[must_use]
    pub fn items(&self) -> Option<impl ExactSizeIterator<Item = &'a str> + '_> {
        self.found.items.as_ref().map(|items| items.iter().map(|item| item.text))
    }

    /// Whether the origin declares that the list contains nothing about the user (`cacheScope: public`,
    /// 2026-07-28, server/utilities/caching).
    #[must_use]
    pub fn is_public(&self) -> bool {
        is_public(self.found.cache_scope)
    }

    /// Whether another page follows.
    #[must_use]
    pub fn is_continued(&self) -> bool {
        self.found.next_cursor.is_some()
    }

    /// The cursor of the next page, if it is a string.
    #[must_use]
    pub fn next_cursor(&self) -> Option<String> {
        serde_json::from_str(self.found.next_cursor?.get()).ok()
    }

    /// Returns the curated response, or `None` if nothing changes. If `personal`, the list depends on the
    /// caller: a cache scope in the response becomes `private` (2026-07-28, server/utilities/caching).
    ///
    /// # Errors
    /// When an item has no identifier or several: clients may disagree about its identity.
    pub fn curate(
        &self,
        personal: bool,
        mut decide: impl FnMut(&Item<'_>) -> ItemAction,
    ) -> Result<Option<Vec<u8>>, ListError> {
        let Some(items) = &self.found.items else { return Ok(None) };
        let mut changed = false;
        let mut curated: Vec<u8> = Vec::with_capacity(self.body.len());
        let mut kept = 0;
        for RawItem { text, key } in items {
            let key = key.as_deref().ok_or_else(|| serde_json::Error::custom(NO_IDENTIFIER))?;
            let item = Item { key: Cow::Borrowed(key), json: text };
            let text: Cow<'_, [u8]> = match decide(&item) {
                ItemAction::Keep => Cow::Borrowed(text.as_bytes()),
                ItemAction::Hide => {
                    changed = true;
                    continue;
                }
                ItemAction::Replace(text) => {
                    changed = true;
                    Cow::Owned(text)
                }
            };
            if kept > 0 {
                curated.push(b',');
            }
            kept += 1;
            curated.extend_from_slice(&text);
        }
        let mut splices: Vec<(Range<usize>, &[u8])> = Vec::with_capacity(2);
        if changed && let (Some(first), Some(last)) = (items.first(), items.last()) {
            splices.push((self.range_of(first.text).start..self.range_of(last.text).end, &curated));
        }
        if personal && let Some(scope) = self.found.cache_scope {
            splices.push((self.range_of(scope.get()), b"\"private\""));
        }
        if splices.is_empty() {
            return Ok(None);
        }
        splices.sort_by_key(|(range, _)| range.start);
        let body = self.body.as_bytes();
        let mut out = Vec::with_capacity(body.len() + 16);
        let mut at = 0;
        for (range, text) in splices {
            out.extend_from_slice(body.get(at..range.start).unwrap_or_default());
            out.extend_from_slice(text);
            at = range.end;
        }
        out.extend_from_slice(body.get(at..).unwrap_or_default());
        Ok(Some(out))
    }

    fn range_of(&self, text: &str) -> Range<usize> {
        let start = offset(self.body, text);
        start..start + text.len()
    }
}

/// Whether a result's `cacheScope` is `public`. Any other value, or none, makes it private.
#[must_use]
pub fn is_public(cache_scope: Option<&RawValue>) -> bool {
    cache_scope.is_some_and(|scope| {
        serde_json::from_str::<Cow<'_, str>>(scope.get()).is_ok_and(|scope| scope == "public")
    })
}

/// Byte offset of `part`, a slice of `body`, in `body`.
fn offset(body: &str, part: &str) -> usize {
    part.as_ptr() as usize - body.as_ptr() as usize
}

/// Visits the members of the message, then those of its result.
struct MessageVisitor<'f, 'a> {
    body: &'a str,
    found: &'f mut ListContents<'a>,
    shape: ListShape,
    in_result: bool,
}

impl<'a> DeserializeSeed<'a> for MessageVisitor<'_, 'a> {
    type Value = ();
    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for MessageVisitor<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.in_result { "a result object" } else { "a JSON-RPC message" })
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut result_seen, mut cursor_seen) = (false, false);
        while let Some(Key(key)) = map.next_key()? {
            match &*key {
                "result" if !self.in_result => {
                    if std::mem::replace(&mut result_seen, true) {
                        return Err(A::Error::custom(DUPLICATE_KEY));
                    }
                    map.next_value_seed(MessageVisitor { found: &mut *self.found, in_result: true, ..self })?;
                }
                name if self.in_result && name == self.shape.key => {
                    // The position is needed, and a key with escapes is not borrowed from the body. No real
                    // server escapes it.
                    let Cow::Borrowed(name) = key else { return Err(A::Error::custom(ESCAPED_KEY)) };
                    let after = offset(self.body, name) + name.len();
                    let items =
                        ItemsVisitor { body: self.body, at: after, identifier: self.shape.identifier };
                    if self.found.items.replace(map.next_value_seed(items)?).is_some() {
                        return Err(A::Error::custom(DUPLICATE_KEY));
                    }
                }
                "cacheScope" if self.in_result => {
                    if self.found.cache_scope.replace(map.next_value()?).is_some() {
                        return Err(A::Error::custom(DUPLICATE_KEY));
                    }
                }
                // Readers that take the first value would see more pages, or fewer.
                "nextCursor" if self.in_result => {
                    if std::mem::replace(&mut cursor_seen, true) {
                        return Err(A::Error::custom(DUPLICATE_KEY));
                    }
                    self.found.next_cursor = map.next_value()?;
                }
                // A decoder that ignores case would show this list instead of the curated one.
                other if confused_with(other, if self.in_result { RESULT } else { ENVELOPE }).is_some() => {
                    return Err(A::Error::custom(CASE_VARIANT_KEY));
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Visits the items and records the text and identifier of each in the same pass.
struct ItemsVisitor<'a> {
    body: &'a str,
    /// Position before the next item; only white space and punctuation lie between.
    at: usize,
    identifier: &'static str,
}

impl<'a> DeserializeSeed<'a> for ItemsVisitor<'a> {
    type Value = Vec<RawItem<'a>>;
    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'a> Visitor<'a> for ItemsVisitor<'a> {
    type Value = Vec<RawItem<'a>>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of items")
    }
    fn visit_seq<A: SeqAccess<'a>>(mut self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(ItemVisitor(&mut self))? {
            items.push(item);
        }
        Ok(items)
    }
}

struct ItemVisitor<'i, 'a>(&'i mut ItemsVisitor<'a>);

impl<'a> DeserializeSeed<'a> for ItemVisitor<'_, 'a> {
    type Value = RawItem<'a>;
    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for ItemVisitor<'_, 'a> {
    type Value = RawItem<'a>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an item")
    }
    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let ItemsVisitor { body, at, identifier } = self.0;
        let start = find_brace(body, *at, b'{').ok_or_else(|| A::Error::custom(ITEM_NOT_FOUND))?;
        let mut end = start + 1;
        let (mut found, mut seen) = (None, 0_u32);
        while let Some(Key(key)) = map.next_key()? {
            let value: &'a RawValue = map.next_value()?;
            if key == *identifier {
                seen += 1;
                found = Some(serde_json::from_str::<Key<'a>>(value.get()).map_err(A::Error::custom)?.0);
            } else if confused_with(&key, ITEM).is_some() {
                seen += 1;
            }
            end = offset(body, value.get()) + value.get().len();
        }
        *at = find_brace(body, end, b'}').ok_or_else(|| A::Error::custom(ITEM_NOT_FOUND))? + 1;
        let text = body.get(start..*at).ok_or_else(|| A::Error::custom(ITEM_NOT_FOUND))?;
        Ok(RawItem { text, key: found.filter(|_| seen == 1) })
    }
}

/// Position of the next brace, if only white space and punctuation precede it.
fn find_brace(body: &str, from: usize, brace: u8) -> Option<usize> {
    let rest = body.as_bytes().get(from..)?;
    let at = rest
        .iter()
        .position(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b':' | b'[' | b'"'))?;
    (rest.get(at) == Some(&brace)).then_some(from + at)
}

const NO_IDENTIFIER: &str =
    "an item has no identifier or several identifiers, or a key differs only by case from a known one";
const CASE_VARIANT_KEY: &str = "a key differs only by case from a known one";
const ESCAPED_KEY: &str = "the key of the list contains escape sequences";
const ITEM_NOT_FOUND: &str = "the position of an item is inconsistent";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOOLS: ListShape = ListShape { method: "tools/list", key: "tools", identifier: "name" };
    const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"nextCursor":"c","tools":[{"name":"a","x":[1]}, {"name":"b"} ,{"n\u0061me":"c"}],"cacheScope":"public","ttlMs":5}}"#;

    fn curate(
        body: &str,
        personal: bool,
        decide: impl FnMut(&Item<'_>) -> ItemAction,
    ) -> Result<Option<String>, ListError> {
        let curated = List::parse(body.as_bytes(), TOOLS)?.curate(personal, decide)?;
        Ok(curated.map(|bytes| String::from_utf8(bytes).unwrap()))
    }

    #[test]
    fn given_decisions_when_curated_then_only_those_items_change() {
        let curated = curate(BODY, true, |item| match &*item.key {
            "a" => ItemAction::Keep,
            "b" => ItemAction::Hide,
            _ => ItemAction::Replace(b"{}".to_vec()),
        });
        assert_eq!(
            curated.unwrap().unwrap(),
            r#"{"jsonrpc":"2.0","id":1,"result":{"nextCursor":"c","tools":[{"name":"a","x":[1]},{}],"cacheScope":"private","ttlMs":5}}"#
        );
    }

    #[test]
    fn given_nothing_to_change_then_there_is_no_new_text() {
        assert_eq!(curate(BODY, false, |_| ItemAction::Keep).unwrap(), None);
        assert_eq!(
            curate(r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}"#, true, |_| {
                ItemAction::Hide
            })
            .unwrap(),
            None
        );
        assert_eq!(curate(r#"{"result":{"tools":[]}}"#, true, |_| ItemAction::Hide).unwrap(), None);
    }

    #[test]
    fn given_any_cache_scope_but_public_then_the_list_is_private() {
        let scope = |text: &str| {
            let body = format!(r#"{{"result":{{{text}"tools":[]}}}}"#);
            List::parse(body.as_bytes(), TOOLS).unwrap().is_public()
        };
        assert!(scope(r#""cacheScope":"public","#) && scope(r#""cacheScope":"\u0070ublic","#));
        for other in ["", r#""cacheScope":"private","#, r#""cacheScope":"Public","#, r#""cacheScope":true,"#]
        {
            assert!(!scope(other), "{other}");
        }
        assert!(!scope(r#""cacheScope":["public"],"#) && !scope(r#""cacheScope":null,"#));
        assert!(!scope(r#""_meta":{"cacheScope":"public"},"#));
    }

    #[test]
    fn given_a_next_cursor_then_another_page_follows() {
        for (member, continued, cursor) in [
            ("", false, None),
            (r#""nextCursor":null,"#, false, None),
            (r#""nextCursor" : null ,"#, false, None),
            (r#""nextCursor":"p\u0061ge","#, true, Some("page")),
            (r#""nextCursor":"","#, true, Some("")),
            (r#""nextCursor":7,"#, true, None),
        ] {
            let body = format!(r#"{{"result":{{{member}"tools":[]}}}}"#);
            let list = List::parse(body.as_bytes(), TOOLS).unwrap();
            assert_eq!((list.is_continued(), list.next_cursor().as_deref()), (continued, cursor), "{body}");
        }
    }

    #[test]
    fn given_members_of_a_list_elsewhere_in_the_message_then_they_are_not_its_own() {
        for (body, items) in [
            (r#"{"nextCursor":"c","cacheScope":"public","tools":[{"name":"a"}],"result":{}}"#, None),
            (
                r#"{"result":{"result":{"nextCursor":"c","cacheScope":"public","tools":[{"name":"b"}]},"tools":[{"name":"a"}]}}"#,
                Some(vec![r#"{"name":"a"}"#]),
            ),
            (r#"{"result":{"result":"x","tools":[]}}"#, Some(vec![])),
        ] {
            let list = List::parse(body.as_bytes(), TOOLS).unwrap();
            assert_eq!(list.items().map(Iterator::collect), items, "{body}");
            assert!(!list.is_continued() && !list.is_public(), "{body}");
        }
    }

    #[test]
    fn given_all_hidden_then_the_array_is_empty() {
        assert_eq!(
            curate(r#"{"result":{"tools":[{"name":"a"}]}}"#, false, |_| ItemAction::Hide).unwrap().unwrap(),
            r#"{"result":{"tools":[]}}"#
        );
    }

    #[test]
    fn given_any_white_space_when_read_then_each_item_is_its_own_text() {
        let body = "{ \"result\" : { \"tools\" : [ { } , {\"name\":\"a\" , \"x\":{\"y\":[ ]} } ,\n{\"name\" :\"}b{\"}] } }";
        let list = List::parse(body.as_bytes(), TOOLS).unwrap();
        let items: Vec<_> = list.items().unwrap().collect();
        assert_eq!(items, ["{ }", "{\"name\":\"a\" , \"x\":{\"y\":[ ]} }", "{\"name\" :\"}b{\"}"]);
    }

    #[test]
    fn given_a_member_that_the_gateway_reads_twice_then_the_list_is_refused() {
        for members in [
            r#""tools":[],"tools":[]"#,
            r#""tools":[],"cacheScope":"public","cacheScope":"private""#,
            r#""tools":[],"nextCursor":"c","nextCursor":null"#,
            r#""tools":[],"nextCursor":null,"nextCursor":"c""#,
        ] {
            assert!(
                List::parse(format!(r#"{{"result":{{{members}}}}}"#).as_bytes(), TOOLS).is_err(),
                "{members}"
            );
        }
        assert!(List::parse(br#"{"result":{"tools":[]},"result":{"tools":[]}}"#, TOOLS).is_err());
    }

    #[test]
    fn given_a_key_that_a_client_could_take_for_a_known_one_then_the_list_is_refused() {
        for (before, members, after) in [
            ("{", ENVELOPE, r#""result":{"tools":[{"name":"a"}]}}"#),
            (r#"{"result":{"#, RESULT, r#""tools":[{"name":"a"}]}}"#),
            (r#"{"result":{"tools":[{"#, ITEM, r#""name":"a"}]}}"#),
        ] {
            let read = |key: &str| {
                curate(&format!("{before}{}:1,{after}", serde_json::json!(key)), false, |_| ItemAction::Keep)
            };
            for member in members {
                let variants = [member.to_uppercase(), member.replacen('s', "\u{17f}", 1)];
                for variant in variants.iter().filter(|variant| variant != member) {
                    assert!(read(variant).is_err(), "{before}{variant}");
                }
            }
            for other in ["größe", "x-name", "names"] {
                assert!(read(other).is_ok(), "{before}{other}");
            }
        }
    }

    proptest! {
        #[test]
        fn given_any_list_when_everything_is_kept_but_one_then_the_rest_is_the_same_json(
            names in proptest::collection::vec(any::<String>(), 1..6), hidden in any::<prop::sample::Index>(), pretty in any::<bool>(),
        ) {
            let tools: Vec<_> = names.iter().enumerate()
                .map(|(place, name)| serde_json::json!({"description": name, "name": format!("{place}{name}"), "nested": {"name": name}}))
                .collect();
            let body = serde_json::json!({"id": 1, "result": {"tools": tools}});
            let text = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) }.unwrap();
            let hidden = hidden.index(names.len());
            let mut place = 0;
            let curated = curate(&text, false, |item| {
                assert_eq!(item.key, format!("{place}{}", names[place]));
                place += 1;
                if place - 1 == hidden { ItemAction::Hide } else { ItemAction::Keep }
            }).unwrap().unwrap();
            let mut expected = body;
            expected["result"]["tools"].as_array_mut().unwrap().remove(hidden);
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&curated).unwrap(), expected);
        }
    }

    /// A malicious origin could show the client another list than the curated one.
    #[test]
    fn given_an_ambiguous_list_then_it_is_unreadable() {
        for bad in [
            r#"{"result":{"tools":[]},"result":{"tools":[{"name":"a"}]}}"#,
            r#"{"result":{"tools":[],"t\u006fols":[{"name":"a"}]}}"#,
            r#"{"result":{"tools":[{"name":"a","name":"b"}]}}"#,
            r#"{"result":{"tools":[{"title":"a"}]}}"#,
            r#"{"result":{"tools":[{"name":"a","Name":"b"}]}}"#,
            r#"{"result":{"tools":[],"Tools":[{"name":"a"}]}}"#,
            r#"{"Result":{"tools":[{"name":"a"}]}}"#,
            r#"{"result":{"tools":{"name":"a"}}}"#,
            "",
        ] {
            assert!(curate(bad, false, |_| ItemAction::Keep).is_err(), "{bad}");
        }
    }
}
