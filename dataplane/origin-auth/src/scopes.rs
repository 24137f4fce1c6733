//! Operations on sets of scopes, which keep their order (RFC 6749 section 3.3).

use std::collections::HashSet;

/// All scopes, without duplicates.
pub(crate) fn union<'a>(lists: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut seen = HashSet::new();
    let scopes = lists.into_iter().flat_map(str::split_ascii_whitespace).filter(|scope| seen.insert(*scope));
    scopes.map(str::to_owned).collect()
}

/// Scopes of `list` that `from` does not contain.
pub(crate) fn missing(list: &str, from: &str) -> Vec<String> {
    let there: HashSet<_> = from.split_ascii_whitespace().collect();
    union(list.split_ascii_whitespace().filter(|scope| !there.contains(scope)))
}

/// Scopes of `list` that `with` contains too.
pub(crate) fn common(list: &str, with: &str) -> Vec<String> {
    let there: HashSet<_> = with.split_ascii_whitespace().collect();
    union(list.split_ascii_whitespace().filter(|scope| there.contains(scope)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Step-up requests the union: no granted scope is lost, none is repeated, none is added.
        #[test]
        fn given_any_scopes_then_their_set_is_the_same_in_their_order_and_each_is_there_once(
            scopes in proptest::collection::vec("[ab:*]{1,2}", 0..8),
        ) {
            let kept = union(scopes.iter().map(String::as_str));
            prop_assert!(scopes.iter().all(|scope| kept.contains(scope)));
            let mut left = scopes.iter();
            prop_assert!(kept.iter().all(|scope| left.any(|each| each == scope)));
            prop_assert!(kept.iter().enumerate().all(|(at, scope)| !kept[..at].contains(scope)));
        }

        #[test]
        fn given_two_lists_then_what_is_missing_makes_the_one_from_the_other(one in "([ab:]{1,2} ){0,6}", other in "([ab:]{1,2} ){0,6}") {
            let missing = missing(&one, &other);
            prop_assert!(missing.iter().all(|scope| !union([other.as_str()]).contains(scope)));
            let common = common(&one, &other);
            prop_assert!(common.iter().all(|scope| !missing.contains(scope)));
            prop_assert_eq!(common.len() + missing.len(), union([one.as_str()]).len());
            let joined = missing.join(" ");
            prop_assert!(union([one.as_str()]).iter().all(|scope| union([other.as_str(), &joined]).contains(scope)));
        }
    }
}
