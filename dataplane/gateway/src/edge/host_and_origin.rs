//! Checks `Host` and `Origin` against DNS rebinding (MCP basic/transports, "Security Warning"). A request
//! must name this gateway as its host, and a browser request must come from an allowed page.

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, HOST, ORIGIN, VARY};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request};
use portcullis_config::is_loopback;
use url::Url;

/// Response headers that browser clients may read in addition to the CORS defaults.
const EXPOSED_HEADERS: &str = "Mcp-Session-Id, WWW-Authenticate";

/// Whether `Host` matches the host and port of the public URL. An absolute request target must match too (RFC
/// 9112, section 3.2.2).
pub(super) fn is_our_host<B>(public_url: &str, request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()),
        (None, _) => request.uri().authority().cloned(),
        _ => None,
    };
    host.is_some_and(|host| is_our_authority(public_url, &host))
        && request.uri().authority().is_none_or(|target| is_our_authority(public_url, target))
}

fn is_our_authority(public_url: &str, named: &Authority) -> bool {
    if named.as_str().contains('@') {
        return false;
    }
    let Ok(ours) = Url::parse(public_url) else { return false };
    let port = named.port_u16().or(if ours.scheme() == "https" { Some(443) } else { Some(80) });
    ours.host_str().is_some_and(|host| host.eq_ignore_ascii_case(named.host()))
        && ours.port_or_known_default() == port
}

/// The page that sent a browser request to an MCP endpoint.
pub(super) enum BrowserOrigin<'a> {
    /// No `Origin` header.
    Absent,
    /// An allowed page.
    Permitted(&'a HeaderValue),
    /// A page that is not allowed.
    Forbidden,
}

/// Checks the `Origin` header. Pages of the gateway are allowed. If the public URL is a loopback URL, pages
/// on loopback (an inspector, for instance) are allowed too.
pub(super) fn browser_origin<'a>(public_url: &str, headers: &'a HeaderMap) -> BrowserOrigin<'a> {
    let mut origins = headers.get_all(ORIGIN).iter();
    let (Some(origin), more) = (origins.next(), origins.next()) else { return BrowserOrigin::Absent };
    let allowed = more.is_none()
        && origin.to_str().is_ok_and(|origin| {
            origin == public_url || (is_this_machine(public_url) && is_loopback_origin(origin))
        });
    if allowed { BrowserOrigin::Permitted(origin) } else { BrowserOrigin::Forbidden }
}

/// Whether `origin` is a loopback origin in the form that browsers send (RFC 6454, section 6.1), without a
/// user or a path.
fn is_loopback_origin(origin: &str) -> bool {
    is_this_machine(origin)
        && Url::parse(origin).is_ok_and(|url| url.origin().ascii_serialization() == origin)
}

/// Excludes names below `localhost`, because a resolver that asks DNS for them may find another machine.
fn is_this_machine(origin: &str) -> bool {
    Url::parse(origin)
        .is_ok_and(|url| is_loopback(&url) && url.domain().is_none_or(|name| name == "localhost"))
}

/// Allows the page to read the response.
pub(super) fn add_cors_headers(headers: &mut HeaderMap, page: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, page);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
    headers.append(VARY, HeaderValue::from_static("Origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(host: &[&str]) -> Request<()> {
        let mut request = Request::new(());
        for each in host {
            request.headers_mut().append(HOST, each.parse().unwrap());
        }
        request
    }

    /// Advisory class: Host and Origin unchecked (DNS rebinding).
    #[test]
    fn given_a_host_then_only_the_public_urls_own_is_ours() {
        let public = "https://mcp.example.com";
        for ours in ["mcp.example.com", "MCP.example.com", "mcp.example.com:443"] {
            assert!(is_our_host(public, &asked(&[ours])), "{ours}");
        }
        for strange in
            ["example.com", "mcp.example.com:8080", "mcp.example.com.evil.example", "a@mcp.example.com", ""]
        {
            assert!(!is_our_host(public, &asked(&[strange])), "{strange}");
        }
        assert!(!is_our_host(public, &asked(&[])));
        assert!(!is_our_host(public, &asked(&["mcp.example.com", "mcp.example.com"])));
        let mut absolute = asked(&["mcp.example.com"]);
        *absolute.uri_mut() = "https://evil.example/mcp/open".parse().unwrap();
        assert!(!is_our_host(public, &absolute));
        assert!(is_our_host("http://127.0.0.1:8080", &asked(&["127.0.0.1:8080"])));
        assert!(!is_our_host("http://127.0.0.1:8080", &asked(&["localhost:8080"])));
    }

    #[test]
    fn given_a_browsers_page_then_it_may_ask_only_where_it_is_ours_or_all_is_on_one_machine() {
        let may = |public: &str, origins: &[&str]| {
            let headers = origins.iter().map(|origin| (ORIGIN, origin.parse().unwrap())).collect();
            match browser_origin(public, &headers) {
                BrowserOrigin::Absent => "no page",
                BrowserOrigin::Permitted(_) => "may",
                BrowserOrigin::Forbidden => "may not",
            }
        };
        let (public, local) = ("https://mcp.example.com", "http://127.0.0.1:8080");
        assert_eq!(may(public, &[]), "no page");
        assert_eq!(may(public, &[public]), "may");
        for strange in
            ["https://evil.example", "http://localhost:6274", "null", "https://mcp.example.com.evil.example"]
        {
            assert_eq!(may(public, &[strange]), "may not", "{strange}");
        }
        assert_eq!(may(local, &["http://localhost:6274"]), "may");
        for strange in
            ["http://evil.example", "http://evil.localhost", "http://user@localhost", "http://localhost/page"]
        {
            assert_eq!(may(local, &[strange]), "may not", "{strange}");
        }
        assert_eq!(may(local, &[local, "http://evil.example"]), "may not");
    }
}
