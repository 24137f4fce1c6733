//! Curates an origin's responses: filters lists by the route's curation and the principal's teams, and
//! updates the catalog. Applies to JSON responses and to each event of a stream.

use std::sync::Arc;

use portcullis_mcp::item::JsonObject;
use portcullis_mcp::list::{Item, ItemAction, List, ListError, is_public};
use portcullis_mcp::method::Method;
use portcullis_mcp::response::{ResponseOutcome, StreamMessage, response_outcome};
use portcullis_policy::{CapabilityRules, PrincipalId, Route, ToolRules};
use serde_json::value::RawValue;

use super::parse::{Parsed, RequestKind};
use crate::catalog::{CatalogSection, Catalogs, ObservedPage, UriTemplates};

/// Curates the responses to one request.
pub(super) struct Curator {
    route: Arc<Route>,
    caller: PrincipalId,
    tools: ToolRules,
    /// Method of the request. `None` on a stream that may replay the response to any request (legacy
    /// `Last-Event-ID`): each response is then curated by its content.
    method: Option<Method>,
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
    fn unchanged(message: &[u8]) -> Self {
        Self { changed: None, verdict: response_outcome(message) }
    }
}

impl Curator {
    /// Creates a curator for the responses to a request.
    pub(super) fn new(catalogs: &Catalogs, parsed: &Parsed<'_>) -> Self {
        let (by, message) = (parsed.authenticated(), parsed.message());
        let caller = by.caller().principal.id.clone();
        let is_open_ended = match parsed.kind() {
            RequestKind::Message(message) => message.method == Method::Listen,
            RequestKind::OpenStream => true,
            RequestKind::EndSession => false,
        };
        Self {
            route: Arc::clone(by.route()),
            templates: is_open_ended.then(|| catalogs.templates(&by.route().origin, &caller)).flatten(),
            caller,
            tools: by.admission().tools.clone(),
            method: message.map(|message| message.method),
            continues: message.is_some_and(|message| message.has_cursor),
            catalogs: catalogs.clone(),
        }
    }

    /// Whether a JSON response must be buffered. Otherwise its bytes are streamed.
    pub(super) fn must_buffer(&self) -> bool {
        self.method.is_some_and(|method| self.may_change(method) || self.section_to_learn(method).is_some())
    }

    /// Curates a response.
    ///
    /// # Errors
    /// Fails if the response is a list that cannot be parsed. Such a response must not be relayed.
    pub(super) fn curate_response(&self, message: &[u8]) -> Result<Curated, ListError> {
        let Some(method) = self.method else { return self.curate_replayed(message) };
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
            shape => {
                if let (None, Some(part)) = (shape, learns) {
                    self.learn_server_info(part, message);
                }
                Ok(Curated::unchanged(message))
            }
        }
    }

    fn curate_replayed(&self, message: &[u8]) -> Result<Curated, ListError> {
        for method in
            [Method::ToolsList, Method::PromptsList, Method::ResourcesList, Method::ResourceTemplatesList]
        {
            let Some(shape) = method.list() else { continue };
            let list = List::parse(message, shape)?;
            if list.items().is_some() {
                return self.curate_list(method, &list, message);
            }
        }
        Ok(Curated::unchanged(message))
    }

    fn curate_list(&self, method: Method, list: &List<'_>, message: &[u8]) -> Result<Curated, ListError> {
        if list.items().is_none() {
            return Ok(Curated::unchanged(message));
        }
        // If tools differ by team, other users must not get the list from a cache.
        let personal = method == Method::ToolsList && self.tools_depend_on_caller();
        let changed = list.curate(personal, |item| self.decide(method, item))?;
        Ok(Curated { changed, verdict: ResponseOutcome::Success })
    }

    /// Whether a notification or request from the origin may be relayed. A resource update is relayed only if
    /// the user may read the resource.
    pub(super) fn allows_notification(&self, message: &StreamMessage<'_>) -> bool {
        if message.method.as_deref() != Some("notifications/resources/updated") {
            return true;
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
