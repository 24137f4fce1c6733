//! The two watches. Each lists once and then follows; after a silence it goes on from where it was, or lists again.

use std::error::Error;
use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use portcullis_config_distribution::OBJECT_KIND_LABEL;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::object::{WatchEvent, WatchedObject, WatchedResource};

/// Changes that wait to be taken in. The watches wait for room.
const QUEUE_CAPACITY: usize = 256;
/// A watch that has been silent for so long is begun again, in case the connection died unheard.
const WATCH_TIMEOUT_SECONDS: u32 = 60;
/// After an error: quickly at first, and never so rarely that a healed API server is not noticed.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(200);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);

/// Begins to watch the publication namespace. Ends when the receiver is dropped.
pub(super) fn start(client: &Client, namespace: &str) -> mpsc::Receiver<WatchEvent> {
    let (tell, told) = mpsc::channel(QUEUE_CAPACITY);
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    tokio::spawn(watch(maps, WatchedResource::ConfigMaps, tell.clone()));
    tokio::spawn(watch(secrets, WatchedResource::Secrets, tell));
    told
}

async fn watch<K>(api: Api<K>, resource: WatchedResource, tell: mpsc::Sender<WatchEvent>)
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Into<WatchedObject>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    let config = watcher::Config::default().labels(OBJECT_KIND_LABEL).timeout(WATCH_TIMEOUT_SECONDS);
    let mut events = pin!(watcher(api, config));
    let mut pause = Backoff::default();
    let mut listed = Vec::new();
    let mut well = true;
    while let Some(event) = events.next().await {
        let change = match event {
            Ok(Event::Init) => {
                listed.clear();
                continue;
            }
            Ok(Event::InitApply(object)) => {
                listed.push(object.into());
                continue;
            }
            Ok(Event::InitDone) => WatchEvent::Listed(resource, std::mem::take(&mut listed)),
            Ok(Event::Apply(object)) => WatchEvent::Applied(resource, object.into()),
            Ok(Event::Delete(object)) => WatchEvent::Deleted(resource, object.into()),
            Err(error) => {
                let trouble = WatchEvent::Failed { unavailable: is_watch_unavailable(&error) };
                if well && !is_version_expired(&error) {
                    well = false;
                    tracing::warn!(
                        "the published {} are not watched now; what was last published is served: {}",
                        resource.plural(),
                        error_chain(&error)
                    );
                }
                if tell.send(trouble).await.is_err() {
                    return;
                }
                tokio::time::sleep(pause.next_delay()).await;
                continue;
            }
        };
        pause = Backoff::default();
        if !well {
            well = true;
            tracing::info!("the published {} are watched again", resource.plural());
        }
        if tell.send(change).await.is_err() {
            return;
        }
    }
}

/// What an error says, with whatever lies behind it; of an answer, what the API server said.
pub(super) fn error_chain(error: &(dyn Error + 'static)) -> String {
    if let Some(kube::Error::Api(status)) = error.downcast_ref() {
        return status.message.clone();
    }
    match error.source().map(error_chain) {
        Some(behind) => format!("{}: {behind}", without_source(error, &behind)),
        None => error.to_string(),
    }
}

/// Some errors repeat what lies behind them.
fn without_source(error: &dyn Error, behind: &str) -> String {
    let words = error.to_string();
    words.split_once(behind).map_or(words.as_str(), |(own, _)| own.trim_end_matches([':', ' '])).to_owned()
}

/// Whether nobody answered who could. A refusal is an answer.
pub(super) fn is_unavailable(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code >= 500 || status.code == 429,
        _ => true,
    }
}

fn is_watch_unavailable(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => is_unavailable(error),
        watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => false,
    }
}

/// A version that is too old is no trouble: the watch lists again.
fn is_version_expired(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchError(status) if status.code == 410)
}

/// How long to wait before the next try. Not the watcher's own backoff, which begins anew with each attempt to list.
#[derive(Default)]
struct Backoff(Option<Duration>);

impl Backoff {
    fn next_delay(&mut self) -> Duration {
        let pause = self.0.map_or(MIN_RETRY_DELAY, |last| (last * 2).min(MAX_RETRY_DELAY));
        self.0 = Some(pause);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_an_api_server_that_stays_away_when_tried_again_then_never_more_rarely_than_promised() {
        let mut pause = Backoff::default();
        let pauses: Vec<_> = std::iter::repeat_with(|| pause.next_delay().as_millis()).take(8).collect();
        assert_eq!(pauses, [200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
    }
}
