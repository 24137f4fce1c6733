//! Re-encrypts stored data that is sealed under a replaced key, in the background. After that the key can be
//! deleted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use portcullis_clock::Clock;
use portcullis_events::{Event, EventKind, EventSink, Outcome};
use portcullis_identity_providers::{ProviderError, TokenReencryption};
use portcullis_keyring::Keyring;
use portcullis_logging::LoggedState;
use portcullis_origin_auth::{CredentialBroker, ReencryptError, ReencryptProgress};
use portcullis_policy::RouteTableHandle;
use tokio::time::{Instant, MissedTickBehavior};

/// How often the keys are checked for a rotation.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// How often the store is scanned again while replaced keys exist: a replica that has not received the new
/// keys may still seal under a replaced one.
const RESCAN_INTERVAL: Duration = Duration::from_secs(600);
/// Delay before a retry after a failure.
const RETRY_DELAY: Duration = Duration::from_secs(30);

/// The components whose stored data is sealed.
pub(crate) struct ReencryptTargets {
    pub(crate) broker: CredentialBroker,
    pub(crate) sign_ins: Arc<TokenReencryption>,
    pub(crate) tables: RouteTableHandle,
}

/// Why a pass did not reach all stored data.
#[derive(Debug, thiserror::Error)]
enum PassError {
    #[error(transparent)]
    Origins(#[from] ReencryptError),
    #[error(transparent)]
    Providers(#[from] ProviderError),
    #[error("no route table is loaded yet, so the identity providers are unknown")]
    NoTable,
}

/// Progress of re-encryption. Cheap to clone; clones share their state.
#[derive(Clone, Default)]
pub(crate) struct Reencryption(Arc<Progress>);

#[derive(Default)]
struct Progress {
    rows: AtomicU64,
    key_id: Mutex<String>,
}

impl Reencryption {
    /// Rows re-encrypted since the process started.
    pub(crate) fn rows(&self) -> u64 {
        self.0.rows.load(Ordering::Relaxed)
    }

    /// Id of the key under which everything in the store that can be opened was sealed at the last scan;
    /// empty before the first one.
    pub(crate) fn key_id(&self) -> String {
        self.0.key_id.lock().clone()
    }

    /// Records that everything that can be opened is sealed under this key.
    pub(crate) fn set_key_id(&self, key_id: &str) {
        key_id.clone_into(&mut self.0.key_id.lock());
    }

    /// Re-encrypts stored data whenever a pass is due, until dropped. Spawn it once.
    pub(crate) async fn run(
        self,
        work: ReencryptTargets,
        keys: Arc<Keyring>,
        clock: Clock,
        events: EventSink,
    ) {
        let mut tick = tokio::time::interval(CHECK_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut due, mut failing) = (Instant::now(), LoggedState::default());
        loop {
            tick.tick().await;
            let current_key_id = keys.sealing.current_key_id();
            if keys.sealing.replaced_key_prefixes().is_empty() {
                self.set_key_id(&current_key_id);
                continue;
            }
            if self.key_id() == current_key_id && Instant::now() < due {
                continue;
            }
            match self.run_pass(&work).await {
                Ok(done) => {
                    due = Instant::now() + RESCAN_INTERVAL;
                    failing.changes_to(false);
                    // If the keys rotated during the pass, it did not search for the key that was replaced
                    // last.
                    if keys.sealing.current_key_id() == current_key_id {
                        self.set_key_id(&current_key_id);
                    }
                    if done.rows > 0 {
                        record_reencryption(&events, &clock, done);
                    }
                }
                Err(error) => {
                    if failing.changes_to(true) {
                        tracing::warn!(%error, "failed to re-encrypt data sealed under replaced keys, retrying");
                    }
                    tokio::time::sleep(RETRY_DELAY).await;
                }
            }
        }
    }

    async fn run_pass(&self, work: &ReencryptTargets) -> Result<ReencryptProgress, PassError> {
        let all = Mutex::new(ReencryptProgress::default());
        let each = |done: ReencryptProgress| {
            self.0.rows.fetch_add(done.rows, Ordering::Relaxed);
            let mut all = all.lock();
            all.rows += done.rows;
            all.unopenable += done.unopenable;
        };
        let table = work.tables.current().ok_or(PassError::NoTable)?;
        work.broker.reencryptor.reencrypt(each).await?;
        work.sign_ins
            .run(&table.gateway, |anew| {
                each(ReencryptProgress { rows: u64::from(anew), unopenable: u64::from(!anew) });
            })
            .await?;
        Ok(all.into_inner())
    }
}

/// Records an event: this replica uses changed key rings.
pub(crate) fn record_key_rotation(events: &EventSink, clock: &Clock) {
    let mut event = Event::new(clock.now(), EventKind::Keys, Outcome::Success);
    event.reason = Some("keys_turned");
    events.record(event);
}

fn record_reencryption(
    events: &EventSink,
    clock: &Clock,
    ReencryptProgress { rows, unopenable }: ReencryptProgress,
) {
    let mut event = Event::new(clock.now(), EventKind::Keys, Outcome::Success);
    event.reason = Some("keys_resealed");
    let left = match unopenable {
        0 => String::new(),
        count => format!("; {count} cannot be opened with any key and were skipped"),
    };
    event.message = Some(format!("{rows} stored credentials were re-encrypted{left}").into());
    events.record(event);
}
