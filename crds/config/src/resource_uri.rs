//! The forms in which an origin may read a resource URI.
//!
//! Rules for resources are text, but origins normalise URIs: `docs://team/x/../private` and
//! `docs://team/%70rivate` reach the resource that `docs://team/private` names (RFC 3986 section 6). Some use
//! the URL standard instead, where `file:/x` is `file:///x`. A rule is therefore compared with every form that
//! an origin may read, and a URI that origins read in too many ways is never readable where a rule exists.
//! `tests/differential` compares these forms with what several languages make of a URI.

use std::borrow::Cow;

use url::Url;

/// Maximum length of a URI that rules apply to. The costs of a comparison grow with it, and clients choose it.
/// HTTP implementations support at least 8,000 bytes (RFC 9110 section 4.1).
const MAX_URI_LEN: usize = 8 * 1024;

/// The forms of one URI.
#[derive(Debug)]
pub struct ResourceUri<'a> {
    raw: &'a str,
    /// Other forms that may name the same resource: normalised, without query, without fragment.
    others: Vec<Cow<'a, str>>,
    /// Forms that only some origins take for the same resource: without escapes, without empty path segments.
    /// They count against a URI, never for it.
    loose: Vec<String>,
}

impl<'a> ResourceUri<'a> {
    /// Determines the forms of a URI; `None` if it is ambiguous or longer than 8 KiB.
    #[must_use]
    pub fn new(raw: &'a str) -> Option<Self> {
        if raw.len() > MAX_URI_LEN {
            return None;
        }
        let url = Url::parse(raw).ok().map(String::from);
        if is_ambiguous(raw) || url.as_deref().is_some_and(is_ambiguous) {
            return None;
        }
        let mut uri = Self { raw, others: Vec::new(), loose: Vec::new() };
        uri.add(Cow::Borrowed(raw));
        uri.add(Cow::Owned(normalize(raw)));
        if let Some(url) = url {
            uri.add(Cow::Owned(url));
        }
        Some(uri)
    }

    fn add(&mut self, form: Cow<'a, str>) {
        for end in [form.len(), end_at(&form, &['#']), end_at(&form, &['?', '#'])] {
            let cut = match &form {
                Cow::Borrowed(form) => Cow::Borrowed(form.get(..end).unwrap_or_default()),
                Cow::Owned(form) => Cow::Owned(form.get(..end).unwrap_or_default().to_owned()),
            };
            if cut != self.raw && !self.others.contains(&cut) {
                self.others.push(cut);
            }
        }
        let path = form.get(..end_at(&form, &['?', '#'])).unwrap_or_default();
        let decoded = decode(path);
        let cut = decoded.get(..end_at(&decoded, &['?', '#'])).unwrap_or_default();
        for form in [path, &decoded, cut, &decode(&form)] {
            self.add_loose(form);
        }
    }

    fn add_loose(&mut self, form: &str) {
        for form in [form.to_owned()].into_iter().chain(short_forms(form)) {
            if form != self.raw && !self.loose.contains(&form) {
                self.loose.push(form);
            }
        }
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
    let Some((scheme, rest)) = split_scheme(&escaped) else { return escaped };
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
/// are not UTF-8. So is a URI that names neither a host nor a path, because some readers drop its slashes, and
/// one that begins with its host: it has no scheme.
#[must_use]
pub fn is_ambiguous(uri: &str) -> bool {
    uri.trim() != uri
        || is_empty(uri)
        || uri.starts_with("//")
        || uri.chars().any(|character| character.is_control() || character == '\\')
        || !has_harmless_escapes(uri)
        || has_dot_segment(uri)
}

/// `s:///` has a path, the root. Other runs of slashes are an empty host, an empty path or both.
fn is_empty(uri: &str) -> bool {
    let rest = split_scheme(uri).map_or(uri, |(_, rest)| rest);
    let slashes = rest.get(..end_at(rest, &['?', '#'])).unwrap_or_default();
    slashes.len() > 1 && slashes.len() != 3 && slashes.bytes().all(|byte| byte == b'/')
}

fn has_dot_segment(uri: &str) -> bool {
    // A colon may end a scheme. Some servers cut path parameters (`..;a=b`) before they resolve segments.
    uri.split([':', '/', '?', '#'])
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

/// The scheme and what follows it.
fn split_scheme(uri: &str) -> Option<(&str, &str)> {
    uri.split_once(':').filter(|(scheme, _)| is_scheme(scheme))
}

/// The text without empty path segments, which file systems ignore, with and without a slash at its end, and
/// without an empty host. Empty if there is nothing to omit.
fn short_forms(uri: &str) -> Vec<String> {
    let (scheme, rest) = split_scheme(uri).unwrap_or(("", uri));
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let segments: Vec<_> = path.split('/').enumerate().filter(|(n, it)| *n == 0 || !it.is_empty()).collect();
    let joined = segments.iter().map(|(_, segment)| *segment).collect::<Vec<_>>().join("/");
    let start = uri.strip_suffix(path).unwrap_or_default();
    let mut forms = Vec::new();
    if joined != path {
        forms.extend([format!("{start}{joined}/"), format!("{start}{joined}")]);
    }
    // `s:///a` and `s:/a`: RFC 8089 appendix B.
    if path.len() < rest.len() && path.starts_with('/') {
        let start = uri.get(..uri.len() - rest.len()).filter(|_| !scheme.is_empty()).unwrap_or_default();
        forms.extend([format!("{start}{joined}/"), format!("{start}{joined}")]);
    }
    forms
}

/// The text without escapes. Invalid ones stay.
fn decode(uri: &str) -> String {
    let mut out = Vec::with_capacity(uri.len());
    let mut rest = uri.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, escape(after)) {
            (b'%', Some(byte)) => {
                out.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            (byte, _) => out.push(*byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The texts that a rule which denies access is compared as: as written, in normal form, without escapes, and
/// without empty path segments or host. A rule that is not in normal form would otherwise miss URIs that are.
pub fn rule_spellings(rule: &str) -> impl Iterator<Item = String> {
    let normal = normalize(rule);
    let decoded = decode(&normal);
    let short: Vec<_> = [&normal, &decoded].into_iter().flat_map(|form| short_forms(form)).collect();
    [rule.to_owned(), normal, decoded].into_iter().chain(short)
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
            "docs://",
            "docs://?x",
            "//",
            "//team:/private",
            "docs:////",
            "a/../b:c",
            "a_b:../private",
        ] {
            assert!(ResourceUri::new(uri).is_none(), "{uri:?}");
        }
        for uri in [
            "docs:///",
            "docs:/",
            "docs:a",
            "docs://team/a.b/..c/...",
            "docs://team/50%25",
            "docs://team/a%20b?x=1#f",
            "file:///etc/x",
        ] {
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

    #[test]
    fn given_the_url_standard_then_what_it_reads_is_a_form() {
        for (uri, url) in [
            ("file:/srv/private", "file:///srv/private"),
            ("file://localhost/srv/private", "file:///srv/private"),
            ("http:team.example/private", "http://team.example/private"),
            ("https:///team.example/private", "https://team.example/private"),
            ("http://0x7f.1/private", "http://127.0.0.1/private"),
            ("http://b\u{fc}cher.example/private", "http://xn--bcher-kva.example/private"),
            ("http://te\u{ad}am.example/private", "http://team.example/private"),
            ("DOCS://Team/private", "docs://Team/private"),
        ] {
            assert!(ResourceUri::new(uri).unwrap().any(|form| form == url), "{uri}");
            assert!(!ResourceUri::new(uri).unwrap().all(|form| form == uri), "{uri}");
        }
    }

    #[test]
    fn given_escaped_characters_of_any_kind_then_the_form_without_them_counts_against_a_uri() {
        for uri in [
            "docs://team/a%3Ab",
            "docs://team/a%3ab?x",
            "docs://team//a%3Ab/",
            "docs://team/a:b%3Fx",
            "docs://team/a%3Ab%23x",
        ] {
            assert!(ResourceUri::new(uri).unwrap().any(|form| form == "docs://team/a:b"), "{uri}");
        }
        let uri = ResourceUri::new("docs://team/a%3Ab").unwrap();
        assert!(uri.all(|form| form.contains("%3A")), "what is included is compared with the escape");
    }

    #[test]
    fn given_a_rule_that_is_not_in_normal_form_then_its_normal_form_counts_too() {
        let spellings = |rule| rule_spellings(rule).collect::<Vec<_>>();
        assert_eq!(
            spellings("DOCS://Team/%7e%2A"),
            ["DOCS://Team/%7e%2A", "docs://team/~%2A", "docs://team/~*"]
        );
        for short in ["file:///srv/private", "file:/srv/private"] {
            assert!(spellings("file:////srv/private").contains(&short.to_owned()), "{short}");
            assert!(ResourceUri::new("file:////srv//private").unwrap().any(|form| form == short), "{short}");
        }
    }
}
