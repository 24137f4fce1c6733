//! Fourth step: checks the capability that a message names against the route's curation and the principal's
//! teams, and translates its exposed name to the origin's name.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use portcullis_mcp::message::{JsonString, Message};
use portcullis_mcp::method::Method;
use portcullis_policy::Route;

use super::Context;
use super::audit_record::AuditRecord;
use super::error::PipelineError;
use super::parse::Parsed;

/// The gateway's own tool, which returns the link to connect an account.
pub(super) const CONNECT_TOOL: &str = "connect_account";

/// A message that may be relayed to the origin.
pub(super) struct Authorized<'r> {
    parsed: Parsed<'r>,
    /// The origin's name of the capability, if it differs from the exposed name.
    renamed: Option<Renamed>,
    /// The message calls the gateway's own tool [`CONNECT_TOOL`].
    is_connect_tool: bool,
}

struct Renamed {
    span: std::ops::Range<usize>,
    name: String,
}

impl<'r> Authorized<'r> {
    pub(super) fn authorize(
        context: &Context,
        received: Parsed<'r>,
        record: &mut AuditRecord,
    ) -> Result<Self, PipelineError> {
        let route = received.authenticated().route();
        let message = received.message();
        let mut renamed = None;
        match message.method {
            Method::ToolsCall => {
                let name = required_param(message, message.name.as_ref(), "name")?;
                record.capability(message.method, &name.value);
                let original = (received.authenticated().admission().tools.allow(&name.value))
                    .then(|| route.curation.tools.original(&name.value))
                    .flatten();
                // The gateway's own tool, which is offered if the origin requires an account.
                if original.is_none() && route.needs_account() && name.value == CONNECT_TOOL {
                    return Ok(Self { parsed: received, renamed: None, is_connect_tool: true });
                }
                renamed = rename(
                    name,
                    original.ok_or_else(|| PipelineError::unknown_tool(message.id, &name.value))?,
                );
            }
            Method::PromptsGet => {
                let name = required_param(message, message.name.as_ref(), "name")?;
                record.capability(message.method, &name.value);
                let original = route.curation.prompts.original(&name.value);
                renamed = rename(
                    name,
                    original.ok_or_else(|| PipelineError::unknown_prompt(message.id, &name.value))?,
                );
            }
            // The modern era removed this method (2026-07-28, changelog). Clients use `subscriptions/listen`
            // instead.
            Method::ResourcesSubscribe if message.modern => {
                return Err(PipelineError::unknown_method(message));
            }
            Method::ResourcesRead | Method::ResourcesSubscribe => {
                let uri = required_param(message, message.uri.as_ref(), "uri")?;
                record.capability(message.method, &uri.value);
                check_readable(context, route, message, &uri.value)?;
            }
            Method::Complete => {
                if let Some(prompt) = &message.reference_name {
                    let original = route.curation.prompts.original(&prompt.value);
                    renamed = rename(
                        prompt,
                        original.ok_or_else(|| PipelineError::unknown_prompt(message.id, &prompt.value))?,
                    );
                }
                if let Some(uri) = &message.reference_uri
                    && !route.curation.resource_templates.offers(&uri.value)
                {
                    check_readable(context, route, message, &uri.value)?;
                }
            }
            Method::Listen => {
                for uri in &message.subscriptions {
                    check_readable(context, route, message, &uri.value)?;
                }
            }
            Method::Unknown if received.is_request() => return Err(PipelineError::unknown_method(message)),
            _ => {}
        }
        Ok(Self { parsed: received, renamed, is_connect_tool: false })
    }

    pub(super) fn parsed(&self) -> &Parsed<'r> {
        &self.parsed
    }

    /// Whether the message calls the gateway's own tool.
    pub(super) fn is_connect_tool(&self) -> bool {
        self.is_connect_tool
    }

    /// The origin's name of a renamed capability, for the `Mcp-Name` header.
    pub(super) fn original_name(&self) -> Option<&str> {
        self.renamed.as_ref().map(|renamed| renamed.name.as_str())
    }

    /// The body for the origin: the client's body, with a renamed capability replaced by the origin's name.
    pub(super) fn body(&self, body: &Bytes) -> Bytes {
        let Some(Renamed { span, name }) = &self.renamed else { return body.clone() };
        let text = serde_json::to_vec(name).unwrap_or_default();
        let mut out = BytesMut::with_capacity(body.len() + text.len());
        out.extend_from_slice(body.get(..span.start).unwrap_or_default());
        out.extend_from_slice(&text);
        out.extend_from_slice(body.get(span.end..).unwrap_or_default());
        out.freeze()
    }
}

fn required_param<'m, 'r>(
    message: &Message<'r>,
    text: Option<&'m JsonString<'r>>,
    key: &str,
) -> Result<&'m JsonString<'r>, PipelineError> {
    text.ok_or_else(|| PipelineError::missing_parameter(message.id, &message.method_name, key))
}

fn rename(text: &JsonString<'_>, original: Cow<'_, str>) -> Option<Renamed> {
    (original != text.value).then(|| Renamed { span: text.span.clone(), name: original.into_owned() })
}

fn check_readable(
    context: &Context,
    route: &Route,
    message: &Message<'_>,
    uri: &str,
) -> Result<(), PipelineError> {
    let curation = &route.curation;
    if curation.resources.offers(uri) {
        return Ok(());
    }
    let templates = context.catalogs.templates(&route.origin);
    if curation.is_readable(uri, templates.iter().map(AsRef::as_ref)) {
        Ok(())
    } else {
        Err(PipelineError::unknown_resource(message, uri))
    }
}
