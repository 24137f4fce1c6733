//! The private listener for operators and their tools: health, metrics and the served routes. It rejects
//! browsers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::{fmt, io};

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use portcullis_authorization_server::AccessTokenVerifier;
use portcullis_config_distribution::CATALOGS_PATH;
use portcullis_events::EventSink;
use portcullis_policy::RouteTableHandle;
use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio::net::TcpListener;

use super::observed_catalogs::{CatalogEndpoint, observed_catalogs};
use super::private_server;
use crate::config_source::cluster::SyncStats;
use crate::limits::Limits;
use crate::reencrypt::Reencryption;
use crate::shutdown::Shutdown;

/// Readiness for traffic: true once services are started and the first config is served.
#[derive(Clone, Default)]
pub(crate) struct Readiness(Arc<ReadinessState>);

#[derive(Default)]
struct ReadinessState {
    config_served: AtomicBool,
    access_tokens: OnceLock<Arc<AccessTokenVerifier>>,
}

impl Readiness {
    /// Services are started. From now on readiness also depends on the revocation feed.
    pub(crate) fn services_started(&self, access_tokens: Arc<AccessTokenVerifier>) {
        self.0.access_tokens.set(access_tokens).ok();
    }

    /// The first config is served.
    pub(crate) fn mark_config_served(&self) {
        self.0.config_served.store(true, Ordering::Relaxed);
    }

    fn is_ready(&self) -> bool {
        self.0.config_served.load(Ordering::Relaxed)
            && self.0.access_tokens.get().is_some_and(|access_tokens| access_tokens.is_ready())
    }
}

/// State of the private listener.
#[derive(Clone)]
pub(crate) struct PrivateListener {
    pub(crate) readiness: Readiness,
    pub(crate) shutdown: Shutdown,
    pub(crate) tables: RouteTableHandle,
    pub(crate) events: EventSink,
    pub(crate) limits: Arc<Limits>,
    /// Set in a cluster, where config is published by the operator.
    pub(crate) sync_stats: Option<SyncStats>,
    pub(crate) reencryption: Reencryption,
    /// Set in a cluster, where the operator reads the observed catalogs.
    pub(crate) catalog_endpoint: Option<CatalogEndpoint>,
}

impl PrivateListener {
    /// Serves connections until the future is dropped.
    pub(crate) async fn serve(self, listener: TcpListener) -> io::Result<()> {
        private_server::serve(listener, self.router()).await
    }

    fn router(self) -> Router {
        let catalog_routes = self
            .catalog_endpoint
            .clone()
            .map(|it| Router::new().route(CATALOGS_PATH, get(observed_catalogs)).with_state(it));
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .route("/debug/routes", get(routes))
            .with_state(self)
            .merge(catalog_routes.unwrap_or_default())
            .layer(middleware::from_fn(reject_browsers))
    }

    /// The current values. The library appends `_total` to the names of counters and a period to help texts.
    fn metrics(&self) -> Registry {
        let table = self.tables.current();
        let routes = table.as_ref().map_or(0, |table| table.routes().count() as u64);
        let generation = table.as_ref().map_or(0, |table| table.generation);
        let mut all = Registry::with_prefix("portcullis");
        let mut gauge = |name, help, value| all.register(name, help, ConstGauge::<u64>::new(value));
        gauge("routes", "Number of virtual MCPs in the route table", routes);
        gauge("table_generation", "Number of route tables built since the process started", generation);
        gauge(
            "connections",
            "Number of open connections of the public listener",
            self.limits.connections.open(),
        );
        gauge("streams", "Number of open-ended streams", self.limits.principals.streams());
        gauge(
            "request_memory_bytes",
            "Number of bytes of requests and buffered responses in memory",
            self.limits.memory.bytes(),
        );
        gauge(
            "events_queued_bytes",
            "Number of bytes of events that wait to be written",
            self.events.queued_bytes() as u64,
        );
        let mut counter = |name, help, value| all.register(name, help, ConstCounter::<u64>::new(value));
        counter("events", "Number of events recorded", self.events.recorded());
        counter(
            "events_dropped",
            "Number of events dropped because the writer was too slow",
            self.events.dropped(),
        );
        counter(
            "anonymous_events_dropped",
            "Number of dropped events that anonymous clients caused; included in events_dropped",
            self.events.dropped_anonymous(),
        );
        counter(
            "anonymous_failures_counted",
            "Number of failures of anonymous clients that were counted in a summary event",
            self.events.counted(),
        );
        counter(
            "connections_refused",
            "Number of connections closed because there were too many",
            self.limits.connections.refused(),
        );
        counter(
            "requests_refused",
            "Number of requests refused because a limit of the gateway was reached",
            self.limits.refused(),
        );
        counter(
            "resealed",
            "Number of stored credentials re-encrypted after a key rotation",
            self.reencryption.rows(),
        );
        if let Some(stats) = &self.sync_stats {
            add_sync_metrics(&mut all, stats);
        }
        all
    }
}

fn add_sync_metrics(all: &mut Registry, stats: &SyncStats) {
    all.register(
        "publication_refused",
        "Number of rejected versions of published objects",
        ConstCounter::new(stats.rejections()),
    );
    all.register(
        "publication_rejected",
        "Number of published objects that are currently rejected or cannot be served",
        ConstGauge::new(stats.rejected()),
    );
    all.register(
        "publication_from_snapshot",
        "1 if the sealed snapshot is served because the API server has not responded since the process started",
        ConstGauge::new(u64::from(stats.serves_snapshot())),
    );
}

/// Whether a browser may have sent the request: it has an `Origin` header, or its `Host` is not internal.
/// After DNS rebinding, browsers send the attacker's host name.
fn is_from_browser(headers: &HeaderMap) -> bool {
    let strange = |host: &HeaderValue| !host.to_str().is_ok_and(portcullis_egress::is_internal_host);
    headers.contains_key(ORIGIN) || headers.get_all(HOST).iter().any(strange)
}

async fn reject_browsers(request: Request, next: Next) -> Response {
    if is_from_browser(request.headers()) {
        return (StatusCode::FORBIDDEN, "Browsers cannot call this listener. Use curl or a similar tool.\n")
            .into_response();
    }
    next.run(request).await
}

async fn ready(State(private): State<PrivateListener>) -> Response {
    if private.readiness.is_ready() && !private.shutdown.is_terminating() {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response()
    }
}

/// Prometheus text format 0.0.4.
async fn metrics(State(private): State<PrivateListener>) -> Response {
    let mut text = String::new();
    match prometheus_text::encode(&mut text, &private.metrics()) {
        Ok(()) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn routes(State(private): State<PrivateListener>) -> Response {
    let Some(table) = private.tables.current() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let mut routes: Vec<_> = table.routes().collect();
    routes.sort_by_key(|route| Arc::clone(&route.slug));
    let routes: Vec<_> = routes
        .into_iter()
        .map(|route| {
            json!({
                "slug": route.slug, "name": route.name, "uid": route.uid, "url": route.url,
                "origin": route.origin.name, "originUrl": route.origin.url, "suspended": route.suspended,
                "identityProvider": route.identity_provider.name,
            })
        })
        .collect();
    Json(json!({"generation": table.generation, "gateway": table.gateway.name, "routes": routes}))
        .into_response()
}

#[cfg(test)]
mod golden;

#[cfg(test)]
mod tests {
    use super::*;

    /// Advisory class: Host and Origin unchecked on any listener.
    #[test]
    fn given_a_page_of_any_browser_when_it_asks_then_it_is_told_from_operators_and_probes() {
        let asked = |headers: &[(header::HeaderName, &'static str)]| {
            is_from_browser(
                &headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect(),
            )
        };
        for host in ["10.0.0.7:9090", "localhost:9090", "portcullis.mcp.svc.cluster.local:9090", "portcullis"]
        {
            assert!(!asked(&[(HOST, host)]), "{host}");
            for origin in ["https://evil.example", "http://localhost:9090", "null"] {
                assert!(asked(&[(HOST, host), (ORIGIN, origin)]), "{origin}");
            }
        }
        assert!(!asked(&[]), "HTTP/1.0");
        assert!(asked(&[(HOST, "rebound.evil.example:9090")]));
        assert!(asked(&[(HOST, "localhost"), (HOST, "rebound.evil.example")]));
    }
}
