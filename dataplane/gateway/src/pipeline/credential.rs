//! Fifth step: gets the user's credential for the origin. Only the first call loads it; later calls use the
//! cache.

use std::sync::Arc;

use portcullis_origin_auth::{ConnectionStatus, Credential, CredentialError, auth_mode};

use super::Context;
use super::audit_record::AuditRecord;
use super::authenticate::Authenticated;
use super::authorize::Authorized;
use super::deferred_session;
use super::error::PipelineError;
use super::session::{Session, SessionKind};
use crate::upstream::UpstreamPool;

/// A message that may be relayed, with its credential and session at the origin.
pub(super) struct Credentialed<'r> {
    pub(super) authorized: Authorized<'r>,
    pub(super) credential: Credential,
    /// Session id at the origin.
    pub(super) origin_session: Option<String>,
}

/// Result of the credential lookup.
pub(super) enum CredentialOutcome<'r> {
    /// A credential is available, or none is required.
    Credentialed(Credentialed<'r>),
    /// The user must connect an account first.
    ConnectRequired(Authorized<'r>, ConnectionStatus),
}

impl<'r> Credentialed<'r> {
    pub(super) async fn resolve(
        context: &Arc<Context>,
        upstreams: &Arc<UpstreamPool>,
        allowed: Authorized<'r>,
        record: &mut AuditRecord,
    ) -> Result<CredentialOutcome<'r>, PipelineError> {
        let received = allowed.parsed();
        let by = received.authenticated();
        let origin = &by.route().origin;
        let credential = match context.vault.credential(&by.caller().principal.id, origin).await {
            Ok(credential) => credential,
            Err(CredentialError::NotConnected(status)) => {
                record.auth_mode(auth_mode(origin));
                return Ok(CredentialOutcome::ConnectRequired(allowed, status));
            }
            Err(error) => {
                return Err(PipelineError::credential_error(
                    received.message().id,
                    &origin.display_name,
                    &error,
                ));
            }
        };
        record.auth_mode(credential.mode());
        let origin_session = origin_session(context, upstreams, by, received.session(), &credential).await?;
        Ok(CredentialOutcome::Credentialed(Self { authorized: allowed, credential, origin_session }))
    }
}

/// Returns the origin's session id for the client's session. A deferred session is opened now if it is not
/// open yet.
pub(super) async fn origin_session(
    context: &Arc<Context>,
    upstreams: &Arc<UpstreamPool>,
    by: &Authenticated,
    session: Option<&Session>,
    credential: &Credential,
) -> Result<Option<String>, PipelineError> {
    match session.map(|session| (session, session.kind())) {
        None => Ok(None),
        Some((_, SessionKind::Origin(id))) => Ok(Some(id.clone())),
        Some((session, SessionKind::Deferred { initialize, .. })) => {
            Box::pin(deferred_session::open(context, upstreams, by, session, initialize, credential)).await
        }
    }
}
