use portcullis_store::StoreError;

use crate::test_database::on_both_databases;

#[expect(clippy::disallowed_methods, reason = "the test compares this machine's clock with the database's")]
pub(crate) fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

on_both_databases! {
    async fn given_a_clock_when_it_differs_from_the_databases_then_that_is_an_error(place: TestDatabase) {
        let store = place.store().await;
        store.check_clock(now_ms).await.unwrap();
        let differs = async |by: i64| {
            matches!(store.check_clock(|| now_ms() + by).await, Err(StoreError::ClockDifference { .. }))
        };
        // SQLite has no other clock than this machine's.
        let compares = !place.url.starts_with("sqlite");
        for (by, differing) in [(0, false), (25_000, false), (-25_000, false), (40_000, true), (-40_000, true)] {
            assert_eq!(differs(by).await, differing && compares, "{by}");
        }
    }
}
