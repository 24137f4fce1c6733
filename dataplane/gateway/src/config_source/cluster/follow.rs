//! Turns watch events into served route tables, reports and snapshots.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use portcullis_config_distribution::ReplicaReport;
use portcullis_store::PublishedSerialRow;
use tokio::sync::{mpsc, oneshot, watch};
use zeroize::Zeroizing;

use super::key_source::StoredKeys;
use super::mirror::{ConfigMirror, MirrorEffect};
use super::object::WatchEvent;
use super::sealed_snapshot::{ConfigSnapshot, SealedSnapshot};
use crate::config_source::table_publisher::TablePublisher;

/// Objects that the operator writes together arrive within this time over the two watches.
const DEBOUNCE: Duration = Duration::from_millis(5);
/// Without any watch event for this time after the start, the API server counts as unavailable.
const INITIAL_LIST_TIMEOUT: Duration = Duration::from_secs(5);

/// Counters of the published config, for the metrics.
#[derive(Clone, Default)]
pub(crate) struct SyncStats(Arc<Counters>);

#[derive(Default)]
struct Counters {
    rejections: AtomicU64,
    rejected: AtomicU64,
    from_snapshot: AtomicBool,
}

impl SyncStats {
    /// Object versions that were rejected since the process started.
    pub(crate) fn rejections(&self) -> u64 {
        self.0.rejections.load(Ordering::Relaxed)
    }

    /// Objects that are currently rejected or cannot be served.
    pub(crate) fn rejected(&self) -> u64 {
        self.0.rejected.load(Ordering::Relaxed)
    }

    /// Whether the sealed snapshot is served because the API server has been unavailable since the start.
    pub(crate) fn serves_snapshot(&self) -> bool {
        self.0.from_snapshot.load(Ordering::Relaxed)
    }
}

/// Applies watch events and serves the result.
pub(super) struct ConfigFollower {
    pub(super) mirror: ConfigMirror,
    pub(super) publisher: TablePublisher,
    pub(super) snapshot_file: SealedSnapshot,
    /// Receives published key rings; `None` if the key rings come from a mounted file.
    pub(super) published_keys: Option<watch::Sender<StoredKeys>>,
    /// Changes when this replica uses changed key rings.
    pub(super) key_rotations: watch::Receiver<u64>,
    /// Receives the serials that the store must keep.
    pub(super) serials: mpsc::UnboundedSender<PublishedSerialRow>,
    pub(super) reports: watch::Sender<ReplicaReport>,
    pub(super) snapshots: watch::Sender<ConfigSnapshot>,
    pub(super) sync_stats: SyncStats,
    pub(super) ready: Option<oneshot::Sender<()>>,
}

impl ConfigFollower {
    pub(super) async fn run(mut self, mut changes: mpsc::Receiver<WatchEvent>) {
        let initial_timeout = tokio::time::sleep(INITIAL_LIST_TIMEOUT);
        let mut initial_timeout = std::pin::pin!(initial_timeout);
        let (mut may_restore, mut event_received) = (true, false);
        loop {
            let change = tokio::select! {
                change = changes.recv() => change,
                Ok(()) = self.key_rotations.changed() => {
                    self.mirror.reverify_rejected();
                    self.serve();
                    continue;
                }
                () = initial_timeout.as_mut(), if !event_received => {
                    Some(WatchEvent::Failed { unavailable: true })
                }
            };
            let Some(change) = change else { return };
            event_received = true;
            let mut away = self.apply(change);
            tokio::time::sleep(DEBOUNCE).await;
            while let Ok(more) = changes.try_recv() {
                away |= self.apply(more);
            }
            may_restore &= !self.mirror.is_complete();
            if away && may_restore {
                may_restore = false;
                self.restore();
            }
            self.serve();
        }
    }

    /// Returns whether the API server is unavailable.
    fn apply(&mut self, change: WatchEvent) -> bool {
        let away = matches!(change, WatchEvent::Failed { unavailable: true });
        for taken in self.mirror.apply(change) {
            if let MirrorEffect::Keys(text) = taken {
                let stored = Zeroizing::new(text.into_bytes());
                if let Some(offer) = &self.published_keys {
                    offer.send_replace(stored);
                }
            }
        }
        away
    }

    fn restore(&mut self) {
        match self.snapshot_file.read() {
            Ok(publication) => {
                tracing::warn!("API server unavailable; serving the sealed snapshot");
                self.mirror.restore(publication);
                self.sync_stats.0.from_snapshot.store(true, Ordering::Relaxed);
            }
            Err(error) => tracing::warn!(
                %error,
                "API server unavailable and no sealed snapshot usable; this replica serves nothing until the API server responds"
            ),
        }
    }

    /// Serves the mirrored config if it is complete, or if it comes from the snapshot.
    fn serve(&mut self) {
        for row in self.mirror.take_serial_changes() {
            self.serials.send(row).ok();
        }
        let complete = self.mirror.is_complete();
        if complete {
            self.sync_stats.0.from_snapshot.store(false, Ordering::Relaxed);
        } else if !self.sync_stats.serves_snapshot() {
            return;
        }
        if self.mirror.is_stale() {
            match self.mirror.table(self.publisher.next_generation()) {
                Some(table) => self.publisher.serve(table),
                None => self.publisher.withdraw(),
            }
            self.snapshots.send_replace(self.mirror.to_snapshot());
        }
        let report = self.mirror.report();
        let before = self.sync_stats.rejections();
        self.sync_stats.0.rejections.store(self.mirror.rejections(), Ordering::Relaxed);
        self.sync_stats.0.rejected.store(report.rejected.len() as u64, Ordering::Relaxed);
        if self.mirror.rejections() != before {
            self.publisher.record_rejection(
                "publication_refused",
                "a published object was rejected; see the log or the report of this replica",
            );
        }
        self.reports.send_if_modified(|shown| {
            let other = *shown != report;
            *shown = report;
            other
        });
        let arrived = self.publisher.is_serving() || (complete && self.mirror.is_empty());
        if arrived && let Some(ready) = self.ready.take() {
            ready.send(()).ok();
        }
    }
}
