use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, header};
use serde_json::Value;
use tower::ServiceExt as _;
use url::{Url, form_urlencoded};

use super::PUBLIC_URL;

/// A browser with cookies. It goes where it is told and follows redirects, but fills no form by itself.
pub(crate) struct Browser {
    router: Router,
    pub(crate) cookies: BTreeMap<String, String>,
    /// As which it knows the gateway.
    pub(crate) host: &'static str,
    /// Sent with each POST, as a browser would for a page of ours.
    pub(crate) post_headers: Vec<(&'static str, String)>,
}

/// Where the browser is: a page, or an address outside.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) html: String,
}

impl Browser {
    pub(crate) fn new(router: Router) -> Self {
        let post_headers = vec![("sec-fetch-site", "same-origin".to_owned()), ("origin", "null".to_owned())];
        Self { router, cookies: BTreeMap::new(), host: "127.0.0.1:8080", post_headers }
    }

    pub(crate) async fn get(&mut self, url: &str) -> Page {
        let mut url = url.to_owned();
        for _ in 0..20 {
            let page = self.request(Method::GET, &url, None).await;
            let Some(next) = page.next() else { return page };
            if next.strip_prefix(PUBLIC_URL).is_none_or(|rest| !rest.starts_with('/')) {
                return Page { url: next, ..page };
            }
            url = next;
        }
        panic!("redirects without end")
    }

    /// Sends a page's first form with a certain button.
    pub(crate) async fn submit(&mut self, page: &Page, name: &str, value: &str) -> Page {
        let (action, mut fields) = page.form(name, value);
        if !name.is_empty() {
            fields.push((name.to_owned(), value.to_owned()));
        }
        self.post(&action, &fields).await
    }

    pub(crate) async fn post(&mut self, action: &str, fields: &[(String, String)]) -> Page {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let page = self.request(Method::POST, action, Some(body)).await;
        match page.next() {
            Some(next) if next.starts_with(PUBLIC_URL) => self.get(&next).await,
            Some(next) => Page { url: next, ..page },
            None => page,
        }
    }

    /// Asks the API as a page of ours would.
    pub(crate) async fn api(&mut self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        self.api_with(method, path, body, &[("sec-fetch-site", "same-origin"), ("portcullis-request", "1")])
            .await
    }

    /// Asks the API with these headers.
    pub(crate) async fn api_with(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&'static str, &str)],
    ) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, self.host);
        request = request.header(header::COOKIE, self.cookie_header());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let answer = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (head, body) = answer.into_parts();
        assert_eq!(head.headers[header::CACHE_CONTROL], "no-store");
        assert!(!head.headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
        let text = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let document = if text.is_empty() { Value::Null } else { serde_json::from_slice(&text).unwrap() };
        (head.status.as_u16(), document)
    }

    /// The id of the one person whom an administrator finds so.
    pub(crate) async fn find_person_id(&mut self, sought: &str) -> String {
        let (_, found) = self.api(Method::GET, &format!("/api/admin/people?q={sought}"), None).await;
        assert_eq!(found["people"].as_array().unwrap().len(), 1, "{found}");
        found["people"][0]["id"].as_str().unwrap().to_owned()
    }

    fn cookie_header(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    async fn request(&mut self, method: Method, url: &str, body: Option<String>) -> Page {
        let path = url.strip_prefix(PUBLIC_URL).unwrap_or(url);
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, self.host);
        if !self.cookies.is_empty() {
            request = request.header(header::COOKIE, self.cookie_header());
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            for (name, value) in &self.post_headers {
                request = request.header(*name, value);
            }
        }
        let request = request.body(body.map_or_else(Body::empty, Body::from)).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = answer.into_parts();
        for cookie in head.headers.get_all(header::SET_COOKIE) {
            let text = cookie.to_str().unwrap();
            assert!(text.contains("; HttpOnly; SameSite=Lax") && text.contains("; Path=/;"), "{text}");
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            if text.contains("Max-Age=0;") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let html = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let html = String::from_utf8(html.to_vec()).unwrap();
        Page { status: head.status.as_u16(), url: url.to_owned(), headers: head.headers, html }
    }
}

impl Page {
    /// Where it goes on by itself.
    fn next(&self) -> Option<String> {
        if let Some(location) = self.headers.get(header::LOCATION) {
            return Some(location.to_str().unwrap().to_owned());
        }
        let (_, refresh) = self.html.split_once(r#"http-equiv="refresh" content="0; url="#)?;
        Some(unescape(refresh.split_once('"').unwrap().0))
    }

    /// Action and hidden fields of the form that has a button (or, without a name, of the first form).
    pub(crate) fn form(&self, name: &str, value: &str) -> (String, Vec<(String, String)>) {
        let button = format!(r#"name="{name}" value="{value}""#);
        let form = self
            .html
            .split("<form ")
            .skip(1)
            .map(|form| form.split("</form>").next().unwrap())
            .find(|form| {
                name.is_empty() && (value.is_empty() || form.contains(value)) || form.contains(&button)
            })
            .unwrap_or_else(|| panic!("no form with {name}={value} on {}: {}", self.url, self.html));
        let attribute = |text: &str, name: &str| {
            let (_, rest) = text.split_once(&format!("{name}=\"")).unwrap();
            unescape(rest.split('"').next().unwrap())
        };
        let fields = form
            .split("<input ")
            .skip(1)
            .map(|input| (attribute(input, "name"), attribute(input, "value")))
            .collect();
        (attribute(form, "action"), fields)
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let url = Url::parse(&self.url).unwrap();
        let mut found = url.query_pairs().filter(|(each, _)| each == name);
        let value = found.next().map(|(_, value)| value.into_owned());
        assert!(found.next().is_none(), "{name} is there twice: {}", self.url);
        value
    }

    pub(crate) fn has(&self, text: &str) -> bool {
        self.html.contains(text)
    }
}

fn unescape(text: &str) -> String {
    text.replace("&#38;", "&")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&#60;", "<")
        .replace("&#62;", ">")
}

/// Sends a form that no browser is behind, and returns status and body.
pub(crate) async fn post_form(router: &Router, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(body))
        .unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    let status = answer.status().as_u16();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

pub(crate) async fn post_json(router: &Router, path: &str, body: &Value) -> String {
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}
