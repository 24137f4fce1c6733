//! Parses a message of a client in one strict pass.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::known_keys;
use crate::method::Method;
use crate::strict::{DUPLICATE_KEY, Key, KeyTracker, SkipValue};
use crate::tasks;

/// `_meta` keys of 2026-07-28 (basic/index, "_meta").
const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const META_CLIENT: &str = "io.modelcontextprotocol/clientInfo";

/// Members of the filter of `subscriptions/listen` (2026-07-28, basic/patterns/subscriptions).
const LIST_CHANGED_KEYS: [&str; 3] = ["toolsListChanged", "promptsListChanged", "resourcesListChanged"];

/// The kind of a JSON-RPC message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// Has a method and an id.
    Request,
    /// Has a method and no id.
    Notification,
    /// Has an id and a result or an error: the response of a client to a request of the server (legacy era).
    Response,
}

/// A string of the message, with the position of its JSON text (including quotes) for replacement in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonString<'a> {
    /// The string, unescaped.
    pub value: Cow<'a, str>,
    /// Byte range in the body.
    pub span: Range<usize>,
}

/// The parts of a message that policy needs. Borrows from the body.
#[derive(Debug)]
pub struct Message<'a> {
    /// Request, notification or response.
    pub kind: MessageKind,
    /// The id as written in the body; absent in notifications.
    pub id: Option<&'a RawValue>,
    /// Name of the method; empty in responses.
    pub method_name: Cow<'a, str>,
    /// Classified method.
    pub method: Method,
    /// `params.name`.
    pub name: Option<JsonString<'a>>,
    /// `params.uri`.
    pub uri: Option<JsonString<'a>>,
    /// `params.taskId`.
    pub task_id: Option<JsonString<'a>>,
    /// Whether the request starts a task (`params.task`) or subscribes to tasks (`params.notifications.taskIds`).
    pub uses_tasks: bool,
    /// Byte ranges of the client's capabilities objects that declare tasks.
    pub task_capabilities: Vec<Range<usize>>,
    /// `params.cursor`: the request is not for the first page of a list. `null` counts as absent.
    pub cursor: Option<Cow<'a, str>>,
    /// Whether `params.inputResponses` is present: the client retries with the requested input (2026-07-28,
    /// basic/patterns/mrtr).
    pub has_input_responses: bool,
    /// `params.ref.name` of `completion/complete`: name of a prompt.
    pub reference_name: Option<JsonString<'a>>,
    /// `params.ref.uri` of `completion/complete`: URI of a resource template.
    pub reference_uri: Option<JsonString<'a>>,
    /// `params.notifications.resourceSubscriptions` of `subscriptions/listen`.
    pub subscriptions: Vec<JsonString<'a>>,
    /// `params.notifications.{tools,prompts,resources}ListChanged` of `subscriptions/listen`.
    list_changes: [bool; 3],
    /// Protocol revision: from `_meta` in the modern era, from `params.protocolVersion` of `initialize` in
    /// the legacy era.
    pub protocol_version: Option<Cow<'a, str>>,
    /// Whether `_meta` contains a revision: the request belongs to the modern era.
    pub modern: bool,
    /// Whether the client supports URL elicitation (`elicitation.url`). Declared per request in the modern
    /// era, in `initialize` in the legacy era.
    pub url_elicitation: bool,
}

/// Why the body is not a message that may be forwarded.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// Not JSON, or an object contains a key twice.
    #[error("the body is not valid JSON: {0}")]
    Json(#[from] JsonError),
    /// A JSON-RPC batch, which no supported revision allows.
    #[error("the body is a JSON-RPC batch; send one message per POST (MCP removed batching in 2025-06-18)")]
    Batch,
    /// JSON, but not a request, notification or response.
    #[error("the body is not a JSON-RPC 2.0 message: {0}")]
    NotJsonRpc(&'static str),
}

/// Why the body is not valid JSON.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// RFC 8259, section 8.1.
    #[error("it is not UTF-8")]
    Utf8(#[from] std::str::Utf8Error),
    /// Invalid syntax, or an object contains a key twice.
    #[error(transparent)]
    Syntax(#[from] serde_json::Error),
}

impl<'a> Message<'a> {
    /// Parses a message.
    ///
    /// # Errors
    /// When the body is not exactly one JSON-RPC message that all parsers read the same way.
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            return Err(MessageError::Batch);
        }
        let text = std::str::from_utf8(body).map_err(JsonError::from)?;
        let mut reading = Parser::new(text);
        let mut deserializer = serde_json::Deserializer::from_str(text);
        ValueVisitor { reading: &mut reading, at: Location::Root }
            .deserialize(&mut deserializer)
            .and_then(|()| deserializer.end())
            .map_err(JsonError::from)?;
        reading.finish()
    }

    /// Whether `subscriptions/listen` subscribes to changes of a list: `tools`, `prompts` or `resources`.
    #[must_use]
    pub fn subscribes_to_list(&self, kind: &str) -> bool {
        LIST_CHANGED_KEYS
            .iter()
            .zip(self.list_changes)
            .any(|(list, wanted)| wanted && list.strip_suffix("ListChanged") == Some(kind))
    }

    /// The capability that the message refers to: name of a tool or prompt, or URI of a resource.
    #[must_use]
    pub fn target(&self) -> Option<&JsonString<'a>> {
        match self.method {
            Method::ToolsCall | Method::PromptsGet => self.name.as_ref(),
            Method::ResourcesRead | Method::ResourcesSubscribe => self.uri.as_ref(),
            _ => None,
        }
    }
}

/// Location of a value in a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Location {
    Root,
    Params,
    Meta,
    ClientInfo,
    Capabilities,
    Elicitation,
    Extensions,
    Reference,
    Notifications,
    Subscriptions,
}

impl Location {
    /// Members that the supported revisions define here.
    const fn known_keys(self) -> &'static [&'static str] {
        match self {
            Self::Root => known_keys::ENVELOPE,
            Self::Params => known_keys::PARAMS,
            Self::Meta => known_keys::META,
            Self::ClientInfo => known_keys::IMPLEMENTATION,
            Self::Capabilities => known_keys::CLIENT_CAPABILITIES,
            Self::Elicitation => known_keys::ELICITATION,
            Self::Extensions => known_keys::EXTENSIONS,
            Self::Reference => known_keys::REFERENCE,
            Self::Notifications => known_keys::SUBSCRIPTION_FILTER,
            Self::Subscriptions => &[],
        }
    }
}

struct Parser<'a> {
    body: &'a str,
    keys: KeyTracker<'a>,
    is_jsonrpc_2: bool,
    has_result: bool,
    /// The capabilities object that is being parsed declares tasks.
    declares_tasks: bool,
    method: Option<Cow<'a, str>>,
    initialize_version: Option<Cow<'a, str>>,
    message: Message<'a>,
}

impl<'a> Parser<'a> {
    fn new(body: &'a str) -> Self {
        Self {
            body,
            keys: KeyTracker::default(),
            is_jsonrpc_2: false,
            has_result: false,
            declares_tasks: false,
            method: None,
            initialize_version: None,
            message: Message {
                kind: MessageKind::Request,
                id: None,
                method_name: Cow::Borrowed(""),
                method: Method::Unknown,
                name: None,
                uri: None,
                task_id: None,
                uses_tasks: false,
                task_capabilities: Vec::new(),
                cursor: None,
                has_input_responses: false,
                reference_name: None,
                reference_uri: None,
                subscriptions: Vec::new(),
                list_changes: [false; 3],
                protocol_version: None,
                modern: false,
                url_elicitation: false,
            },
        }
    }

    fn finish(self) -> Result<Message<'a>, MessageError> {
        if !self.is_jsonrpc_2 {
            return Err(MessageError::NotJsonRpc("\"jsonrpc\" must be \"2.0\""));
        }
        let mut message = self.message;
        message.kind = match (&self.method, message.id, self.has_result) {
            (Some(_), Some(_), false) => MessageKind::Request,
            (Some(_), None, false) => MessageKind::Notification,
            (None, Some(_), true) => MessageKind::Response,
            (Some(_), _, true) => {
                return Err(MessageError::NotJsonRpc("it contains both a method and a result or an error"));
            }
            (None, _, _) => {
                return Err(MessageError::NotJsonRpc(
                    "it contains neither a method nor an id with a result or an error",
                ));
            }
        };
        if let Some(method) = self.method {
            message.method = Method::of(&method);
            message.method_name = method;
        }
        if !message.modern && message.method == Method::Initialize {
            message.protocol_version = self.initialize_version;
        }
        Ok(message)
    }

    fn text(&self, raw: &'a RawValue) -> Result<JsonString<'a>, serde_json::Error> {
        let value = serde_json::from_str::<Key<'a>>(raw.get())?.0;
        Ok(JsonString { value, span: self.span(raw) })
    }

    fn span(&self, raw: &RawValue) -> Range<usize> {
        let start = raw.get().as_ptr() as usize - self.body.as_ptr() as usize;
        start..start + raw.get().len()
    }

    /// Checks a value that is not needed any further.
    fn check(&mut self, raw: &'a RawValue) -> Result<(), serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(raw.get());
        SkipValue(&mut self.keys).deserialize(&mut deserializer)
    }

    /// Parses the extensions in a client's capabilities. Anything but an object declares none.
    fn extensions(&mut self, raw: &'a RawValue) -> Result<(), serde_json::Error> {
        if !raw.get().starts_with('{') {
            return self.check(raw);
        }
        let mut deserializer = serde_json::Deserializer::from_str(raw.get());
        ValueVisitor { reading: self, at: Location::Extensions }.deserialize(&mut deserializer)
    }

    /// Parses a client's capabilities, and keeps their position if they declare tasks.
    fn capabilities(&mut self, raw: &'a RawValue) -> Result<(), serde_json::Error> {
        self.declares_tasks = false;
        let mut deserializer = serde_json::Deserializer::from_str(raw.get());
        ValueVisitor { reading: self, at: Location::Capabilities }.deserialize(&mut deserializer)?;
        if self.declares_tasks {
            let span = self.span(raw);
            self.message.task_capabilities.push(span);
        }
        Ok(())
    }
}

struct ValueVisitor<'r, 'a> {
    reading: &'r mut Parser<'a>,
    at: Location,
}

impl<'a> DeserializeSeed<'a> for ValueVisitor<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.at == Location::Subscriptions {
            deserializer.deserialize_seq(self)
        } else {
            deserializer.deserialize_map(self)
        }
    }
}

impl<'a> Visitor<'a> for ValueVisitor<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.at {
            Location::Root => "a JSON-RPC message",
            Location::Params => "params to be an object",
            Location::Meta => "_meta to be an object",
            Location::ClientInfo => "clientInfo to be an object",
            Location::Capabilities | Location::Elicitation | Location::Extensions => {
                "capabilities to be objects"
            }
            Location::Reference => "ref to be an object",
            Location::Notifications => "notifications to be an object",
            Location::Subscriptions => "resourceSubscriptions to be an array of strings",
        })
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let mut object = self.reading.keys.enter();
        while let Some(Key(key)) = map.next_key()? {
            self.reading.member(self.at, &key, &mut map)?;
            if !self.reading.keys.insert(&mut object, key) {
                return Err(A::Error::custom(DUPLICATE_KEY));
            }
        }
        self.reading.keys.leave(&object);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(raw) = seq.next_element::<&'a RawValue>()? {
            let text = self.reading.text(raw).map_err(A::Error::custom)?;
            self.reading.message.subscriptions.push(text);
        }
        Ok(())
    }
}

impl<'a> Parser<'a> {
    /// Parses the value of a member. Keeps the parts that policy needs; all others are only checked.
    fn member<A: MapAccess<'a>>(&mut self, at: Location, key: &str, map: &mut A) -> Result<(), A::Error> {
        let inner = match (at, key) {
            (Location::Root, "params") => Location::Params,
            (Location::Params, "_meta") => Location::Meta,
            (Location::Params, "clientInfo") | (Location::Meta, META_CLIENT) => Location::ClientInfo,
            (Location::Params, "capabilities") | (Location::Meta, META_CAPABILITIES) => {
                return self.capabilities(map.next_value()?).map_err(A::Error::custom);
            }
            (Location::Params, "ref") => Location::Reference,
            (Location::Params, "notifications") => Location::Notifications,
            (Location::Capabilities, "elicitation") => Location::Elicitation,
            (Location::Capabilities, "extensions") => {
                return self.extensions(map.next_value()?).map_err(A::Error::custom);
            }
            (Location::Notifications, "resourceSubscriptions") => Location::Subscriptions,
            _ => return self.leaf(at, key, map),
        };
        map.next_value_seed(ValueVisitor { reading: self, at: inner })
    }

    fn leaf<A: MapAccess<'a>>(&mut self, at: Location, key: &str, map: &mut A) -> Result<(), A::Error> {
        let message = &mut self.message;
        match (at, key) {
            (Location::Root, "jsonrpc") => self.is_jsonrpc_2 = map.next_value::<Key<'a>>()?.0 == "2.0",
            (Location::Root, "method") => self.method = Some(map.next_value::<Key<'a>>()?.0),
            (Location::Root, "id") => {
                message.id = Some(parse_id(map.next_value()?).map_err(A::Error::custom)?)
            }
            (Location::Root, "result" | "error") => {
                self.has_result = true;
                map.next_value_seed(SkipValue(&mut self.keys))?;
            }
            (Location::Params, "name") => {
                self.message.name = Some(self.text(map.next_value()?).map_err(A::Error::custom)?)
            }
            (Location::Params, "uri") => {
                self.message.uri = Some(self.text(map.next_value()?).map_err(A::Error::custom)?)
            }
            (Location::Params, "taskId") => {
                self.message.task_id = Some(self.text(map.next_value()?).map_err(A::Error::custom)?);
            }
            (Location::Params, "protocolVersion") => {
                self.initialize_version = Some(map.next_value::<Key<'a>>()?.0)
            }
            (Location::Params, "cursor") => {
                message.cursor = map.next_value::<Option<Key<'a>>>()?.map(|cursor| cursor.0);
            }
            (Location::Params, "inputResponses") => {
                message.has_input_responses = true;
                map.next_value_seed(SkipValue(&mut self.keys))?;
            }
            (Location::Params, "task") | (Location::Notifications, "taskIds") => {
                let value: &'a RawValue = map.next_value()?;
                message.uses_tasks |= !is_null_or_empty_array(value);
                self.check(value).map_err(A::Error::custom)?;
            }
            (Location::Capabilities, "tasks") | (Location::Extensions, tasks::EXTENSION) => {
                self.declares_tasks = true;
                map.next_value_seed(SkipValue(&mut self.keys))?;
            }
            (Location::Reference, "name") => {
                self.message.reference_name = Some(self.text(map.next_value()?).map_err(A::Error::custom)?);
            }
            (Location::Reference, "uri") => {
                self.message.reference_uri = Some(self.text(map.next_value()?).map_err(A::Error::custom)?);
            }
            (Location::Notifications, list)
                if let Some(place) = LIST_CHANGED_KEYS.iter().position(|known| *known == list) =>
            {
                let wanted = map.next_value::<Option<bool>>()?.unwrap_or(false);
                if let Some(kind) = message.list_changes.get_mut(place) {
                    *kind = wanted;
                }
            }
            (Location::Meta, META_VERSION) => {
                message.protocol_version = Some(map.next_value::<Key<'a>>()?.0);
                message.modern = true;
            }
            (Location::Elicitation, "url") => {
                message.url_elicitation = true;
                map.next_value_seed(SkipValue(&mut self.keys))?;
            }
            _ => {
                if let Some(known) = known_keys::confused_with(key, at.known_keys()) {
                    return Err(A::Error::custom(format_args!(
                        "key {key:?} differs from {known:?} only by case"
                    )));
                }
                map.next_value_seed(SkipValue(&mut self.keys))?;
            }
        }
        Ok(())
    }
}

/// Whether a client that writes out optional members means an absent one.
fn is_null_or_empty_array(raw: &RawValue) -> bool {
    let text = raw.get();
    text == "null" || text.strip_prefix('[').is_some_and(|rest| rest.trim_start() == "]")
}

/// Checks an id: a string or an integer (MCP basic, "Requests"). Rejects strings with invalid characters and
/// numbers out of range, because parsers disagree on them and could mix up responses. The Python SDK takes a
/// request whose id has a fraction or an exponent for a notification.
fn parse_id(raw: &RawValue) -> Result<&RawValue, &'static str> {
    let text = raw.get();
    let is_valid = match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<Key<'_>>(text).is_ok(),
        Some(b'-' | b'0'..=b'9') => {
            !text.contains(['.', 'e', 'E']) && serde_json::from_str::<f64>(text).is_ok_and(f64::is_finite)
        }
        _ => false,
    };
    if is_valid { Ok(raw) } else { Err("an id must be a string or an integer") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CALL: &str = r#"{"jsonrpc":"2.0","id":"a\u0031","method":"tools/call","params":{"name":"get","arguments":{"x":[1,{"y":2}]},
        "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},
        "io.modelcontextprotocol/clientCapabilities":{"elicitation":{"url":{}}}}}}"#;

    #[test]
    fn given_a_modern_call_when_read_then_policy_has_what_it_asks_for() {
        let message = Message::parse(CALL.as_bytes()).unwrap();
        assert_eq!((message.kind, message.method), (MessageKind::Request, Method::ToolsCall));
        assert_eq!(message.id.unwrap().get(), r#""a\u0031""#);
        let name = message.target().unwrap();
        assert_eq!((&*name.value, &CALL[name.span.clone()]), ("get", "\"get\""));
        assert_eq!(message.protocol_version.as_deref(), Some("2026-07-28"));
        assert!(message.modern && message.url_elicitation);
    }

    #[test]
    fn given_initialize_when_read_then_version_and_capabilities_come_from_its_params() {
        let body =
            br#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25",
            "capabilities":{"elicitation":{"url":{}}},"clientInfo":{"name":"c","version":"1"}}}"#;
        let message = Message::parse(body).unwrap();
        assert_eq!(message.protocol_version.as_deref(), Some("2025-11-25"));
        assert!(!message.modern && message.url_elicitation);
    }

    #[test]
    fn given_a_protocol_version_then_it_counts_in_meta_and_in_params_of_initialize() {
        let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
        let own = r#""protocolVersion":"2025-11-25""#;
        for (method, params, version, modern) in [
            ("initialize", own.to_owned(), Some("2025-11-25"), false),
            ("initialize", format!("{meta},{own}"), Some("2026-07-28"), true),
            ("initialize", format!("{own},{meta}"), Some("2026-07-28"), true),
            ("tools/call", meta.to_owned(), Some("2026-07-28"), true),
            ("tools/call", own.to_owned(), None, false),
            ("tools/call", format!(r#""arguments":{{{meta}}}"#), None, false),
        ] {
            let body = format!(r#"{{"jsonrpc":"2.0","params":{{{params}}},"id":1,"method":"{method}"}}"#);
            let message = Message::parse(body.as_bytes()).unwrap();
            assert_eq!((message.protocol_version.as_deref(), message.modern), (version, modern), "{body}");
        }
    }

    #[test]
    fn given_a_string_that_policy_reads_then_its_value_and_position_are_kept() {
        type Field = for<'m, 'a> fn(&'m Message<'a>) -> Option<&'m JsonString<'a>>;
        let fields: [(&str, Field); 6] = [
            (r#"{"name": TEXT }"#, |message| message.name.as_ref()),
            (r#"{"uri": TEXT }"#, |message| message.uri.as_ref()),
            (r#"{"taskId": TEXT }"#, |message| message.task_id.as_ref()),
            (r#"{"ref":{"name": TEXT }}"#, |message| message.reference_name.as_ref()),
            (r#"{"ref":{"uri": TEXT }}"#, |message| message.reference_uri.as_ref()),
            (r#"{"notifications":{"resourceSubscriptions":["a:1", TEXT ]}}"#, |message| {
                message.subscriptions.get(1)
            }),
        ];
        let body = |params: &str, text: &str| {
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{}}}"#, params.replace("TEXT", text))
        };
        let text = r#""a:\u0032""#;
        for (params, _) in fields {
            let read = body(params, text);
            let message = Message::parse(read.as_bytes()).unwrap();
            for (other, field) in fields {
                let found = field(&message).map(|found| (&*found.value, &read[found.span.clone()]));
                assert_eq!(found, (other == params).then_some(("a:2", text)), "{other} in {read}");
            }
            for bad in ["7", "null", r#"["a:2"]"#, r#""\ud800""#] {
                assert!(Message::parse(body(params, bad).as_bytes()).is_err(), "{params} {bad}");
            }
        }
    }

    #[test]
    fn given_a_method_then_its_target_is_the_parameter_that_names_a_capability() {
        for (method, expected) in [
            ("tools/call", Some("a name")),
            ("prompts/get", Some("a name")),
            ("resources/read", Some("a:uri")),
            ("resources/subscribe", Some("a:uri")),
            ("resources/unsubscribe", Some("a:uri")),
            ("tools/list", None),
            ("completion/complete", None),
            ("tasks/get", None),
            ("x/unknown", None),
        ] {
            let body = format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"name":"a name","uri":"a:uri"}}}}"#
            );
            let message = Message::parse(body.as_bytes()).unwrap();
            assert_eq!(message.target().map(|target| &*target.value), expected, "{method}");
        }
    }

    #[test]
    fn given_a_subscription_then_only_the_lists_it_asks_for_are_subscribed_to() {
        const LISTS: [&str; 3] = ["tools", "prompts", "resources"];
        let subscribed = |filter: &str| {
            let body = format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{{"notifications":{{{filter}}}}}}}"#
            );
            let message = Message::parse(body.as_bytes()).unwrap();
            assert!(!message.subscribes_to_list("") && !message.subscribes_to_list("roots"), "{body}");
            LISTS.map(|list| message.subscribes_to_list(list))
        };
        for list in LISTS {
            assert_eq!(subscribed(&format!(r#""{list}ListChanged":true"#)), LISTS.map(|each| each == list));
            assert_eq!(subscribed(&format!(r#""{list}ListChanged":false"#)), [false; 3]);
            assert_eq!(subscribed(&format!(r#""{list}ListChanged":null"#)), [false; 3]);
        }
        let all = r#""toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true"#;
        assert_eq!(subscribed(all), [true; 3]);
        assert_eq!(subscribed(""), [false; 3]);
    }

    #[test]
    fn given_a_retry_with_the_requested_input_then_the_message_says_so() {
        let has_input = |params: &str| {
            let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
            Message::parse(body.as_bytes()).map(|message| message.has_input_responses)
        };
        assert!(has_input(r#"{"inputResponses":{}}"#).unwrap());
        assert!(has_input(r#"{"name":"a","inputResponses":{"a":{"action":"accept"}}}"#).unwrap());
        assert!(!has_input(r#"{"name":"a"}"#).unwrap());
        assert!(!has_input(r#"{"arguments":{"inputResponses":{}}}"#).unwrap());
        assert!(has_input(r#"{"inputResponses":{"a":1,"a":2}}"#).is_err());
    }

    #[test]
    fn given_messages_then_their_kinds_are_distinguished() {
        let shape = |text: &str| Message::parse(text.as_bytes()).map(|message| message.kind);
        for (text, expected) in [
            (r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, MessageKind::Notification),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, MessageKind::Response),
            (r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}"#, MessageKind::Response),
        ] {
            assert_eq!(shape(text).unwrap(), expected, "{text}");
        }
        assert!(matches!(shape(" [ ]"), Err(MessageError::Batch)));
        for bad in [
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            r#"{"id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1.0,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1e2,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":-1E0,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":7}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":["a"]}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"} {}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["get"]}"#,
            "7",
            "",
        ] {
            assert!(shape(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn given_a_list_request_then_its_cursor_is_read() {
        let cursor = |cursor: &str| {
            let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{{cursor}}}}}"#);
            Message::parse(body.as_bytes()).unwrap().cursor.map(Cow::into_owned)
        };
        assert_eq!(cursor(r#""cursor":"p\u0061ge""#).as_deref(), Some("page"));
        assert_eq!(cursor(r#""cursor":"""#).as_deref(), Some(""));
        assert_eq!(cursor(r#""cursor":null"#), None);
        assert_eq!(cursor(""), None);
    }

    /// Advisory class: JSON duplicate and case-variant keys.
    /// Requirements: advisory.json-keys
    #[test]
    fn given_a_repeated_or_case_variant_key_when_read_then_it_is_refused() {
        for bad in [
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","n\u0061me":"b"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"x":[{"y":{"z":1,"z":2}}]}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","_meta":{"k":1,"k":1}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"Method":"ping","method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{},"PARAMS":{}}"#,
        ] {
            assert!(matches!(Message::parse(bad.as_bytes()), Err(MessageError::Json(_))), "{bad}");
        }
        let deep = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":{}1{}}}}}"#,
            "[".repeat(500),
            "]".repeat(500)
        );
        assert!(Message::parse(deep.as_bytes()).is_err());
    }

    /// Each level that policy reads, with a member whose place a variant could take.
    /// Requirements: advisory.json-keys
    #[test]
    fn given_a_key_that_a_decoder_could_take_for_a_known_one_then_the_message_is_refused_at_every_level() {
        const MODERN: &str = "io.modelcontextprotocol/protocolVersion";
        for (before, members, after) in [
            (
                "{",
                known_keys::ENVELOPE,
                r#""jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}"#,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"#,
                known_keys::PARAMS,
                r#""name":"a"}}"#,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","_meta":{"#,
                known_keys::META,
                r#""x":1}}}"#,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"clientInfo":{"#,
                known_keys::IMPLEMENTATION,
                r#""name":"a"}}}"#,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{"#,
                known_keys::CLIENT_CAPABILITIES,
                r#""x":1}}}"#,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{"elicitation":{"#,
                known_keys::ELICITATION,
                r#""x":1}}}}"#,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"#,
                known_keys::REFERENCE,
                r#""type":"ref/prompt","name":"a"}}}"#,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"#,
                known_keys::SUBSCRIPTION_FILTER,
                r#""x":1}}}"#,
            ),
        ] {
            let message = |key: &str| format!("{before}{}:null,{after}", serde_json::json!(key));
            for member in members {
                let variants = [
                    member.to_uppercase(),
                    member.replacen('s', "\u{17f}", 1),
                    member.replacen('k', "\u{212a}", 1),
                ];
                for variant in variants.iter().filter(|variant| variant != member) {
                    let body = message(variant);
                    assert!(matches!(Message::parse(body.as_bytes()), Err(MessageError::Json(_))), "{body}");
                }
            }
            for other in ["größe", "名", "x-name", MODERN, "namex"] {
                if !members.contains(&other) {
                    let body = message(other);
                    assert!(Message::parse(body.as_bytes()).is_ok(), "{body}");
                }
            }
        }
    }

    #[test]
    fn given_keys_in_values_that_belong_to_the_origin_then_they_pass() {
        for body in [
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"Name":1,"URI":2,"name":3}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","inputResponses":{"Name":{"Action":"accept"}}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"Content":{"Name":1}}}"#,
        ] {
            assert!(Message::parse(body.as_bytes()).is_ok(), "{body}");
        }
    }

    #[test]
    fn given_a_client_that_declares_tasks_then_the_capabilities_are_found() {
        let parse = |capabilities: &str, meta: &str| {
            let body = format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"capabilities": {capabilities} ,
                "_meta":{{"io.modelcontextprotocol/clientCapabilities":{meta}}}}}}}"#
            );
            let message = Message::parse(body.as_bytes()).unwrap();
            message.task_capabilities.iter().map(|span| body[span.clone()].to_owned()).collect::<Vec<_>>()
        };
        let extension = r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
        let escaped = r#"{"extensions":{"io.modelcontextprotocol\u002ftasks":{}}}"#;
        for declared in [r#"{"tasks":{}}"#, r#"{"tasks":null}"#, extension, escaped] {
            assert_eq!(parse(declared, "{}"), [declared]);
            assert_eq!(parse("{}", declared), [declared]);
            assert_eq!(parse(declared, declared), [declared, declared]);
        }
        for other in [
            "{}",
            r#"{"extensions":null}"#,
            r#"{"extensions":[]}"#,
            r#"{"extensions":{"tasks":{}},"roots":{"tasks":{}}}"#,
        ] {
            assert!(parse(other, other).is_empty(), "{other}");
        }
    }

    #[test]
    fn given_a_request_that_starts_or_follows_a_task_then_it_uses_tasks() {
        let parse = |params: &str| {
            let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
            Message::parse(body.as_bytes()).map(|message| message.uses_tasks)
        };
        for params in [
            r#"{"name":"a","task":{}}"#,
            r#"{"task":{"ttl":1},"name":"a"}"#,
            r#"{"task":false}"#,
            r#"{"t\u0061sk":{}}"#,
            r#"{"notifications":{"taskIds":["1"]}}"#,
        ] {
            assert!(parse(params).unwrap(), "{params}");
        }
        for params in [
            r#"{"name":"a","task":null}"#,
            r#"{"arguments":{"task":{}}}"#,
            r#"{"notifications":{"taskIds":[ ]}}"#,
            r#"{"_meta":{"task":{}}}"#,
        ] {
            assert!(!parse(params).unwrap(), "{params}");
        }
        for params in
            [r#"{"Task":{}}"#, r#"{"task":{"a":1,"a":2}}"#, r#"{"notifications":{"TaskIds":["1"]}}"#]
        {
            assert!(parse(params).is_err(), "{params}");
        }
    }

    #[test]
    fn given_an_object_with_many_keys_when_one_repeats_then_it_is_still_seen() {
        let keys: Vec<_> = (0..200).map(|n| format!("\"k{n}\":0")).collect();
        let body = |extra: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"arguments":{{{}{extra}}},"name":"a"}}}}"#,
                keys.join(",")
            )
        };
        assert!(Message::parse(body("").as_bytes()).is_ok());
        assert!(Message::parse(body(",\"k3\":1").as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn given_any_bytes_when_read_then_nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Message::parse(&bytes);
        }

        #[test]
        fn given_any_name_when_read_then_its_span_is_the_json_text_of_it(name in any::<String>()) {
            let body = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name}}).to_string();
            let message = Message::parse(body.as_bytes()).unwrap();
            let text = message.target().unwrap();
            prop_assert_eq!(&*text.value, name.as_str());
            prop_assert_eq!(serde_json::from_str::<String>(&body[text.span.clone()]).unwrap(), name);
        }
    }
}
