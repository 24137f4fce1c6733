//! Parses `Bearer` challenges of origins (RFC 6750 section 3, RFC 9728 section 5.1).

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// Maximum number and length of scopes in a challenge. Others are ignored.
const MAX_SCOPES: usize = 50;
const MAX_SCOPE_LEN: usize = 200;

/// A `Bearer` challenge (RFC 6750 section 3, RFC 9728 section 5.1).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    /// URL of the protected resource metadata.
    pub(crate) resource_metadata: Option<String>,
    /// Requested scopes.
    pub(crate) scopes: Vec<String>,
    /// The `error` code, if a token was sent.
    error: Option<String>,
}

impl Challenge {
    /// Whether the token is valid but lacks scopes (RFC 6750 section 3.1), and the challenge names them.
    #[must_use]
    pub fn is_insufficient_scope(&self) -> bool {
        self.error.as_deref() == Some("insufficient_scope") && !self.scopes.is_empty()
    }

    /// The first `Bearer` challenge of a response, which may also offer other schemes.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()).find_map(Self::parse)
    }

    fn parse(header: &str) -> Option<Self> {
        let mut found: Option<Self> = None;
        let mut rest = header;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            let (word, after) = rest.split_at(rest.find([' ', '\t', ',', '=', '"']).unwrap_or(rest.len()));
            if word.is_empty() {
                // The end, or a syntax error: keep the parameters read so far.
                return found;
            }
            match after.trim_start_matches([' ', '\t']).strip_prefix('=') {
                Some(value) => {
                    let (value, after) = value_of(value);
                    match (&mut found, word.to_ascii_lowercase().as_str()) {
                        (Some(challenge), "resource_metadata") => challenge.resource_metadata = Some(value),
                        (Some(challenge), "scope") => challenge.scopes = parse_scopes(&value),
                        (Some(challenge), "error") => challenge.error = Some(value),
                        _ => {}
                    }
                    rest = after;
                }
                // A word without a value is the next scheme.
                None if found.is_some() => return found,
                None => {
                    found = word.eq_ignore_ascii_case("bearer").then(Self::default);
                    rest = after;
                }
            }
        }
    }
}

/// Parses a list of scopes (RFC 6749 section 3.3). Invalid ones are dropped, because scopes are shown to
/// users and sent to other servers.
fn parse_scopes(list: &str) -> Vec<String> {
    let is_scope = |text: &str| {
        text.len() <= MAX_SCOPE_LEN
            && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
    };
    let scopes = list.split_ascii_whitespace().filter(|text| is_scope(text));
    scopes.take(MAX_SCOPES).map(str::to_owned).collect()
}

/// A token or a quoted string (RFC 9110 section 5.6.4), and what follows it.
fn value_of(text: &str) -> (String, &str) {
    let text = text.trim_start_matches([' ', '\t']);
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, after) = text.split_at(text.find([' ', '\t', ',']).unwrap_or(text.len()));
        return (value.to_owned(), after);
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => value.extend(characters.next()),
            other => value.push(other),
        }
    }
    (value, characters.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(header: &str) -> Option<(Option<String>, String)> {
        Challenge::parse(header).map(|challenge| (challenge.resource_metadata, challenge.scopes.join(" ")))
    }

    /// Requirements: client.scopes
    #[test]
    fn given_a_bearer_challenge_then_its_metadata_and_scopes_are_read() {
        let metadata = Some("https://h/.well-known/oauth-protected-resource".to_owned());
        for header in [
            r#"Bearer resource_metadata="https://h/.well-known/oauth-protected-resource", scope="a b""#,
            r#"bearer error="invalid_token", Scope = "a  b",resource_metadata = "https://h/.well-known/oauth-protected-resource""#,
            r#"DPoP algs="ES256 RS256", Bearer realm="a \"b\", c", scope="a b", resource_metadata="https://h/.well-known/oauth-protected-resource", Basic realm="scope""#,
            r#"Basic YWJj==, Bearer scope="a b", resource_metadata=https://h/.well-known/oauth-protected-resource"#,
        ] {
            assert_eq!(parsed(header), Some((metadata.clone(), "a b".to_owned())), "{header}");
        }
    }

    /// Requirements: client.step-up
    #[test]
    fn given_a_challenge_when_it_says_insufficient_scope_and_for_what_then_and_only_then_it_asks_for_more() {
        for (header, asks) in [
            (r#"Bearer error="insufficient_scope", scope="a b""#, true),
            (r#"Basic realm="x", bearer scope=a, error=insufficient_scope"#, true),
            (r#"Bearer error="insufficient_scope""#, false),
            (r#"Bearer error="invalid_token", scope="a""#, false),
            (r#"Bearer scope="a""#, false),
            (r#"Bearer scope="a", DPoP error="insufficient_scope""#, false),
        ] {
            assert_eq!(Challenge::parse(header).unwrap().is_insufficient_scope(), asks, "{header}");
        }
    }

    #[test]
    fn given_scopes_that_are_none_or_too_many_then_they_are_not_read() {
        let long = "x".repeat(MAX_SCOPE_LEN + 1);
        assert_eq!(
            parse_scopes(&format!("a:b https://h/x <script> é {long} \u{7} q\"q")),
            ["a:b", "https://h/x", "<script>"]
        );
        let many: String = (0..1000).map(|number| format!("s{number} ")).collect();
        assert_eq!(parse_scopes(&many).len(), MAX_SCOPES);
    }

    #[test]
    fn given_no_bearer_challenge_then_nothing_is_taken_from_another_scheme() {
        assert_eq!(parsed(r#"DPoP scope="a", resource_metadata="https://h/""#), None);
        assert_eq!(parsed("Negotiate"), None);
        assert_eq!(parsed(r#"Bearer, DPoP scope="a""#), Some((None, String::new())));
        assert_eq!(parsed("Bearer"), Some((None, String::new())));
    }

    proptest! {
        #[test]
        fn given_any_header_when_parsed_then_nothing_panics_and_it_ends(header in r#"([Bb]earer|scope|=|"|\\|,| |é|x){0,30}"#) {
            let _ = Challenge::parse(&header);
        }
    }
}
