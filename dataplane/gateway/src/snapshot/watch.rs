use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::folder::{Folder, Loaded};
use super::publish::Publisher;

/// An edit is often several: a save, a rename, a second file. They are taken together when nothing has come for so long.
const SETTLE: Duration = Duration::from_millis(50);

/// The edits of a folder, from the moment this is made.
pub(crate) struct Edits {
    told: mpsc::UnboundedReceiver<()>,
    _watcher: RecommendedWatcher,
}

impl Edits {
    /// Begins to watch.
    pub(crate) fn of(folder: &Path) -> anyhow::Result<Self> {
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
        Ok(Self { told, _watcher: watcher })
    }
}

/// Serves every sound edit of a folder. A broken one is told and changes nothing.
pub(crate) async fn watch(mut edits: Edits, mut folder: Folder, mut publisher: Publisher) {
    while edits.told.recv().await.is_some() {
        while tokio::time::timeout(SETTLE, edits.told.recv()).await.is_ok_and(|more| more.is_some()) {}
        reload(&mut folder, &mut publisher);
    }
}

fn reload(folder: &mut Folder, publisher: &mut Publisher) {
    let refused = |reason, text: String| {
        tracing::error!("the folder is not served as it is now; the last good state stays:\n{text}");
        (reason, text)
    };
    let Loaded { contract, given } = match folder.load() {
        Ok(Ok(loaded)) => loaded,
        Ok(Err(problems)) => {
            let (reason, text) = refused("invalid_manifests", problems.to_string());
            return publisher.rejected(reason, &text);
        }
        Err(error) => {
            let (reason, text) = refused("unreadable_folder", format!("{error:#}"));
            return publisher.rejected(reason, &text);
        }
    };
    if let Err(error) = publisher.publish(&contract) {
        let (reason, text) = refused("unservable", error.to_string());
        return publisher.rejected(reason, &text);
    }
    if let Err(error) = folder.accept(given) {
        tracing::error!(
            "identities of new resources could not be kept; they end with this process: {error:#}"
        );
    }
    tracing::info!("the folder was edited and is served as it is now");
}
