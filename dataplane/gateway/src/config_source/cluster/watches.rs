//! The two watches. Each lists once and then follows changes. After an interruption it resumes, or lists
//! again.

use std::error::Error;
use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures_util::StreamExt as _;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use portcullis_config_distribution::OBJECT_KIND_LABEL;
use portcullis_logging::LoggedState;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::object::{WatchEvent, WatchedObject, WatchedResource};

/// Capacity of the queue of events. The watches wait while it is full.
const QUEUE_CAPACITY: usize = 256;
/// The API server ends a watch after this time. The restart detects connections that broke unnoticed.
const WATCH_TIMEOUT_SECONDS: u32 = 60;
/// Maximum delay before a retry after an error.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);
/// Delays before retries. The watcher's own backoff is not used because each attempt to list resets it.
const BACKOFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(200))
    .with_max_delay(MAX_RETRY_DELAY)
    .without_max_times();

/// Starts to watch the publication namespace. The watches end when the receiver is dropped.
pub(super) fn start(client: &Client, namespace: &str) -> mpsc::Receiver<WatchEvent> {
    let (sender, events) = mpsc::channel(QUEUE_CAPACITY);
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    tokio::spawn(watch(maps, WatchedResource::ConfigMaps, sender.clone()));
    tokio::spawn(watch(secrets, WatchedResource::Secrets, sender));
    events
}

async fn watch<K>(api: Api<K>, resource: WatchedResource, sender: mpsc::Sender<WatchEvent>)
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
    let mut backoff = BACKOFF.build();
    let mut listed = Vec::new();
    let mut failing = LoggedState::default();
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
                let failure = WatchEvent::Failed { unavailable: is_watch_unavailable(&error) };
                if !is_version_expired(&error) && failing.changes_to(true) {
                    tracing::warn!(
                        resource = resource.plural(),
                        error = %kube_error_message(&error),
                        "watch failed, retrying; the last received config stays in use"
                    );
                }
                if sender.send(failure).await.is_err() {
                    return;
                }
                tokio::time::sleep(backoff.next().unwrap_or(MAX_RETRY_DELAY)).await;
                continue;
            }
        };
        backoff = BACKOFF.build();
        if failing.changes_to(false) {
            tracing::info!(resource = resource.plural(), "watch works again");
        }
        if sender.send(change).await.is_err() {
            return;
        }
    }
}

/// Message of an error with all its sources. For a response of the API server: the server's message, because
/// the message of `kube`'s error prints the whole response.
pub(super) fn kube_error_message(error: &(dyn Error + 'static)) -> String {
    if let Some(kube::Error::Api(status)) = error.downcast_ref() {
        return status.message.clone();
    }
    match error.source().map(kube_error_message) {
        Some(behind) => format!("{}: {behind}", without_source(error, &behind)),
        None => error.to_string(),
    }
}

/// Removes the source from the message of an error that repeats it.
fn without_source(error: &dyn Error, behind: &str) -> String {
    let words = error.to_string();
    words.split_once(behind).map_or(words.as_str(), |(own, _)| own.trim_end_matches([':', ' '])).to_owned()
}

/// Whether the API server is unavailable: no response, 429 or 5xx. Another error response means that it is
/// available.
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

/// Whether the resource version is too old. This is not an outage: the watch lists again.
fn is_version_expired(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchError(status) if status.code == 410)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_an_api_server_that_stays_away_when_tried_again_then_never_more_rarely_than_promised() {
        let pauses: Vec<_> = BACKOFF.build().take(8).map(|delay| delay.as_millis()).collect();
        assert_eq!(pauses, [200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
    }
}
