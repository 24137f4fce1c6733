use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use portcullis_publication::Report;
use tokio::sync::{mpsc, oneshot, watch};
use zeroize::Zeroizing;

use super::holdings::{Holdings, Taken};
use super::keys::Stored;
use super::object::Change;
use super::sealed::{Publication, SealedFile};
use crate::snapshot::publish::Publisher;

/// What is written together arrives within this time, over two watches.
const SETTLE: Duration = Duration::from_millis(5);
/// When nobody has said anything for so long after the start, the API server does not answer.
const UNHEARD: Duration = Duration::from_secs(5);

/// Numbers about the publication, for the metrics.
#[derive(Clone, Default)]
pub(crate) struct Tally(Arc<Numbers>);

#[derive(Default)]
struct Numbers {
    refusals: AtomicU64,
    rejected: AtomicU64,
    from_snapshot: AtomicBool,
}

impl Tally {
    /// Versions of objects that were refused since the start.
    pub(crate) fn refusals(&self) -> u64 {
        self.0.refusals.load(Ordering::Relaxed)
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
pub(super) struct Follower {
    pub(super) holdings: Holdings,
    pub(super) publisher: Publisher,
    pub(super) file: SealedFile,
    /// Where rings that are published go; none where they come from elsewhere.
    pub(super) offer: Option<watch::Sender<Stored>>,
    /// Changes when the rings have turned.
    pub(super) turned: watch::Receiver<u64>,
    pub(super) show_report: watch::Sender<Report>,
    pub(super) show_publication: watch::Sender<Publication>,
    pub(super) tally: Tally,
    pub(super) arrived: Option<oneshot::Sender<()>>,
}

impl Follower {
    pub(super) async fn run(mut self, mut changes: mpsc::Receiver<Change>) {
        let unheard = tokio::time::sleep(UNHEARD);
        let mut unheard = std::pin::pin!(unheard);
        let (mut may_restore, mut heard) = (true, false);
        loop {
            let change = tokio::select! {
                change = changes.recv() => change,
                Ok(()) = self.turned.changed() => {
                    self.holdings.look_again();
                    self.serve();
                    continue;
                }
                () = unheard.as_mut(), if !heard => Some(Change::Trouble { away: true }),
            };
            let Some(change) = change else { return };
            heard = true;
            let mut away = self.take(change);
            tokio::time::sleep(SETTLE).await;
            while let Ok(more) = changes.try_recv() {
                away |= self.take(more);
            }
            may_restore &= !self.holdings.is_complete();
            if away && may_restore {
                may_restore = false;
                self.restore();
            }
            self.serve();
        }
    }

    /// Returns whether the API server is away.
    fn take(&mut self, change: Change) -> bool {
        let away = matches!(change, Change::Trouble { away: true });
        for taken in self.holdings.take(change) {
            if let Taken::Keys(text) = taken {
                let stored = Zeroizing::new(text.into_bytes());
                if let Some(offer) = &self.offer {
                    offer.send_replace(stored);
                }
            }
        }
        away
    }

    fn restore(&mut self) {
        match self.file.read() {
            Ok(publication) => {
                tracing::warn!("the API server does not answer; the sealed snapshot is served");
                self.holdings.restore(publication);
                self.tally.0.from_snapshot.store(true, Ordering::Relaxed);
            }
            Err(error) => tracing::warn!(
                "the API server does not answer, and there is no snapshot to serve from; this replica waits: {error}"
            ),
        }
    }

    /// Serves what is held, where it is all that there is or all that is to be had.
    fn serve(&mut self) {
        let complete = self.holdings.is_complete();
        if complete {
            self.tally.0.from_snapshot.store(false, Ordering::Relaxed);
        } else if !self.tally.serves_snapshot() {
            return;
        }
        if self.holdings.is_stale() {
            match self.holdings.table(self.publisher.next()) {
                Some(table) => self.publisher.serve(table),
                None => self.publisher.withdraw(),
            }
            self.show_publication.send_replace(self.holdings.publication());
        }
        let report = self.holdings.report();
        let before = self.tally.refusals();
        self.tally.0.refusals.store(self.holdings.refusals(), Ordering::Relaxed);
        self.tally.0.rejected.store(report.rejected.len() as u64, Ordering::Relaxed);
        if self.holdings.refusals() != before {
            self.publisher
                .rejected("publication_refused", "a published object is refused; see the log and the report");
        }
        self.show_report.send_if_modified(|shown| {
            let other = *shown != report;
            *shown = report;
            other
        });
        let arrived = self.publisher.serves() || (complete && self.holdings.is_empty());
        if arrived && let Some(tell) = self.arrived.take() {
            tell.send(()).ok();
        }
    }
}
