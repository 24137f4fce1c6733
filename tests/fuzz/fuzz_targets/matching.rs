//! Globs and URI templates against their plain definitions; curation's two directions against each other.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_config::Selection;
use portcullis_policy::{CapabilityRules, NameSet, expands_to};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some((pattern, name)) = text.split_once('\n') else { return };
    assert_eq!(NameSet::new([pattern]).contains(name), glob(pattern.as_bytes(), name.as_bytes()));
    let expands = expands_to(pattern, name);
    // The plain definition tries every way to divide the name, so it is asked only where these are few.
    if pattern.matches('{').count() <= 3 && name.len() < 40 {
        assert_eq!(expands, template(pattern, name));
    }
    let rules =
        CapabilityRules::new(&Selection { include: Some(vec![pattern.to_owned()]), ..Selection::default() });
    assert_eq!(rules.offers(name), NameSet::new([pattern]).contains(name));
    if let Some(exposed) = rules.exposed(name) {
        assert_eq!(rules.original(exposed).as_deref(), Some(name));
    }
});

/// Where in the name one can be after each sign of the pattern: plain, and in bounded time for any number of stars.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let mut places = vec![false; name.len() + 1];
    places[0] = true;
    for sign in pattern {
        let before = places.clone();
        let mut reached = false;
        for at in 0..places.len() {
            reached |= before[at];
            places[at] = match sign {
                b'*' => reached,
                sign => at > 0 && before[at - 1] && name[at - 1] == *sign,
            };
        }
    }
    places[name.len()]
}

fn template(template_: &str, uri: &str) -> bool {
    let Some((literal, rest)) = template_.split_once('{') else { return template_ == uri };
    let Some((expression, after)) = rest.split_once('}') else { return template_ == uri };
    let Some(uri) = uri.strip_prefix(literal) else { return false };
    let wide = expression.starts_with(['+', '#', '.', '/', ';', '?', '&']) || expression.ends_with('*');
    let reach = if wide { uri.len() } else { uri.find(['/', '?', '#']).unwrap_or(uri.len()) };
    (0..=reach).filter_map(|at| uri.get(at..)).any(|left| template(after, left))
}
