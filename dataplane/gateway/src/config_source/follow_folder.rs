//! Watches a folder of manifests and serves its valid edits.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use portcullis_egress::error_chain;
use tokio::sync::mpsc;

use super::folder::{Loaded, ManifestFolder};
use super::table_publisher::TablePublisher;

/// An edit often causes several file system events: a save, a rename, a second file. They are handled
/// together after this time without an event.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// Collects the edits of a folder from its creation on.
pub(crate) struct FolderWatcher {
    changes: mpsc::UnboundedReceiver<()>,
    _watcher: RecommendedWatcher,
}

impl FolderWatcher {
    /// Starts to watch.
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Self> {
        let (sender, changes) = mpsc::unbounded_channel();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading the folder causes access events, which are not edits.
            if !matches!(&event, Ok(event) if event.kind.is_access()) {
                sender.send(()).ok();
            }
        })
        .context("failed to create a file system watcher")?;
        watcher
            .watch(folder, RecursiveMode::Recursive)
            .with_context(|| format!("failed to watch {}", folder.display()))?;
        Ok(Self { changes, _watcher: watcher })
    }
}

/// Serves every valid edit of a folder. Invalid edits are reported and ignored.
pub(crate) async fn follow_folder(
    mut edits: FolderWatcher,
    mut folder: ManifestFolder,
    mut publisher: TablePublisher,
) {
    while edits.changes.recv().await.is_some() {
        while tokio::time::timeout(DEBOUNCE, edits.changes.recv()).await.is_ok_and(|more| more.is_some()) {}
        reload(&mut folder, &mut publisher);
    }
}

fn reload(folder: &mut ManifestFolder, publisher: &mut TablePublisher) {
    let rejected = |reason: &'static str, text: String| {
        tracing::error!(reason, error = %text, "edit rejected; the last valid state stays in use");
        (reason, text)
    };
    let Loaded { config, uids: given } = match folder.load() {
        Ok(Ok(loaded)) => loaded,
        Ok(Err(problems)) => {
            let (reason, text) = rejected("invalid_manifests", problems.to_string());
            return publisher.record_rejection(reason, &text);
        }
        Err(error) => {
            let (reason, text) = rejected("unreadable_folder", error_chain(&*error));
            return publisher.record_rejection(reason, &text);
        }
    };
    if let Err(error) = publisher.publish(&config) {
        let (reason, text) = rejected("unservable", error.to_string());
        return publisher.record_rejection(reason, &text);
    }
    if let Err(error) = folder.commit_uids(given) {
        tracing::error!(
            error = %error_chain(&*error),
            "failed to store the identities of new resources; they are lost when this process ends"
        );
    }
    tracing::info!("edit of the folder is served");
}
