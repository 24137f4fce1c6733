//! Fifth step: gets the user's credential for the origin, and the session at the origin. Only the first call
//! loads the credential; later calls use the cache.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method as HttpMethod, Request};
use portcullis_mcp::header::{self, SESSION_ID};
use portcullis_origin_auth::{Credential, CredentialError, auth_mode};

use super::Context;
use super::audit_record::AuditRecord;
use super::authorize::Authorized;
use super::connect_required::ConnectRequired;
use super::deferred_session;
use super::error::PipelineError;
use super::headers;
use super::parse::{Parsed, RequestKind};
use super::session::SessionKind;
use crate::upstream::UpstreamPool;

/// A request that may be relayed, with the access to the origin.
pub(super) struct Credentialed<'r> {
    authorized: Authorized<'r>,
    access: OriginAccess,
}

/// Result of the credential lookup.
pub(super) enum CredentialOutcome<'r> {
    /// A credential is available, or none is required.
    Credentialed(Credentialed<'r>),
    /// The user must connect an account or grant scopes first.
    ConnectRequired(Authorized<'r>, ConnectRequired),
    /// The client ends a session that was never opened at the origin.
    NothingToEnd,
}

impl<'r> Credentialed<'r> {
    pub(super) async fn resolve(
        context: &Arc<Context>,
        upstreams: &Arc<UpstreamPool>,
        authorized: Authorized<'r>,
        record: &mut AuditRecord,
    ) -> Result<CredentialOutcome<'r>, PipelineError> {
        let parsed = authorized.parsed();
        if matches!(parsed.kind(), RequestKind::EndSession)
            && Box::pin(context.deferred_sessions.is_unopened(context, parsed.session())).await?
        {
            return Ok(CredentialOutcome::NothingToEnd);
        }
        match OriginAccess::get(context, upstreams, parsed, record).await {
            Ok(access) => Ok(CredentialOutcome::Credentialed(Self { authorized, access })),
            Err(NoAccess::ConnectRequired(lack)) => Ok(CredentialOutcome::ConnectRequired(authorized, lack)),
            Err(NoAccess::Error(error)) => Err(error),
        }
    }

    pub(super) fn authorized(&self) -> &Authorized<'r> {
        &self.authorized
    }

    pub(super) fn into_authorized(self) -> Authorized<'r> {
        self.authorized
    }

    /// Returns the request to the origin, without its credential, and the credential.
    pub(super) fn into_request(self, client: &HeaderMap) -> (Authorized<'r>, Request<Bytes>, Credential) {
        let Self { authorized, access } = self;
        let (credential, session) = access.into_parts();
        let mut headers = headers::to_origin(client);
        headers.extend(session.map(|session| (SESSION_ID, session)));
        let parsed = authorized.parsed();
        if let Some(name) = authorized.original_name()
            && (parsed.message().is_some_and(|message| message.modern) || headers.contains_key(header::NAME))
        {
            headers.insert(header::NAME, header::encode(name));
        }
        let mut request = Request::new(authorized.body());
        *request.method_mut() = match parsed.kind() {
            RequestKind::Message(_) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                HttpMethod::POST
            }
            RequestKind::OpenStream => HttpMethod::GET,
            RequestKind::EndSession => HttpMethod::DELETE,
        };
        *request.headers_mut() = headers;
        (authorized, request, credential)
    }
}

/// The caller's access to an origin.
pub(super) struct OriginAccess {
    credential: Credential,
    /// Session id at the origin.
    session: Option<HeaderValue>,
}

/// Why the caller has no access to the origin.
pub(super) enum NoAccess {
    /// The user must connect an account or grant scopes first.
    ConnectRequired(ConnectRequired),
    /// The request fails.
    Error(PipelineError),
}

impl From<PipelineError> for NoAccess {
    fn from(error: PipelineError) -> Self {
        Self::Error(error)
    }
}

impl OriginAccess {
    /// An origin's session id that no header can carry is dropped; the origin then rejects the request.
    pub(super) fn new(credential: Credential, session: Option<&str>) -> Self {
        Self { credential, session: session.and_then(|id| id.parse().ok()) }
    }

    pub(super) fn into_parts(self) -> (Credential, Option<HeaderValue>) {
        (self.credential, self.session)
    }

    /// Gets the caller's credential, and opens a deferred session if it is not open yet.
    pub(super) async fn get(
        context: &Arc<Context>,
        upstreams: &Arc<UpstreamPool>,
        parsed: &Parsed<'_>,
        record: &mut AuditRecord,
    ) -> Result<Self, NoAccess> {
        let by = parsed.authenticated();
        let origin = &by.route().origin;
        let credential = match context.broker.credential(&by.caller().principal.id, origin).await {
            Ok(credential) => credential,
            Err(CredentialError::NotConnected(status)) => {
                record.auth_mode(auth_mode(origin));
                return Err(NoAccess::ConnectRequired(ConnectRequired::Account(status)));
            }
            Err(error) => {
                let error = PipelineError::credential_error(parsed.id(), &origin.display_name, &error);
                return Err(error.into());
            }
        };
        record.auth_mode(credential.mode());
        match parsed.session().map(|session| (session, session.kind())) {
            None => Ok(Self::new(credential, None)),
            Some((_, SessionKind::Origin(id))) => Ok(Self::new(credential, Some(id))),
            Some((session, SessionKind::Deferred { initialize, .. })) => {
                let open = deferred_session::Open { context, upstreams, parsed, session, initialize };
                Box::pin(open.open(credential, record)).await
            }
        }
    }
}
