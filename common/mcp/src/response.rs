//! Reads the outcome and other facts of an origin's message without storing its content.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::known_keys::{ENVELOPE, PARAMS, confused_with};
use crate::strict::{DUPLICATE_KEY, Key, skip_value};

/// Outcome of a request, as reported by the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseOutcome {
    /// A result.
    Success,
    /// A result with `isError: true`.
    ToolError,
    /// A task that was started instead of a result.
    Task,
    /// A JSON-RPC error.
    Error,
    /// Not a response: a request or notification of the origin, or not JSON-RPC.
    NotAResponse,
}

/// Reads the outcome of one message of an origin. An invalid message is [`ResponseOutcome::NotAResponse`].
#[must_use]
pub fn response_outcome(message: &[u8]) -> ResponseOutcome {
    serde_json::from_slice::<Response>(message).map_or(ResponseOutcome::NotAResponse, |answer| match answer {
        Response { error: true, .. } => ResponseOutcome::Error,
        Response { result: Some(result), .. } => result.outcome(),
        Response { .. } => ResponseOutcome::NotAResponse,
    })
}

#[derive(Default)]
struct Response {
    error: bool,
    result: Option<ResultMembers>,
}

impl<'de> Deserialize<'de> for Response {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ResponseVisitor;
        impl<'de> Visitor<'de> for ResponseVisitor {
            type Value = Response;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON-RPC message")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Response, A::Error> {
                let mut answer = Response::default();
                while let Some(Key(key)) = map.next_key()? {
                    match &*key {
                        "error" => {
                            answer.error = true;
                            skip_value(&mut map)?;
                        }
                        "result" => answer.result = Some(map.next_value()?),
                        _ => skip_value(&mut map)?,
                    }
                }
                Ok(answer)
            }
        }
        deserializer.deserialize_map(ResponseVisitor)
    }
}

/// The members of a result that decide about the outcome.
#[derive(Default)]
struct ResultMembers {
    is_error: bool,
    has_content: bool,
    /// `task` is an object (2025-11-25, `CreateTaskResult`).
    has_task: bool,
    /// `resultType` is `task` (extension `io.modelcontextprotocol/tasks`).
    is_task: bool,
}

impl ResultMembers {
    fn outcome(&self) -> ResponseOutcome {
        if self.is_task || (self.has_task && !self.has_content) {
            ResponseOutcome::Task
        } else if self.is_error {
            ResponseOutcome::ToolError
        } else {
            ResponseOutcome::Success
        }
    }
}

impl<'de> Deserialize<'de> for ResultMembers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ResultVisitor;
        impl<'de> Visitor<'de> for ResultVisitor {
            type Value = ResultMembers;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a result object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ResultMembers, A::Error> {
                let mut members = ResultMembers::default();
                while let Some(Key(key)) = map.next_key()? {
                    match &*key {
                        "isError" => members.is_error = map.next_value::<Option<bool>>()?.unwrap_or(false),
                        "content" => {
                            members.has_content = true;
                            skip_value(&mut map)?;
                        }
                        "task" => {
                            members.has_task = map.next_value::<&'de RawValue>()?.get().starts_with('{');
                        }
                        "resultType" => {
                            let text = map.next_value::<&'de RawValue>()?.get();
                            members.is_task =
                                serde_json::from_str(text).is_ok_and(|Key(kind)| kind == "task");
                        }
                        _ => skip_value(&mut map)?,
                    }
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(ResultVisitor)
    }
}

/// The relevant parts of a message in a stream: method and URI of a notification, id of a response.
#[derive(Debug, Default)]
pub struct StreamMessage<'a> {
    /// Present in responses and in requests of the origin.
    pub id: Option<&'a RawValue>,
    /// Present in requests and notifications of the origin.
    pub method: Option<Cow<'a, str>>,
    /// `params.uri`, for example of `notifications/resources/updated`.
    pub uri: Option<Cow<'a, str>>,
    /// Present in responses.
    result: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
}

/// Reads the members of a [`StreamMessage`], of the message itself or of its params. A repeated relevant key is
/// an error, and so is a key that some clients take for a known one.
struct StreamMembers<'m, 'a> {
    message: &'m mut StreamMessage<'a>,
    in_params: bool,
}

impl<'a> DeserializeSeed<'a> for StreamMembers<'_, 'a> {
    type Value = ();
    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.in_params {
            deserializer.deserialize_option(self)
        } else {
            deserializer.deserialize_map(self)
        }
    }
}

impl<'a> Visitor<'a> for StreamMembers<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.in_params { "params to be an object" } else { "a JSON-RPC message" })
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let (message, known) = (self.message, if self.in_params { PARAMS } else { ENVELOPE });
        let mut seen: Vec<Cow<'a, str>> = Vec::new();
        while let Some(Key(key)) = map.next_key()? {
            if let Some(known) = confused_with(&key, known) {
                return Err(A::Error::custom(format_args!(
                    "key {key:?} differs from {known:?} only by case"
                )));
            }
            match (self.in_params, &*key) {
                (false, "id") => message.id = map.next_value()?,
                (false, "method") => message.method = map.next_value::<Option<Key<'a>>>()?.map(|it| it.0),
                (false, "result") => message.result = map.next_value()?,
                (false, "error") => message.error = map.next_value()?,
                (false, "params") => map.next_value_seed(StreamMembers { message, in_params: true })?,
                (true, "uri") => message.uri = map.next_value::<Option<Key<'a>>>()?.map(|it| it.0),
                _ => {
                    skip_value(&mut map)?;
                    continue;
                }
            }
            if seen.contains(&key) {
                return Err(A::Error::custom(DUPLICATE_KEY));
            }
            seen.push(key);
        }
        Ok(())
    }
}

impl<'a> StreamMessage<'a> {
    /// Parses one message of an origin.
    ///
    /// # Errors
    /// When the message is not a JSON object, repeats a relevant key, has a key that some clients take for a
    /// known one, or is both a request and a response: a client could treat as a response what policy checked as
    /// a request.
    pub fn parse(message: &'a [u8]) -> Result<Self, serde_json::Error> {
        let mut read = Self::default();
        let mut deserializer = serde_json::Deserializer::from_slice(message);
        StreamMembers { message: &mut read, in_params: false }.deserialize(&mut deserializer)?;
        deserializer.end()?;
        if read.method.is_some() && (read.result.is_some() || read.error.is_some()) {
            return Err(serde::de::Error::custom("it contains both a method and a result or an error"));
        }
        Ok(read)
    }

    /// Whether this is a JSON-RPC error.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.error.is_some()
    }

    /// Whether this is the response to a request.
    #[must_use]
    pub fn is_response(&self) -> bool {
        self.method.is_none() && self.id.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_answers_when_read_then_each_has_its_verdict() {
        for (text, expected) in [
            (r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#, ResponseOutcome::Success),
            (r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError":false}}"#, ResponseOutcome::Success),
            (r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"isError":true}]}}"#, ResponseOutcome::Success),
            (
                r#"{"jsonrpc":"2.0","id":1,"result":{"isError":true,"content":[]}}"#,
                ResponseOutcome::ToolError,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"1","status":"working"}}}"#,
                ResponseOutcome::Task,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"result":{"taskId":"1","resultType":"task","status":"working"}}"#,
                ResponseOutcome::Task,
            ),
            (r#"{"result":{"resultType":"t\u0061sk","content":[]}}"#, ResponseOutcome::Task),
            (r#"{"result":{"content":[],"task":{"taskId":"1"}}}"#, ResponseOutcome::Success),
            (r#"{"result":{"content":[],"resultType":"complete"}}"#, ResponseOutcome::Success),
            (r#"{"result":{"task":"1"}}"#, ResponseOutcome::Success),
            (r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}"#, ResponseOutcome::Error),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{}}"#,
                ResponseOutcome::NotAResponse,
            ),
            ("<html>", ResponseOutcome::NotAResponse),
        ] {
            assert_eq!(response_outcome(text.as_bytes()), expected, "{text}");
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
            r#"{"jsonrpc":"2.0","id":1,"Result":{}}"#,
            r#"{"jsonrpc":"2.0","method":"ping","Method":"notifications/resources/updated"}"#,
            "{\"jsonrpc\":\"2.0\",\"method\":\"ping\",\"param\u{17f}\":{}}",
            r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:b","URI":"a:c"}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:b","uri":"a:c"}}"#,
        ] {
            assert!(StreamMessage::parse(both.as_bytes()).is_err(), "{both}");
        }
        assert!(StreamMessage::parse(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#).unwrap().is_response());
        assert!(!StreamMessage::parse(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).unwrap().is_response());
    }

    #[test]
    fn given_a_message_of_a_stream_then_what_policy_needs_is_read() {
        type Parts = (Option<&'static str>, Option<&'static str>, Option<&'static str>);
        let cases: &[(&str, Parts)] = &[
            (
                r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"x":[1],"uri":"a:\u0062","y":{"uri":"c:d"}}}"#,
                (None, Some("notifications/resources/updated"), Some("a:b")),
            ),
            (
                r#"{"params":{"uri":"a:b"},"id":"7","method":"p\u0069ng"}"#,
                (Some("\"7\""), Some("ping"), Some("a:b")),
            ),
            (r#"{"id":7,"method":"ping","params":{}}"#, (Some("7"), Some("ping"), None)),
            (r#"{"id":7,"method":"ping","params":null}"#, (Some("7"), Some("ping"), None)),
            (r#"{"id":7,"result":{"uri":"a:b","method":"ping"}}"#, (Some("7"), None, None)),
            (r#"{"uri":"a:b","method":"ping"}"#, (None, Some("ping"), None)),
        ];
        for (text, expected) in cases {
            let message = StreamMessage::parse(text.as_bytes()).unwrap();
            let found = (message.id.map(RawValue::get), message.method.as_deref(), message.uri.as_deref());
            assert_eq!(found, *expected, "{text}");
        }
    }

    #[test]
    fn given_a_message_of_a_stream_then_only_an_error_is_one() {
        for (text, is_error) in [
            (r#"{"id":1,"error":{"code":1,"message":"x"}}"#, true),
            (r#"{"error":{"code":1,"message":"x"}}"#, true),
            (r#"{"id":1,"error":null,"result":{}}"#, false),
            (r#"{"id":1,"result":{"error":{}}}"#, false),
            (r#"{"id":1,"method":"ping"}"#, false),
            ("{}", false),
        ] {
            assert_eq!(StreamMessage::parse(text.as_bytes()).unwrap().is_error(), is_error, "{text}");
        }
    }
}
