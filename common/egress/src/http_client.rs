use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderValue, Method, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ipnet::IpNet;
use reqwest::dns::{Name, Resolve, Resolving};
use url::Url;

use crate::Destination;
use crate::connector::Connector;
use crate::{AddressPolicy, Egress, EgressError, HttpResponse, tls_config};

/// From the first byte sent to the last received, unless the request says otherwise.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that has waited longer than this is not used again.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// More clients than this are not remembered.
const MAX_CACHED_CLIENTS: usize = 128;

type ClientKey = (Vec<IpNet>, Option<Box<str>>);

/// Guarded HTTP clients: one for each set of networks and trust anchors. Cheap to clone; clones share them.
#[derive(Clone, Default)]
pub struct HttpClients {
    egress: Egress,
    cache: Arc<Mutex<HashMap<ClientKey, HttpClient>>>,
}

impl HttpClients {
    /// None yet; each is made when it is first asked for. They leave straight, and nobody is off limits but by their address.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, by this way out.
    #[must_use]
    pub fn through(egress: Egress) -> Self {
        Self { egress, cache: Arc::default() }
    }

    /// The client that may reach the internet and these networks, and trusts the platform's anchors and these.
    ///
    /// # Errors
    /// When the bundle cannot be used.
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
/// It follows no redirect, takes 10 s at most for a whole answer and 5 s to connect to one address, and speaks plain http only
/// to addresses in an allowed private network.
#[derive(Clone)]
pub struct HttpClient {
    policy: AddressPolicy,
    egress: Egress,
    /// Makes requests and sends none.
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
            .proxy(
                reqwest::Proxy::all("http://nobody.invalid")
                    .map_err(|error| EgressError::Client(error.to_string()))?,
            )
            .dns_resolver(NoResolver)
            .build()
            .map_err(|error| EgressError::Client(error.to_string()))?;
        Ok(Self { policy, egress, builder, client })
    }

    /// Begins a GET request.
    pub fn get(&self, url: Url) -> reqwest::RequestBuilder {
        self.request(Method::GET, url)
    }

    /// Begins a POST request.
    pub fn post(&self, url: Url) -> reqwest::RequestBuilder {
        self.request(Method::POST, url)
    }

    /// Begins a request.
    pub fn request(&self, method: Method, url: Url) -> reqwest::RequestBuilder {
        self.builder.request(method, url)
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When the URL leads where this client may not go, nobody answers in time, or the body has more than `limit` bytes.
    pub async fn send(
        &self,
        request: reqwest::RequestBuilder,
        limit: usize,
    ) -> Result<HttpResponse, EgressError> {
        let (request, host, within) = self.prepare(request)?;
        let whole = async {
            let response = self.open(request, &host).await?;
            let (head, body) = response.into_parts();
            let body = read(body, &host, limit).await?;
            Ok(HttpResponse { status: head.status, headers: head.headers, body })
        };
        with_timeout(within, &host, whole).await
    }

    /// Sends a request of whose answer only the head matters; the body, which may be a stream without an end, is left alone.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_for_head(&self, request: reqwest::RequestBuilder) -> Result<HttpResponse, EgressError> {
        let (request, host, within) = self.prepare(request)?;
        let (head, _) = with_timeout(within, &host, self.open(request, &host)).await?.into_parts();
        Ok(HttpResponse { status: head.status, headers: head.headers, body: Bytes::new() })
    }

    /// Whether a URL could be requested now, without doing it: for an address that a browser will be sent to.
    ///
    /// # Errors
    /// When it could not.
    pub async fn check(&self, url: &Url) -> Result<(), EgressError> {
        let plain = is_plain_http(url)?;
        let host = url.host_str().ok_or(EgressError::Url("it has no host"))?;
        let port = url.port_or_known_default().unwrap_or_default();
        self.egress.resolve(Destination { host, port, plain }, &self.policy).await.map(drop)
    }

    /// What is sent, to whom, within which time.
    fn prepare(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<(http::Request<reqwest::Body>, String, Duration), EgressError> {
        let request =
            request.build().map_err(|error| EgressError::from_request_error("the request", &error))?;
        is_plain_http(request.url())?;
        let host = request.url().host_str().ok_or(EgressError::Url("it has no host"))?.to_owned();
        let within = request.timeout().copied().unwrap_or(REQUEST_TIMEOUT);
        let mut request = http::Request::<reqwest::Body>::try_from(request)
            .map_err(|error| EgressError::from_request_error(&host, &error))?;
        let headers = request.headers_mut();
        headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(concat!("portcullis/", env!("CARGO_PKG_VERSION"))));
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        Ok((request, host, within))
    }

    async fn open(
        &self,
        request: http::Request<reqwest::Body>,
        host: &str,
    ) -> Result<Response<Incoming>, EgressError> {
        self.client.request(request).await.map_err(|error| EgressError::from_request_error(host, &error))
    }
}

/// A request that is sent with the builder, past the guard, goes to a proxy that has no address.
struct NoResolver;

impl Resolve for NoResolver {
    fn resolve(&self, _: Name) -> Resolving {
        Box::pin(async { Err("requests are sent with Http::send".into()) })
    }
}

async fn read(mut body: Incoming, host: &str, limit: usize) -> Result<Bytes, EgressError> {
    let too_large = || EgressError::TooLarge { host: host.to_owned(), limit };
    let announced = hyper::body::Body::size_hint(&body).lower();
    if usize::try_from(announced).map_or(true, |length| length > limit) {
        return Err(too_large());
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| EgressError::from_request_error(host, &error))?;
        let Some(data) = frame.data_ref() else { continue };
        if whole.len() + data.len() > limit {
            return Err(too_large());
        }
        whole.extend_from_slice(data);
    }
    Ok(whole.freeze())
}

async fn with_timeout<T>(
    within: Duration,
    host: &str,
    doing: impl Future<Output = Result<T, EgressError>>,
) -> Result<T, EgressError> {
    tokio::time::timeout(within, doing).await.unwrap_or_else(|_| {
        Err(EgressError::NoResponse {
            host: host.to_owned(),
            problem: format!("no whole answer within {} ms", within.as_millis()),
        })
    })
}

fn is_plain_http(url: &Url) -> Result<bool, EgressError> {
    match url.scheme() {
        "https" => Ok(false),
        "http" => Ok(true),
        _ => Err(EgressError::Url("its scheme is neither https nor http")),
    }
}
