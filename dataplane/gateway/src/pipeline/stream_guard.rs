//! Whether a stream may go on. Deletion, suspension, revocation and lost access end it within two seconds (DESIGN section 4);
//! changes that do not concern it leave it alone.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use portcullis_authorization_server::Caller;
use tokio::time::{Interval, MissedTickBehavior};

use super::Context;
use super::authenticate::Authenticated;

const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Some edges cut a stream that has been silent for 100 s.
const KEEP_ALIVE_TICKS: u32 = 20;

/// What a look at the clock brought.
pub(super) enum StreamStatus {
    /// Go on.
    Continue,
    /// Go on, and say something: it has been quiet for long.
    SendKeepAlive,
    /// The stream must end.
    AccessEnded,
    /// The process ends, and this stream would not by itself.
    ShuttingDown,
}

/// Watches over one stream.
pub(super) struct StreamGuard {
    context: Arc<Context>,
    route: Arc<str>,
    caller: Arc<Caller>,
    tick: Interval,
    idle_ticks: u32,
    open_ended: bool,
}

impl StreamGuard {
    pub(super) fn new(context: &Arc<Context>, by: &Authenticated) -> Self {
        let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + CHECK_INTERVAL, CHECK_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            context: Arc::clone(context),
            route: Arc::clone(&by.route().uid),
            caller: Arc::clone(by.caller()),
            tick,
            idle_ticks: 0,
            open_ended: false,
        }
    }

    /// Watches over a stream that has no end of its own: it ends with the process, before what is under way.
    pub(super) fn open_ended(context: &Arc<Context>, by: &Authenticated) -> Self {
        Self { open_ended: true, ..Self::new(context, by) }
    }

    /// Something was said.
    pub(super) fn reset_idle(&mut self) {
        self.idle_ticks = 0;
    }

    /// Ready once a second.
    pub(super) fn poll(&mut self, cx: &mut std::task::Context<'_>) -> Poll<StreamStatus> {
        self.tick.poll_tick(cx).map(|_| {
            if !self.is_allowed() {
                return StreamStatus::AccessEnded;
            }
            if self.open_ended && self.context.shutdown.is_draining() {
                return StreamStatus::ShuttingDown;
            }
            self.idle_ticks += 1;
            if self.idle_ticks < KEEP_ALIVE_TICKS {
                return StreamStatus::Continue;
            }
            self.idle_ticks = 0;
            StreamStatus::SendKeepAlive
        })
    }

    fn is_allowed(&self) -> bool {
        let Some(person) = self.context.identity.current_principal(&self.caller) else { return false };
        let Some(table) = self.context.tables.current() else { return false };
        table
            .route_by_uid(&self.route)
            .is_some_and(|route| !route.suspended && route.authorize(&person).is_some())
    }
}
