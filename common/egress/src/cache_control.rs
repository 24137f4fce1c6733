//! Cache lifetime of fetched documents.

use std::time::Duration;

use http::HeaderMap;
use http::header::CACHE_CONTROL;

const MIN_LIFETIME: Duration = Duration::from_secs(5 * 60);
const DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// How long to cache a document: `max-age` of `Cache-Control` (RFC 9111, section 5.2), between 5 minutes and
/// 24 hours. One hour without `max-age`; 5 minutes for `no-store` and `no-cache`.
pub fn cache_lifetime(headers: &HeaderMap) -> Duration {
    let mut lifetime = DEFAULT_LIFETIME;
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    for directive in values.flat_map(|value| value.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return MIN_LIFETIME,
            "max-age" => {
                let seconds = value.trim().trim_matches('"').parse().unwrap_or(0);
                lifetime = Duration::from_secs(seconds).clamp(MIN_LIFETIME, MAX_LIFETIME);
            }
            _ => {}
        }
    }
    lifetime
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// Requirements: as.document.cache
    #[test]
    fn given_a_cache_control_when_read_then_the_lifetime_stays_within_bounds() {
        for (value, seconds) in [
            ("public, max-age=7200", 7200),
            ("max-age=1", 300),
            ("max-age=99999999", 86_400),
            ("Max-Age=\"600\"", 600),
            ("max-age=soon", 300),
            ("max-age=7200, no-cache", 300),
            ("private", 3600),
            ("", 3600),
        ] {
            let headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static(value))]);
            assert_eq!(cache_lifetime(&headers).as_secs(), seconds, "{value}");
        }
        assert_eq!(cache_lifetime(&HeaderMap::new()), DEFAULT_LIFETIME);
    }
}
