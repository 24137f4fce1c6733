//! What becomes of an origin's answer: lists are held against the route's curation and the person's teams, and the catalog
//! learns from them. The same for JSON and for each event of a stream.

use std::sync::Arc;

use portcullis_policy::{Holder, KindRules, Route, ToolRules};
use portcullis_wire::answer::{Streamed, Verdict, verdict};
use portcullis_wire::item::Members;
use portcullis_wire::list::{Decision, Item, List, Unreadable};
use portcullis_wire::method::Method;
use serde_json::value::RawValue;

use super::message::Received;
use super::principal::Authenticated;
use crate::catalog::{Catalogs, Part};

/// How the answers to one request are to be curated.
pub(super) struct Curate {
    route: Arc<Route>,
    tools: ToolRules,
    /// What was asked; `None` on a stream that answers no request of its own but may replay the answer to any (legacy
    /// `Last-Event-ID`), so that each is judged by what it holds.
    method: Option<Method>,
    /// The request asked for a further page.
    continues: bool,
    catalogs: Catalogs,
}

/// An answer, read.
pub(super) struct Curated {
    /// As the client is to see it; `None` where that is the same.
    pub(super) changed: Option<Vec<u8>>,
    /// How the request ended.
    pub(super) verdict: Verdict,
}

impl Curated {
    fn unchanged(message: &[u8]) -> Self {
        Self { changed: None, verdict: verdict(message) }
    }
}

impl Curate {
    /// For the answers to a request.
    pub(super) fn answers(catalogs: &Catalogs, received: &Received<'_>) -> Self {
        let (by, message) = (received.by(), received.message());
        Self {
            route: Arc::clone(by.route()),
            tools: by.admission().tools.clone(),
            method: Some(message.method),
            continues: message.continues,
            catalogs: catalogs.clone(),
        }
    }

    /// For a stream that answers no request (legacy GET).
    pub(super) fn stream(catalogs: &Catalogs, by: &Authenticated) -> Self {
        Self {
            route: Arc::clone(by.route()),
            tools: by.admission().tools.clone(),
            method: None,
            continues: false,
            catalogs: catalogs.clone(),
        }
    }

    /// Whether an answer that is no stream must be read whole. Where not, its bytes may pass as they come.
    pub(super) fn must_read(&self) -> bool {
        self.method.is_some_and(|method| self.changes(method) || self.learns(method).is_some())
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// When it is a list that cannot be read: it must not pass.
    pub(super) fn answer(&self, message: &[u8]) -> Result<Curated, Unreadable> {
        let Some(method) = self.method else { return self.replayed(message) };
        let learns = self.learns(method);
        match method.list() {
            Some(shape) if self.changes(method) || learns.is_some() => {
                let list = List::parse(message, shape)?;
                if let (Some(part), Some(items)) = (learns, list.items()) {
                    self.catalogs.learn(&self.route.origin, part, items, self.continues);
                }
                self.curate(method, &list, message)
            }
            shape => {
                if let (None, Some(part)) = (shape, learns) {
                    self.learn_hello(part, message);
                }
                Ok(Curated::unchanged(message))
            }
        }
    }

    fn replayed(&self, message: &[u8]) -> Result<Curated, Unreadable> {
        for method in
            [Method::ToolsList, Method::PromptsList, Method::ResourcesList, Method::ResourceTemplatesList]
        {
            let Some(shape) = method.list() else { continue };
            let list = List::parse(message, shape)?;
            if list.items().is_some() {
                return self.curate(method, &list, message);
            }
        }
        Ok(Curated::unchanged(message))
    }

    fn curate(&self, method: Method, list: &List<'_>, message: &[u8]) -> Result<Curated, Unreadable> {
        if list.items().is_none() {
            return Ok(Curated::unchanged(message));
        }
        // Tools differ by team; who may see which must not be cached for others.
        let personal = method == Method::ToolsList && !self.tools.is_transparent();
        let changed = list.curate(personal, |item| self.decide(method, item))?;
        Ok(Curated { changed, verdict: Verdict::Success })
    }

    /// Whether a message that the origin sends of its own may pass: an update of a resource only where that may be read.
    pub(super) fn passes(&self, message: &Streamed<'_>) -> bool {
        if message.method.as_deref() != Some("notifications/resources/updated") {
            return true;
        }
        let Some(uri) = message.params.as_ref().and_then(|params| params.uri.as_deref()) else {
            return false;
        };
        let templates = self.catalogs.templates(&self.route.origin);
        self.route.curation.readable(uri, templates.iter().map(AsRef::as_ref))
    }

    /// What becomes of one item of a list.
    pub(super) fn decide(&self, method: Method, item: &Item<'_>) -> Decision {
        let rules = self.rules(method);
        let Some(exposed) = rules.exposed(&item.key) else { return Decision::Hide };
        if method == Method::ToolsList && !self.tools.allow(exposed) {
            return Decision::Hide;
        }
        let Some(change) = rules.override_of(&item.key) else { return Decision::Keep };
        // An item that cannot be presented as configured is not presented at all.
        let Ok(mut members) = Members::parse(item.json) else { return Decision::Hide };
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
        Decision::Replace(members.to_json())
    }

    fn rules(&self, method: Method) -> &KindRules {
        let curation = &self.route.curation;
        match method {
            Method::PromptsList => &curation.prompts,
            Method::ResourcesList => &curation.resources,
            Method::ResourceTemplatesList => &curation.resource_templates,
            _ => &curation.tools,
        }
    }

    fn changes(&self, method: Method) -> bool {
        method.list().is_some()
            && (!self.rules(method).is_transparent()
                || (method == Method::ToolsList && !self.tools.is_transparent()))
    }

    /// The part of the catalog that this answer would teach: templates always, since they decide what may be read; the rest
    /// where there are people without an account, or the operator cannot ask.
    fn learns(&self, method: Method) -> Option<Part> {
        let part = Part::of(method)?;
        let useful = part == Part::Templates || self.route.origin.holder() != Holder::Nobody;
        (useful && self.catalogs.wants(&self.route.origin, part)).then_some(part)
    }

    fn learn_hello(&self, part: Part, message: &[u8]) {
        #[derive(serde::Deserialize)]
        struct Answer<'a> {
            #[serde(borrow)]
            result: Option<&'a RawValue>,
        }
        if let Ok(Answer { result: Some(result) }) = serde_json::from_slice(message) {
            self.catalogs.learn(&self.route.origin, part, [result.get()], false);
        }
    }
}
