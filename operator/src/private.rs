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
use portcullis_ambient::Clock;

/// The loop looks around each second; one that has not for this long hangs.
const HANGING_MS: i64 = 120_000;

/// What the operator did so far, and how it is.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) ready: AtomicBool,
    pub(crate) leads: AtomicBool,
    /// When the loop last came round, Unix milliseconds.
    pub(crate) beat: AtomicI64,
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
struct Private {
    figures: Arc<Figures>,
    clock: Clock,
}

/// `/healthz`, `/readyz` and `/metrics`.
pub(crate) fn router(figures: Arc<Figures>, clock: Clock) -> Router {
    Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .layer(middleware::from_fn(no_browsers))
        .with_state(Private { figures, clock })
}

async fn no_browsers(request: Request, next: Next) -> Response {
    // Every browser names a host. One whose page has bound a name of its own to this address names that.
    let strange = |host: &HeaderValue| !host.to_str().is_ok_and(portcullis_outbound::is_internal_host);
    if request.headers().contains_key(ORIGIN) || request.headers().get_all(HOST).iter().any(strange) {
        return (StatusCode::FORBIDDEN, "no page of a browser may ask here\n").into_response();
    }
    next.run(request).await
}

async fn health(State(private): State<Private>) -> Response {
    let beat = private.figures.beat.load(Ordering::Relaxed);
    if private.clock.now().0.saturating_sub(beat) < HANGING_MS {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the loop hangs\n").into_response()
    }
}

async fn ready(State(private): State<Private>) -> Response {
    if private.figures.ready.load(Ordering::Relaxed) {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the API server has not been read yet\n").into_response()
    }
}

/// Prometheus text format 0.0.4.
async fn metrics(State(private): State<Private>) -> Response {
    let figures = &private.figures;
    let mut out = String::new();
    let mut one = |name: &str, kind: &str, help: &str, value: u64| {
        let name = format!("portcullis_operator_{name}");
        writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}").ok();
    };
    let of = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
    one("leading", "gauge", "Whether this operator leads.", figures.leads.load(Ordering::Relaxed).into());
    one(
        "compilations_total",
        "counter",
        "Times that the resources were compiled.",
        of(&figures.compilations),
    );
    one("compile_microseconds", "gauge", "How long the last compilation took.", of(&figures.compile_micros));
    one("objects", "gauge", "Objects that are to be published.", of(&figures.objects));
    one("applied_total", "counter", "Objects applied in the publication namespace.", of(&figures.applied));
    one("removed_total", "counter", "Objects removed there.", of(&figures.removed));
    one("statuses_total", "counter", "Statuses written.", of(&figures.statuses));
    one("failures_total", "counter", "Writes that failed; each is tried again.", of(&figures.failures));
    one("diagnosed_errors", "gauge", "Resources with an error.", of(&figures.errors));
    one("undecodable", "gauge", "Resources that cannot be read.", of(&figures.undecodable));
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], out).into_response()
}
