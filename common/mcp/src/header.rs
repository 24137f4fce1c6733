//! Header names and values of MCP's Streamable HTTP transport.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::message::Message;

/// Session id (legacy era).
pub const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// Protocol revision.
pub const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// Mirror of `method` (2026-07-28).
pub const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// Mirror of `params.name` or `params.uri` (2026-07-28).
pub const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// Position at which a broken stream resumes (legacy era).
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

const PREFIX: &str = "=?base64?";
const SUFFIX: &str = "?=";

/// Encodes a value of `Mcp-Name` or `Mcp-Param-*` (2026-07-28, "Value Encoding").
#[must_use]
pub fn encode(value: &str) -> HeaderValue {
    let plain = !value.is_empty()
        && value.bytes().all(|byte| matches!(byte, b'\t' | 0x20..=0x7e))
        && value.trim() == value
        && !(value.starts_with(PREFIX) && value.ends_with(SUFFIX));
    let text = if plain { value.to_owned() } else { format!("{PREFIX}{}{SUFFIX}", STANDARD.encode(value)) };
    // Both forms are visible ASCII, so this cannot fail. If it did, the origin would reject the empty value
    // as a mismatch.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

/// Decodes such a value; `None` if it is malformed.
#[must_use]
pub fn decode(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    match text.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX)) {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
        None => Some(text.to_owned()),
    }
}

/// The first header that differs from the body. Missing headers are not checked: the origin decides which it
/// requires. `Mcp-Method` and `Mcp-Name` are checked in every era, because a proxy in front of the origin may
/// use them.
#[must_use]
pub fn find_mismatch(headers: &HeaderMap, message: &Message<'_>) -> Option<HeaderName> {
    let differs = |name: &HeaderName, expected: Option<&str>, encoded: bool| {
        let mut values = headers.get_all(name).iter();
        let Some(value) = values.next() else { return false };
        let value = if encoded { decode(value) } else { value.to_str().ok().map(str::to_owned) };
        values.next().is_some() || expected.is_some_and(|expected| value.as_deref() != Some(expected))
    };
    let named = message.target().or(message.task_id.as_ref()).map(|text| &*text.value);
    [
        (PROTOCOL_VERSION, message.protocol_version.as_deref(), false),
        (METHOD, Some(&*message.method_name), false),
        (NAME, named, true),
    ]
    .into_iter()
    // In the legacy era the version belongs to the session, and `initialize` negotiates it before a session
    // exists.
    .filter(|(name, ..)| message.modern || *name != PROTOCOL_VERSION)
    .find_map(|(name, expected, encoded)| differs(&name, expected, encoded).then_some(name))
}

/// Whether the body is JSON in the one encoding that every decoder reads alike: UTF-8, without a content coding.
/// Some servers decode the charset that a client names, and would read another message than the gateway.
#[must_use]
pub fn is_json_body(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let Some(value) = values.next().filter(|_| values.next().is_none()) else { return false };
    let Some((media, parameters)) =
        value.to_str().ok().map(|value| value.split_once(';').unwrap_or((value, "")))
    else {
        return false;
    };
    media.trim().eq_ignore_ascii_case("application/json")
        && !headers.contains_key(CONTENT_ENCODING)
        && parameters.split(';').all(|parameter| match parameter.split_once('=') {
            // `charset*` is the extended form (RFC 8187).
            Some((name, value)) if name.trim().trim_end_matches('*').eq_ignore_ascii_case("charset") => {
                value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            Some(_) => true,
            None => parameter.trim().is_empty(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_the_specs_examples_when_encoded_then_they_read_as_it_says() {
        for (value, header) in [
            ("us-west1", "us-west1"),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
            // Half of the marker is no encoding, so it needs none.
            ("=?base64?literal", "=?base64?literal"),
            ("literal?=", "literal?="),
            ("", "=?base64??="),
        ] {
            assert_eq!(encode(value), header);
            assert_eq!(decode(&encode(value)).as_deref(), Some(value));
        }
    }

    /// Advisory class: header and body disagree.
    /// Requirements: advisory.header-body
    #[test]
    fn given_headers_that_disagree_with_the_body_then_the_first_is_named() {
        let body = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get",
            "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        let message = Message::parse(body).unwrap();
        let check = |headers: &[(&HeaderName, &'static str)]| {
            let headers = headers
                .iter()
                .map(|(name, value)| ((*name).clone(), HeaderValue::from_static(value)))
                .collect();
            find_mismatch(&headers, &message)
        };
        let agreeing =
            [(&PROTOCOL_VERSION, "2026-07-28"), (&METHOD, "tools/call"), (&NAME, "=?base64?Z2V0?=")];
        assert_eq!(check(&agreeing), None);
        assert_eq!(check(&[(&NAME, "delete")]), Some(NAME));
        assert_eq!(check(&[(&NAME, "=?base64?!?=")]), Some(NAME));
        assert_eq!(check(&[(&METHOD, "ping")]), Some(METHOD));
        assert_eq!(check(&[(&PROTOCOL_VERSION, "2025-11-25")]), Some(PROTOCOL_VERSION));
        assert_eq!(
            check(&[(&METHOD, "tools/call"), (&METHOD, "tools/call")]),
            Some(METHOD),
            "even if both agree"
        );
        let legacy =
            Message::parse(br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get"}}"#)
                .unwrap();
        let of_legacy = |name: &HeaderName, value: &'static str| {
            find_mismatch(&[(name.clone(), HeaderValue::from_static(value))].into_iter().collect(), &legacy)
        };
        assert_eq!(of_legacy(&NAME, "delete"), Some(NAME));
        assert_eq!(of_legacy(&METHOD, "ping"), Some(METHOD));
        assert_eq!(of_legacy(&NAME, "get"), None);
        assert_eq!(of_legacy(&PROTOCOL_VERSION, "2026-07-28"), None);
    }

    #[test]
    fn given_a_media_type_then_only_json_in_utf_8_is_read() {
        let read = |values: &[&'static str]| {
            is_json_body(&values.iter().map(|value| (CONTENT_TYPE, value.parse().unwrap())).collect())
        };
        for json in [
            "application/json",
            "Application/JSON",
            "application/json;",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/json; profile=x; charset=utf-8",
        ] {
            assert!(read(&[json]), "{json}");
        }
        for other in [
            "application/json; charset=utf-7",
            "application/json; charset=utf-16le",
            "application/json; CHARSET=iso-8859-1",
            "application/json; charset=utf-8; charset=utf-7",
            "application/json; charset",
            "application/json; charset=",
            "application/json; charset*=utf-7",
            "text/json",
            "application/json, text/plain",
            "",
        ] {
            assert!(!read(&[other]), "{other}");
        }
        assert!(!read(&["application/json", "application/json"]), "two headers");
        assert!(!read(&[]));
        let coded = [(CONTENT_TYPE, "application/json"), (CONTENT_ENCODING, "identity")];
        let coded = coded.map(|(name, value)| (name, HeaderValue::from_static(value)));
        assert!(!is_json_body(&coded.into_iter().collect()), "a content coding");
    }
}
