//! Bounds of the texts in an event, in bytes as written. Clients, origins and identity providers choose these
//! texts, and escaping can make them longer.

use std::sync::Arc;

use serde::Serializer;
use serde::ser::SerializeSeq as _;

/// Maximum length of a text in the output, escapes included.
const MAX_TEXT_BYTES: usize = 1024;
/// Maximum length of a message in the output, escapes included. The longest are diagnostics of manifests.
const MAX_MESSAGE_BYTES: usize = 4096;
/// Maximum length of a list of texts in the output, escapes included.
const MAX_LIST_BYTES: usize = 4096;
/// Last element of a list that was cut.
const MORE: &str = "…";

/// Writes a text, cut at [`MAX_TEXT_BYTES`].
pub(crate) fn optional<S: Serializer>(
    text: &Option<impl AsRef<str>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match text {
        Some(text) => serializer.serialize_str(clip(text.as_ref(), MAX_TEXT_BYTES).0),
        None => serializer.serialize_none(),
    }
}

/// Writes a message, cut at [`MAX_MESSAGE_BYTES`].
pub(crate) fn optional_message<S: Serializer>(
    text: &Option<impl AsRef<str>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match text {
        Some(text) => serializer.serialize_str(clip(text.as_ref(), MAX_MESSAGE_BYTES).0),
        None => serializer.serialize_none(),
    }
}

/// Writes a list of texts, cut at [`MAX_LIST_BYTES`].
pub(crate) fn optional_list<S: Serializer>(
    texts: &Option<Arc<[Arc<str>]>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let Some(texts) = texts else { return serializer.serialize_none() };
    let mut list = serializer.serialize_seq(None)?;
    let mut left = MAX_LIST_BYTES;
    for text in texts.iter() {
        let (text, written) = clip(text, MAX_TEXT_BYTES);
        // Two quotes and a comma.
        let Some(rest) = left.checked_sub(written + 3) else {
            list.serialize_element(MORE)?;
            break;
        };
        left = rest;
        list.serialize_element(text)?;
    }
    list.end()
}

/// The longest start of a text that is at most `limit` bytes long when it is written as JSON, and its length
/// then.
fn clip(text: &str, limit: usize) -> (&str, usize) {
    let mut written = 0;
    for (at, char) in text.char_indices() {
        let length = match char {
            '"' | '\\' | '\u{8}' | '\t' | '\n' | '\u{c}' | '\r' => 2,
            '\0'..='\u{1f}' => 6,
            other => other.len_utf8(),
        };
        if written + length > limit {
            return (text.get(..at).unwrap_or_default(), written);
        }
        written += length;
    }
    (text, written)
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    #[derive(Serialize)]
    struct Texts {
        #[serde(serialize_with = "optional")]
        text: Option<String>,
        #[serde(serialize_with = "optional_list")]
        list: Option<Arc<[Arc<str>]>>,
    }

    #[test]
    fn given_any_text_then_it_is_bounded_as_it_is_written_and_cut_between_characters() {
        for text in ["a", "\u{1}", "\"", "\\", "\n", "é", "\u{7f}", "😀", "\u{2028}"] {
            let long = text.repeat(MAX_TEXT_BYTES);
            let list: Arc<[Arc<str>]> = (0..MAX_LIST_BYTES).map(|_| Arc::from(long.as_str())).collect();
            let written =
                serde_json::to_string(&Texts { text: Some(long.clone()), list: Some(list) }).unwrap();
            assert!(written.len() <= MAX_TEXT_BYTES + MAX_LIST_BYTES + 64, "{text:?}: {}", written.len());
            let read: serde_json::Value = serde_json::from_str(&written).unwrap();
            assert!(long.starts_with(read["text"].as_str().unwrap()), "{text:?}");
            let (_, measured) = clip(&long, MAX_TEXT_BYTES);
            assert_eq!(serde_json::to_string(&read["text"]).unwrap().len(), measured + 2, "{text:?}");
            assert_eq!(read["list"].as_array().unwrap().last().unwrap(), MORE);
        }
    }

    #[test]
    fn given_short_texts_then_they_are_written_as_they_are() {
        let written = serde_json::to_string(&Texts {
            text: Some("a\"é\n".to_owned()),
            list: Some(["x".into(), "y".into()].into()),
        });
        assert_eq!(written.unwrap(), r#"{"text":"a\"é\n","list":["x","y"]}"#);
    }
}
