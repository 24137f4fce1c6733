//! The admin listener: health checks and metrics. It rejects requests from browser pages.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use portcullis_clock::Clock;
use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// The reconciler runs a pass every second. After this long without one it counts as hung.
const HANG_THRESHOLD_MS: i64 = 120_000;

/// Counters and state of the operator, for metrics and health checks.
#[derive(Default)]
pub(crate) struct Stats {
    pub(crate) ready: AtomicBool,
    pub(crate) leads: AtomicBool,
    /// Time of the reconciler's last pass, in Unix milliseconds.
    pub(crate) last_pass_ms: AtomicI64,
    pub(crate) compilations: AtomicU64,
    pub(crate) compile_micros: AtomicU64,
    pub(crate) applied: AtomicU64,
    pub(crate) removed: AtomicU64,
    pub(crate) statuses: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) objects: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) undecodable: AtomicU64,
}

#[derive(Clone)]
struct AdminState {
    stats: Arc<Stats>,
    clock: Clock,
}

/// `/healthz`, `/readyz` and `/metrics`.
pub(crate) fn router(stats: Arc<Stats>, clock: Clock) -> Router {
    Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .layer(middleware::from_fn(reject_browsers))
        .with_state(AdminState { stats, clock })
}

async fn reject_browsers(request: Request, next: Next) -> Response {
    // Browsers always send Host. In a DNS rebinding attack it is the attacker's own name, which is not
    // internal.
    let is_external = |host: &HeaderValue| !host.to_str().is_ok_and(portcullis_egress::is_internal_host);
    if request.headers().contains_key(ORIGIN) || request.headers().get_all(HOST).iter().any(is_external) {
        return (StatusCode::FORBIDDEN, "requests from browser pages are not allowed\n").into_response();
    }
    next.run(request).await
}

async fn health(State(private): State<AdminState>) -> Response {
    let beat = private.stats.last_pass_ms.load(Ordering::Relaxed);
    if private.clock.now().0.saturating_sub(beat) < HANG_THRESHOLD_MS {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the reconciler has not run for 2 minutes\n").into_response()
    }
}

async fn ready(State(private): State<AdminState>) -> Response {
    if private.stats.ready.load(Ordering::Relaxed) {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the initial lists from the API server are incomplete\n")
            .into_response()
    }
}

/// Prometheus text format 0.0.4.
async fn metrics(State(private): State<AdminState>) -> Response {
    let mut text = String::new();
    match prometheus_text::encode(&mut text, &registry(&private.stats)) {
        Ok(()) => ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The current values. The library appends `_total` to the names of counters and a period to help texts.
fn registry(stats: &Stats) -> Registry {
    let counter = |figure: &AtomicU64| ConstCounter::new(figure.load(Ordering::Relaxed));
    let gauge = |figure: &AtomicU64| ConstGauge::new(figure.load(Ordering::Relaxed));
    let leads = u64::from(stats.leads.load(Ordering::Relaxed));
    let mut all = Registry::with_prefix("portcullis_operator");
    all.register("leading", "Whether this operator is the leader", ConstGauge::new(leads));
    all.register("compilations", "Compilations of all resources", counter(&stats.compilations));
    all.register("compile_microseconds", "Duration of the last compilation", gauge(&stats.compile_micros));
    all.register("objects", "Objects in the desired published config", gauge(&stats.objects));
    all.register("applied", "Objects applied in the publication namespace", counter(&stats.applied));
    all.register("removed", "Objects removed from the publication namespace", counter(&stats.removed));
    all.register("statuses", "Statuses written", counter(&stats.statuses));
    all.register("failures", "Failed writes. Each write is retried", counter(&stats.failures));
    all.register("diagnosed_errors", "Resources that have an error", gauge(&stats.errors));
    all.register("undecodable", "Resources that cannot be decoded", gauge(&stats.undecodable));
    all
}
