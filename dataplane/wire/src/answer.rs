//! What an origin's message says, without keeping it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::strict::{ByName, Key, by_name, ignore};

/// How a request ended, as the origin reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A result.
    Success,
    /// A result with `isError: true`.
    ToolError,
    /// A JSON-RPC error.
    Error,
    /// Not an answer: a request or notification of the origin's, or no JSON-RPC at all.
    NotAnAnswer,
}

/// Reads one message of the origin's. Anything unreadable is [`Verdict::NotAnAnswer`].
#[must_use]
pub fn verdict(message: &[u8]) -> Verdict {
    serde_json::from_slice::<Answer>(message).map_or(Verdict::NotAnAnswer, |answer| match answer {
        Answer { error: true, .. } => Verdict::Error,
        Answer { result: Some(true), .. } => Verdict::ToolError,
        Answer { result: Some(false), .. } => Verdict::Success,
        Answer { .. } => Verdict::NotAnAnswer,
    })
}

#[derive(Default)]
struct Answer {
    error: bool,
    /// Present, and whether it says `isError: true`.
    result: Option<bool>,
}

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnswerVisitor;
        impl<'de> Visitor<'de> for AnswerVisitor {
            type Value = Answer;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON-RPC message")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Answer, A::Error> {
                let mut answer = Answer::default();
                while let Some(Key(key)) = map.next_key()? {
                    match &*key {
                        "error" => {
                            answer.error = true;
                            ignore(&mut map)?;
                        }
                        "result" => answer.result = Some(map.next_value::<IsError>()?.0),
                        _ => ignore(&mut map)?,
                    }
                }
                Ok(answer)
            }
        }
        deserializer.deserialize_map(AnswerVisitor)
    }
}

struct IsError(bool);

impl<'de> Deserialize<'de> for IsError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IsErrorVisitor;
        impl<'de> Visitor<'de> for IsErrorVisitor {
            type Value = IsError;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a result object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<IsError, A::Error> {
                let mut is_error = false;
                while let Some(Key(key)) = map.next_key()? {
                    if key == "isError" {
                        is_error = map.next_value::<Option<bool>>()?.unwrap_or(false);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(IsError(is_error))
            }
        }
        deserializer.deserialize_map(IsErrorVisitor)
    }
}

/// What matters of a message that comes down a stream: a notification's method and URI, an answer's id.
#[derive(Debug, Default, Deserialize)]
pub struct Streamed<'a> {
    /// Present in answers and in requests of the origin's.
    #[serde(borrow, default)]
    pub id: Option<&'a RawValue>,
    /// Present in requests and notifications of the origin's.
    #[serde(borrow, default)]
    pub method: Option<Cow<'a, str>>,
    /// Parameters of either.
    #[serde(borrow, default, deserialize_with = "by_name")]
    pub params: Option<StreamedParams<'a>>,
    /// Present in answers.
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// See [`Streamed`].
#[derive(Debug, Default, Deserialize)]
pub struct StreamedParams<'a> {
    /// The URI of `notifications/resources/updated`.
    #[serde(borrow, default)]
    pub uri: Option<Cow<'a, str>>,
}

impl<'a> Streamed<'a> {
    /// Reads one message of the origin's.
    ///
    /// # Errors
    /// When it is not a JSON object, names a key that matters twice, or is a question and an answer at once: a client might take
    /// for the answer what was held against policy as a question.
    pub fn parse(message: &'a [u8]) -> Result<Self, serde_json::Error> {
        let ByName(read) = serde_json::from_slice::<ByName<Self>>(message)?;
        if read.method.is_some() && (read.result.is_some() || read.error.is_some()) {
            return Err(serde::de::Error::custom("it has both a method and a result or an error"));
        }
        Ok(read)
    }

    /// Whether this is the answer to a request.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        self.method.is_none() && self.id.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_answers_when_read_then_each_has_its_verdict() {
        for (text, expected) in [
            (r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#, Verdict::Success),
            (r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError":false}}"#, Verdict::Success),
            (r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"isError":true}]}}"#, Verdict::Success),
            (r#"{"jsonrpc":"2.0","id":1,"result":{"isError":true,"content":[]}}"#, Verdict::ToolError),
            (r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}"#, Verdict::Error),
            (r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{}}"#, Verdict::NotAnAnswer),
            ("<html>", Verdict::NotAnAnswer),
        ] {
            assert_eq!(verdict(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn given_a_question_with_an_answer_in_it_then_it_is_neither() {
        for both in [
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{"tools":[{"name":"hidden"}]}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","error":{"code":1,"message":"x"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"result":{}}"#,
            r#"[1,"ping"]"#,
            r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":["file:///a"]}"#,
        ] {
            assert!(Streamed::parse(both.as_bytes()).is_err(), "{both}");
        }
        assert!(Streamed::parse(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#).unwrap().is_answer());
        assert!(!Streamed::parse(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).unwrap().is_answer());
    }
}
