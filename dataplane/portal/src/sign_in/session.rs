//! The result of a sign-in: a new session, or a recorded failure.

use std::sync::Arc;

use axum::response::Response;
use portcullis_events::{EventKind, Outcome};
use portcullis_identity_providers::CompletedSignIn;
use portcullis_keyring::digest;
use portcullis_policy::RouteTable;
use portcullis_store::SessionRow;

use crate::Portal;
use crate::cookies::CookieKind;
use crate::error::PortalError;
use crate::page;
use crate::visitor::Visitor;

/// Stores the principal as the provider describes it, starts a session with a new cookie, and redirects to
/// `return_to`.
pub(super) async fn start_session(
    portal: &Portal,
    table: &RouteTable,
    visitor: &Visitor,
    CompletedSignIn { principal, provider_session }: &CompletedSignIn,
    return_to: &str,
) -> Result<Response, PortalError> {
    portal.principals.save(principal).await?;
    let token = portal.random.token()?;
    let now = portal.clock.now();
    let row = SessionRow {
        id: digest(&token),
        identity_provider: principal.identity_provider.to_string(),
        principal: principal.id.as_str().to_owned(),
        signed_in_at: now.0,
        expires_at: now.after_seconds(table.gateway.tokens.session_seconds).0,
        provider_session: provider_session.clone(),
    };
    portal.store.rotate_browser_session(visitor.session(), &row).await?;
    let mut event = portal.event(table, EventKind::SignIn, Outcome::Success);
    event.subject = Some(Arc::clone(&principal.subject));
    portal.events.record(event);
    let on = page::see_other(&format!("{}{return_to}", table.gateway.public_url));
    Ok(page::with_cookies(on, CookieKind::Session.set(&table.gateway, &token)))
}

/// Records a failed sign-in.
pub(super) fn record_failure(portal: &Portal, table: &RouteTable, reason: &'static str, message: &str) {
    let mut event = portal.event(table, EventKind::SignIn, Outcome::Denied);
    event.reason = Some(reason);
    event.message = Some(message.into());
    portal.events.record(event);
}
