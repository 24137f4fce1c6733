//! Changes to a request's body: parts of its text are replaced, everything else is copied.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// Replacements of parts of a body that do not overlap.
#[derive(Default)]
pub(super) struct BodyEdits(Vec<(Range<usize>, Vec<u8>)>);

impl BodyEdits {
    /// Replaces a byte range of the body.
    pub(super) fn replace(&mut self, span: Range<usize>, text: Vec<u8>) {
        let at = self.0.partition_point(|(other, _)| other.start < span.start);
        self.0.insert(at, (span, text));
    }

    /// The changed body.
    pub(super) fn apply(&self, body: &Bytes) -> Bytes {
        if self.0.is_empty() {
            return body.clone();
        }
        let added: usize = self.0.iter().map(|(_, text)| text.len()).sum();
        let mut out = BytesMut::with_capacity(body.len() + added);
        let mut copied = 0;
        for (span, text) in &self.0 {
            out.extend_from_slice(body.get(copied..span.start).unwrap_or_default());
            out.extend_from_slice(text);
            copied = span.end;
        }
        out.extend_from_slice(body.get(copied..).unwrap_or_default());
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_edits_in_any_order_then_each_part_is_replaced_and_the_rest_copied() {
        let body = Bytes::from_static(b"0123456789");
        let mut edits = BodyEdits::default();
        assert_eq!(edits.apply(&body), body);
        edits.replace(7..9, b"long".to_vec());
        edits.replace(0..1, Vec::new());
        edits.replace(2..4, b"x".to_vec());
        assert_eq!(edits.apply(&body), "1x456long9");
    }
}
