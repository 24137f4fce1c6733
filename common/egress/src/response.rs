use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use crate::EgressError;

/// A whole answer.
pub struct HttpResponse {
    /// Its status. A redirect is an answer like any other: it is not followed.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, within the limit that was given.
    pub body: Bytes,
}

impl HttpResponse {
    /// The body as a JSON object, whatever the status and the media type say.
    ///
    /// # Errors
    /// When it is not JSON of that shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, EgressError> {
        parse_json_object(&self.body)
            .map_err(|error| EgressError::Json { line: error.line(), column: error.column() })
    }
}

/// What a stranger calls a JSON object. It is read as a whole first: `serde_json` skips over what nobody asks for without looking at it, text
/// that is not UTF-8 (RFC 8259, section 8.1) or numbers that nothing holds, and what one reader takes and another does not must not
/// decide anything. For the same reason an array is refused, in which serde would take the members of a struct by their places.
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
