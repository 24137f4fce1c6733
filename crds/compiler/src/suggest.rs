//! "Did you mean" suggestions for misspelled words.

/// The candidate that is most similar to `word`, if one is similar enough.
pub(crate) fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .filter_map(|candidate| {
            Some((similarity(&word.to_lowercase(), &candidate.to_lowercase())?, candidate))
        })
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}

/// Similarity of two words; `None` if they are too different. A single typo is accepted even if it makes a
/// short word very different.
fn similarity(word: &str, candidate: &str) -> Option<f64> {
    let likeness = strsim::jaro_winkler(word, candidate);
    let one_slip = word.len() > 2 && strsim::osa_distance(word, candidate) <= 1;
    (likeness > 0.8 || one_slip).then_some(likeness)
}

/// `; did you mean 'displayName'?`, or an empty text without a similar candidate.
pub(crate) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    suggest(word, candidates).map(|meant| format!("; did you mean '{meant}'?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_slip_when_compared_then_the_word_that_was_meant_is_found() {
        let fields = ["displayName", "url", "suspend", "auth", "allowedNamespaces", "network", "limits"];
        for (slip, meant) in [
            ("displayNam", "displayName"),
            ("URL", "url"),
            ("suspended", "suspend"),
            ("limit", "limits"),
            ("ulr", "url"),
        ] {
            assert_eq!(suggest(slip, fields), Some(meant));
        }
    }

    #[test]
    fn given_something_else_when_compared_then_nothing_is_guessed() {
        assert_eq!(suggest("replicas", ["displayName", "url", "suspend"]), None);
        assert_eq!(did_you_mean("replicas", ["url"]), "");
    }
}
