//! Fourth step: checks the capability that a request names against the route's curation and the principal's
//! teams, and translates its exposed name to the origin's name.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use portcullis_mcp::message::{JsonString, Message, MessageKind};
use portcullis_mcp::method::Method;
use portcullis_policy::Route;

use super::Context;
use super::audit_record::AuditRecord;
use super::error::PipelineError;
use super::parse::Parsed;

/// The gateway's own tool, which returns the link to connect an account.
pub(super) const CONNECT_TOOL: &str = "connect_account";

/// A request that may be relayed to the origin.
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

/// Result of authorization.
pub(super) enum Authorization<'r> {
    /// The request may be relayed.
    Authorized(Authorized<'r>),
    /// A URI may be readable through a template, but the templates that the origin lists to the caller are
    /// not known, or not recently. If no template makes it readable, the request fails with this error.
    TemplatesUnknown(Parsed<'r>, PipelineError),
}

impl<'r> Authorized<'r> {
    pub(super) fn authorize(
        context: &Context,
        parsed: Parsed<'r>,
        record: &mut AuditRecord,
    ) -> Result<Authorization<'r>, PipelineError> {
        let mut check = Check { context, parsed: &parsed, record, undecided: None };
        let (renamed, is_connect_tool) = match parsed.message() {
            Some(message) => check.message(message)?,
            // GET and DELETE name no capability. The stream of a GET is curated event by event.
            None => (None, false),
        };
        Ok(match check.undecided {
            Some(denial) => Authorization::TemplatesUnknown(parsed, denial),
            None => Authorization::Authorized(Self { parsed, renamed, is_connect_tool }),
        })
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
    pub(super) fn body(&self) -> Bytes {
        let body = self.parsed.body();
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

/// Checks one message.
struct Check<'a, 'r> {
    context: &'a Context,
    parsed: &'a Parsed<'r>,
    record: &'a mut AuditRecord,
    /// The denial of the first URI that only an unknown template could allow.
    undecided: Option<PipelineError>,
}

impl Check<'_, '_> {
    /// Returns the renamed capability, and whether the message calls the gateway's own tool.
    fn message(&mut self, message: &Message<'_>) -> Result<(Option<Renamed>, bool), PipelineError> {
        let route = self.parsed.authenticated().route();
        let mut renamed = None;
        match message.method {
            Method::ToolsCall => return self.tool(message),
            Method::PromptsGet => {
                let name = required_param(message, message.name.as_ref(), "name")?;
                self.record.capability(message.method, &name.value);
                renamed = rename_prompt(route, message, name)?;
            }
            // The modern era removed this method (2026-07-28, changelog). Clients use `subscriptions/listen`
            // instead.
            Method::ResourcesSubscribe if message.modern => {
                return Err(PipelineError::unknown_method(message));
            }
            Method::ResourcesRead | Method::ResourcesSubscribe => {
                let uri = required_param(message, message.uri.as_ref(), "uri")?;
                self.record.capability(message.method, &uri.value);
                self.readable(message, &uri.value)?;
            }
            Method::Complete => {
                if let Some(prompt) = &message.reference_name {
                    renamed = rename_prompt(route, message, prompt)?;
                }
                if let Some(uri) = &message.reference_uri
                    && !route.curation.resource_templates.offers(&uri.value)
                {
                    self.readable(message, &uri.value)?;
                }
            }
            Method::Listen => {
                for uri in &message.subscriptions {
                    self.readable(message, &uri.value)?;
                }
            }
            Method::Unknown if message.kind == MessageKind::Request => {
                return Err(PipelineError::unknown_method(message));
            }
            _ => {}
        }
        Ok((renamed, false))
    }

    fn tool(&mut self, message: &Message<'_>) -> Result<(Option<Renamed>, bool), PipelineError> {
        let by = self.parsed.authenticated();
        let route = by.route();
        let name = required_param(message, message.name.as_ref(), "name")?;
        self.record.capability(message.method, &name.value);
        let original = (by.admission().tools.allow(&name.value))
            .then(|| route.curation.tools.original(&name.value))
            .flatten();
        // The gateway's own tool, which is offered if the origin requires an account.
        if original.is_none() && route.needs_account() && name.value == CONNECT_TOOL {
            return Ok((None, true));
        }
        let original = original.ok_or_else(|| PipelineError::unknown_tool(message.id, &name.value))?;
        Ok((rename(name, original), false))
    }

    fn readable(&mut self, message: &Message<'_>, uri: &str) -> Result<(), PipelineError> {
        let route = self.parsed.authenticated().route();
        let (curation, catalogs) = (&route.curation, &self.context.catalogs);
        if curation.offers_resource(uri) {
            return Ok(());
        }
        let caller = &self.parsed.authenticated().caller().principal.id;
        let templates = catalogs.templates(&route.origin, caller);
        if curation.is_readable(uri, templates.iter().flat_map(|known| known.iter())) {
            return Ok(());
        }
        let denial = PipelineError::unknown_resource(message, uri);
        let is_final = templates.is_some_and(|known| catalogs.may_deny(&known));
        if is_final || !curation.depends_on_templates(uri) {
            return Err(denial);
        }
        self.undecided.get_or_insert(denial);
        Ok(())
    }
}

fn rename_prompt(
    route: &Route,
    message: &Message<'_>,
    name: &JsonString<'_>,
) -> Result<Option<Renamed>, PipelineError> {
    let original = route.curation.prompts.original(&name.value);
    let original = original.ok_or_else(|| PipelineError::unknown_prompt(message.id, &name.value))?;
    Ok(rename(name, original))
}
