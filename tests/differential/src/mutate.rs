//! Mutations: small changes to a message that two decoders may read differently.

use fastrand::Rng;

use crate::sample::Sample;
use crate::text;
use crate::tree::Node;
use crate::words::{BYTES, CONTENT_TYPES, HEADERS, METHODS, TOKENS};

/// A changed copy of a message, in one to four steps. `other` is a message of which parts may be taken.
pub fn mutate(rng: &mut Rng, sample: &Sample, other: &Sample) -> Sample {
    let mut changed = sample.clone();
    for _ in 0..1 + rng.u32(0..=3).min(rng.u32(0..=3)) {
        match rng.u32(0..100) {
            0..80 => change_tree(rng, &mut changed, other),
            80..91 => change_bytes(rng, &mut changed.body),
            _ => change_headers(rng, &mut changed),
        }
    }
    changed
}

fn pick<'w, T: ?Sized>(rng: &mut Rng, words: &[&'w T]) -> &'w T {
    words[rng.usize(..words.len())]
}

fn change_tree(rng: &mut Rng, sample: &mut Sample, other: &Sample) {
    let Some(mut root) = Node::parse(&sample.body) else { return change_bytes(rng, &mut sample.body) };
    let place = rng.usize(..root.count());
    let donated = rng.bool().then(|| donate(rng, &mut root, other)).flatten();
    if let Some(node) = root.node(place) {
        change_node(rng, node, donated);
    }
    if rng.u8(..) < 8 {
        set_method(rng, &mut root);
    }
    sample.body = root.bytes();
}

/// A copy of some node of this message or of another one.
fn donate(rng: &mut Rng, root: &mut Node, other: &Sample) -> Option<Node> {
    if rng.bool() {
        let place = rng.usize(..root.count());
        return root.node(place).cloned();
    }
    let mut other = Node::parse(&other.body)?;
    let place = rng.usize(..other.count());
    other.node(place).cloned()
}

fn set_method(rng: &mut Rng, root: &mut Node) {
    let Node::Object(members) = root else { return };
    if let Some((_, value)) = members.iter_mut().find(|(key, _)| key == "\"method\"") {
        *value = Node::string(pick(rng, METHODS));
    }
}

fn change_node(rng: &mut Rng, node: &mut Node, donated: Option<Node>) {
    match node {
        Node::Object(members) if !members.is_empty() || rng.bool() => change_object(rng, members, donated),
        Node::Array(items) if rng.bool() => change_array(rng, items, donated),
        Node::Token(token) if token.starts_with('"') && rng.u8(..) < 150 => {
            *token = text::change_string(rng, token)
        }
        _ => change_value(rng, node, donated),
    }
}

fn change_value(rng: &mut Rng, node: &mut Node, donated: Option<Node>) {
    *node = match rng.u32(0..8) {
        0..4 => Node::Token(pick(rng, TOKENS).to_owned()),
        4 => Node::Array(vec![node.clone()]),
        5 => Node::Object(vec![(text::some_key(rng), node.clone())]),
        6 => nested(rng, node.clone()),
        _ => donated.unwrap_or_else(|| Node::string("hidden")),
    };
}

/// The value, deep in arrays or objects.
fn nested(rng: &mut Rng, mut node: Node) -> Node {
    let depth = [3, 60, 126, 127, 128, 190][rng.usize(..6)];
    let in_arrays = rng.bool();
    for _ in 0..depth {
        node =
            if in_arrays { Node::Array(vec![node]) } else { Node::Object(vec![("\"a\"".to_owned(), node)]) };
    }
    node
}

fn change_array(rng: &mut Rng, items: &mut Vec<Node>, donated: Option<Node>) {
    match rng.u32(0..3) {
        0 if !items.is_empty() => {
            items.remove(rng.usize(..items.len()));
        }
        1 => items.push(Node::Token(pick(rng, TOKENS).to_owned())),
        _ => items.push(donated.unwrap_or_else(|| Node::string("docs://hidden"))),
    }
}

fn change_object(rng: &mut Rng, members: &mut Vec<(String, Node)>, donated: Option<Node>) {
    let some = (!members.is_empty()).then(|| rng.usize(..members.len()));
    let place = rng.usize(..=members.len());
    match (rng.u32(0..10), some) {
        // A second member that a decoder may take for the first.
        (0..4, Some(some)) => {
            let key = text::key_variant(rng, &members[some].0);
            let mut value = donated.unwrap_or_else(|| members[some].1.clone());
            if rng.bool() {
                value = hide(value);
            }
            members.insert(place, (key, value));
        }
        (4, Some(some)) => members[some].0 = text::key_variant(rng, &members[some].0),
        (5, Some(some)) => {
            members.remove(some);
        }
        (6, Some(some)) => {
            let moved = members.remove(some);
            members.insert(place.min(members.len()), moved);
        }
        (7, Some(some)) => change_value(rng, &mut members[some].1, donated),
        _ => {
            let key = text::some_key(rng);
            let value = donated.unwrap_or_else(|| Node::Token(pick(rng, TOKENS).to_owned()));
            members.insert(place, (key, value));
        }
    }
}

/// The value with other strings, so that a reader that takes it reads something else.
fn hide(value: Node) -> Node {
    match value {
        Node::Token(token) if token.contains("://") => Node::string("docs://hidden"),
        Node::Token(token) if token.starts_with('"') => Node::string("hidden"),
        Node::Token(token) => Node::Token(token),
        Node::Array(items) => Node::Array(items.into_iter().map(hide).collect()),
        Node::Object(members) => {
            Node::Object(members.into_iter().map(|(key, value)| (key, hide(value))).collect())
        }
    }
}

fn change_bytes(rng: &mut Rng, body: &mut Vec<u8>) {
    let place = match rng.u32(0..4) {
        0 => 0,
        1 => body.len(),
        // Between two tokens, more often than not.
        2 => {
            body.iter().skip(rng.usize(..=body.len())).position(|byte| b"{}[],:".contains(byte)).unwrap_or(0)
        }
        _ => rng.usize(..=body.len()),
    };
    let removed = if rng.u8(..) < 60 { (body.len() - place).min(rng.usize(0..4)) } else { 0 };
    let inserted = if rng.u8(..) < 20 { vec![rng.u8(..)] } else { pick(rng, BYTES).to_vec() };
    body.splice(place..place + removed, inserted);
}

fn change_headers(rng: &mut Rng, sample: &mut Sample) {
    match rng.u32(0..6) {
        0..3 => {
            let value = pick(rng, CONTENT_TYPES);
            sample.headers.retain(|(name, _)| name != "content-type");
            sample.headers.insert(0, ("content-type".to_owned(), value.to_owned()));
            if rng.bool() {
                text::encode_body(rng, &mut sample.body);
            }
        }
        3 => {
            let (name, value) = HEADERS[rng.usize(..HEADERS.len())];
            sample.headers.push((name.to_owned(), value.to_owned()));
        }
        4 => text::encode_body(rng, &mut sample.body),
        _ => {
            let some = rng.usize(..sample.headers.len().max(1));
            if let Some((_, value)) = sample.headers.get_mut(some) {
                text::change_plain(rng, value);
                value.retain(|character| !matches!(character, '\0' | '\r' | '\n'));
            }
        }
    }
}
