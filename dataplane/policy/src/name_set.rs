//! Sets of names and globs.

use std::collections::HashSet;

/// A set of names and globs. `*` matches any sequence of characters, including `/`. No other character is
/// special: URIs and URI templates contain most characters that richer globs use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameSet {
    literal: HashSet<Box<str>>,
    globs: Vec<Glob>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Glob {
    prefix: Box<str>,
    middle: Vec<Box<str>>,
    suffix: Box<str>,
}

impl NameSet {
    /// Builds a set from names and globs.
    #[must_use]
    pub fn new(patterns: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut set = Self::default();
        for pattern in patterns {
            match Glob::parse(pattern.as_ref()) {
                Some(glob) => set.globs.push(glob),
                None => {
                    set.literal.insert(pattern.as_ref().into());
                }
            }
        }
        set
    }

    /// Whether the set contains the name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.literal.contains(name) || self.globs.iter().any(|glob| glob.matches(name))
    }

    /// Whether the set contains this name other than through a glob.
    #[must_use]
    pub fn contains_literal(&self, name: &str) -> bool {
        self.literal.contains(name)
    }

    /// Whether the set contains globs.
    #[must_use]
    pub fn has_globs(&self) -> bool {
        !self.globs.is_empty()
    }

    /// The names without a glob.
    pub fn literals(&self) -> impl Iterator<Item = &str> {
        self.literal.iter().map(AsRef::as_ref)
    }
}

impl Glob {
    fn parse(pattern: &str) -> Option<Self> {
        let (prefix, rest) = pattern.split_once('*')?;
        let (middle, suffix) = rest.rsplit_once('*').unwrap_or(("", rest));
        let middle = middle.split('*').filter(|part| !part.is_empty()).map(Into::into).collect();
        Some(Self { prefix: prefix.into(), middle, suffix: suffix.into() })
    }

    fn matches(&self, name: &str) -> bool {
        // Fast path: most globs of a set fail at the first byte, and `strip_prefix` is a function call.
        if let (Some(wanted), Some(first)) = (self.prefix.as_bytes().first(), name.as_bytes().first())
            && wanted != first
        {
            return false;
        }
        let Some(rest) = name.strip_prefix(&*self.prefix) else { return false };
        let Some(mut rest) = rest.strip_suffix(&*self.suffix) else { return false };
        // The first match of each part is sufficient because the parts are separated only by stars.
        for part in &self.middle {
            let Some(at) = rest.find(&**part) else { return false };
            rest = rest.get(at + part.len()..).unwrap_or_default();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn given_globs_when_matched_then_a_star_crosses_slashes_and_nothing_else_is_special() {
        let set = NameSet::new(["get_issue", "list_*", "file:///{path}", "*://a*b*c", "**"].iter().take(4));
        for name in ["get_issue", "list_", "list_a/b", "file:///{path}", "x://a/b/c", "x://abbc"] {
            assert!(set.contains(name), "{name}");
        }
        for name in ["get_issue2", "xlist_a", "file:///etc", "x://acb", "get.issue", ""] {
            assert!(!set.contains(name), "{name}");
        }
    }

    #[test]
    fn given_names_and_globs_when_in_one_set_then_literals_are_the_names_alone() {
        let set = NameSet::new(["get_issue", "list_*"]);
        assert!(set.has_globs() && set.contains("list_all"));
        assert!(set.contains_literal("get_issue") && !set.contains_literal("list_all"));
        assert_eq!(set.literals().collect::<Vec<_>>(), ["get_issue"]);
        assert!(!NameSet::new(["get_issue"]).has_globs() && !NameSet::default().has_globs());
    }

    #[test]
    fn given_a_glob_with_several_parts_then_each_needs_its_own_place_in_the_name() {
        for (pattern, name, matches) in [
            ("*ab*ab*", "abab", true),
            ("*ab*ab*", "xab.abx", true),
            ("*ab*ab*", "ab", false),
            ("*ab*ab*", "xaab", false),
            ("*ab*ba*", "aba", false),
            ("*b*b*", "ab", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(NameSet::new([pattern]).contains(name), matches, "{pattern} {name}");
        }
    }

    /// Reference implementation.
    fn reference(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|at| reference(rest, &name[at..])),
            Some((c, rest)) => name.first() == Some(c) && reference(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn given_any_pattern_when_matched_then_it_agrees_with_the_definition(pattern in "[ab*]{0,8}", name in "[ab]{0,10}") {
            prop_assert_eq!(
                NameSet::new([&pattern]).contains(&name),
                reference(pattern.as_bytes(), name.as_bytes())
            );
        }
    }
}
