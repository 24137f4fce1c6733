use portcullis_store::CatalogRow;

use crate::test_database::on_both_databases;

fn part(origin: &str, kind: &str, document: &str) -> CatalogRow {
    CatalogRow {
        origin_uid: origin.into(),
        origin_url: format!("https://{origin}.example.com/mcp"),
        kind: kind.into(),
        basis: "owner".into(),
        document: document.into(),
        observed_at: 1,
    }
}

/// How the version before the shared catalogs stores what it learns, from any user's account.
const WRITE_OF_EARLIER_VERSION: &str =
    "INSERT INTO origin_catalogs (origin_uid, origin_url, kind, document, observed_at)
     VALUES ('o', 'https://o', 'tools/list', '[]', 9) ON CONFLICT (origin_uid, kind) DO UPDATE SET document = '[2]'";

on_both_databases! {
    async fn given_parts_of_catalogs_when_one_is_put_again_then_it_takes_the_place_of_the_one_before(place: TestDatabase) {
        let store = place.store().await;
        store.put_catalog(&part("o", "tools/list", "[1]")).await.unwrap();
        store.put_catalog(&part("o", "prompts/list", "[2]")).await.unwrap();
        store.put_catalog(&part("p", "tools/list", "[3]")).await.unwrap();
        let newer = CatalogRow {
            observed_at: 2,
            basis: "origin".into(),
            ..part("o", "tools/list", "[\"ä\u{1f980}\"]")
        };
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

    async fn given_a_part_that_is_private_again_or_was_not_seen_for_long_then_it_is_deleted(place: TestDatabase) {
        let store = place.store().await;
        for kind in ["tools/list", "prompts/list"] {
            store.put_catalog(&part("o", kind, "[1]")).await.unwrap();
            store.put_catalog(&part("p", kind, "[1]")).await.unwrap();
        }
        store.put_catalog(&CatalogRow { observed_at: 5, ..part("q", "tools/list", "[1]") }).await.unwrap();
        store.remove_catalog("o", "tools/list").await.unwrap();
        assert_eq!(store.catalogs().await.unwrap().len(), 4);
        store.prune_catalogs(5).await.unwrap();
        let left = store.catalogs().await.unwrap();
        assert_eq!(left.iter().map(|row| row.origin_uid.as_str()).collect::<Vec<_>>(), ["q"]);
    }

    async fn given_what_users_accounts_showed_when_the_database_is_upgraded_then_it_is_deleted(place: TestDatabase) {
        place.store().await;
        place.run("DROP TABLE shared_catalogs; DELETE FROM _sqlx_migrations WHERE version = 15").await;
        place.run(WRITE_OF_EARLIER_VERSION).await;
        assert_eq!(place.store().await.catalogs().await.unwrap(), []);
        assert_eq!(place.count("SELECT COUNT(*) FROM origin_catalogs").await, 0);
    }

    async fn given_what_an_earlier_version_stored_then_it_is_never_read_and_is_deleted(place: TestDatabase) {
        let store = place.store().await;
        place.run(WRITE_OF_EARLIER_VERSION).await;
        assert_eq!(place.store().await.catalogs().await.unwrap(), []);
        store.prune_catalogs(0).await.unwrap();
        assert_eq!(place.count("SELECT COUNT(*) FROM origin_catalogs").await, 0);
    }
}
