//! JSON as a tree of raw tokens. Keys may repeat, and tokens need not be valid.

/// A value.
#[derive(Clone, Debug)]
pub enum Node {
    /// A token, written as it is: a string with its quotes, a number, anything.
    Token(String),
    /// An array.
    Array(Vec<Node>),
    /// Members: raw key, value.
    Object(Vec<(String, Node)>),
}

impl Node {
    /// A string.
    pub fn string(text: &str) -> Self {
        Self::Token(serde_json::Value::from(text).to_string())
    }

    /// Parses a message; `None` if it is not JSON.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let mut parser = Parser { text, at: 0 };
        let node = parser.value(0)?;
        parser.skip_space();
        (parser.at == text.len()).then_some(node)
    }

    /// Appends the JSON text.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Token(token) => out.extend_from_slice(token.as_bytes()),
            Self::Array(items) => {
                out.push(b'[');
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            Self::Object(members) => {
                out.push(b'{');
                for (place, (key, value)) in members.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(key.as_bytes());
                    out.push(b':');
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }

    /// The JSON text.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// How many nodes there are, this one included.
    pub fn count(&self) -> usize {
        1 + match self {
            Self::Token(_) => 0,
            Self::Array(items) => items.iter().map(Self::count).sum::<usize>(),
            Self::Object(members) => members.iter().map(|(_, value)| value.count()).sum::<usize>(),
        }
    }

    /// The node at a place in depth-first order, this one at 0.
    pub fn node(&mut self, place: usize) -> Option<&mut Self> {
        if place == 0 {
            return Some(self);
        }
        let mut left = place - 1;
        let children: Vec<&mut Self> = match self {
            Self::Token(_) => Vec::new(),
            Self::Array(items) => items.iter_mut().collect(),
            Self::Object(members) => members.iter_mut().map(|(_, value)| value).collect(),
        };
        for child in children {
            let count = child.count();
            if left < count {
                return child.node(left);
            }
            left -= count;
        }
        None
    }
}

const MAX_DEPTH: usize = 200;

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    fn next(&mut self, expected: char) -> Option<()> {
        self.skip_space();
        self.text[self.at..].starts_with(expected).then(|| self.at += expected.len_utf8())
    }

    fn value(&mut self, depth: usize) -> Option<Node> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.skip_space();
        match self.text[self.at..].chars().next()? {
            '{' => self.object(depth),
            '[' => self.array(depth),
            _ => self.token().map(Node::Token),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Node> {
        self.next('{')?;
        let mut members = Vec::new();
        if self.next('}').is_some() {
            return Some(Node::Object(members));
        }
        loop {
            self.skip_space();
            let key = self.token()?;
            self.next(':')?;
            members.push((key, self.value(depth + 1)?));
            if self.next('}').is_some() {
                return Some(Node::Object(members));
            }
            self.next(',')?;
        }
    }

    fn array(&mut self, depth: usize) -> Option<Node> {
        self.next('[')?;
        let mut items = Vec::new();
        if self.next(']').is_some() {
            return Some(Node::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.next(']').is_some() {
                return Some(Node::Array(items));
            }
            self.next(',')?;
        }
    }

    fn token(&mut self) -> Option<String> {
        let rest = &self.text[self.at..];
        let end = match rest.strip_prefix('"') {
            Some(inner) => {
                let mut escaped = false;
                let closing = inner.find(|character| {
                    let end = character == '"' && !escaped;
                    escaped = character == '\\' && !escaped;
                    end
                })?;
                closing + 2
            }
            None => rest.find([',', ':', ']', '}', ' ', '\t', '\r', '\n', '"']).unwrap_or(rest.len()),
        };
        if end == 0 {
            return None;
        }
        self.at += end;
        Some(rest[..end].to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_json_with_repeated_keys_then_it_is_written_as_it_was() {
        let text = r#"{"a":[1,{"a":"\"}"},[]],"a":{},"é":null}"#;
        assert_eq!(Node::parse(text.as_bytes()).unwrap().bytes(), text.as_bytes());
        assert!(Node::parse(b"{\"a\":1").is_none());
        assert!(Node::parse(b"[1]x").is_none());
    }

    #[test]
    fn given_a_place_then_each_node_is_found_once() {
        let mut node = Node::parse(br#"{"a":[1,2],"b":3}"#).unwrap();
        assert_eq!(node.count(), 5);
        let found: Vec<_> = (0..5).map(|place| node.node(place).unwrap().bytes()).collect();
        assert_eq!(found[1..], [&b"[1,2]"[..], b"1", b"2", b"3"]);
        assert!(node.node(5).is_none());
    }
}
