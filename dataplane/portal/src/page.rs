//! Rendering pages and redirects, with the security headers that all responses to browsers have.

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

/// Path of the stylesheet.
pub(crate) const STYLESHEET: &str = "/portal.css";

/// No scripts, no resources from other sites, no framing, forms only to the gateway itself. Chromium applies
/// `form-action` to every redirect after a form, so forms that lead to another site are answered with
/// [`redirect_page`].
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Renders a page, with the headers of all pages.
pub(crate) fn render(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => {
            let mut response = (status, html).into_response();
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
            headers
                .insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
            set_security_headers(headers);
            response
        }
        Err(error) => {
            tracing::error!(%error, "failed to render page");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A redirect after which the browser sends a GET (303).
pub(crate) fn see_other(location: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    match HeaderValue::try_from(location) {
        Ok(location) => response.headers_mut().insert(header::LOCATION, location),
        // Callers have checked that redirect URIs and states are printable.
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    set_security_headers(response.headers_mut());
    response
}

/// Sets the headers of all responses to browsers, pages or not.
pub(crate) fn set_security_headers(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // For browsers that do not support `frame-ancestors`.
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
}

/// Adds `Set-Cookie` headers.
pub(crate) fn with_cookies(
    mut response: Response,
    cookies: impl IntoIterator<Item = HeaderValue>,
) -> Response {
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

#[derive(Template)]
#[template(path = "leaving.html")]
struct RedirectPage<'a> {
    url: &'a str,
    to: &'a str,
}

/// A page that redirects to another site, as the response to a form. Browsers would check an HTTP redirect,
/// and every redirect after it, against this gateway's `form-action`, and later targets are unknown.
pub(crate) fn redirect_page(url: &str, to: &str) -> Response {
    render(StatusCode::OK, &RedirectPage { url, to })
}

/// `GET /portal.css`
pub(crate) async fn stylesheet() -> Response {
    let mut response = include_str!("../templates/portal.css").into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
