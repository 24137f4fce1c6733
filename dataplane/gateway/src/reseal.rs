//! What lies in the store under a key that was replaced is sealed anew, in the background, so that the key can go.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use portcullis_ambient::Clock;
use portcullis_events::{Event, EventSink, Kind, Outcome};
use portcullis_keys::Keys;
use portcullis_policy::Tables;
use portcullis_providers::{ProviderError, Providers};
use portcullis_vault::{ResealError, Resealed, Vault};
use tokio::time::{Instant, MissedTickBehavior};

/// How soon after a rotation the work begins.
const EVERY: Duration = Duration::from_secs(2);
/// While there are replaced keys, the store is looked through again: somebody who had not heard may have sealed under one.
const AGAIN: Duration = Duration::from_secs(600);
/// After a failure.
const PAUSE: Duration = Duration::from_secs(30);

/// Who keeps what is sealed.
pub(crate) struct Work {
    pub(crate) vault: Vault,
    pub(crate) providers: Providers,
    pub(crate) tables: Tables,
}

/// Not everything was looked at.
#[derive(Debug, thiserror::Error)]
enum Unfinished {
    #[error(transparent)]
    Origins(#[from] ResealError),
    #[error(transparent)]
    Providers(#[from] ProviderError),
    #[error("nothing is served yet, so that whose it is cannot be told")]
    NoTable,
}

/// How far that is. Cheap to clone; clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Resealing(Arc<Numbers>);

#[derive(Default)]
struct Numbers {
    rows: AtomicU64,
    under: Mutex<String>,
}

impl Resealing {
    /// Rows sealed anew since the start.
    pub(crate) fn rows(&self) -> u64 {
        self.0.rows.load(Ordering::Relaxed)
    }

    /// The id of the key under which everything in the store that opens is sealed, as last looked at; empty before that.
    pub(crate) fn under(&self) -> String {
        self.0.under.lock().clone()
    }

    /// Everything that opens is sealed under this key.
    pub(crate) fn finished(&self, under: &str) {
        under.clone_into(&mut self.0.under.lock());
    }

    /// Does it whenever it is due, until dropped. To be spawned once.
    pub(crate) async fn run(self, work: Work, keys: Arc<Keys>, clock: Clock, events: EventSink) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut due, mut well) = (Instant::now(), true);
        loop {
            tick.tick().await;
            let current = keys.sealing.current();
            if keys.sealing.replaced().is_empty() {
                self.finished(&current);
                continue;
            }
            if self.under() == current && Instant::now() < due {
                continue;
            }
            match self.pass(&work).await {
                Ok(done) => {
                    (due, well) = (Instant::now() + AGAIN, true);
                    // Rings that turned meanwhile have replaced a key that was not looked for.
                    if keys.sealing.current() == current {
                        self.finished(&current);
                    }
                    if done.rows > 0 {
                        tell(&events, &clock, done);
                    }
                }
                Err(error) => {
                    if well {
                        tracing::warn!(
                            "what lies sealed under replaced keys cannot be sealed anew now: {error}"
                        );
                    }
                    well = false;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn pass(&self, work: &Work) -> Result<Resealed, Unfinished> {
        let all = Mutex::new(Resealed::default());
        let each = |done: Resealed| {
            self.0.rows.fetch_add(done.rows, Ordering::Relaxed);
            let mut all = all.lock();
            all.rows += done.rows;
            all.unopenable += done.unopenable;
        };
        let table = work.tables.current().ok_or(Unfinished::NoTable)?;
        work.vault.reseal(each).await?;
        work.providers
            .reseal(&table.gateway, |anew| {
                each(Resealed { rows: u64::from(anew), unopenable: u64::from(!anew) });
            })
            .await?;
        Ok(all.into_inner())
    }
}

/// Notes that this replica works with other rings.
pub(crate) fn tell_turned(events: &EventSink, clock: &Clock) {
    let mut event = Event::new(clock.now(), Kind::Keys, Outcome::Success);
    event.reason = Some("keys_turned");
    events.record(event);
}

fn tell(events: &EventSink, clock: &Clock, Resealed { rows, unopenable }: Resealed) {
    let mut event = Event::new(clock.now(), Kind::Keys, Outcome::Success);
    event.reason = Some("keys_resealed");
    let left = match unopenable {
        0 => String::new(),
        count => format!("; {count} do not open under any key and are left as they are"),
    };
    event.message = Some(format!("{rows} stored credentials were sealed anew{left}").into());
    events.record(event);
}
