//! Whether a stream may go on. Deletion, suspension, revocation and lost access end it within two seconds (DESIGN section 4);
//! changes that do not concern it leave it alone.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use portcullis_identity::Caller;
use tokio::time::{Interval, MissedTickBehavior};

use super::Context;
use super::principal::Authenticated;

const TICK: Duration = Duration::from_secs(1);
/// Some edges cut a stream that has been silent for 100 s.
const TICKS_OF_SILENCE: u32 = 20;

/// What a look at the clock brought.
pub(super) enum Look {
    /// Go on.
    On,
    /// Go on, and say something: it has been quiet for long.
    Quiet,
    /// The stream must end.
    Over,
    /// The process ends, and this stream would not by itself.
    Leaving,
}

/// Watches over one stream.
pub(super) struct Watch {
    context: Arc<Context>,
    route: Arc<str>,
    caller: Arc<Caller>,
    tick: Interval,
    silent: u32,
    open_ended: bool,
}

impl Watch {
    pub(super) fn new(context: &Arc<Context>, by: &Authenticated) -> Self {
        let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + TICK, TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            context: Arc::clone(context),
            route: Arc::clone(&by.route().uid),
            caller: Arc::clone(by.caller()),
            tick,
            silent: 0,
            open_ended: false,
        }
    }

    /// Watches over a stream that has no end of its own: it ends with the process, before what is under way.
    pub(super) fn open_ended(context: &Arc<Context>, by: &Authenticated) -> Self {
        Self { open_ended: true, ..Self::new(context, by) }
    }

    /// Something was said.
    pub(super) fn heard(&mut self) {
        self.silent = 0;
    }

    /// Ready once a second.
    pub(super) fn poll(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Look> {
        self.tick.poll_tick(cx).map(|_| {
            if !self.allowed() {
                return Look::Over;
            }
            if self.open_ended && self.context.ending.is_closing() {
                return Look::Leaving;
            }
            self.silent += 1;
            if self.silent < TICKS_OF_SILENCE {
                return Look::On;
            }
            self.silent = 0;
            Look::Quiet
        })
    }

    fn allowed(&self) -> bool {
        let Some(person) = self.context.identity.current(&self.caller) else { return false };
        let Some(table) = self.context.tables.current() else { return false };
        table
            .route_by_uid(&self.route)
            .is_some_and(|route| !route.suspended && route.admit(&person).is_some())
    }
}
