//! The private listener: health and figures. No page of any browser may ask.

use std::fmt::Write as _;
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

/// The loop looks around each second; one that has not for this long hangs.
const HANG_THRESHOLD_MS: i64 = 120_000;

/// What the operator did so far, and how it is.
#[derive(Default)]
pub(crate) struct Stats {
    pub(crate) ready: AtomicBool,
    pub(crate) leads: AtomicBool,
    /// When the loop last came round, Unix milliseconds.
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
    // Every browser names a host. One whose page has bound a name of its own to this address names that.
    let strange = |host: &HeaderValue| !host.to_str().is_ok_and(portcullis_egress::is_internal_host);
    if request.headers().contains_key(ORIGIN) || request.headers().get_all(HOST).iter().any(strange) {
        return (StatusCode::FORBIDDEN, "no page of a browser may ask here\n").into_response();
    }
    next.run(request).await
}

async fn health(State(private): State<AdminState>) -> Response {
    let beat = private.stats.last_pass_ms.load(Ordering::Relaxed);
    if private.clock.now().0.saturating_sub(beat) < HANG_THRESHOLD_MS {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the loop hangs\n").into_response()
    }
}

async fn ready(State(private): State<AdminState>) -> Response {
    if private.stats.ready.load(Ordering::Relaxed) {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the API server has not been read yet\n").into_response()
    }
}

/// Prometheus text format 0.0.4.
async fn metrics(State(private): State<AdminState>) -> Response {
    let stats = &private.stats;
    let mut out = String::new();
    let mut one = |name: &str, kind: &str, help: &str, value: u64| {
        let name = format!("portcullis_operator_{name}");
        writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}").ok();
    };
    let of = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
    one("leading", "gauge", "Whether this operator leads.", stats.leads.load(Ordering::Relaxed).into());
    one("compilations_total", "counter", "Times that the resources were compiled.", of(&stats.compilations));
    one("compile_microseconds", "gauge", "How long the last compilation took.", of(&stats.compile_micros));
    one("objects", "gauge", "Objects that are to be published.", of(&stats.objects));
    one("applied_total", "counter", "Objects applied in the publication namespace.", of(&stats.applied));
    one("removed_total", "counter", "Objects removed there.", of(&stats.removed));
    one("statuses_total", "counter", "Statuses written.", of(&stats.statuses));
    one("failures_total", "counter", "Writes that failed; each is tried again.", of(&stats.failures));
    one("diagnosed_errors", "gauge", "Resources with an error.", of(&stats.errors));
    one("undecodable", "gauge", "Resources that cannot be read.", of(&stats.undecodable));
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], out).into_response()
}
