//! First step: finds the virtual MCP.

use std::sync::Arc;

use portcullis_policy::{Route, RouteTable};

use super::audit_record::AuditRecord;
use super::error::PipelineError;

/// A request for an existing route. Holds the route table that all steps use.
pub(super) struct Routed {
    table: Arc<RouteTable>,
    route: Arc<Route>,
}

impl Routed {
    pub(super) fn find(
        table: Arc<RouteTable>,
        slug: &str,
        record: &mut AuditRecord,
    ) -> Result<Self, PipelineError> {
        let route = Arc::clone(table.route(slug).ok_or_else(|| PipelineError::no_such_route(slug))?);
        record.route(&table, &route);
        Ok(Self { table, route })
    }

    pub(super) fn route(&self) -> &Arc<Route> {
        &self.route
    }

    pub(super) fn table(&self) -> &Arc<RouteTable> {
        &self.table
    }
}
