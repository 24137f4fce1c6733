//! Complete HTTP responses, and strict parsing of JSON objects.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use crate::EgressError;

/// A complete HTTP response.
pub struct HttpResponse {
    /// Status. Redirects are returned, not followed.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, at most as long as the limit of the request.
    pub body: Bytes,
}

impl HttpResponse {
    /// Parses the body as a JSON object. Status and media type are ignored.
    ///
    /// # Errors
    /// When the body is not JSON of that shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, EgressError> {
        parse_json_object(&self.body)
            .map_err(|error| EgressError::Json { line: error.line(), column: error.column() })
    }
}

/// Parses untrusted JSON strictly.
///
/// It parses the whole document first, because `serde_json` does not validate the members that it skips: they
/// may hold text that is not UTF-8 (RFC 8259, section 8.1) or numbers out of range. Other parsers reject such
/// documents, and two parsers must not disagree. Arrays are rejected too: serde would read them as the fields
/// of a struct, by position.
///
/// # Errors
/// When it is not a JSON object of that shape.
pub fn parse_json_object<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body)?;
    serde_json::from_slice(body)
}

#[cfg(test)]
mod tests {
    use super::parse_json_object;

    #[test]
    fn given_what_no_reader_takes_when_it_is_in_what_nobody_asks_for_then_it_is_no_json_all_the_same() {
        #[derive(serde::Deserialize)]
        struct Asked {
            a: u8,
        }
        assert_eq!(parse_json_object::<Asked>(br#"{"a": 1, "b": "x"}"#).unwrap().a, 1);
        for skipped in [&b"\"\xf4\""[..], b"\"\\ud800\"", b"1e999"] {
            let body = [&b"{\"a\": 1, \"b\": "[..], skipped, b"}"].concat();
            assert!(parse_json_object::<Asked>(&body).is_err(), "{skipped:?}");
        }
        assert!(parse_json_object::<Asked>(b"[1]").is_err(), "no object");
    }
}
