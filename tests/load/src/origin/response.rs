//! Response bodies: a head per request, and a tail that all responses share.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut as _, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use serde_json::Value;

/// A body of at most two parts, which are not copied.
pub(super) struct ResponseBody {
    head: Bytes,
    tail: Bytes,
}

impl ResponseBody {
    pub(super) fn from_bytes(head: Bytes) -> Self {
        Self { head, tail: Bytes::new() }
    }

    /// The response to the request `id`, with a `tail` from [`response_tail`].
    pub(super) fn with_id(id: &str, tail: Bytes) -> Self {
        let mut head = BytesMut::with_capacity(24 + id.len());
        head.put_slice(br#"{"jsonrpc":"2.0","id":"#);
        head.put_slice(id.as_bytes());
        Self { head: head.freeze(), tail }
    }
}

/// The bytes after the id in a response with this result.
pub(super) fn response_tail(result: &Value) -> Bytes {
    format!(r#","result":{result}}}"#).into()
}

/// The response of a tool: its name and the subject of the call.
pub(super) fn tool_response(id: &str, name: &str, subject: &str) -> Bytes {
    let parts = [
        r#"{"jsonrpc":"2.0","id":"#,
        id,
        r#","result":{"resultType":"complete","content":[{"type":"text","text":""#,
        name,
        ": ",
        subject,
        r#""}],"isError":false}}"#,
    ];
    let mut body = BytesMut::with_capacity(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        body.put_slice(part.as_bytes());
    }
    body.freeze()
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = if self.head.is_empty() { &mut self.tail } else { &mut self.head };
        let piece = std::mem::take(piece);
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.head.is_empty() && self.tail.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.head.len() + self.tail.len()) as u64)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn given_an_id_and_a_result_then_the_answer_is_the_message() {
        let body = ResponseBody::with_id("\"x\"", response_tail(&json!({"tools": []})));
        let length = body.size_hint().exact().unwrap();
        let bytes = body.collect().await.unwrap().to_bytes();
        assert_eq!(bytes.len() as u64, length);
        let message: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(message, json!({"jsonrpc": "2.0", "id": "x", "result": {"tools": []}}));
    }

    #[test]
    fn given_a_call_then_its_answer_names_tool_and_subject() {
        let message: Value = serde_json::from_slice(&tool_response("7", "get_issue", "PORT-7")).unwrap();
        assert_eq!(message["id"], 7);
        assert_eq!(message["result"]["content"][0]["text"], "get_issue: PORT-7");
    }
}
