//! Writes accepted serials to the store. The config source never waits for it.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis_logging::LoggedState;
use portcullis_store::{PublishedSerialRow, Store, StoreError};
use tokio::sync::mpsc;

use super::accepted_serials::floor;

/// Delay before the next attempt after an error.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Writes the received serials until the sender is dropped. While the store is unavailable, only the highest
/// serial of each object is kept.
pub(super) async fn write_serials(store: Store, mut changes: mpsc::UnboundedReceiver<PublishedSerialRow>) {
    let mut logged = LoggedState::default();
    let mut pending: BTreeMap<String, PublishedSerialRow> = BTreeMap::new();
    loop {
        if pending.is_empty() {
            let Some(row) = changes.recv().await else { return };
            pending.insert(row.object.clone(), row);
        }
        while let Ok(row) = changes.try_recv() {
            pending.insert(row.object.clone(), row);
        }
        let rows: Vec<_> = pending.values().cloned().collect();
        match write(&store, &rows).await {
            Ok(()) => {
                pending.clear();
                if logged.changes_to(false) {
                    tracing::info!("writing the serials of published objects works again");
                }
            }
            Err(error) => {
                if logged.changes_to(true) {
                    tracing::warn!(%error, "failed to write the serials of published objects, retrying");
                }
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }
}

async fn write(store: &Store, rows: &[PublishedSerialRow]) -> Result<(), StoreError> {
    store.raise_published_serials(rows).await?;
    match floor(rows) {
        Some(floor) => store.prune_published_serials(floor).await,
        None => Ok(()),
    }
}
