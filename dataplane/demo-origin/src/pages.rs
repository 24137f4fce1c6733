//! The consent page and the error page, with headers that forbid scripts, frames and external content.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};

/// Asks the user whether a client may use one of the accounts.
#[derive(Template)]
#[template(path = "authorize.html")]
pub(crate) struct ConsentPage<'a> {
    /// Registered name of the client.
    pub(crate) client: &'a str,
    /// Host of the redirect URI.
    pub(crate) host: &'a str,
    /// Available accounts. The first one is preselected.
    pub(crate) accounts: &'a [&'a str],
    /// Single-use id of the authorization request.
    pub(crate) question: &'a str,
}

/// Shows why an authorization request failed, when a redirect would be unsafe.
#[derive(Template)]
#[template(path = "refused.html")]
pub(crate) struct ErrorPage<'a> {
    pub(crate) reason: &'a str,
}

/// Renders a page. Its forms may target this server and `form_target`, a scheme and authority: browsers also
/// apply `form-action` to redirects.
pub(crate) fn page(status: StatusCode, page: &impl Template, form_target: Option<&str>) -> Response {
    let Ok(html) = page.render() else {
        return (StatusCode::INTERNAL_SERVER_ERROR, "failed to render the page\n").into_response();
    };
    let policy = format!(
        "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' {}",
        form_target.unwrap_or_default()
    );
    let mut response = (status, Html(html)).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(policy) = HeaderValue::from_str(policy.trim_end()) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Style sheet of the pages.
pub(crate) async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("../templates/style.css")).into_response()
}
