//! Compiles and checks selections: include, exclude and overrides.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_config::{Annotations, Override, Selection, is_ambiguous_uri, normalize_uri};
use portcullis_crds::values::{
    PromptSelection, ResourceSelection, ToolAnnotations, ToolSelection, VisibleTools,
};
use serde_json::Value;

use super::diagnostics::ResourceDiagnostics;

/// Maximum length of a tool name that all clients accept. Some clients prepend the server's name and reject
/// longer names.
const MAX_PORTABLE_NAME_LEN: usize = 60;

/// Whether a pattern matches a name. `*` matches any number of characters; all other characters match
/// themselves.
pub(super) fn glob_matches(pattern: &str, name: &str) -> bool {
    let Some((prefix, rest)) = pattern.split_once('*') else { return pattern == name };
    let (middle, suffix) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(name) = name.strip_prefix(prefix) else { return false };
    let Some(mut name) = name.strip_suffix(suffix) else { return false };
    // The first match of each part is enough, because only stars separate the parts.
    for part in middle.split('*').filter(|part| !part.is_empty()) {
        let Some((_, after)) = name.split_once(part) else { return false };
        name = after;
    }
    true
}

pub(super) fn tools(selection: ToolSelection) -> Selection {
    let overrides = selection.overrides.into_iter().map(|item| Override {
        name: item.name,
        exposed: item.exposed,
        title: item.title,
        description: item.description,
        annotations: item.annotations.map(annotations).unwrap_or_default(),
    });
    Selection { include: selection.include, exclude: selection.exclude, overrides: overrides.collect() }
}

pub(super) fn prompts(selection: PromptSelection) -> Selection {
    let overrides = selection.overrides.into_iter().map(|item| Override {
        name: item.name,
        exposed: item.exposed,
        title: item.title,
        description: item.description,
        annotations: Annotations::new(),
    });
    Selection { include: selection.include, exclude: selection.exclude, overrides: overrides.collect() }
}

pub(super) fn resources(selection: ResourceSelection) -> Selection {
    let overrides = selection.overrides.into_iter().map(|item| Override {
        name: item.name,
        title: item.title,
        description: item.description,
        ..Override::default()
    });
    Selection { include: selection.include, exclude: selection.exclude, overrides: overrides.collect() }
}

pub(super) fn visible(tools: VisibleTools) -> Selection {
    Selection { include: tools.include, exclude: tools.exclude, overrides: Vec::new() }
}

fn annotations(annotations: ToolAnnotations) -> Annotations {
    let hints = [
        ("readOnlyHint", annotations.read_only_hint),
        ("destructiveHint", annotations.destructive_hint),
        ("idempotentHint", annotations.idempotent_hint),
        ("openWorldHint", annotations.open_world_hint),
    ];
    let hints = hints.into_iter().filter_map(|(name, hint)| Some((name.to_owned(), Value::Bool(hint?))));
    hints.chain(annotations.title.map(|title| ("title".to_owned(), Value::String(title)))).collect()
}

/// Whether the selection offers nothing.
pub(super) fn is_empty(selection: &Selection) -> bool {
    selection.include.as_ref().is_some_and(Vec::is_empty)
}

fn is_offered(selection: &Selection, name: &str) -> bool {
    let any = |patterns: &[String]| patterns.iter().any(|pattern| glob_matches(pattern, name));
    selection.include.as_deref().is_none_or(any) && !any(&selection.exclude)
}

/// Checks a selection on its own, without the origin's catalog.
pub(super) fn check(diagnostics: &mut ResourceDiagnostics, field: &str, selection: &Selection) {
    check_names(diagnostics, &format!("{field}.include"), selection.include.as_deref().unwrap_or_default());
    check_names(diagnostics, &format!("{field}.exclude"), &selection.exclude);
    for (index, pattern) in selection.include.iter().flatten().enumerate() {
        if selection.exclude.iter().any(|excluded| excluded == pattern || glob_matches(excluded, pattern)) {
            let message = format!(
                "'{pattern}' is also excluded, and exclude wins; remove it from one of the two lists"
            );
            diagnostics.warning(format!("{field}.include[{index}]"), "NoEffect", message);
        }
    }
    check_overrides(diagnostics, &format!("{field}.overrides"), selection);
}

/// Warns about rules for resources that are not in normal form. URIs are compared in several forms, among them
/// the normal one, so such a rule matches less (include) than it seems.
pub(super) fn check_uris(diagnostics: &mut ResourceDiagnostics, field: &str, selection: &Selection) {
    let include = selection.include.as_deref().unwrap_or_default();
    for (list, patterns) in [("include", include), ("exclude", &selection.exclude)] {
        for (index, pattern) in patterns.iter().enumerate() {
            let normal = normalize_uri(pattern);
            if pattern.trim() != pattern || pattern.contains(char::is_control) {
                continue; // an error already
            }
            let message = if is_ambiguous_uri(pattern) {
                format!(
                    "'{pattern}' matches nothing: URIs with dot segments, '\\', or an escaped '.', '/' or '\\' are never \
                     readable under a resource rule; write the URI without them"
                )
            } else if normal != *pattern {
                format!("'{pattern}' is not in normal form (RFC 3986 section 6); write '{normal}'")
            } else {
                continue;
            };
            diagnostics.warning(format!("{field}.{list}[{index}]"), "InvalidPattern", message);
        }
    }
}

fn check_names(diagnostics: &mut ResourceDiagnostics, field: &str, names: &[String]) {
    let mut seen = BTreeSet::new();
    for (index, name) in names.iter().enumerate() {
        let field = format!("{field}[{index}]");
        if name.trim() != name || name.is_empty() || name.contains(char::is_control) {
            let message = format!(
                "'{name}' matches nothing: it is empty, or contains control characters or surrounding spaces; write only the \
                 name"
            );
            diagnostics.error(field, "InvalidPattern", message);
        } else if name.contains("**") {
            let message = format!("'{name}': a single '*' also matches '/'; write '{}'", single_stars(name));
            diagnostics.warning(field, "InvalidPattern", message);
        } else if name.contains('?') && !name.contains(':') {
            let message = format!("'{name}': '?' matches only itself; use '*' to match other characters");
            diagnostics.warning(field, "InvalidPattern", message);
        } else if !seen.insert(name) {
            diagnostics.warning(field, "Duplicate", format!("'{name}' is in this list twice; remove one"));
        }
    }
}

fn single_stars(pattern: &str) -> String {
    let mut text = pattern.to_owned();
    while text.contains("**") {
        text = text.replace("**", "*");
    }
    text
}

fn check_overrides(diagnostics: &mut ResourceDiagnostics, field: &str, selection: &Selection) {
    let mut originals = BTreeSet::new();
    for (index, item) in selection.overrides.iter().enumerate() {
        let name = &item.name;
        if name.contains('*') {
            let message = format!("'{name}' is a glob, but an override applies to one item; write its name");
            diagnostics.error(format!("{field}[{index}].name"), "InvalidPattern", message);
        } else if !originals.insert(name) {
            let message = format!("an earlier override has the same name '{name}'; merge the two");
            diagnostics.error(format!("{field}[{index}].name"), "Duplicate", message);
        } else if !is_offered(selection, name) {
            let message = format!(
                "'{name}' is not offered, so the override has no effect; include it, or remove the override"
            );
            diagnostics.warning(format!("{field}[{index}].name"), "NoEffect", message);
        }
    }
    check_renames(diagnostics, field, selection);
}

/// Checks that exposed names are unique. Otherwise a call could not select one of two items.
fn check_renames(diagnostics: &mut ResourceDiagnostics, field: &str, selection: &Selection) {
    let renamed: BTreeMap<_, _> =
        selection.overrides.iter().filter_map(|item| Some((&item.name, item.exposed.as_ref()?))).collect();
    let kept = selection.include.iter().flatten().chain(selection.overrides.iter().map(|item| &item.name));
    let kept: BTreeSet<_> = kept
        .filter(|name| !name.contains('*') && !renamed.contains_key(name) && is_offered(selection, name))
        .collect();
    let mut given: BTreeMap<&String, &String> = BTreeMap::new();
    for (index, item) in selection.overrides.iter().enumerate() {
        let Some(exposed) = &item.exposed else { continue };
        let field = format!("{field}[{index}].as");
        if let Some(other) = given.insert(exposed, &item.name) {
            let message =
                format!("the name '{exposed}' is in use: '{other}' is also renamed to it; choose another");
            diagnostics.error(field, "NameInUse", message);
        } else if kept.contains(exposed) {
            let message = format!(
                "the name '{exposed}' is in use: the origin's own '{exposed}' is also offered; rename or exclude that one, or \
                 choose another name"
            );
            diagnostics.error(field, "NameInUse", message);
        } else if exposed.len() > MAX_PORTABLE_NAME_LEN {
            let message = format!(
                "'{exposed}' has {} characters, but some clients reject more than {MAX_PORTABLE_NAME_LEN}; choose a shorter name",
                exposed.len()
            );
            diagnostics.warning(field, "LongName", message);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The compiler and the data plane must agree on what a glob is.
        #[test]
        fn given_any_pattern_when_matched_then_it_agrees_with_the_route_table(pattern in "[aä*]{0,6}", name in "[aä]{0,8}") {
            prop_assert_eq!(glob_matches(&pattern, &name), portcullis_policy::NameSet::new([&pattern]).contains(&name));
        }
    }
}
