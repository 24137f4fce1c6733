//! Fourth step: checks the capability that a request names against the route's curation and the principal's
//! teams, and translates its exposed name to the origin's name. Removes tasks where users share a credential.

use bytes::Bytes;
use portcullis_mcp::message::{JsonString, Message, MessageKind};
use portcullis_mcp::method::Method;
use portcullis_mcp::tasks;

use super::Context;
use super::audit_record::AuditRecord;
use super::body_edits::BodyEdits;
use super::error::PipelineError;
use super::parse::Parsed;

/// The gateway's own tool, which returns the link to connect an account.
pub(super) const CONNECT_TOOL: &str = "connect_account";

/// Maximum number of resources that a client may subscribe to in one request: each is compared with every rule.
const MAX_SUBSCRIPTIONS: usize = 1_000;

/// A request that may be relayed to the origin.
pub(super) struct Authorized<'r> {
    parsed: Parsed<'r>,
    changes: Changes,
}

/// What is different in the request to the origin.
#[derive(Default)]
struct Changes {
    /// The origin's name of the capability, if it differs from the exposed name.
    original_name: Option<String>,
    body: BodyEdits,
    /// The message calls the gateway's own tool [`CONNECT_TOOL`], so it is not sent to the origin.
    is_connect_tool: bool,
}

impl Changes {
    /// Replaces the exposed name of a capability by the origin's name, if they differ.
    fn rename(&mut self, exposed: &JsonString<'_>, original: &str) {
        if original != exposed.value {
            self.body.replace(exposed.span.clone(), serde_json::to_vec(original).unwrap_or_default());
            self.original_name = Some(original.to_owned());
        }
    }
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
        let mut check =
            Check { context, parsed: &parsed, record, changes: Changes::default(), undecided: None };
        // GET and DELETE name no capability. The stream of a GET is curated event by event.
        if let Some(message) = parsed.message() {
            check.message(message)?;
        }
        let Check { changes, undecided, .. } = check;
        Ok(match undecided {
            Some(denial) => Authorization::TemplatesUnknown(parsed, denial),
            None => Authorization::Authorized(Self { parsed, changes }),
        })
    }

    pub(super) fn parsed(&self) -> &Parsed<'r> {
        &self.parsed
    }

    /// Whether the message calls the gateway's own tool.
    pub(super) fn is_connect_tool(&self) -> bool {
        self.changes.is_connect_tool
    }

    /// The origin's name of a renamed capability, for the `Mcp-Name` header.
    pub(super) fn original_name(&self) -> Option<&str> {
        self.changes.original_name.as_deref()
    }

    /// The body for the origin: the client's body, with a renamed capability replaced by the origin's name, and
    /// without tasks in the client's capabilities where they are not available.
    pub(super) fn body(&self) -> Bytes {
        self.changes.body.apply(self.parsed.body())
    }
}

fn required_param<'m, 'r>(
    message: &Message<'r>,
    text: Option<&'m JsonString<'r>>,
    key: &str,
) -> Result<&'m JsonString<'r>, PipelineError> {
    text.ok_or_else(|| PipelineError::missing_parameter(message.id, &message.method_name, key))
}

/// Checks one message.
struct Check<'a, 'r> {
    context: &'a Context,
    parsed: &'a Parsed<'r>,
    record: &'a mut AuditRecord,
    changes: Changes,
    /// The denial of the first URI that only an unknown template could allow.
    undecided: Option<PipelineError>,
}

impl Check<'_, '_> {
    fn message(&mut self, message: &Message<'_>) -> Result<(), PipelineError> {
        self.tasks(message)?;
        let route = self.parsed.authenticated().route();
        match message.method {
            Method::ToolsCall => self.tool(message)?,
            Method::PromptsGet => {
                let name = required_param(message, message.name.as_ref(), "name")?;
                self.record.capability(message.method, &name.value);
                self.prompt(message, name)?;
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
                    self.prompt(message, prompt)?;
                }
                if let Some(uri) = &message.reference_uri
                    && !route.curation.resource_templates.offers(&uri.value)
                {
                    self.readable(message, &uri.value)?;
                }
            }
            Method::Listen => {
                if message.subscriptions.len() > MAX_SUBSCRIPTIONS {
                    return Err(PipelineError::too_many_subscriptions(message, MAX_SUBSCRIPTIONS));
                }
                for uri in &message.subscriptions {
                    self.readable(message, &uri.value)?;
                }
            }
            Method::Unknown => self.unknown(message)?,
            _ => {}
        }
        Ok(())
    }

    /// Where users share a credential, rejects requests that use tasks, and hides from the origin that the client
    /// supports tasks.
    fn tasks(&mut self, message: &Message<'_>) -> Result<(), PipelineError> {
        let origin = &self.parsed.authenticated().route().origin;
        if origin.allows_tasks() {
            return Ok(());
        }
        if message.method == Method::Tasks || message.uses_tasks {
            return Err(PipelineError::tasks_not_available(message, &origin.display_name));
        }
        for span in &message.task_capabilities {
            let declared = self.parsed.body().get(span.clone()).map(std::str::from_utf8);
            if let Some(Ok(declared)) = declared
                && let Ok(Some(remaining)) = tasks::remove_from_capabilities(declared)
            {
                self.changes.body.replace(span.clone(), remaining);
            }
        }
        Ok(())
    }

    /// An unknown message may name a capability, so it passes only where nothing is hidden. Requests never pass.
    fn unknown(&self, message: &Message<'_>) -> Result<(), PipelineError> {
        let by = self.parsed.authenticated();
        match message.kind {
            MessageKind::Request => Err(PipelineError::unknown_method(message)),
            MessageKind::Notification
                if !(by.route().curation.is_passthrough() && by.admission().tools.is_passthrough()) =>
            {
                Err(PipelineError::unknown_notification(message))
            }
            MessageKind::Notification | MessageKind::Response => Ok(()),
        }
    }

    fn tool(&mut self, message: &Message<'_>) -> Result<(), PipelineError> {
        let by = self.parsed.authenticated();
        let route = by.route();
        let name = required_param(message, message.name.as_ref(), "name")?;
        self.record.capability(message.method, &name.value);
        let original = (by.admission().tools.allow(&name.value))
            .then(|| route.curation.tools.original(&name.value))
            .flatten();
        // The gateway's own tool, which is offered if the origin requires an account.
        if original.is_none() && route.needs_account() && name.value == CONNECT_TOOL {
            self.changes.is_connect_tool = true;
            return Ok(());
        }
        let original = original.ok_or_else(|| PipelineError::unknown_tool(message.id, &name.value))?;
        self.changes.rename(name, &original);
        Ok(())
    }

    fn prompt(&mut self, message: &Message<'_>, name: &JsonString<'_>) -> Result<(), PipelineError> {
        let original = self.parsed.authenticated().route().curation.prompts.original(&name.value);
        let original = original.ok_or_else(|| PipelineError::unknown_prompt(message.id, &name.value))?;
        self.changes.rename(name, &original);
        Ok(())
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
