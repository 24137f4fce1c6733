//! Swaps route tables in and records an event for each change.

use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_clock::Clock;
use portcullis_config::{Config, GatewayConfig, IdentityProviderKind};
use portcullis_events::{Event, EventKind, EventSink, FailureOrigin, Outcome};
use portcullis_policy::{BuildError, RouteTable, RouteTableHandle};

/// Swaps route tables in and records events.
pub(crate) struct TablePublisher {
    tables: RouteTableHandle,
    events: EventSink,
    clock: Clock,
    listen: SocketAddr,
    generation: u64,
}

/// Why this process cannot serve config documents.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// The documents are inconsistent.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Anyone on the network could sign in as any user.
    #[error(
        "identity provider {provider} is the development sign-in, which requires no password, but the gateway listens on \
         {listen}; listen on a loopback address, or configure a real identity provider"
    )]
    DevelopmentBeyondLoopback {
        provider: String,
        /// Where the gateway listens.
        listen: SocketAddr,
    },
}

impl TablePublisher {
    pub(crate) fn new(tables: RouteTableHandle, events: EventSink, clock: Clock, listen: SocketAddr) -> Self {
        Self { tables, events, clock, listen, generation: 0 }
    }

    /// Builds the table and swaps it in. On an error the current table stays in use.
    pub(crate) fn publish(&mut self, config: &Config) -> Result<(), PublishError> {
        check_servable(&config.gateway, self.listen)?;
        let table = RouteTable::build(config, self.next_generation())?;
        self.serve(table);
        Ok(())
    }

    /// Generation of the next table.
    pub(crate) fn next_generation(&self) -> u64 {
        self.generation + 1
    }

    /// Swaps in a table that is already built.
    pub(crate) fn serve(&mut self, table: RouteTable) {
        self.generation = table.generation;
        let name = Arc::clone(&table.gateway.name);
        let routes = table.routes().count();
        self.tables.swap(Arc::new(table));
        let mut event = Event::new(self.clock.now(), EventKind::Snapshot, Outcome::Success);
        event.gateway = Some(name);
        event.message = Some(format!("serving table {} with {routes} routes", self.generation).into());
        self.events.record(event);
    }

    /// Removes the table, because its gateway was deleted.
    pub(crate) fn withdraw(&mut self) {
        let Some(table) = self.tables.current() else { return };
        self.tables.clear();
        let mut event = Event::new(self.clock.now(), EventKind::Snapshot, Outcome::Success);
        event.gateway = Some(Arc::clone(&table.gateway.name));
        event.message = Some("the McpGateway was deleted; nothing is served".into());
        self.events.record(event);
    }

    /// Whether a table is being served.
    pub(crate) fn is_serving(&self) -> bool {
        self.tables.current().is_some()
    }

    /// Records an event: config was rejected, and the last valid table stays in use.
    pub(crate) fn record_rejection(&self, reason: &'static str, message: &str) {
        let mut event = Event::new(self.clock.now(), EventKind::Snapshot, Outcome::ClientError);
        event.gateway = self.tables.current().map(|table| Arc::clone(&table.gateway.name));
        event.failure_origin = Some(FailureOrigin::Client);
        event.reason = Some(reason);
        event.message = Some(message.into());
        self.events.record(event);
    }
}

/// Checks that a process with this public listener may serve the gateway: a development sign-in requires
/// loopback.
pub(super) fn check_servable(gateway: &GatewayConfig, listen: SocketAddr) -> Result<(), PublishError> {
    let development = gateway
        .identity_providers
        .iter()
        .find(|provider| matches!(provider.kind, IdentityProviderKind::Development { .. }));
    match development {
        Some(provider) if !listen.ip().is_loopback() => {
            Err(PublishError::DevelopmentBeyondLoopback { provider: provider.name.clone(), listen })
        }
        _ => Ok(()),
    }
}
