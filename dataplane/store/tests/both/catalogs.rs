use portcullis_store::CatalogRow;

use crate::test_database::on_both_databases;

fn part(origin: &str, kind: &str, document: &str) -> CatalogRow {
    CatalogRow {
        origin_uid: origin.into(),
        origin_url: format!("https://{origin}.example.com/mcp"),
        kind: kind.into(),
        document: document.into(),
        observed_at: 1,
    }
}

on_both_databases! {
    async fn given_parts_of_catalogs_when_one_is_put_again_then_it_takes_the_place_of_the_one_before(place: TestDatabase) {
        let store = place.store().await;
        store.put_catalog(&part("o", "tools/list", "[1]")).await.unwrap();
        store.put_catalog(&part("o", "prompts/list", "[2]")).await.unwrap();
        store.put_catalog(&part("p", "tools/list", "[3]")).await.unwrap();
        let newer = CatalogRow { observed_at: 2, ..part("o", "tools/list", "[\"ä\u{1f980}\"]") };
        store.put_catalog(&newer).await.unwrap();
        let mut parts = place.store().await.catalogs().await.unwrap();
        parts.sort_by(|a, b| (&a.origin_uid, &a.kind).cmp(&(&b.origin_uid, &b.kind)));
        assert_eq!(
            parts,
            [
                part("o", "prompts/list", "[2]"),
                newer,
                part("p", "tools/list", "[3]")
            ]
        );
    }
}
