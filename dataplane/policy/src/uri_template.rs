//! Matching of URIs with URI templates (RFC 6570).

/// Maximum length of a URI and of a template, in bytes.
const MAX_LEN: usize = 8 * 1024;
/// Maximum number of expressions in a template.
const MAX_EXPRESSIONS: usize = 16;

/// Whether a URI template (RFC 6570) can expand to a URI.
///
/// A simple expression (`{id}`) matches any text without `/`, `?` and `#`. An expression with an operator
/// (`{+path}`, `{/path*}`, `{?query*}`, …) matches any text. This accepts slightly more than the expansion of
/// RFC 6570, never less, except for URIs and templates above the limits, which never match.
///
/// An origin chooses the template and a client the URI, so the time is bounded: one pass over the URI for
/// each part of the template.
#[must_use]
pub fn expands_to(template: &str, uri: &str) -> bool {
    if template.len() > MAX_LEN || uri.len() > MAX_LEN {
        return false;
    }
    // Positions in the URI that the parts so far can reach.
    let mut places = vec![false; uri.len() + 1];
    if let Some(start) = places.first_mut() {
        *start = true;
    }
    let mut rest = template;
    let mut expressions = 0;
    while let Some((literal, inside)) = rest.split_once('{') {
        // A brace without a closing brace is literal text.
        let Some((expression, after)) = inside.split_once('}') else { break };
        places = after_literal(&places, literal, uri);
        expressions += 1;
        if expressions > MAX_EXPRESSIONS || !places.contains(&true) {
            return false;
        }
        let wide = expression.starts_with(['+', '#', '.', '/', ';', '?', '&']) || expression.ends_with('*');
        after_expression(&mut places, wide, uri);
        rest = after;
    }
    after_literal(&places, rest, uri).last().is_some_and(|end| *end)
}

fn after_literal(places: &[bool], literal: &str, uri: &str) -> Vec<bool> {
    let mut next = vec![false; places.len()];
    for (at, _) in places.iter().enumerate().filter(|(_, here)| **here) {
        if uri.as_bytes().get(at..).is_some_and(|left| left.starts_with(literal.as_bytes()))
            && let Some(there) = next.get_mut(at + literal.len())
        {
            *there = true;
        }
    }
    next
}

fn after_expression(places: &mut [bool], wide: bool, uri: &str) {
    let mut reached = false;
    for (at, here) in places.iter_mut().enumerate() {
        let before = at.checked_sub(1).and_then(|before| uri.as_bytes().get(before));
        let crossed = wide || !before.is_some_and(|byte| matches!(byte, b'/' | b'?' | b'#'));
        reached = *here || (reached && crossed);
        *here = reached;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{MAX_EXPRESSIONS, MAX_LEN, expands_to};

    /// Reference implementation.
    fn reference(template: &str, uri: &str) -> bool {
        let Some((literal, rest)) = template.split_once('{') else { return template == uri };
        let Some((expression, after)) = rest.split_once('}') else { return template == uri };
        let Some(uri) = uri.strip_prefix(literal) else { return false };
        let wide = expression.starts_with(['+', '#', '.', '/', ';', '?', '&']) || expression.ends_with('*');
        let reach = if wide { uri.len() } else { uri.find(['/', '?', '#']).unwrap_or(uri.len()) };
        (0..=reach).filter_map(|at| uri.get(at..)).any(|left| reference(after, left))
    }

    proptest! {
        #[test]
        fn given_any_template_when_held_against_a_uri_then_it_agrees_with_the_definition(
            template in "(a|b|/|é|\\{|\\}|\\{x\\}|\\{\\+x\\}|\\{x\\*\\}){0,7}", uri in "[ab/?é{}]{0,8}",
        ) {
            prop_assert_eq!(expands_to(&template, &uri), reference(&template, &uri), "{} {}", template, uri);
        }
    }

    /// A backtracking implementation would not terminate in practice: a template of an origin could block a
    /// worker.
    #[test]
    fn given_a_template_of_many_expressions_when_held_against_a_long_uri_then_there_is_an_answer() {
        let uri = "a".repeat(8_000);
        assert!(!expands_to(&format!("{}x", "{+a}".repeat(16)), &uri));
        assert!(!expands_to(&format!("{}x", "{+a}".repeat(2_000)), &uri));
        assert!(expands_to(&"{a}".repeat(16), &uri));
    }

    #[test]
    fn given_a_uri_above_the_length_limit_then_it_never_matches() {
        let uri = |length: usize| "a".repeat(length);
        for length in [MAX_LEN - 1, MAX_LEN] {
            assert!(expands_to("{id}", &uri(length)), "{length}");
        }
        for length in [MAX_LEN + 1, MAX_LEN + 2] {
            assert!(!expands_to("{id}", &uri(length)), "{length}");
        }
    }

    #[test]
    fn given_a_template_above_the_length_limit_then_it_never_matches() {
        let template = |length: usize| format!("{{{}}}", "n".repeat(length - "{}".len()));
        for length in [MAX_LEN - 1, MAX_LEN] {
            assert!(expands_to(&template(length), "7"), "{length}");
        }
        for length in [MAX_LEN + 1, MAX_LEN + 2] {
            assert!(!expands_to(&template(length), "7"), "{length}");
        }
    }

    #[test]
    fn given_a_template_with_too_many_expressions_then_it_never_matches() {
        assert!(expands_to(&"{a}".repeat(MAX_EXPRESSIONS), "7"));
        assert!(!expands_to(&"{a}".repeat(MAX_EXPRESSIONS + 1), "7"));
    }

    #[test]
    fn given_templates_when_held_against_uris_then_only_possible_expansions_match() {
        for (template, uri) in [
            ("demo://res/{id}", "demo://res/7"),
            ("demo://{a}/x/{b}", "demo://1/x/2"),
            ("file:///{+path}", "file:///a/b/c"),
            ("demo://list{?page,size}", "demo://list?page=1&size=2"),
            ("demo://fixed", "demo://fixed"),
        ] {
            assert!(expands_to(template, uri), "{template} {uri}");
        }
        for (template, uri) in [
            ("demo://res/{id}", "demo://res/7/secret"),
            ("demo://res/{id}", "demo://other/7"),
            ("demo://{a}/x/{b}", "demo://1/y/2"),
            ("demo://fixed", "demo://fixed/more"),
            ("demo://{unclosed", "demo://1"),
        ] {
            assert!(!expands_to(template, uri), "{template} {uri}");
        }
    }
}
