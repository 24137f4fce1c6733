//! Patterns of the schema, and error messages that explain them.

/// DNS label (RFC 1123): namespaces, slugs and names of identity providers.
pub const DNS_LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// DNS label or `*`.
pub const DNS_LABEL_OR_WILDCARD: &str = r"^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$";
/// HTTP field name (RFC 9110, section 5.1).
pub const HEADER_NAME: &str = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$";
/// Name of a tool or prompt, with the characters that the MCP specification recommends and all clients
/// accept.
pub const EXPOSED_NAME: &str = r"^[A-Za-z0-9_.-]+$";
/// A Kubernetes service account: `namespace/name`.
pub const SERVICE_ACCOUNT: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z0-9]([-a-z0-9.]*[a-z0-9])?$";
/// Start of an HTTP URL.
pub const HTTP_URL: &str = "^https?://";

/// Whether a text is a DNS label of at most 63 characters.
#[must_use]
pub fn is_dns_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether a text is a service account: a namespace, `/` and a DNS subdomain.
#[must_use]
pub fn is_service_account(text: &str) -> bool {
    let is_subdomain = |name: &str| {
        (1..=253).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
            && !name.starts_with(['-', '.'])
            && !name.ends_with(['-', '.'])
    };
    text.split_once('/').is_some_and(|(namespace, name)| is_dns_label(namespace) && is_subdomain(name))
}

/// Headers that HTTP, MCP or proxies use. None of them can carry a credential.
const RESERVED_HEADERS: [&str; 22] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "last-event-id",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "www-authenticate",
];

/// Whether a header is reserved for HTTP or MCP and cannot carry a credential. The CEL rule of
/// `auth.header.name` checks the same.
#[must_use]
pub fn is_reserved_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    RESERVED_HEADERS.contains(&name.as_str()) || name.starts_with("mcp-")
}

/// A text does not have the form of its pattern.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not {form}")]
pub struct SyntaxError {
    text: String,
    /// The expected form, in words.
    form: &'static str,
}

pub(super) fn check_pattern(pattern: &str, text: &str) -> Option<Result<(), SyntaxError>> {
    let all = |allowed: fn(char) -> bool| !text.is_empty() && text.chars().all(allowed);
    let (sound, form) = match pattern {
        DNS_LABEL => (
            is_dns_label(text),
            "a valid name; use lower-case letters, digits and '-', with a letter or digit at both ends",
        ),
        DNS_LABEL_OR_WILDCARD => (
            text == "*" || is_dns_label(text),
            "a valid name; use '*', or lower-case letters, digits and '-' with a letter or digit at both ends",
        ),
        HEADER_NAME => (
            all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+.^_`|~-".contains(c)),
            "a valid HTTP header name; use letters, digits and '-', like X-Api-Key",
        ),
        EXPOSED_NAME => (
            all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)),
            "a name that all clients accept; use letters, digits, '_', '-' and '.'",
        ),
        SERVICE_ACCOUNT => (is_service_account(text), "a service account; use the form namespace/name"),
        HTTP_URL => (
            text.starts_with("https://") || text.starts_with("http://"),
            "a valid URL; start it with https:// (or http:// in private networks)",
        ),
        _ => return None,
    };
    Some(if sound { Ok(()) } else { Err(SyntaxError { text: text.to_owned(), form }) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_labels_when_checked_then_they_are_those_of_dns() {
        for label in ["a", "linear-read", "0x", &"a".repeat(63)] {
            assert!(is_dns_label(label), "{label}");
        }
        for other in ["", "-a", "a-", "Linear", "a_b", "a.b", "a/b", "ä", &"a".repeat(64)] {
            assert!(!is_dns_label(other), "{other}");
        }
    }

    #[test]
    fn given_a_text_of_the_wrong_form_when_checked_then_the_error_names_it() {
        for (pattern, sound, wrong) in [
            (DNS_LABEL, "linear", "Linear"),
            (DNS_LABEL_OR_WILDCARD, "*", "a*"),
            (HEADER_NAME, "X-Api-Key", "X Api Key"),
            (EXPOSED_NAME, "get_issue", "get issue"),
            (HTTP_URL, "https://mcp.example.com/mcp", "mcp.example.com"),
            (SERVICE_ACCOUNT, "mcp/reporter.v1", "reporter"),
            (SERVICE_ACCOUNT, "mcp/reporter", "mcp/Reporter"),
            (SERVICE_ACCOUNT, "mcp/reporter", "mcp/jobs/reporter"),
        ] {
            assert_eq!(check_pattern(pattern, sound), Some(Ok(())));
            let error = check_pattern(pattern, wrong).unwrap().unwrap_err().to_string();
            assert!(error.starts_with(&format!("'{wrong}' is not ")), "{error}");
        }
        assert_eq!(check_pattern("^x$", "x"), None);
    }
}
