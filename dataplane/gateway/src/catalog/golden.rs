//! Golden test of the stored catalogs of origins.

use portcullis_golden::assert_golden;
use serde_json::{Value, json};

use super::CatalogSection;
use crate::golden::{context, pretty, table};

#[tokio::test]
async fn stored_catalogs_have_their_kinds() {
    let (context, table) = (context().await, table());
    let origin = table.origin("origin-id").unwrap();
    let parts = [
        CatalogSection::Initialize,
        CatalogSection::Discover,
        CatalogSection::Tools,
        CatalogSection::Prompts,
        CatalogSection::Templates,
    ];
    for part in parts {
        context.catalogs.learn(origin, part, [r#"{"name":"a"}"#], false);
    }
    let mut rows = Vec::new();
    // Catalogs are stored in the background.
    for _ in 0..1000 {
        rows = context.store.catalogs().await.unwrap();
        if rows.len() == parts.len() {
            break;
        }
        tokio::task::yield_now().await;
    }
    rows.sort_by(|a, b| a.kind.cmp(&b.kind));
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "origin_uid": row.origin_uid, "origin_url": row.origin_url, "kind": row.kind,
                "document": row.document, "observed_at": row.observed_at,
            })
        })
        .collect();
    assert_golden("mcp/stored-catalogs.json", &pretty(&json!(rows)));
}
