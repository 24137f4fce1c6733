//! What strangers write, made fit for both databases.

use sha2::{Digest as _, Sha256};

/// What PostgreSQL can index is limited to some 2,700 bytes a row; five parts of this size stay below.
const MAX_KEY_LEN: usize = 512;

/// Text as it can be stored. PostgreSQL has no U+0000 in its text.
pub(crate) fn text(value: &str) -> String {
    value.replace('\0', "\u{fffd}")
}

/// Text as part of a key: as it is, or its digest where it is long.
pub(crate) fn key(value: &str) -> String {
    if value.len() <= MAX_KEY_LEN && !value.contains('\0') {
        return value.to_owned();
    }
    Sha256::digest(value).iter().fold(String::from("sha256:"), |digest, byte| digest + &format!("{byte:02x}"))
}

/// A pattern for `LOWER(...) LIKE ... ESCAPE '\'` that finds whatever contains a text.
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
