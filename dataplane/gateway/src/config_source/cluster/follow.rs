use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use portcullis_config_distribution::ReplicaReport;
use tokio::sync::{mpsc, oneshot, watch};
use zeroize::Zeroizing;

use super::key_source::StoredKeys;
use super::mirror::{ConfigMirror, MirrorEffect};
use super::object::WatchEvent;
use super::sealed_snapshot::{ConfigSnapshot, SealedSnapshot};
use crate::config_source::table_publisher::TablePublisher;

/// What is written together arrives within this time, over two watches.
const DEBOUNCE: Duration = Duration::from_millis(5);
/// When nobody has said anything for so long after the start, the API server does not answer.
const INITIAL_LIST_TIMEOUT: Duration = Duration::from_secs(5);

/// Numbers about the publication, for the metrics.
#[derive(Clone, Default)]
pub(crate) struct SyncStats(Arc<Counters>);

#[derive(Default)]
struct Counters {
    rejections: AtomicU64,
    rejected: AtomicU64,
    from_snapshot: AtomicBool,
}

impl SyncStats {
    /// Versions of objects that were refused since the start.
    pub(crate) fn rejections(&self) -> u64 {
        self.0.rejections.load(Ordering::Relaxed)
    }

    /// Objects that are refused or cannot be served now.
    pub(crate) fn rejected(&self) -> u64 {
        self.0.rejected.load(Ordering::Relaxed)
    }

    /// Whether the sealed snapshot is served, because the API server has not answered since the start.
    pub(crate) fn serves_snapshot(&self) -> bool {
        self.0.from_snapshot.load(Ordering::Relaxed)
    }
}

/// Turns what the watches tell into what is served.
pub(super) struct ConfigFollower {
    pub(super) mirror: ConfigMirror,
    pub(super) publisher: TablePublisher,
    pub(super) snapshot_file: SealedSnapshot,
    /// Where rings that are published go; none where they come from elsewhere.
    pub(super) published_keys: Option<watch::Sender<StoredKeys>>,
    /// Changes when the rings have turned.
    pub(super) key_rotations: watch::Receiver<u64>,
    pub(super) reports: watch::Sender<ReplicaReport>,
    pub(super) snapshots: watch::Sender<ConfigSnapshot>,
    pub(super) sync_stats: SyncStats,
    pub(super) ready: Option<oneshot::Sender<()>>,
}

impl ConfigFollower {
    pub(super) async fn run(mut self, mut changes: mpsc::Receiver<WatchEvent>) {
        let unheard = tokio::time::sleep(INITIAL_LIST_TIMEOUT);
        let mut unheard = std::pin::pin!(unheard);
        let (mut may_restore, mut heard) = (true, false);
        loop {
            let change = tokio::select! {
                change = changes.recv() => change,
                Ok(()) = self.key_rotations.changed() => {
                    self.mirror.reverify_rejected();
                    self.serve();
                    continue;
                }
                () = unheard.as_mut(), if !heard => Some(WatchEvent::Failed { unavailable: true }),
            };
            let Some(change) = change else { return };
            heard = true;
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

    /// Returns whether the API server is away.
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
                tracing::warn!("the API server does not answer; the sealed snapshot is served");
                self.mirror.restore(publication);
                self.sync_stats.0.from_snapshot.store(true, Ordering::Relaxed);
            }
            Err(error) => tracing::warn!(
                "the API server does not answer, and there is no snapshot to serve from; this replica waits: {error}"
            ),
        }
    }

    /// Serves what is held, where it is all that there is or all that is to be had.
    fn serve(&mut self) {
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
                "a published object is refused; see the log and the report",
            );
        }
        self.reports.send_if_modified(|shown| {
            let other = *shown != report;
            *shown = report;
            other
        });
        let arrived = self.publisher.is_serving() || (complete && self.mirror.is_empty());
        if arrived && let Some(tell) = self.ready.take() {
            tell.send(()).ok();
        }
    }
}
