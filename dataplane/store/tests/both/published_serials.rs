use portcullis_store::PublishedSerialRow;

use crate::test_database::on_both_databases;

pub(crate) fn serial(object: &str, serial: i64, removed: bool) -> PublishedSerialRow {
    PublishedSerialRow {
        object: object.into(),
        serial,
        hash: format!("hash of {serial}"),
        removed: i64::from(removed),
    }
}

on_both_databases! {
    async fn given_an_accepted_serial_when_replicas_write_late_then_it_never_goes_back(place: TestDatabase) {
        let (one, other) = (place.store().await, place.store().await);
        one.raise_published_serials(&[serial("route-a", 5, false), serial("route-b", 7, false)]).await.unwrap();
        other.raise_published_serials(&[serial("route-a", 4, true), serial("route-b", 7, true)]).await.unwrap();
        // The replica that has not seen the removal yet.
        one.raise_published_serials(&[serial("route-b", 7, false)]).await.unwrap();
        let mut rows = other.published_serials().await.unwrap();
        rows.sort_by(|a, b| a.object.cmp(&b.object));
        assert_eq!(rows, [serial("route-a", 5, false), serial("route-b", 7, true)]);
        one.raise_published_serials(&[serial("route-b", 8, false)]).await.unwrap();
        assert!(other.published_serials().await.unwrap().contains(&serial("route-b", 8, false)));
    }

    async fn given_hundreds_of_rows_when_removed_ones_are_pruned_then_only_those_up_to_the_serial_go(place: TestDatabase) {
        let store = place.store().await;
        let rows: Vec<_> = (1..=900).map(|at| serial(&format!("route-{at}"), at, at % 2 == 0)).collect();
        store.raise_published_serials(&rows).await.unwrap();
        store.raise_published_serials(&[serial("", 600, true)]).await.unwrap();
        store.prune_published_serials(600).await.unwrap();
        let left = store.published_serials().await.unwrap();
        assert_eq!(left.len(), 900 + 1 - 300);
        assert!(left.contains(&serial("", 600, true)) && left.contains(&serial("route-602", 602, true)));
    }
}
