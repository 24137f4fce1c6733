use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::folder::{Loaded, ManifestFolder};
use super::table_publisher::TablePublisher;

/// An edit is often several: a save, a rename, a second file. They are taken together when nothing has come for so long.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// The edits of a folder, from the moment this is made.
pub(crate) struct FolderWatcher {
    changes: mpsc::UnboundedReceiver<()>,
    _watcher: RecommendedWatcher,
}

impl FolderWatcher {
    /// Begins to watch.
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Self> {
        let (tell, told) = mpsc::unbounded_channel();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Our own reading is no edit.
            if !matches!(&event, Ok(event) if event.kind.is_access()) {
                tell.send(()).ok();
            }
        })
        .context("the operating system does not let the folder be watched")?;
        watcher
            .watch(folder, RecursiveMode::Recursive)
            .with_context(|| format!("cannot watch {}", folder.display()))?;
        Ok(Self { changes: told, _watcher: watcher })
    }
}

/// Serves every sound edit of a folder. A broken one is told and changes nothing.
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
    let refused = |reason, text: String| {
        tracing::error!("the folder is not served as it is now; the last good state stays:\n{text}");
        (reason, text)
    };
    let Loaded { config, uids: given } = match folder.load() {
        Ok(Ok(loaded)) => loaded,
        Ok(Err(problems)) => {
            let (reason, text) = refused("invalid_manifests", problems.to_string());
            return publisher.record_rejection(reason, &text);
        }
        Err(error) => {
            let (reason, text) = refused("unreadable_folder", format!("{error:#}"));
            return publisher.record_rejection(reason, &text);
        }
    };
    if let Err(error) = publisher.publish(&config) {
        let (reason, text) = refused("unservable", error.to_string());
        return publisher.record_rejection(reason, &text);
    }
    if let Err(error) = folder.commit_uids(given) {
        tracing::error!(
            "identities of new resources could not be kept; they end with this process: {error:#}"
        );
    }
    tracing::info!("the folder was edited and is served as it is now");
}
