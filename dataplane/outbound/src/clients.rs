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
use crate::{AddressPolicy, Answer, Egress, OutboundError, tls_config};

/// From the first byte sent to the last received, unless the request says otherwise.
const TOTAL: Duration = Duration::from_secs(10);

/// A connection that has waited longer than this is not used again.
const IDLE: Duration = Duration::from_secs(50);

/// More clients than this are not remembered.
const MAX_REMEMBERED: usize = 128;

type Key = (Vec<IpNet>, Option<Box<str>>);

/// Guarded HTTP clients: one for each set of networks and trust anchors. Cheap to clone; clones share them.
#[derive(Clone, Default)]
pub struct Clients {
    egress: Egress,
    remembered: Arc<Mutex<HashMap<Key, Http>>>,
}

impl Clients {
    /// None yet; each is made when it is first asked for. They leave straight, and nobody is off limits but by their address.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, by this way out.
    #[must_use]
    pub fn through(egress: Egress) -> Self {
        Self { egress, remembered: Arc::default() }
    }

    /// The client that may reach the internet and these networks, and trusts the platform's anchors and these.
    ///
    /// # Errors
    /// When the bundle cannot be used.
    pub fn http(
        &self,
        private_networks: &[IpNet],
        ca_bundle_pem: Option<&str>,
    ) -> Result<Http, OutboundError> {
        let key = (private_networks.to_vec(), ca_bundle_pem.map(Box::from));
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(http) = remembered.get(&key) {
            return Ok(http.clone());
        }
        let http = Http::make(self.egress.clone(), private_networks, ca_bundle_pem)?;
        if remembered.len() >= MAX_REMEMBERED {
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
pub struct Http {
    policy: AddressPolicy,
    egress: Egress,
    /// Makes requests and sends none.
    builder: reqwest::Client,
    client: Client<HttpsConnector<Connector>, reqwest::Body>,
}

impl Http {
    fn make(
        egress: Egress,
        private_networks: &[IpNet],
        ca_bundle_pem: Option<&str>,
    ) -> Result<Self, OutboundError> {
        let policy = AddressPolicy::allowing(private_networks);
        let config = tls_config(ca_bundle_pem)?;
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config((*config).clone())
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(Connector { egress: egress.clone(), policy: policy.clone() });
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured((*config).clone())
            .proxy(
                reqwest::Proxy::all("http://nobody.invalid")
                    .map_err(|error| OutboundError::Client(error.to_string()))?,
            )
            .dns_resolver(Nobody)
            .build()
            .map_err(|error| OutboundError::Client(error.to_string()))?;
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
    ) -> Result<Answer, OutboundError> {
        let (request, host, within) = self.checked(request)?;
        let whole = async {
            let response = self.open(request, &host).await?;
            let (head, body) = response.into_parts();
            let body = read(body, &host, limit).await?;
            Ok(Answer { status: head.status, headers: head.headers, body })
        };
        in_time(within, &host, whole).await
    }

    /// Sends a request of whose answer only the head matters; the body, which may be a stream without an end, is left alone.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn head_of(&self, request: reqwest::RequestBuilder) -> Result<Answer, OutboundError> {
        let (request, host, within) = self.checked(request)?;
        let (head, _) = in_time(within, &host, self.open(request, &host)).await?.into_parts();
        Ok(Answer { status: head.status, headers: head.headers, body: Bytes::new() })
    }

    /// Whether a URL could be requested now, without doing it: for an address that a browser will be sent to.
    ///
    /// # Errors
    /// When it could not.
    pub async fn check(&self, url: &Url) -> Result<(), OutboundError> {
        let plain = is_plain(url)?;
        let host = url.host_str().ok_or(OutboundError::Url("it has no host"))?;
        let port = url.port_or_known_default().unwrap_or_default();
        self.egress.resolve(Destination { host, port, plain }, &self.policy).await.map(drop)
    }

    /// What is sent, to whom, within which time.
    fn checked(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<(http::Request<reqwest::Body>, String, Duration), OutboundError> {
        let request = request.build().map_err(|error| OutboundError::of_request("the request", &error))?;
        is_plain(request.url())?;
        let host = request.url().host_str().ok_or(OutboundError::Url("it has no host"))?.to_owned();
        let within = request.timeout().copied().unwrap_or(TOTAL);
        let mut request = http::Request::<reqwest::Body>::try_from(request)
            .map_err(|error| OutboundError::of_request(&host, &error))?;
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
    ) -> Result<Response<Incoming>, OutboundError> {
        self.client.request(request).await.map_err(|error| OutboundError::of_request(host, &error))
    }
}

/// A request that is sent with the builder, past the guard, goes to a proxy that has no address.
struct Nobody;

impl Resolve for Nobody {
    fn resolve(&self, _: Name) -> Resolving {
        Box::pin(async { Err("requests are sent with Http::send".into()) })
    }
}

async fn read(mut body: Incoming, host: &str, limit: usize) -> Result<Bytes, OutboundError> {
    let too_large = || OutboundError::TooLarge { host: host.to_owned(), limit };
    let announced = hyper::body::Body::size_hint(&body).lower();
    if usize::try_from(announced).map_or(true, |length| length > limit) {
        return Err(too_large());
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| OutboundError::of_request(host, &error))?;
        let Some(data) = frame.data_ref() else { continue };
        if whole.len() + data.len() > limit {
            return Err(too_large());
        }
        whole.extend_from_slice(data);
    }
    Ok(whole.freeze())
}

async fn in_time<T>(
    within: Duration,
    host: &str,
    doing: impl Future<Output = Result<T, OutboundError>>,
) -> Result<T, OutboundError> {
    tokio::time::timeout(within, doing).await.unwrap_or_else(|_| {
        Err(OutboundError::Unanswered {
            host: host.to_owned(),
            problem: format!("no whole answer within {} ms", within.as_millis()),
        })
    })
}

fn is_plain(url: &Url) -> Result<bool, OutboundError> {
    match url.scheme() {
        "https" => Ok(false),
        "http" => Ok(true),
        _ => Err(OutboundError::Url("its scheme is neither https nor http")),
    }
}
