//! Describes grants in audit events.

use std::sync::Arc;

use portcullis_events::Event;
use portcullis_policy::{PrincipalId, RouteTable};
use portcullis_store::GrantRow;

use crate::Principals;

/// Sets the fields of an event that describe a grant.
pub(crate) async fn add_grant_to_event(
    event: &mut Event,
    table: &RouteTable,
    grant: &GrantRow,
    principals: &Principals,
) {
    event.gateway = Some(Arc::clone(&table.gateway.name));
    event.client_id = Some(grant.client_id.as_str().into());
    event.client_name = Some(grant.client_name.as_str().into());
    if let Some(route) = table.route_by_uid(&grant.route_uid) {
        event.route = Some(Arc::clone(&route.slug));
        event.origin = Some(Arc::clone(&route.origin.name));
    }
    // If the lookup fails, record the event without its subject.
    if let Ok(Some(person)) = principals.load(&PrincipalId::from_stored(&grant.principal)).await {
        event.subject = Some(Arc::clone(&person.subject));
    }
}
