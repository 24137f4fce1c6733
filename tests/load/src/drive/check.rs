//! Checks the complete content of every response.

use anyhow::Context as _;
use parking_lot::RwLock;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::connection::Response;
use super::request_template::{Id, Pattern};

/// The expected content of responses.
pub(super) enum Check {
    /// Text of the first content item.
    Text(Pattern),
    /// Names of a list. A response that equals a verified one except for its id is not parsed again.
    Names { names: Vec<String>, seen: RwLock<Option<VerifiedResponse>> },
}

/// A verified response: the bytes before and after its id.
pub(super) struct VerifiedResponse {
    before: Vec<u8>,
    after: Vec<u8>,
}

impl VerifiedResponse {
    fn matches(&self, body: &[u8], id: &Id) -> bool {
        body.len() == self.before.len() + id.len() + self.after.len()
            && body.starts_with(&self.before)
            && body[self.before.len()..].starts_with(id)
            && body.ends_with(&self.after)
    }
}

#[derive(Deserialize)]
struct Message<'a, R> {
    jsonrpc: &'a str,
    #[serde(borrow)]
    id: &'a RawValue,
    result: R,
}

#[derive(Deserialize)]
struct CallToolResult<'a> {
    #[serde(borrow)]
    content: Vec<Content<'a>>,
    #[serde(default, rename = "isError")]
    is_error: bool,
}

#[derive(Deserialize)]
struct Content<'a> {
    text: &'a str,
}

#[derive(Deserialize)]
struct ListToolsResult<'a> {
    #[serde(borrow)]
    tools: Vec<Tool<'a>>,
}

#[derive(Deserialize)]
struct Tool<'a> {
    name: &'a str,
}

impl Check {
    pub(super) fn text(text: &str) -> anyhow::Result<Self> {
        anyhow::ensure!(
            text.contains("{id}"),
            "--expect-text must contain {{id}}; otherwise responses cannot be told apart"
        );
        Ok(Self::Text(Pattern::new(text)))
    }

    pub(super) fn names(names: Vec<String>) -> Self {
        Self::Names { names, seen: RwLock::new(None) }
    }

    /// Checks a response. The error describes what is wrong.
    pub(super) fn verify(&self, answer: &Response<'_>, id: Id) -> anyhow::Result<()> {
        if answer.status != 200 || !answer.is_json {
            return Err(wrong_response("is not status 200 with JSON", answer));
        }
        match self {
            Self::Text(expected) => {
                let message: Message<'_, CallToolResult<'_>> = parse(answer, &id)?;
                let called = message.result;
                match called.content.as_slice() {
                    [Content { text }] if !called.is_error && expected.matches(text.as_bytes(), &id) => {
                        Ok(())
                    }
                    _ => Err(wrong_response("does not contain the expected text", answer)),
                }
            }
            Self::Names { names, seen } => {
                if seen.read().as_ref().is_some_and(|seen| seen.matches(answer.body, &id)) {
                    return Ok(());
                }
                let message: Message<'_, ListToolsResult<'_>> = parse(answer, &id)?;
                if !message.result.tools.iter().map(|tool| tool.name).eq(names.iter()) {
                    return Err(wrong_response("does not contain the expected names", answer));
                }
                let at = message.id.get().as_ptr() as usize - answer.body.as_ptr() as usize;
                let (before, after) = (answer.body[..at].to_vec(), answer.body[at + id.len()..].to_vec());
                *seen.write() = Some(VerifiedResponse { before, after });
                Ok(())
            }
        }
    }
}

fn parse<'a, R: Deserialize<'a>>(answer: &Response<'a>, id: &Id) -> anyhow::Result<Message<'a, R>> {
    let message: Message<'a, R> = serde_json::from_slice(answer.body)
        .with_context(|| wrong_response("is not the expected message", answer))?;
    if message.jsonrpc != "2.0" || message.id.get().as_bytes() != id {
        return Err(wrong_response("has the id of another request", answer));
    }
    Ok(message)
}

fn wrong_response(what: &str, answer: &Response<'_>) -> anyhow::Error {
    let start = String::from_utf8_lossy(&answer.body[..answer.body.len().min(300)]);
    anyhow::anyhow!("a response {what}: {} {start}", answer.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Id = *b"1000000007";

    fn answer(body: &str) -> Response<'_> {
        Response { status: 200, is_json: true, body: body.as_bytes() }
    }

    fn called(id: &str, text: &str, is_error: bool) -> String {
        format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"{text}"}}],"isError":{is_error}}}}}"#
        )
    }

    fn listed(id: &str, names: &[&str]) -> String {
        let tools: Vec<_> = names.iter().map(|name| serde_json::json!({"name": name})).collect();
        format!(r#"{{"id":{id},"jsonrpc":"2.0","result":{{"tools":{}}}}}"#, serde_json::json!(tools))
    }

    #[test]
    fn given_an_expected_text_then_another_id_text_status_or_an_error_is_wrong() {
        let check = Check::text("issue {id}").unwrap();
        let right = called("1000000007", "issue 1000000007", false);
        check.verify(&answer(&right), ID).unwrap();
        for body in [
            called("1000000008", "issue 1000000007", false),
            called("1000000007", "issue 1000000008", false),
            called("\"1000000007\"", "issue 1000000007", false),
            called("1000000007", "issue 1000000007", true),
            r#"{"jsonrpc":"2.0","id":1000000007,"error":{"code":1,"message":"x"}}"#.to_owned(),
        ] {
            assert!(check.verify(&answer(&body), ID).is_err(), "{body}");
        }
        assert!(check.verify(&Response { status: 500, is_json: true, body: right.as_bytes() }, ID).is_err());
        assert!(check.verify(&Response { status: 200, is_json: false, body: right.as_bytes() }, ID).is_err());
    }

    #[test]
    fn given_expected_names_then_every_answer_is_checked_seen_before_or_not() {
        let check = Check::names(vec!["a".into(), "b".into()]);
        for id in [ID, *b"1000000009"] {
            let body = listed(std::str::from_utf8(&id).unwrap(), &["a", "b"]);
            check.verify(&answer(&body), id).unwrap();
        }
        assert!(check.verify(&answer(&listed("1000000009", &["a", "b"])), ID).is_err());
        assert!(check.verify(&answer(&listed("1000000007", &["a", "c"])), ID).is_err());
        assert!(check.verify(&answer(&listed("1000000007", &["a"])), ID).is_err());
        assert!(check.verify(&answer(&listed("1000000007", &["a", "b", "c"])), ID).is_err());
    }
}
