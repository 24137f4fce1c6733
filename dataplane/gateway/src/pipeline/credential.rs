//! Fifth step: the credential of this person at this origin, from memory on all but the first call.

use std::sync::Arc;

use portcullis_vault::{ConnectionStatus, Credential, CredentialError, auth_mode};

use super::Context;
use super::access::Allowed;
use super::late;
use super::principal::Authenticated;
use super::record::Record;
use super::refusal::Refusal;
use super::session::{Kind, Session};
use crate::upstream::Upstreams;

/// A message that may be relayed, with what it needs at the origin.
pub(super) struct Armed<'r> {
    pub(super) allowed: Allowed<'r>,
    pub(super) credential: Credential,
    /// The session at the origin.
    pub(super) origin_session: Option<String>,
}

/// Whether there is a credential.
pub(super) enum Arming<'r> {
    /// There is, or none is needed.
    Armed(Armed<'r>),
    /// The person has to connect an account first.
    Unconnected(Allowed<'r>, ConnectionStatus),
}

impl<'r> Armed<'r> {
    pub(super) async fn take(
        context: &Arc<Context>,
        upstreams: &Arc<Upstreams>,
        allowed: Allowed<'r>,
        record: &mut Record,
    ) -> Result<Arming<'r>, Refusal> {
        let received = allowed.received();
        let by = received.by();
        let origin = &by.route().origin;
        let credential = match context.vault.credential(&by.caller().principal.id, origin).await {
            Ok(credential) => credential,
            Err(CredentialError::NotConnected(status)) => {
                record.auth_mode(auth_mode(origin));
                return Ok(Arming::Unconnected(allowed, status));
            }
            Err(error) => {
                return Err(Refusal::no_credential(received.message().id, &origin.display_name, &error));
            }
        };
        record.auth_mode(credential.mode());
        let origin_session = origin_session(context, upstreams, by, received.session(), &credential).await?;
        Ok(Arming::Armed(Self { allowed, credential, origin_session }))
    }
}

/// The origin's session behind the client's. A late one is opened now, if it has not been.
pub(super) async fn origin_session(
    context: &Arc<Context>,
    upstreams: &Arc<Upstreams>,
    by: &Authenticated,
    session: Option<&Session>,
    credential: &Credential,
) -> Result<Option<String>, Refusal> {
    match session.map(|session| (session, session.kind())) {
        None => Ok(None),
        Some((_, Kind::Origin(id))) => Ok(Some(id.clone())),
        Some((session, Kind::Late { initialize, .. })) => {
            Box::pin(late::open(context, upstreams, by, session, initialize, credential)).await
        }
    }
}
