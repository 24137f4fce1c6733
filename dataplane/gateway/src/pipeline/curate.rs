//! Curates an origin's responses: filters lists by the route's curation and the principal's teams, removes tasks
//! where users share a credential, marks URL elicitations, and updates the catalog. Applies to JSON responses and
//! to each event of a stream.

use std::sync::Arc;

use portcullis_mcp::elicitation;
use portcullis_mcp::json_object::JsonObject;
use portcullis_mcp::list::{Item, ItemAction, List, ListError, is_public};
use portcullis_mcp::message::MessageKind;
use portcullis_mcp::method::Method;
use portcullis_mcp::response::{ResponseOutcome, StreamMessage, response_outcome};
use portcullis_mcp::tasks;
use portcullis_policy::{CapabilityRules, PrincipalId, Route, ToolRules};
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::PipelineError;
use super::parse::{Parsed, RequestKind};
use crate::catalog::{CatalogSection, Catalogs, ObservedPage, UriTemplates};

/// Maximum size of a response that is read because it could be a task.
const MAX_TASK_BYTES: u64 = 64 * 1024;

/// Curates the responses to one request.
pub(super) struct Curator {
    route: Arc<Route>,
    caller: PrincipalId,
    tools: ToolRules,
    /// Method of the request. `None` on a stream that may replay the response to any request (legacy
    /// `Last-Event-ID`): each response is then curated by its content.
    method: Option<Method>,
    id: Option<Value>,
    /// The client expects messages of the origin. The response to the end of a session, for example, has none.
    expects_messages: bool,
    /// The client supports URL elicitation, and expects messages of the origin.
    marks_elicitations: bool,
    /// The request has a cursor: it continues a list.
    continues: bool,
    catalogs: Catalogs,
    /// The caller's templates when a stream was opened. They are used if they were dropped since.
    templates: Option<Arc<UriTemplates>>,
}

/// Result of curating a response.
pub(super) struct Curated {
    /// The changed message for the client; `None` if unchanged.
    pub(super) changed: Option<Vec<u8>>,
    /// Outcome of the request.
    pub(super) verdict: ResponseOutcome,
}

impl Curated {
    /// A request or notification of the origin.
    pub(super) fn not_a_response(changed: Option<Vec<u8>>) -> Self {
        Self { changed, verdict: ResponseOutcome::NotAResponse }
    }
}

/// Why a response must not be relayed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CurationError {
    /// It is a list that cannot be parsed.
    #[error(transparent)]
    List(#[from] ListError),
    /// It is a task, although the route offers no tasks.
    #[error("unexpected task")]
    UnsolicitedTask,
    /// Clients may read other elicitations from it than the gateway.
    #[error("ambiguous elicitation: {0}")]
    Elicitation(#[source] serde_json::Error),
}

impl CurationError {
    /// The error for the client, with the id of the request.
    pub(super) fn for_client(&self, id: Option<&RawValue>, origin: &str) -> PipelineError {
        match self {
            Self::List(_) | Self::Elicitation(_) => PipelineError::response_unreadable(id, &self.to_string()),
            Self::UnsolicitedTask => PipelineError::unsolicited_task(id, origin),
        }
    }
}

impl Curator {
    /// Creates a curator for the responses to a request.
    pub(super) fn new(catalogs: &Catalogs, parsed: &Parsed<'_>) -> Self {
        let (by, message) = (parsed.authenticated(), parsed.message());
        let caller = by.caller().principal.id.clone();
        let (is_open_ended, expects_messages) = match parsed.kind() {
            RequestKind::Message(message) => {
                (message.method == Method::Listen, message.kind == MessageKind::Request)
            }
            RequestKind::OpenStream => (true, true),
            RequestKind::EndSession => (false, false),
        };
        Self {
            route: Arc::clone(by.route()),
            templates: is_open_ended.then(|| catalogs.templates(&by.route().origin, &caller)).flatten(),
            caller,
            tools: by.admission().tools.clone(),
            method: message.map(|message| message.method),
            id: parsed.id().and_then(|id| serde_json::from_str(id.get()).ok()),
            expects_messages,
            marks_elicitations: expects_messages && parsed.url_elicitation(),
            continues: message.is_some_and(|message| message.cursor.is_some()),
            catalogs: catalogs.clone(),
        }
    }

    /// Display name of the origin.
    pub(super) fn origin_name(&self) -> &str {
        &self.route.origin.display_name
    }

    /// Whether a JSON response must be buffered. Otherwise its bytes are streamed.
    pub(super) fn must_buffer(&self) -> bool {
        self.method.is_some_and(|method| self.may_change(method) || self.section_to_learn(method).is_some())
    }

    /// How many bytes of a JSON response that is streamed are held back until it was curated; 0 if it need not be.
    /// A longer response is relayed as it is. Tasks that nobody started are small. Elicitations may have any
    /// size up to `limit`.
    pub(super) fn bytes_to_hold(&self, limit: u64) -> u64 {
        if self.marks_elicitations {
            limit
        } else if self.method == Some(Method::ToolsCall) && !self.route.origin.allows_tasks() {
            MAX_TASK_BYTES
        } else {
            0
        }
    }

    /// Curates the response to the request.
    ///
    /// # Errors
    /// Fails if the response must not be relayed.
    pub(super) fn curate_response(&self, message: &[u8]) -> Result<Curated, CurationError> {
        self.curate(self.method, message)
    }

    /// Curates a response of a stream. If its id is not the request's, its content decides what it is.
    ///
    /// # Errors
    /// Fails if the response must not be relayed.
    pub(super) fn curate_event(
        &self,
        id: Option<&RawValue>,
        message: &[u8],
    ) -> Result<Curated, CurationError> {
        let id: Option<Value> = id.and_then(|id| serde_json::from_str(id.get()).ok());
        self.curate(self.method.filter(|_| id == self.id), message)
    }

    /// Returns a response in which nothing is hidden, with its outcome.
    fn pass(&self, message: &[u8]) -> Result<Curated, CurationError> {
        match response_outcome(message) {
            ResponseOutcome::Task if !self.route.origin.allows_tasks() => Err(CurationError::UnsolicitedTask),
            verdict => Ok(Curated { changed: self.mark_elicitations(message)?, verdict }),
        }
    }

    /// Adds the origin's name to the URL elicitations in a message of the origin; `None` if nothing changes.
    pub(super) fn mark_elicitations(&self, message: &[u8]) -> Result<Option<Vec<u8>>, CurationError> {
        if !self.marks_elicitations {
            return Ok(None);
        }
        elicitation::mark(message, self.origin_name()).map_err(CurationError::Elicitation)
    }

    fn curate(&self, method: Option<Method>, message: &[u8]) -> Result<Curated, CurationError> {
        let Some(method) = method else {
            return if self.expects_messages { self.curate_by_content(message) } else { self.pass(message) };
        };
        let learns = self.section_to_learn(method);
        match method.list() {
            Some(shape) if self.may_change(method) || learns.is_some() => {
                let list = List::parse(message, shape)?;
                if let (Some(part), Some(items)) = (learns, list.items()) {
                    self.learn(ObservedPage {
                        part,
                        items: items.collect(),
                        public: list.is_public(),
                        continues: self.continues,
                        is_continued: list.is_continued(),
                    });
                }
                self.curate_list(method, &list, message)
            }
            _ if declares_capabilities(method) => {
                let changed = self.without_tasks(message);
                if let Some(part) = learns {
                    self.learn_server_info(part, changed.as_deref().unwrap_or(message));
                }
                let Curated { changed: marked, verdict } = self.pass(message)?;
                Ok(Curated { changed: changed.or(marked), verdict })
            }
            _ => self.pass(message),
        }
    }

    /// Curates a response of which the method is not known: every list that it contains.
    fn curate_by_content(&self, message: &[u8]) -> Result<Curated, CurationError> {
        let mut curated = self.pass(message)?;
        for method in
            [Method::ToolsList, Method::PromptsList, Method::ResourcesList, Method::ResourceTemplatesList]
        {
            let Some(shape) = method.list() else { continue };
            let text = curated.changed.as_deref().unwrap_or(message);
            let list = List::parse(text, shape)?;
            if list.items().is_some()
                && let Curated { changed: Some(changed), .. } = self.curate_list(method, &list, text)?
            {
                curated.changed = Some(changed);
            }
        }
        if curated.changed.is_none() {
            curated.changed = self.without_tasks(message);
        }
        Ok(curated)
    }

    /// A response that declares the origin's capabilities, without tasks where the route offers none; `None` if
    /// nothing changes. Requests that use tasks are rejected in any case, so a response that cannot be parsed
    /// needs no change.
    fn without_tasks(&self, message: &[u8]) -> Option<Vec<u8>> {
        if self.route.origin.allows_tasks() {
            return None;
        }
        tasks::remove_from_response(message).ok().flatten()
    }

    fn curate_list(&self, method: Method, list: &List<'_>, message: &[u8]) -> Result<Curated, CurationError> {
        if list.items().is_none() {
            return self.pass(message);
        }
        // If tools differ by team, other users must not get the list from a cache.
        let personal = method == Method::ToolsList && self.tools_depend_on_caller();
        let changed = list.curate(personal, |item| self.decide(method, item))?;
        Ok(Curated { changed, verdict: ResponseOutcome::Success })
    }

    /// Whether a notification or request from the origin may be relayed. A resource update is relayed only if
    /// the user may read the resource, the status of a task only if the task is the user's.
    pub(super) fn allows_notification(&self, message: &StreamMessage<'_>) -> bool {
        match message.method.as_deref() {
            Some("notifications/resources/updated") => {}
            // The extension and 2025-11-25.
            Some("notifications/tasks" | "notifications/tasks/status") => {
                return self.route.origin.allows_tasks();
            }
            _ => return true,
        }
        let Some(uri) = message.uri.as_deref() else { return false };
        let current = self.catalogs.templates(&self.route.origin, &self.caller);
        let templates = current.as_ref().or(self.templates.as_ref());
        self.route.curation.is_readable(uri, templates.into_iter().flat_map(|known| known.iter()))
    }

    /// Decides whether an item of a list is kept, hidden or replaced.
    pub(super) fn decide(&self, method: Method, item: &Item<'_>) -> ItemAction {
        let rules = self.rules(method);
        let Some(exposed) = rules.exposed(&item.key) else { return ItemAction::Hide };
        let denied = match method {
            Method::ToolsList => !self.tools.allow(exposed),
            Method::ResourcesList => !self.route.curation.offers_resource(&item.key),
            _ => false,
        };
        if denied {
            return ItemAction::Hide;
        }
        let Some(change) = rules.override_of(&item.key) else { return ItemAction::Keep };
        // An item that cannot be overridden as configured is hidden.
        let Ok(mut members) = JsonObject::parse(item.json) else { return ItemAction::Hide };
        if exposed != item.key {
            members.set("name", exposed);
        }
        if let Some(title) = &change.title {
            members.set("title", title);
        }
        if let Some(description) = &change.description {
            members.set("description", description);
        }
        if !change.annotations.is_empty() {
            members.merge("annotations", &change.annotations);
        }
        ItemAction::Replace(members.to_json())
    }

    fn rules(&self, method: Method) -> &CapabilityRules {
        let curation = &self.route.curation;
        match method {
            Method::PromptsList => &curation.prompts,
            Method::ResourcesList => &curation.resources,
            Method::ResourceTemplatesList => &curation.resource_templates,
            _ => &curation.tools,
        }
    }

    fn may_change(&self, method: Method) -> bool {
        if declares_capabilities(method) {
            return !self.route.origin.allows_tasks();
        }
        method.list().is_some()
            && (!self.rules(method).is_passthrough()
                || (method == Method::ToolsList && self.tools_depend_on_caller()))
    }

    fn tools_depend_on_caller(&self) -> bool {
        !self.tools.is_passthrough() || self.route.tools_depend_on_caller()
    }

    /// The catalog section that this response updates.
    fn section_to_learn(&self, method: Method) -> Option<CatalogSection> {
        let part = CatalogSection::from_method(method)?;
        self.catalogs.needs_refresh(&self.route.origin, &self.caller, part).then_some(part)
    }

    fn learn(&self, page: ObservedPage<'_>) {
        self.catalogs.learn(&self.route.origin, &self.caller, &page);
    }

    fn learn_server_info(&self, part: CatalogSection, message: &[u8]) {
        #[derive(serde::Deserialize)]
        struct Answer<'a> {
            #[serde(borrow)]
            result: Option<&'a RawValue>,
        }
        #[derive(serde::Deserialize)]
        struct Scope<'a> {
            #[serde(borrow, rename = "cacheScope")]
            cache_scope: Option<&'a RawValue>,
        }
        let Ok(Answer { result: Some(result) }) = serde_json::from_slice(message) else { return };
        // A result that repeats the member is not public.
        let scope = serde_json::from_str::<Scope<'_>>(result.get()).ok().and_then(|it| it.cache_scope);
        let items = vec![result.get()];
        self.learn(ObservedPage {
            part,
            items,
            public: is_public(scope),
            continues: false,
            is_continued: false,
        });
    }
}

/// Whether the response contains the origin's capabilities.
fn declares_capabilities(method: Method) -> bool {
    matches!(method, Method::Initialize | Method::Discover)
}
