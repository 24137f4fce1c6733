//! What lies in the store under a key that was replaced is sealed anew, in the background, so that the key can go.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use portcullis_clock::Clock;
use portcullis_events::{Event, EventKind, EventSink, Outcome};
use portcullis_identity_providers::{IdentityProviders, ProviderError};
use portcullis_keyring::Keyring;
use portcullis_origin_auth::{CredentialBroker, ReencryptError, ReencryptProgress};
use portcullis_policy::RouteTableHandle;
use tokio::time::{Instant, MissedTickBehavior};

/// How soon after a rotation the work begins.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// While there are replaced keys, the store is looked through again: somebody who had not heard may have sealed under one.
const RESCAN_INTERVAL: Duration = Duration::from_secs(600);
/// After a failure.
const RETRY_DELAY: Duration = Duration::from_secs(30);

/// Who keeps what is sealed.
pub(crate) struct ReencryptTargets {
    pub(crate) vault: CredentialBroker,
    pub(crate) providers: IdentityProviders,
    pub(crate) tables: RouteTableHandle,
}

/// Not everything was looked at.
#[derive(Debug, thiserror::Error)]
enum PassError {
    #[error(transparent)]
    Origins(#[from] ReencryptError),
    #[error(transparent)]
    Providers(#[from] ProviderError),
    #[error("nothing is served yet, so that whose it is cannot be told")]
    NoTable,
}

/// How far that is. Cheap to clone; clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Reencryption(Arc<Progress>);

#[derive(Default)]
struct Progress {
    rows: AtomicU64,
    key_id: Mutex<String>,
}

impl Reencryption {
    /// Rows sealed anew since the start.
    pub(crate) fn rows(&self) -> u64 {
        self.0.rows.load(Ordering::Relaxed)
    }

    /// The id of the key under which everything in the store that opens is sealed, as last looked at; empty before that.
    pub(crate) fn key_id(&self) -> String {
        self.0.key_id.lock().clone()
    }

    /// Everything that opens is sealed under this key.
    pub(crate) fn set_key_id(&self, key_id: &str) {
        key_id.clone_into(&mut self.0.key_id.lock());
    }

    /// Does it whenever it is due, until dropped. To be spawned once.
    pub(crate) async fn run(
        self,
        work: ReencryptTargets,
        keys: Arc<Keyring>,
        clock: Clock,
        events: EventSink,
    ) {
        let mut tick = tokio::time::interval(CHECK_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut due, mut well) = (Instant::now(), true);
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
                    (due, well) = (Instant::now() + RESCAN_INTERVAL, true);
                    // Rings that turned meanwhile have replaced a key that was not looked for.
                    if keys.sealing.current_key_id() == current_key_id {
                        self.set_key_id(&current_key_id);
                    }
                    if done.rows > 0 {
                        record_reencryption(&events, &clock, done);
                    }
                }
                Err(error) => {
                    if well {
                        tracing::warn!(
                            "what lies sealed under replaced keys cannot be sealed anew now: {error}"
                        );
                    }
                    well = false;
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
        work.vault.reencrypt(each).await?;
        work.providers
            .reencrypt(&table.gateway, |anew| {
                each(ReencryptProgress { rows: u64::from(anew), unopenable: u64::from(!anew) });
            })
            .await?;
        Ok(all.into_inner())
    }
}

/// Notes that this replica works with other rings.
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
        count => format!("; {count} do not open under any key and are left as they are"),
    };
    event.message = Some(format!("{rows} stored credentials were sealed anew{left}").into());
    events.record(event);
}
