//! Makes a message smaller, as long as a condition holds.

use crate::sample::Sample;
use crate::tree::Node;

/// Maximum number of smaller messages to try.
const MAX_TRIES: usize = 1500;

/// The smallest message found for which `holds` is true.
pub fn minimize(sample: &Sample, mut holds: impl FnMut(&Sample) -> bool) -> Sample {
    let mut best = sample.clone();
    let mut tries = 0;
    'again: loop {
        for smaller in
            smaller_headers(&best).into_iter().chain(smaller_trees(&best)).chain(smaller_bytes(&best))
        {
            tries += 1;
            if tries > MAX_TRIES {
                return best;
            }
            if holds(&smaller) {
                best = smaller;
                continue 'again;
            }
        }
        return best;
    }
}

fn smaller_headers(sample: &Sample) -> Vec<Sample> {
    if sample.has_plain_headers() {
        return Vec::new();
    }
    let mut smaller = vec![Sample::new(sample.body.clone())];
    for place in 0..sample.headers.len() {
        let mut headers = sample.headers.clone();
        headers.remove(place);
        smaller.push(Sample { headers, body: sample.body.clone() });
    }
    smaller
}

fn smaller_trees(sample: &Sample) -> Vec<Sample> {
    let Some(root) = Node::parse(&sample.body) else { return Vec::new() };
    let mut smaller = Vec::new();
    for place in 0..root.count() {
        let mut changes = vec![];
        let mut copy = root.clone();
        match copy.node(place) {
            Some(Node::Object(members)) => changes.extend((0..members.len()).map(Change::Remove)),
            Some(Node::Array(items)) => changes.extend((0..items.len()).map(Change::Remove)),
            Some(Node::Token(token)) if token.len() > 3 && token.starts_with('"') => {
                changes.push(Change::Shorten)
            }
            _ => {}
        }
        for change in changes {
            let mut copy = root.clone();
            if let Some(node) = copy.node(place) {
                change.apply(node);
            }
            smaller.push(Sample { headers: sample.headers.clone(), body: copy.bytes() });
        }
    }
    smaller
}

enum Change {
    Remove(usize),
    Shorten,
}

impl Change {
    fn apply(&self, node: &mut Node) {
        match (self, node) {
            (Self::Remove(place), Node::Object(members)) => {
                members.remove(*place);
            }
            (Self::Remove(place), Node::Array(items)) => {
                items.remove(*place);
            }
            (Self::Shorten, Node::Token(token)) => *token = "\"a\"".to_owned(),
            _ => {}
        }
    }
}

fn smaller_bytes(sample: &Sample) -> Vec<Sample> {
    let mut smaller = Vec::new();
    for size in [64, 16, 4, 1] {
        for start in (0..sample.body.len()).step_by(size) {
            let mut body = sample.body.clone();
            body.drain(start..(start + size).min(body.len()));
            smaller.push(Sample { headers: sample.headers.clone(), body });
        }
    }
    smaller
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_condition_then_what_it_does_not_need_is_removed() {
        let sample = Sample {
            headers: vec![("content-type".to_owned(), "application/json; charset=x".to_owned())],
            body: br#"{"a":{"b":[1,2,"hidden"]},"c":"long text"}"#.to_vec(),
        };
        let small = minimize(&sample, |it| it.body.windows(6).any(|part| part == b"hidden"));
        assert_eq!(small, Sample::new(b"hidden".to_vec()));
    }
}
