//! Golden test of the private listener: its paths, the names and types of its metrics, and the keys of its
//! documents.

use axum::body::{Body, to_bytes};
use portcullis_golden::assert_golden;
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::golden::{pretty, table};
use crate::limits::LimitSettings;

fn router() -> Router {
    let tables = RouteTableHandle::default();
    tables.swap(table());
    let private = PrivateListener {
        readiness: Readiness::default(),
        shutdown: Shutdown::default(),
        tables,
        events: EventSink::new().0,
        limits: Arc::new(Limits::new(LimitSettings::default())),
        sync_stats: Some(SyncStats::default()),
        reencryption: Reencryption::default(),
        catalog_endpoint: Some(CatalogEndpoint::default()),
    };
    private.router()
}

async fn get_text(path: &str) -> (StatusCode, HeaderMap, String) {
    let request = Request::get(path).header(HOST, "localhost").body(Body::empty()).unwrap();
    let (head, body) = router().oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    (head.status, head.headers, String::from_utf8(body.to_vec()).unwrap())
}

/// The line without help text and value.
fn shape(line: &str) -> Option<&str> {
    match line.starts_with('#') {
        true => line.starts_with("# TYPE").then_some(line),
        false => line.rsplit_once(' ').map(|(series, _)| series),
    }
}

#[tokio::test]
async fn metrics_keep_their_names_types_and_labels() {
    let (_, headers, text) = get_text("/metrics").await;
    let kind = headers[header::CONTENT_TYPE].to_str().unwrap();
    let shapes: Vec<_> = text.lines().filter_map(shape).collect();
    assert_golden("metrics/data-plane.txt", &format!("{kind}\n{}", shapes.join("\n")));
}

#[tokio::test]
async fn paths_and_documents_are_stable() {
    let mut golden = serde_json::Map::new();
    for path in ["/healthz", "/readyz", "/metrics", "/debug/routes", "/catalogs"] {
        let (status, _, text) = get_text(path).await;
        let document: Value = serde_json::from_str(&text).unwrap_or_default();
        golden.insert(path.to_owned(), json!({"status": status.as_u16(), "document": document}));
    }
    assert_golden("http/private.json", &pretty(&golden.into()));
}
