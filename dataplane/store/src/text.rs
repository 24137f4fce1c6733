//! Makes untrusted text suitable for both databases.

use sha2::{Digest as _, Sha256};

/// Maximum length of a part of a key, in bytes. A PostgreSQL index row is limited to about 2,700 bytes; keys
/// have up to five parts.
const MAX_KEY_LEN: usize = 512;

/// Replaces U+0000, which PostgreSQL text cannot contain.
pub(crate) fn text(value: &str) -> String {
    value.replace('\0', "\u{fffd}")
}

/// Text as part of a key: unchanged, or its digest if it is longer than [`MAX_KEY_LEN`] or contains U+0000.
pub(crate) fn key(value: &str) -> String {
    if value.len() <= MAX_KEY_LEN && !value.contains('\0') {
        return value.to_owned();
    }
    Sha256::digest(value).iter().fold(String::from("sha256:"), |digest, byte| digest + &format!("{byte:02x}"))
}

/// A pattern for `LOWER(...) LIKE ... ESCAPE '\'` that matches values that contain a text.
pub(crate) fn like_pattern(value: &str) -> String {
    let mut pattern = String::from("%");
    for letter in text(value).to_lowercase().chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_what_means_something_in_a_pattern_when_looked_for_then_it_means_itself() {
        assert_eq!(like_pattern(r"Ana_100%\"), r"%ana\_100\%\\%");
    }

    #[test]
    fn given_keys_when_they_are_long_then_they_are_short_and_still_differ() {
        let (one, two) = (format!("{}1", "a".repeat(600)), format!("{}2", "a".repeat(600)));
        assert!(key(&one).len() <= 80 && key(&one) != key(&two));
        assert_eq!(key("https://client.example/cb"), "https://client.example/cb");
        assert_ne!(key("a\0b"), key("a\u{fffd}b"));
    }
}
