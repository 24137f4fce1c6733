//! Golden test of the stored catalogs of origins.

use portcullis_golden::assert_golden;
use serde_json::{Value, json};

use super::{CatalogSection, ObservedPage};
use crate::golden::{ana, context, pretty, table_with};

#[tokio::test]
async fn stored_catalogs_have_their_kinds() {
    let personal = json!({"userOAuth": {"scopes": [], "registration": "auto"}});
    let table = table_with(|config| config["origins"][0]["auth"] = personal);
    let context = context().await;
    let origin = table.origin("origin-id").unwrap();
    let parts = [
        CatalogSection::Initialize,
        CatalogSection::Discover,
        CatalogSection::Tools,
        CatalogSection::Prompts,
        CatalogSection::Templates,
    ];
    for part in parts {
        let items = vec![r#"{"name":"a","serverInfo":{"name":"a"},"instructions":"for Ana"}"#];
        let page = ObservedPage { part, items, public: true, continues: false, is_continued: false };
        context.catalogs.learn(origin, &ana().id, &page);
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
                "origin_uid": row.origin_uid, "origin_url": row.origin_url, "kind": row.kind, "basis": row.basis,
                "document": row.document, "observed_at": row.observed_at,
            })
        })
        .collect();
    assert_golden("mcp/stored-catalogs.json", &pretty(&json!(rows)));
}
