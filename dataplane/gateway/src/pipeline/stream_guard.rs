//! Watches open streams. Deletion, suspension, revocation and lost access end a stream within two seconds.
//! Unrelated changes do not affect it.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use portcullis_authorization_server::Caller;
use tokio::time::{Interval, MissedTickBehavior};

use super::Context;
use super::authenticate::Authenticated;

const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Keep-alive interval in ticks. Some proxies close a stream that has been silent for 100 s.
const KEEP_ALIVE_TICKS: u32 = 20;

/// Result of a check.
pub(super) enum StreamStatus {
    /// The stream continues.
    Continue,
    /// The stream continues and must send a keep-alive, because it has been idle.
    SendKeepAlive,
    /// The user has lost access: the stream must end.
    AccessEnded,
    /// The process shuts down, and this stream is open-ended: it must end.
    ShuttingDown,
}

/// Watches one stream.
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

    /// Watches an open-ended stream. When the process shuts down, it ends first; calls may finish.
    pub(super) fn open_ended(context: &Arc<Context>, by: &Authenticated) -> Self {
        Self { open_ended: true, ..Self::new(context, by) }
    }

    /// Resets the keep-alive timer after the stream has sent data.
    pub(super) fn reset_idle(&mut self) {
        self.idle_ticks = 0;
    }

    /// Ready once per [`CHECK_INTERVAL`].
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
        let Some(person) = self.context.access_tokens.current_principal(&self.caller) else { return false };
        let Some(table) = self.context.tables.current() else { return false };
        table
            .route_by_uid(&self.route)
            .is_some_and(|route| !route.suspended && route.authorize(&person).is_some())
    }
}
