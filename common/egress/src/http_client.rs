//! HTTP clients whose connections all go through [`Egress`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderValue, Method};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ipnet::IpNet;
use reqwest::dns::{Name, Resolve, Resolving};
use url::Url;

use crate::Destination;
use crate::connector::Connector;
use crate::response_stream::{Deadline, ResponseStream};
use crate::{AddressPolicy, Egress, EgressError, HttpClientError, HttpResponse, tls_config};

/// Deadline for a whole request and response, unless the request sets its own.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Idle connections are closed after this time.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// Maximum number of cached clients. The cache is cleared when it is full.
const MAX_CACHED_CLIENTS: usize = 128;

type ClientKey = (Vec<IpNet>, Option<Box<str>>);

/// A cache of guarded HTTP clients, one for each set of networks and trust anchors. Cheap to clone; clones
/// share it.
#[derive(Clone, Default)]
pub struct HttpClients {
    egress: Egress,
    cache: Arc<Mutex<HashMap<ClientKey, HttpClient>>>,
}

impl HttpClients {
    /// Creates an empty cache without proxies or denied listeners. Only the address policy restricts its
    /// clients.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty cache whose clients connect through this [`Egress`].
    #[must_use]
    pub fn through(egress: Egress) -> Self {
        Self { egress, cache: Arc::default() }
    }

    /// The client that may reach public addresses and these networks. It trusts the platform's anchors and
    /// this bundle.
    ///
    /// # Errors
    /// When the bundle is invalid.
    pub fn http(
        &self,
        private_networks: &[IpNet],
        ca_bundle_pem: Option<&str>,
    ) -> Result<HttpClient, EgressError> {
        let key = (private_networks.to_vec(), ca_bundle_pem.map(Box::from));
        let mut remembered = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(http) = remembered.get(&key) {
            return Ok(http.clone());
        }
        let http = HttpClient::make(self.egress.clone(), private_networks, ca_bundle_pem)?;
        if remembered.len() >= MAX_CACHED_CLIENTS {
            remembered.clear();
        }
        remembered.insert(key, http.clone());
        Ok(http)
    }
}

/// A guarded HTTP client. Cheap to clone; clones share connections.
///
/// It follows no redirects. A request takes at most 10 s, connecting to one address at most 5 s. Plain http
/// is permitted only to addresses in an allowed private network.
#[derive(Clone)]
pub struct HttpClient {
    policy: AddressPolicy,
    egress: Egress,
    /// Builds requests only. `client` sends them.
    builder: reqwest::Client,
    client: Client<HttpsConnector<Connector>, reqwest::Body>,
}

impl HttpClient {
    fn make(
        egress: Egress,
        private_networks: &[IpNet],
        ca_bundle_pem: Option<&str>,
    ) -> Result<Self, EgressError> {
        let policy = AddressPolicy::allowing(private_networks);
        let config = tls_config(ca_bundle_pem)?;
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config((*config).clone())
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(Connector { egress: egress.clone(), policy: policy.clone() });
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_timer(TokioTimer::new())
            .build(connector);
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured((*config).clone())
            .proxy(reqwest::Proxy::all("http://nobody.invalid").map_err(HttpClientError::from)?)
            .dns_resolver(NoResolver)
            .build()
            .map_err(HttpClientError::from)?;
        Ok(Self { policy, egress, builder, client })
    }

    /// Builds a GET request.
    pub fn get(&self, url: Url) -> reqwest::RequestBuilder {
        self.request(Method::GET, url)
    }

    /// Builds a POST request.
    pub fn post(&self, url: Url) -> reqwest::RequestBuilder {
        self.request(Method::POST, url)
    }

    /// Builds a request.
    pub fn request(&self, method: Method, url: Url) -> reqwest::RequestBuilder {
        self.builder.request(method, url)
    }

    /// Sends a request and reads the whole response.
    ///
    /// # Errors
    /// When the destination is not permitted, there is no complete response in time, or the body has more
    /// than `limit` bytes.
    pub async fn send(
        &self,
        request: reqwest::RequestBuilder,
        limit: usize,
    ) -> Result<HttpResponse, EgressError> {
        let mut response = self.send_for_stream(request).await?;
        let body = response.read(limit).await?;
        Ok(HttpResponse { status: response.status, headers: response.headers, body })
    }

    /// Sends a request and returns the response with an unread body, which may be an endless stream. The
    /// deadline of the request applies to the body too.
    ///
    /// # Errors
    /// When the destination is not permitted, or there is no response in time.
    pub async fn send_for_stream(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<ResponseStream, EgressError> {
        let (request, deadline) = self.prepare(request)?;
        let response = deadline.apply(self.client.request(request)).await?;
        let (head, body) =
            response.map_err(|error| EgressError::from_request_error(&deadline.host, error))?.into_parts();
        Ok(ResponseStream { status: head.status, headers: head.headers, body, deadline })
    }

    /// Checks that a URL may be requested, without sending a request. For URLs that a browser is redirected
    /// to.
    ///
    /// # Errors
    /// When the URL is invalid, does not resolve, or is not permitted.
    pub async fn check(&self, url: &Url) -> Result<(), EgressError> {
        let plain = is_plain_http(url)?;
        let host = url.host_str().ok_or(EgressError::Url("it has no host"))?;
        let port = url.port_or_known_default().unwrap_or_default();
        self.egress.resolve(Destination { host, port, plain }, &self.policy).await.map(drop)
    }

    /// Returns the request to send and its deadline.
    fn prepare(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<(http::Request<reqwest::Body>, Deadline), EgressError> {
        let request = request
            .build()
            .map_err(|error| EgressError::from_request_error("the request", error.without_url()))?;
        is_plain_http(request.url())?;
        let host = request.url().host_str().ok_or(EgressError::Url("it has no host"))?.to_owned();
        let deadline = Deadline::new(host, request.timeout().copied().unwrap_or(REQUEST_TIMEOUT));
        let mut request = http::Request::<reqwest::Body>::try_from(request)
            .map_err(|error| EgressError::from_request_error(&deadline.host, error.without_url()))?;
        let headers = request.headers_mut();
        headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(concat!("portcullis/", env!("CARGO_PKG_VERSION"))));
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        Ok((request, deadline))
    }
}

/// Makes requests fail that are sent with `builder` instead of [`HttpClient::send`]: its proxy never
/// resolves.
struct NoResolver;

impl Resolve for NoResolver {
    fn resolve(&self, _: Name) -> Resolving {
        Box::pin(async { Err("send requests with HttpClient::send".into()) })
    }
}

fn is_plain_http(url: &Url) -> Result<bool, EgressError> {
    match url.scheme() {
        "https" => Ok(false),
        "http" => Ok(true),
        _ => Err(EgressError::Url("its scheme is neither https nor http")),
    }
}
