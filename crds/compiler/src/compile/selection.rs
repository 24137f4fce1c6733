use std::collections::{BTreeMap, BTreeSet};

use portcullis_config::{Annotations, Override, Selection};
use portcullis_crds::values::{
    PromptSelection, ResourceSelection, ToolAnnotations, ToolSelection, VisibleTools,
};
use serde_json::Value;

use super::diagnostics::ResourceDiagnostics;

/// Beyond this, some clients refuse a tool's name, which they extend by the server's.
const MAX_PORTABLE_NAME_LEN: usize = 60;

/// Whether a name or glob matches. `*` stands for any run of characters, nothing else is special.
pub(super) fn glob_matches(pattern: &str, name: &str) -> bool {
    let Some((prefix, rest)) = pattern.split_once('*') else { return pattern == name };
    let (middle, suffix) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(name) = name.strip_prefix(prefix) else { return false };
    let Some(mut name) = name.strip_suffix(suffix) else { return false };
    // The first place of each part is as good as any: only stars lie between them.
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

/// Whether nothing can be offered.
pub(super) fn is_empty(selection: &Selection) -> bool {
    selection.include.as_ref().is_some_and(Vec::is_empty)
}

fn is_offered(selection: &Selection, name: &str) -> bool {
    let any = |patterns: &[String]| patterns.iter().any(|pattern| glob_matches(pattern, name));
    selection.include.as_deref().is_none_or(any) && !any(&selection.exclude)
}

/// Says what is wrong with a selection by itself; whether the origin has what it names is not known here.
pub(super) fn check(diagnostics: &mut ResourceDiagnostics, field: &str, selection: &Selection) {
    check_names(diagnostics, &format!("{field}.include"), selection.include.as_deref().unwrap_or_default());
    check_names(diagnostics, &format!("{field}.exclude"), &selection.exclude);
    for (index, pattern) in selection.include.iter().flatten().enumerate() {
        if selection.exclude.iter().any(|excluded| excluded == pattern || glob_matches(excluded, pattern)) {
            let message =
                format!("'{pattern}' is excluded as well, and exclude wins; remove it from one of the two");
            diagnostics.warning(format!("{field}.include[{index}]"), "NoEffect", message);
        }
    }
    check_overrides(diagnostics, &format!("{field}.overrides"), selection);
}

fn check_names(diagnostics: &mut ResourceDiagnostics, field: &str, names: &[String]) {
    let mut seen = BTreeSet::new();
    for (index, name) in names.iter().enumerate() {
        let field = format!("{field}[{index}]");
        if name.trim() != name || name.is_empty() || name.contains(char::is_control) {
            let message =
                format!("'{name}' matches nothing: it is empty or has space around it; write the name alone");
            diagnostics.error(field, "InvalidPattern", message);
        } else if name.contains("**") {
            let message = format!("'{name}': one '*' crosses '/' already; write '{}'", single_stars(name));
            diagnostics.warning(field, "InvalidPattern", message);
        } else if name.contains('?') && !name.contains(':') {
            let message = format!("'{name}': '?' stands for itself; only '*' stands for other characters");
            diagnostics.warning(field, "InvalidPattern", message);
        } else if !seen.insert(name) {
            diagnostics.warning(field, "Duplicate", format!("'{name}' is in this list twice"));
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
            let message = format!("'{name}' is a glob, and an override is for one item; name it");
            diagnostics.error(format!("{field}[{index}].name"), "InvalidPattern", message);
        } else if !originals.insert(name) {
            let message = format!("'{name}' has an override before; join the two");
            diagnostics.error(format!("{field}[{index}].name"), "Duplicate", message);
        } else if !is_offered(selection, name) {
            let message = format!(
                "'{name}' is not offered, so that this changes nothing; include it, or remove the override"
            );
            diagnostics.warning(format!("{field}[{index}].name"), "NoEffect", message);
        }
    }
    check_renames(diagnostics, field, selection);
}

/// Two items of one name could not be told apart in a call.
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
                format!("the name '{exposed}' is in use: '{other}' is renamed to it too; choose another");
            diagnostics.error(field, "NameInUse", message);
        } else if kept.contains(exposed) {
            let message = format!(
                "the name '{exposed}' is in use: the origin's own '{exposed}' is offered under it; rename or exclude that one, \
                 or choose another name"
            );
            diagnostics.error(field, "NameInUse", message);
        } else if exposed.len() > MAX_PORTABLE_NAME_LEN {
            let message = format!(
                "'{exposed}' has {} characters; some clients refuse more than {MAX_PORTABLE_NAME_LEN}",
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
