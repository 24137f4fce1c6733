//! Redirect URIs: which ones may be registered, and how requests are matched against them.

use std::net::Ipv4Addr;

use url::Url;

/// Maximum length of a redirect URI.
const MAX_REDIRECT_URI_LEN: usize = 2048;

/// Schemes that the browser or the operating system handles itself. A response sent there would be executed
/// or displayed, or open a program that is no client.
const FORBIDDEN_SCHEMES: [&str; 57] = [
    // Run or shown by the browser.
    "javascript",
    "livescript",
    "vbscript",
    "data",
    "blob",
    "filesystem",
    "about",
    "view-source",
    "jar",
    "mhtml",
    "res",
    "resource",
    "chrome",
    "chrome-extension",
    "moz-extension",
    "edge",
    "devtools",
    "mk",
    // Files and other machines.
    "file",
    "ftp",
    "sftp",
    "smb",
    "nfs",
    "afp",
    "dav",
    "davs",
    "webcal",
    "gopher",
    "ldap",
    "ldaps",
    "ssh",
    "telnet",
    "rdp",
    "vnc",
    "ws",
    "wss",
    // Messages and calls.
    "mailto",
    "tel",
    "sms",
    "smsto",
    "mms",
    "mmsto",
    "callto",
    "facetime",
    "sip",
    "sips",
    // Names of any program: the URI says which one is opened, and with what.
    "intent",
    "android-app",
    "market",
    "shell",
    "search",
    "search-ms",
    "microsoft-edge",
    "help",
    "hcp",
    "x-apple.systempreferences",
    "prefs",
];
/// Beginnings of schemes of the operating system and of office programs: `ms-settings:`, `ms-msdt:`,
/// `ms-word:`. Several of them have run code that a link contained.
const FORBIDDEN_SCHEME_PREFIXES: [&str; 2] = ["ms-", "microsoft.windows."];

/// Why a redirect URI cannot be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// Not an absolute URI in plain ASCII, or too long.
    #[error("it must be an absolute URI of at most 2048 printable ASCII characters")]
    Malformed,
    /// Fragments are not allowed (RFC 6749, section 3.1.2).
    #[error("it must not have a fragment")]
    Fragment,
    /// User information is not allowed: users can mistake it for the host.
    #[error("it must not have a user name or password")]
    UserInfo,
    /// Plain http to another machine.
    #[error("http is allowed only for loopback addresses and localhost; use https")]
    PlainHttp,
    /// A scheme that does not lead to a client.
    #[error(
        "its scheme cannot receive an authorization response; use https, http on loopback, or a private scheme of the client"
    )]
    Scheme,
}

/// Checks a redirect URI for registration: `https`, `http` on loopback, or a client's private scheme
/// (`cursor://…`).
pub(crate) fn check(uri: &str) -> Result<(), RedirectError> {
    if uri.len() > MAX_REDIRECT_URI_LEN || !uri.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return Err(RedirectError::Malformed);
    }
    let url = Url::parse(uri).map_err(|_| RedirectError::Malformed)?;
    if uri.contains('#') {
        return Err(RedirectError::Fragment);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(RedirectError::UserInfo);
    }
    match url.scheme() {
        "https" if uri.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://")) => Ok(()),
        "https" => Err(RedirectError::Malformed),
        "http" if is_loopback(uri) => Ok(()),
        "http" => Err(RedirectError::PlainHttp),
        scheme if is_forbidden_scheme(scheme) => Err(RedirectError::Scheme),
        _ => Ok(()),
    }
}

/// Whether a scheme, in lower case, leads to no client.
fn is_forbidden_scheme(scheme: &str) -> bool {
    FORBIDDEN_SCHEMES.contains(&scheme)
        || FORBIDDEN_SCHEME_PREFIXES.iter().any(|prefix| scheme.starts_with(prefix))
}

/// Whether a redirect URI in a request matches a registered one.
pub(crate) fn matches(registered: &str, requested: &str) -> bool {
    if registered == requested {
        return true;
    }
    match (LoopbackUri::parse(registered), LoopbackUri::parse(requested)) {
        (Some(registered), Some(requested)) => registered == requested,
        _ => false,
    }
}

/// Whether a redirect URI is `http` on loopback.
pub(crate) fn is_loopback(uri: &str) -> bool {
    LoopbackUri::parse(uri).is_some()
}

/// An `http` URI on loopback without its port. Parsed from the text, because a lenient URL parser could make
/// two different texts equal. For the same reason it does not use [`portcullis_config::is_loopback`], which
/// takes a parsed URL and also accepts names below `localhost`.
#[derive(PartialEq, Eq)]
struct LoopbackUri<'a> {
    host: &'a str,
    after_port: &'a str,
}

impl<'a> LoopbackUri<'a> {
    fn parse(uri: &'a str) -> Option<Self> {
        let rest = uri.strip_prefix("http://")?;
        let (authority, after_port) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (host, port) = match authority.strip_prefix("[::1]") {
            Some(port) => ("[::1]", port),
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port_is_one = port.is_empty()
            || port.strip_prefix(':').is_some_and(|digits| {
                digits.bytes().all(|byte| byte.is_ascii_digit())
                    && digits.parse::<u16>().is_ok_and(|port| port > 0)
            });
        let host_is_loopback = host == "[::1]"
            || host == "localhost"
            || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback());
        (port_is_one && host_is_loopback).then_some(Self { host, after_port })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Requirements: as.redirect.schemes
    #[test]
    fn given_a_redirect_when_registered_then_https_loopback_and_private_schemes_alone_are_taken() {
        for uri in [
            "https://app.example/callback?x=1",
            "http://127.0.0.1/callback",
            "http://127.0.0.1:33418/",
            "http://[::1]:5000/cb",
            "http://localhost:8787/callback",
            "http://localhost",
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "com.example.app:/callback",
            "vscode://vscode.github-authentication/did-authenticate",
            "msauth.com.example.app://auth",
            "msal0000://auth",
        ] {
            assert_eq!(check(uri), Ok(()), "{uri}");
        }
        for (uri, error) in [
            ("http://app.example/callback", RedirectError::PlainHttp),
            ("http://localhost.evil.example/cb", RedirectError::PlainHttp),
            ("http://127.0.0.1.evil.example/cb", RedirectError::PlainHttp),
            ("http://0x7f.1/cb", RedirectError::PlainHttp),
            ("http://127.0.0.1:0/cb", RedirectError::PlainHttp),
            ("http://127.0.0.1@evil.example/cb", RedirectError::UserInfo),
            ("https://user:pass@app.example/", RedirectError::UserInfo),
            ("https://app.example/#x", RedirectError::Fragment),
            ("https://app.example/cb#", RedirectError::Fragment),
            ("javascript:alert(1)", RedirectError::Scheme),
            ("JavaScript:alert(1)", RedirectError::Scheme),
            ("data:text/html,x", RedirectError::Scheme),
            ("vbscript:x", RedirectError::Scheme),
            ("file:///etc/passwd", RedirectError::Scheme),
            ("intent://scan/#Intent;scheme=x;package=com.evil;end", RedirectError::Fragment),
            ("intent://scan/", RedirectError::Scheme),
            ("Intent:cb", RedirectError::Scheme),
            ("android-app://com.evil/cb", RedirectError::Scheme),
            ("ms-settings:privacy", RedirectError::Scheme),
            ("ms-msdt:/id", RedirectError::Scheme),
            ("MS-Word:ofe|u|https://evil.example/x", RedirectError::Scheme),
            ("search-ms:query=x", RedirectError::Scheme),
            ("shell:startup", RedirectError::Scheme),
            ("smb://evil.example/share", RedirectError::Scheme),
            ("java\tscript:alert(1)", RedirectError::Malformed),
            (" https://app.example/", RedirectError::Malformed),
            ("https:app.example", RedirectError::Malformed),
            ("https://app.example\\@evil.example/", RedirectError::Malformed),
            ("/callback", RedirectError::Malformed),
            ("", RedirectError::Malformed),
            ("https://bücher.example/", RedirectError::Malformed),
        ] {
            assert_eq!(check(uri), Err(error), "{uri}");
        }
        let of_length = |length: usize| format!("https://a.example/{}", "x".repeat(length - 18));
        assert_eq!(check(&of_length(MAX_REDIRECT_URI_LEN)), Ok(()));
        assert_eq!(check(&of_length(MAX_REDIRECT_URI_LEN + 1)), Err(RedirectError::Malformed));
    }

    /// Requirements: as.redirect.exact
    #[test]
    fn given_a_registered_redirect_when_a_request_differs_then_only_a_loopback_port_may() {
        for (registered, requested) in [
            ("https://app.example/cb", "https://app.example/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:51234/cb"),
            ("http://127.0.0.1:1/cb", "http://127.0.0.1/cb"),
            ("http://localhost/callback", "http://localhost:51234/callback"),
            ("http://[::1]:1/cb?x=1", "http://[::1]:2/cb?x=1"),
        ] {
            assert!(matches(registered, requested), "{registered} {requested}");
        }
        for (registered, requested) in [
            ("https://app.example/cb", "https://app.example:444/cb"),
            ("https://app.example/cb", "https://app.example/cb/"),
            ("https://app.example/cb", "https://APP.example/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1/cb?x=1"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1/cb/../x"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1/cb#x"),
            ("http://127.0.0.1/cb", "http://localhost:1/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.2:1/cb"),
            ("http://127.0.0.1/cb", "https://127.0.0.1:1/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1@evil.example/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:80:1/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:70000/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:+80/cb"),
            ("http://localhost/cb", "http://localhost.evil.example/cb"),
            ("http://localhost/cb", "http://x@localhost:1/cb"),
            ("cursor://x/cb", "cursor://x:1/cb"),
        ] {
            assert!(!matches(registered, requested), "{registered} {requested}");
        }
    }

    proptest! {
        #[test]
        fn given_any_two_texts_when_they_match_then_they_are_equal_or_differ_in_a_loopback_port_alone(
            registered in "http://(127\\.0\\.0\\.1|localhost|\\[::1\\]|a\\.example)(:[0-9]{1,5})?/[a-b/]{0,3}",
            requested in "http://(127\\.0\\.0\\.1|localhost|\\[::1\\]|a\\.example|x@localhost)(:[0-9@]{0,5})?[/a-b?#]{0,4}",
        ) {
            if matches(&registered, &requested) && registered != requested {
                let (a, b) = (Url::parse(&registered).unwrap(), Url::parse(&requested).unwrap());
                prop_assert_eq!(a.host_str(), b.host_str());
                prop_assert_eq!((a.path(), a.query(), a.fragment()), (b.path(), b.query(), b.fragment()));
                prop_assert!(b.username().is_empty());
                prop_assert!(matches!(b.host_str(), Some("127.0.0.1" | "localhost" | "[::1]")));
            }
        }

        #[test]
        fn given_any_port_when_a_loopback_redirect_is_asked_with_it_then_it_matches(port in 1..=u16::MAX, path in "/[a-z]{0,8}") {
            for host in ["127.0.0.1", "localhost", "[::1]"] {
                let (registered, requested) = (format!("http://{host}{path}"), format!("http://{host}:{port}{path}"));
                prop_assert!(matches(&registered, &requested));
                let other = format!("http://{host}.example:{port}{path}");
                prop_assert!(!matches(&registered, &other));
            }
        }

        #[test]
        fn given_any_text_when_checked_then_nothing_panics_and_what_passes_is_ascii_without_a_fragment(uri in "\\PC{0,40}") {
            if check(&uri).is_ok() {
                prop_assert!(uri.is_ascii() && !uri.contains('#'));
            }
            matches(&uri, &uri);
        }
    }
}
