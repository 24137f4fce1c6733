//! The two pages that a person sees, and the headers that keep them plain: no script, no frame, nothing from elsewhere.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};

/// Asks whether a client may use one of the accounts.
#[derive(Template)]
#[template(path = "authorize.html")]
pub(crate) struct ConsentPage<'a> {
    /// The client's name, as it registered.
    pub(crate) client: &'a str,
    /// The host that the answer goes to.
    pub(crate) host: &'a str,
    /// The accounts on offer; the first is chosen beforehand.
    pub(crate) accounts: &'a [&'a str],
    /// The id of this question, single use.
    pub(crate) question: &'a str,
}

/// Says why a request to authorize cannot be answered, where it would be unsafe to redirect.
#[derive(Template)]
#[template(path = "refused.html")]
pub(crate) struct ErrorPage<'a> {
    pub(crate) reason: &'a str,
}

/// A page; its forms may lead to itself and to `form_target`, a scheme and authority (browsers check a form's redirects too).
pub(crate) fn page(status: StatusCode, page: &impl Template, form_target: Option<&str>) -> Response {
    let Ok(html) = page.render() else {
        return (StatusCode::INTERNAL_SERVER_ERROR, "the page could not be made\n").into_response();
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

/// The pages' style.
pub(crate) async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("../templates/style.css")).into_response()
}
