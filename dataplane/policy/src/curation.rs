//! Curation: which capabilities of an origin a route offers, and under which names.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use portcullis_config::{Capabilities, Override, ResourceUri, Selection, uri_rule_spellings};

use crate::NameSet;
use crate::uri_template::expands_to;

/// The capabilities that a route offers, and their exposed names.
#[derive(Clone, Debug, Default)]
pub struct Curation {
    /// By tool name.
    pub tools: CapabilityRules,
    /// By prompt name.
    pub prompts: CapabilityRules,
    /// By URI.
    pub resources: CapabilityRules,
    /// By URI template.
    pub resource_templates: CapabilityRules,
}

impl Curation {
    /// Compiles the capabilities of a route.
    #[must_use]
    pub fn new(capabilities: &Capabilities) -> Self {
        Self {
            tools: CapabilityRules::new(&capabilities.tools),
            prompts: CapabilityRules::new(&capabilities.prompts),
            resources: CapabilityRules::for_resources(&capabilities.resources),
            resource_templates: CapabilityRules::new(&capabilities.resource_templates),
        }
    }

    /// Whether everything is offered unchanged.
    #[must_use]
    pub fn is_passthrough(&self) -> bool {
        [&self.tools, &self.prompts, &self.resources, &self.resource_templates]
            .into_iter()
            .all(CapabilityRules::is_passthrough)
    }

    /// Whether a URI may be read: the resource rules offer it, or an offered template can expand to it.
    /// `known` are templates that the origin has listed.
    #[must_use]
    pub fn is_readable<'a>(&'a self, uri: &str, known: impl IntoIterator<Item = &'a str>) -> bool {
        if self.offers_resource(uri) {
            return true;
        }
        // A URI that is excluded by name stays hidden even if a template matches it.
        if self.permitted_forms(uri).is_none() {
            return false;
        }
        let templates = &self.resource_templates;
        templates
            .included_literals()
            .chain(known)
            .any(|template| templates.offers(template) && expands_to(template, uri))
    }

    /// Whether the resource rules offer a URI in every form in which the origin may read it.
    #[must_use]
    pub fn offers_resource(&self, uri: &str) -> bool {
        let rules = &self.resources;
        if rules.is_unrestricted() {
            return true;
        }
        let Some(forms) = self.permitted_forms(uri) else { return false };
        // A rule that names exactly this URI includes it, with its query.
        rules
            .include
            .as_ref()
            .is_none_or(|include| include.contains_literal(uri) || forms.all(|form| include.contains(form)))
    }

    /// Whether a template that the origin has not listed yet could make this URI readable.
    #[must_use]
    pub fn depends_on_templates(&self, uri: &str) -> bool {
        self.permitted_forms(uri).is_some() && self.resource_templates.may_offer_unlisted()
    }

    /// The forms of a URI, unless it is ambiguous or a rule excludes one of them.
    fn permitted_forms<'u>(&self, uri: &'u str) -> Option<ResourceUri<'u>> {
        ResourceUri::new(uri).filter(|forms| !forms.any(|form| self.resources.exclude.contains(form)))
    }
}

/// The rules of one kind of capability.
#[derive(Clone, Debug, Default)]
pub struct CapabilityRules {
    include: Option<NameSet>,
    exclude: NameSet,
    overrides: HashMap<Box<str>, Arc<Override>>,
    /// Exposed name to the origin's name.
    renamed: HashMap<Box<str>, Box<str>>,
}

impl CapabilityRules {
    /// Compiles a selection.
    #[must_use]
    pub fn new(selection: &Selection) -> Self {
        let mut rules = Self {
            include: selection.include.as_ref().map(NameSet::new),
            exclude: NameSet::new(&selection.exclude),
            ..Self::default()
        };
        for item in &selection.overrides {
            if let Some(exposed) = &item.exposed {
                rules.renamed.insert(exposed.as_str().into(), item.name.as_str().into());
            }
            rules.overrides.insert(item.name.as_str().into(), Arc::new(item.clone()));
        }
        rules
    }

    /// Compiles the selection of resources. What it excludes is hidden in every spelling.
    #[must_use]
    pub fn for_resources(selection: &Selection) -> Self {
        let exclude = selection.exclude.iter().flat_map(|rule| uri_rule_spellings(rule));
        Self { exclude: NameSet::new(exclude), ..Self::new(selection) }
    }

    /// Whether everything is offered unchanged: lists need no rewriting.
    #[must_use]
    pub fn is_passthrough(&self) -> bool {
        self.is_unrestricted() && self.overrides.is_empty()
    }

    /// Whether every name is offered.
    fn is_unrestricted(&self) -> bool {
        self.include.is_none() && self.exclude == NameSet::default()
    }

    /// Whether an item with this name at the origin is offered.
    #[must_use]
    pub fn offers(&self, name: &str) -> bool {
        self.include.as_ref().is_none_or(|include| include.contains(name)) && !self.exclude.contains(name)
    }

    /// The name that clients see for an item of the origin; `None` if it is hidden.
    #[must_use]
    pub fn exposed<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        if !self.offers(name) {
            return None;
        }
        if let Some(exposed) = self.overrides.get(name).and_then(|item| item.exposed.as_deref()) {
            return Some(exposed);
        }
        // Another item is renamed to this name. Two items with one name would be ambiguous, and the rename is
        // explicit.
        (!self.renamed.contains_key(name)).then_some(name)
    }

    /// The origin's name of the item that clients see as `exposed`, if it is offered.
    #[must_use]
    pub fn original<'a>(&'a self, exposed: &'a str) -> Option<Cow<'a, str>> {
        let name = self.renamed.get(exposed).map_or(exposed, AsRef::as_ref);
        (self.exposed(name) == Some(exposed)).then_some(Cow::Borrowed(name))
    }

    /// The override of an item.
    #[must_use]
    pub fn override_of(&self, name: &str) -> Option<&Override> {
        self.overrides.get(name).map(AsRef::as_ref)
    }

    /// Whether the rules can offer a name that they do not contain.
    fn may_offer_unlisted(&self) -> bool {
        self.include.as_ref().is_none_or(NameSet::has_globs)
    }

    /// Included names without a glob.
    pub fn included_literals(&self) -> impl Iterator<Item = &str> {
        self.include.iter().flat_map(NameSet::literals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(include: Option<&[&str]>, exclude: &[&str], renames: &[(&str, &str)]) -> CapabilityRules {
        CapabilityRules::new(&selection(include, exclude, renames))
    }

    fn selection(include: Option<&[&str]>, exclude: &[&str], renames: &[(&str, &str)]) -> Selection {
        let strings = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        Selection {
            include: include.map(strings),
            exclude: strings(exclude),
            overrides: renames
                .iter()
                .map(|(name, exposed)| Override {
                    name: (*name).to_owned(),
                    exposed: Some((*exposed).to_owned()),
                    ..Override::default()
                })
                .collect(),
        }
    }

    #[test]
    fn given_no_include_then_all_is_offered_and_given_an_empty_one_then_nothing() {
        assert_eq!(rules(None, &[], &[]).exposed("x"), Some("x"));
        assert_eq!(rules(Some(&[]), &[], &[]).exposed("x"), None);
    }

    #[test]
    fn given_a_name_both_included_and_excluded_then_exclude_wins() {
        let rules = rules(Some(&["delete_*"]), &["delete_all"], &[]);
        assert_eq!(rules.original("delete_one").as_deref(), Some("delete_one"));
        assert_eq!(rules.original("delete_all"), None);
    }

    #[test]
    fn given_a_rename_then_only_the_new_name_works_and_it_shadows_an_origins_own() {
        let rules = rules(None, &[], &[("get_issue", "issue")]);
        assert_eq!(rules.exposed("get_issue"), Some("issue"));
        assert_eq!(rules.original("issue").as_deref(), Some("get_issue"));
        assert_eq!(rules.original("get_issue"), None);
        assert_eq!(rules.exposed("issue"), None);
    }

    #[test]
    fn given_a_renamed_tool_that_is_excluded_then_neither_name_works() {
        let rules = rules(None, &["get_issue"], &[("get_issue", "issue")]);
        assert_eq!(rules.original("issue"), None);
        assert_eq!(rules.original("get_issue"), None);
    }

    #[test]
    fn given_an_override_then_only_its_own_item_has_it() {
        let rules = rules(None, &[], &[("get_issue", "issue")]);
        let changed = rules.override_of("get_issue").unwrap();
        assert_eq!((&*changed.name, changed.exposed.as_deref()), ("get_issue", Some("issue")));
        assert_eq!(rules.override_of("issue"), None, "overrides are found by the name at the origin");
    }

    #[test]
    fn given_rules_of_any_kind_then_a_curation_with_them_is_no_passthrough() {
        assert!(Curation::new(&Capabilities::default()).is_passthrough());
        let narrow = [
            selection(Some(&["*"]), &[], &[]),
            selection(None, &["x"], &[]),
            selection(None, &["x*"], &[]),
            selection(None, &[], &[("x", "y")]),
        ];
        for rules in narrow {
            let of_kind = |kind: usize| {
                let mut capabilities = Capabilities::default();
                let Capabilities { tools, prompts, resources, resource_templates } = &mut capabilities;
                *[tools, prompts, resources, resource_templates][kind] = rules.clone();
                capabilities
            };
            for kind in 0..4 {
                assert!(!Curation::new(&of_kind(kind)).is_passthrough(), "{:?}", of_kind(kind));
            }
        }
    }

    fn resources(include: Option<&[&str]>, exclude: &[&str]) -> Curation {
        Curation {
            resources: CapabilityRules::for_resources(&selection(include, exclude, &[])),
            resource_templates: rules(Some(&[]), &[], &[]),
            ..Curation::default()
        }
    }

    #[test]
    fn given_an_excluded_uri_then_no_spelling_of_it_is_readable() {
        let curation = resources(None, &["docs://team/private"]);
        for uri in [
            "docs://team/private",
            "docs://team/x/../private",
            "docs://team/./private",
            "docs://team/%70rivate",
            "docs://team/%2e/private",
            "docs://te%61m/privat%65",
            "DOCS://TEAM/private",
            "docs://team:/private",
            "docs://team//private",
            "docs://team/private/",
            "docs://team/private?x=1",
            "docs://team/%70rivate#x",
            "docs://team/private?",
            "docs://team\\private",
            " docs://team/private",
            "docs://team/pri\tvate",
            "docs://team/%252e%252e/private",
        ] {
            assert!(!curation.is_readable(uri, ["docs://{+any}"]), "{uri}");
            assert!(!curation.offers_resource(uri), "{uri}");
            assert!(!curation.depends_on_templates(uri), "{uri}");
        }
        for uri in ["docs://team/public", "docs://team/privately", "docs://team/Private", "docs://team/größe"]
        {
            assert!(curation.offers_resource(uri), "{uri}");
        }
    }

    #[test]
    fn given_an_excluded_uri_in_any_spelling_then_what_readers_of_urls_take_for_it_is_hidden() {
        for (excluded, uri) in [
            // A reader of the URL standard changes the case of the scheme alone.
            ("docs://Team/private", "DOCS://Team/private"),
            ("docs://Team/private", "docs://team/private"),
            ("docs://team/a:b", "docs://team/a%3Ab"),
            ("docs://team/a%3Ab", "docs://team/a:b"),
            ("docs://team/private", "docs://team/private%3Fx"),
            ("file:///srv/private", "file:/srv/private"),
            ("file:///srv/private", "file://localhost/srv/private"),
            ("http://127.0.0.1/private", "http://0x7f.1/private"),
            ("http://team.example/*", "http:/team.example/private"),
            ("http://team.example/*", "http:team.example/private"),
        ] {
            let curation = resources(None, &[excluded]);
            assert!(!curation.is_readable(uri, ["{+any}"]), "{excluded} {uri}");
            assert!(curation.offers_resource("docs://team/public"), "{excluded}");
        }
    }

    #[test]
    fn given_included_uris_then_only_what_every_reader_finds_among_them_is_readable() {
        let curation = resources(Some(&["docs://team/public/*", "docs://team/search?all"]), &[]);
        for uri in [
            "docs://team/public/a",
            "docs://team/public/a?x=1#y",
            "docs://team/public/ä",
            "docs://team/search?all",
        ] {
            assert!(curation.offers_resource(uri), "{uri}");
        }
        for uri in [
            "docs://team/public/../private",
            "docs://team/public/..%2fprivate",
            "docs://team/public/..\\private",
            "docs://team/public?/../private",
            "docs://team/private?docs://team/public/x",
            "docs://team/private#docs://team/public/x",
            "docs://team/search",
            "docs://team/search?all&more",
        ] {
            assert!(!curation.is_readable(uri, []), "{uri}");
        }
        let curation = resources(Some(&["*public*"]), &[]);
        for uri in ["docs://team/private?public", "docs://team/private#public"] {
            assert!(!curation.is_readable(uri, []), "{uri}");
        }
    }

    #[test]
    fn given_no_resource_rule_then_any_uri_is_readable() {
        let curation = Curation::default();
        for uri in ["docs://team/x/../y", "a b", ""] {
            assert!(curation.is_readable(uri, []), "{uri}");
        }
    }

    #[test]
    fn given_templates_then_a_uri_is_readable_only_through_one_that_is_offered() {
        let curation = Curation {
            resources: rules(Some(&["demo://a"]), &["demo://res/9"], &[]),
            resource_templates: rules(None, &["secret://{id}"], &[]),
            ..Curation::default()
        };
        let known = ["demo://res/{id}", "secret://{id}"];
        assert!(curation.is_readable("demo://a", known));
        assert!(curation.is_readable("demo://res/7", known));
        assert!(!curation.is_readable("demo://res/9", known));
        assert!(!curation.is_readable("secret://7", known));
        assert!(!curation.is_readable("demo://res/7", []));
    }

    /// Otherwise the gateway would list the templates of an origin although none of them could matter.
    #[test]
    fn given_template_rules_then_only_open_ones_depend_on_unlisted_templates() {
        for (include, depends) in [
            (None, true),
            (Some(&["demo://*"][..]), true),
            (Some(&["demo://res/{id}", "demo://*"]), true),
            (Some(&["demo://res/{id}"]), false),
            (Some(&[]), false),
        ] {
            let curation = Curation {
                resources: rules(Some(&[]), &["demo://res/9"], &[]),
                resource_templates: rules(include, &[], &[]),
                ..Curation::default()
            };
            assert_eq!(curation.depends_on_templates("demo://res/7"), depends, "{include:?}");
            assert!(!curation.depends_on_templates("demo://res/9"), "excluded, {include:?}");
        }
    }
}
