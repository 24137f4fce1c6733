//! The forms in which an origin may read a resource URI.
//!
//! Rules for resources are text, but origins normalise URIs: `docs://team/x/../private` and
//! `docs://team/%70rivate` reach the resource that `docs://team/private` names (RFC 3986 section 6). A rule is
//! therefore compared with every form that an origin may read, and a URI that origins read in too many ways
//! is never readable where a rule exists.

use std::borrow::Cow;

/// Maximum length of a URI that rules apply to. The costs of a comparison grow with it, and clients choose it.
/// HTTP implementations support at least 8,000 bytes (RFC 9110 section 4.1).
const MAX_URI_LEN: usize = 8 * 1024;

/// The forms of one URI.
#[derive(Debug)]
pub struct ResourceUri<'a> {
    raw: &'a str,
    /// Other forms that may name the same resource: normalised, without query, without fragment.
    others: Vec<Cow<'a, str>>,
    /// Forms that only some origins take for the same resource: without empty path segments. They count
    /// against a URI, never for it.
    loose: Vec<String>,
}

impl<'a> ResourceUri<'a> {
    /// Determines the forms of a URI; `None` if it is ambiguous or longer than 8 KiB.
    #[must_use]
    pub fn new(raw: &'a str) -> Option<Self> {
        if raw.len() > MAX_URI_LEN || is_ambiguous(raw) {
            return None;
        }
        let normal = normalize(raw);
        let mut others: Vec<Cow<'a, str>> = Vec::new();
        let mut loose = Vec::new();
        for form in [Cow::Borrowed(raw), Cow::Owned(normal)] {
            for end in [form.len(), end_at(&form, &['#']), end_at(&form, &['?', '#'])] {
                let cut = match &form {
                    Cow::Borrowed(form) => Cow::Borrowed(form.get(..end).unwrap_or_default()),
                    Cow::Owned(form) => Cow::Owned(form.get(..end).unwrap_or_default().to_owned()),
                };
                if cut != raw && !others.contains(&cut) {
                    others.push(cut);
                }
            }
            loose.extend(without_empty_segments(form.get(..end_at(&form, &['?', '#'])).unwrap_or_default()));
        }
        Some(Self { raw, others, loose })
    }

    /// The URI as written.
    #[must_use]
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    /// Whether a rule that grants access matches every form.
    pub fn all(&self, matches: impl Fn(&str) -> bool) -> bool {
        matches(self.raw) && self.others.iter().all(|form| matches(form))
    }

    /// Whether a rule that denies access matches any form.
    pub fn any(&self, matches: impl Fn(&str) -> bool) -> bool {
        matches(self.raw)
            || self.others.iter().any(|form| matches(form))
            || self.loose.iter().any(|form| matches(form))
    }
}

/// The normal form of a URI or a pattern of URIs (RFC 3986 sections 6.2.2 and 6.2.3): lower case of scheme and
/// host, no default port, unreserved characters not escaped, upper case of escapes, and everything escaped that
/// a URI cannot contain. Invalid escapes stay. Dot segments stay too: see [`ResourceUri::new`].
#[must_use]
pub fn normalize(uri: &str) -> String {
    let escaped = normalize_escapes(uri);
    let Some((scheme, rest)) = escaped.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
        return escaped;
    };
    let scheme = scheme.to_ascii_lowercase();
    let Some(rest) = rest.strip_prefix("//") else { return format!("{scheme}:{rest}") };
    let (authority, rest) = rest.split_at(end_at(rest, &['/', '?', '#']));
    let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(user, host)| (user, host));
    let at = if authority.contains('@') { "@" } else { "" };
    let host = host.to_ascii_lowercase();
    let host = without_default_port(&scheme, &host);
    let slash = if matches!(&*scheme, "http" | "https") && !rest.starts_with('/') { "/" } else { "" };
    format!("{scheme}://{user}{at}{host}{slash}{rest}")
}

/// Whether origins may read different resources from this text: it has dot segments, an escaped `.`, `/`, `\` or
/// control character (also escaped twice), a raw `\`, control characters or surrounding spaces, or escapes that
/// are not UTF-8.
#[must_use]
pub fn is_ambiguous(uri: &str) -> bool {
    uri.trim() != uri
        || uri.chars().any(|character| character.is_control() || character == '\\')
        || !has_harmless_escapes(uri)
        || has_dot_segment(uri)
}

fn has_dot_segment(uri: &str) -> bool {
    let after_scheme = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    // Some servers cut path parameters (`..;a=b`) before they resolve segments.
    after_scheme
        .split(['/', '?', '#'])
        .map(|segment| segment.split_once(';').map_or(segment, |(segment, _)| segment))
        .any(|segment| matches!(segment, "." | ".."))
}

fn has_harmless_escapes(uri: &str) -> bool {
    let mut decoded = Vec::with_capacity(uri.len());
    let mut rest = uri.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match (first, escape(after)) {
            (b'%', Some(byte)) => {
                if matches!(byte, b'.' | b'/' | b'\\' | 0x00..=0x1f | 0x7f) {
                    return false;
                }
                decoded.push(byte);
                rest = after.get(2..).unwrap_or_default();
                // `%252e`: an origin that decodes twice reads `.`.
                if byte == b'%' && !is_harmless_after_percent(rest) {
                    return false;
                }
            }
            _ => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    std::str::from_utf8(&decoded).is_ok()
}

/// Whether `%` before these bytes is harmless, however often an origin decodes.
fn is_harmless_after_percent(mut rest: &[u8]) -> bool {
    while let Some(after) = rest.strip_prefix(b"25") {
        rest = after;
    }
    !matches!(escape(rest), Some(b'.' | b'/' | b'\\' | 0x00..=0x1f | 0x7f))
}

/// The byte that two hexadecimal digits stand for.
fn escape(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

fn normalize_escapes(uri: &str) -> String {
    let mut out = String::with_capacity(uri.len());
    let mut rest = uri.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, escape(after)) {
            (b'%', Some(byte)) => {
                rest = after.get(2..).unwrap_or_default();
                if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                    out.push(char::from(byte));
                } else {
                    push_escaped(&mut out, byte);
                }
            }
            // What no URI contains: RFC 3986 section 2.
            (byte, _) if !byte.is_ascii_graphic() || br#""<>^`{|}"#.contains(byte) => {
                push_escaped(&mut out, *byte);
            }
            (byte, _) => out.push(char::from(*byte)),
        }
    }
    out
}

fn push_escaped(out: &mut String, byte: u8) {
    out.push('%');
    for digit in [byte >> 4, byte & 15] {
        out.extend(char::from_digit(digit.into(), 16).map(|digit| digit.to_ascii_uppercase()));
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

fn without_default_port<'h>(scheme: &str, host: &'h str) -> &'h str {
    let default = match scheme {
        "http" | "ws" => ":80",
        "https" | "wss" => ":443",
        "ftp" => ":21",
        _ => ":",
    };
    host.strip_suffix(default).or_else(|| host.strip_suffix(':')).unwrap_or(host)
}

/// Position of the first of these characters, or the end.
fn end_at(text: &str, of: &[char]) -> usize {
    text.find(of).unwrap_or(text.len())
}

/// The text without empty path segments, which file systems ignore; `None` if it has none.
fn without_empty_segments(uri: &str) -> Option<String> {
    let (start, path) = match uri.find("://") {
        Some(at) => uri.split_at(at + 3),
        None => ("", uri),
    };
    let segments: Vec<_> = path.split('/').enumerate().filter(|(n, it)| *n == 0 || !it.is_empty()).collect();
    let joined = segments.iter().map(|(_, segment)| *segment).collect::<Vec<_>>().join("/");
    (joined != path).then(|| format!("{start}{joined}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_spellings_of_one_uri_then_their_normal_form_is_the_same() {
        for (uri, normal) in [
            ("docs://team/private", "docs://team/private"),
            ("DOCS://Team/private", "docs://team/private"),
            ("docs://team/%70rivate", "docs://team/private"),
            ("docs://te%61m/%7euser", "docs://team/~user"),
            ("docs://team/a%c3%a9", "docs://team/a%C3%A9"),
            ("docs://team/aé", "docs://team/a%C3%A9"),
            ("docs://team/a b", "docs://team/a%20b"),
            ("docs://team/100%", "docs://team/100%"),
            ("docs://team:/x", "docs://team/x"),
            ("https://Host:443", "https://host/"),
            ("https://User@Host:8443/A", "https://User@host:8443/A"),
            ("http://h:80?q", "http://h/?q"),
            ("urn:ISBN:1", "urn:ISBN:1"),
            ("readme", "readme"),
        ] {
            assert_eq!(normalize(uri), normal, "{uri}");
            assert_eq!(normalize(&normalize(uri)), normal, "{uri}");
        }
    }

    #[test]
    fn given_uris_that_origins_read_differently_then_they_are_ambiguous() {
        for uri in [
            "docs://team/x/../private",
            "docs://team/./private",
            "docs://team/..",
            "docs://team/..;a=b/private",
            "docs:../private",
            "docs://team/public?/../private",
            "docs://team/%2e%2e/private",
            "docs://team/.%2E/private",
            "docs://team/public%2fprivate",
            "docs://team/public%5Cprivate",
            "docs://team/%252e%252e/private",
            "docs://team/%25252e/private",
            "docs://team\\private",
            "docs://team/pri\tvate",
            "docs://team/private\n",
            "docs://team/private%00",
            "docs://team/private%0a",
            " docs://team/private",
            "docs://team/private ",
            "docs://team/private\u{a0}",
            "docs://team/%c0%ae%c0%ae/private",
            "..",
        ] {
            assert!(ResourceUri::new(uri).is_none(), "{uri:?}");
        }
        for uri in
            ["docs://team/a.b/..c/...", "docs://team/50%25", "docs://team/a%20b?x=1#f", "file:///etc/x"]
        {
            assert!(ResourceUri::new(uri).is_some(), "{uri}");
        }
    }

    #[test]
    fn given_a_uri_that_is_too_long_then_it_has_no_forms() {
        let uri = |len: usize| format!("docs://{}", "a".repeat(len - 7));
        assert!(ResourceUri::new(&uri(MAX_URI_LEN)).is_some());
        assert!(ResourceUri::new(&uri(MAX_URI_LEN + 1)).is_none());
    }

    #[test]
    fn given_query_and_fragment_then_the_forms_without_them_count() {
        let uri = ResourceUri::new("docs://Team/a?b#c").unwrap();
        for form in ["docs://Team/a?b#c", "docs://team/a?b", "docs://team/a", "docs://Team/a"] {
            assert!(uri.any(|each| each == form), "{form}");
        }
        assert!(uri.all(|each| each.to_ascii_lowercase().starts_with("docs://team/a")));
        assert!(!uri.all(|each| each.starts_with("docs://Team/")));
        let slashes = ResourceUri::new("docs://team//private/").unwrap();
        assert!(slashes.any(|each| each == "docs://team/private"));
        assert!(slashes.all(|each| each == "docs://team//private/"));
    }
}
