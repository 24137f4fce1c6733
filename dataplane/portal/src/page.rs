use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

/// Where the one stylesheet is.
pub(crate) const STYLESHEET: &str = "/portal.css";

/// No scripts, nothing from elsewhere, in nobody's frame, forms to ourselves alone. Chromium applies `form-action` to every
/// redirect that follows a form; ours are answered by a page, so that nothing follows.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// A page with the headers that all of them have.
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
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Sends the browser elsewhere with a GET.
pub(crate) fn see_other(location: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    match HeaderValue::try_from(location) {
        Ok(location) => response.headers_mut().insert(header::LOCATION, location),
        // Redirect URIs and states are checked to be printable before they come here.
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    set_security_headers(response.headers_mut());
    response
}

/// What every answer to a browser says, pages or not.
pub(crate) fn set_security_headers(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // For browsers that do not know `frame-ancestors`.
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
}

/// With cookies.
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

/// Answers a form by going elsewhere: a page of our own that goes on by itself. A redirect would be held against our
/// `form-action` on every hop that the other side adds, and nobody knows those.
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
