//! The public listener: routes `/mcp/{slug}` to the pipeline and all other paths to the pages and OAuth
//! endpoints.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, CONNECTION, CONTENT_TYPE, RETRY_AFTER, TRANSFER_ENCODING,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use portcullis_policy::RouteTable;
use portcullis_rate_limit::with_client_address;
use tower::ServiceExt as _;

use super::client_address;
use super::host_and_origin::{self, BrowserOrigin};
use super::page_error::refuse_body;
use crate::limits::{ConnectionGuard, PageBody};
use crate::pipeline::{self, Body, Context};
use crate::upstream::UpstreamPool;

/// State of the public listener. Each worker has its own.
#[derive(Clone)]
pub(crate) struct PublicListener {
    pub(crate) context: Arc<Context>,
    pub(crate) upstreams: Arc<UpstreamPool>,
    /// Pages and OAuth endpoints.
    pub(crate) pages: Router,
}

impl PublicListener {
    /// Serves one request.
    ///
    /// The connection is closed after the response in two cases:
    /// * The process terminates, so the next request must go elsewhere (RFC 9112, section 9.6).
    /// * The request body is chunked. A proxy in front may use a `Content-Length` header that hyper drops.
    ///   The bytes that follow could then be another user's request (section 6.1).
    pub(crate) async fn serve(
        self,
        request: Request<Incoming>,
        peer: IpAddr,
        connection: Arc<ConnectionGuard>,
    ) -> Result<Response<Body>, Infallible> {
        let in_chunks = request.headers().contains_key(TRANSFER_ENCODING);
        let table = self.context.tables.current();
        let trusted = table.as_ref().map_or(&[][..], |table| &table.gateway.trusted_proxies);
        let client = client_address::resolve(peer, request.headers(), trusted);
        let mut response = with_client_address(client, self.dispatch(request, table, &connection)).await?;
        if in_chunks || self.context.shutdown.is_terminating() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }

    async fn dispatch(
        &self,
        request: Request<Incoming>,
        table: Option<Arc<RouteTable>>,
        connection: &ConnectionGuard,
    ) -> Result<Response<Body>, Infallible> {
        let Some(table) = table else {
            let mut response = plain_text_error(
                StatusCode::SERVICE_UNAVAILABLE,
                "The gateway has not loaded its configuration yet. Try again shortly.",
            );
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
            return Ok(response);
        };
        if !host_and_origin::is_our_host(&table.gateway.public_url, &request) {
            return Ok(
                reject(request, "The Host header does not match this gateway. Use its public URL.").await
            );
        }
        let slug =
            request.uri().path().strip_prefix("/mcp/").filter(|slug| !slug.is_empty() && !slug.contains('/'));
        let Some(slug) = slug.map(str::to_owned) else {
            return Ok(Box::pin(self.serve_page(&table, request)).await);
        };
        let browser_origin =
            match host_and_origin::browser_origin(&table.gateway.public_url, request.headers()) {
                BrowserOrigin::Absent => None,
                BrowserOrigin::Permitted(page) => Some(page.clone()),
                BrowserOrigin::Forbidden => {
                    return Ok(reject(
                        request,
                        "Pages from this Origin are not allowed to use this gateway.",
                    )
                    .await);
                }
            };
        let mut response = if request.method() == Method::OPTIONS {
            preflight(&request)
        } else if self.must_refuse(&table) {
            Box::pin(pipeline::refuse_unrecorded(&self.context, request)).await
        } else {
            pipeline::serve(&self.context, &self.upstreams, table, &slug, connection, request).await
        };
        if let Some(origin) = browser_origin {
            host_and_origin::add_cors_headers(response.headers_mut(), origin);
        }
        Ok(response)
    }

    /// Whether requests are refused because their events might be dropped.
    fn must_refuse(&self, table: &RouteTable) -> bool {
        table.gateway.refuse_when_events_overflow && self.context.events.is_overloaded()
    }

    async fn serve_page(&self, table: &RouteTable, request: Request<Incoming>) -> Response<Body> {
        if self.must_refuse(table) {
            self.context.limits.count_refused();
            pipeline::discard(request.into_body()).await;
            let mut response = plain_text_error(
                StatusCode::SERVICE_UNAVAILABLE,
                "The gateway cannot record audit events fast enough, so it refuses requests. Try again shortly.",
            );
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
            return response;
        }
        let (head, incoming) = request.into_parts();
        let path = head.uri.path().to_owned();
        let (body, outcome) = PageBody::new(incoming, self.context.limits.memory.anonymous());
        let request = Request::from_parts(head, axum::body::Body::new(body));
        let response = match self.pages.clone().oneshot(request).await {
            Ok(response) => response.map(Body::Page),
            Err(never) => match never {},
        };
        match outcome.failure() {
            Some(failure) => refuse_body(&self.context.limits, &path, failure, response),
            None => response,
        }
    }
}

/// Responds to a CORS preflight request (Fetch, "CORS-preflight request").
fn preflight(request: &Request<Incoming>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, GET, DELETE"));
    if let Some(asked) = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

async fn reject(request: Request<Incoming>, sentence: &'static str) -> Response<Body> {
    pipeline::discard(request.into_body()).await;
    plain_text_error(StatusCode::FORBIDDEN, sentence)
}

fn plain_text_error(status: StatusCode, sentence: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::whole(format!("{sentence}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
