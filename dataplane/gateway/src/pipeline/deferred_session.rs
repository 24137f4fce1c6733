//! Legacy sessions that a client opened before its user connected an account. The gateway answers
//! `initialize` itself and opens the origin's session, transparently for the client, once a credential is
//! available.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use portcullis_keyring::Purpose;
use portcullis_mcp::client::{self, Handshake};
use portcullis_origin_auth::Credential;
use serde_json::value::RawValue;

use super::Context;
use super::audit_record::AuditRecord;
use super::credential::{NoAccess, OriginAccess};
use super::error::PipelineError;
use super::origin_transport::{OriginTransport, failure};
use super::parse::Parsed;
use super::session::{MAX_AGE_SECONDS, Session, SessionKind};
use crate::upstream::UpstreamPool;

/// Maximum number of opened sessions in the cache. Others are read from the store.
const CACHE_CAPACITY: u64 = 10_000;
/// Idle time after which the lock of a session is dropped. Longer than an origin may take to open a session.
const LOCK_TTL: Duration = Duration::from_secs(900);

/// Maps deferred sessions to the origin's session ids. The inner value is `None` if the origin uses no
/// sessions.
pub(crate) struct DeferredSessions {
    opened: moka::sync::Cache<Arc<str>, Option<Arc<str>>>,
    /// One lock per session, so a deferred session opens only one session at the origin. A slow origin delays
    /// only its own users.
    opening: moka::sync::Cache<Box<str>, Arc<tokio::sync::Mutex<()>>>,
}

impl Default for DeferredSessions {
    fn default() -> Self {
        let opened = moka::sync::Cache::builder()
            .max_capacity(CACHE_CAPACITY)
            .time_to_idle(Duration::from_secs(24 * 3600))
            .build();
        let opening =
            moka::sync::Cache::builder().max_capacity(CACHE_CAPACITY).time_to_idle(LOCK_TTL).build();
        Self { opened, opening }
    }
}

impl DeferredSessions {
    /// Whether this is a deferred session that is not open at the origin.
    pub(super) async fn is_unopened(
        &self,
        context: &Context,
        session: Option<&Session>,
    ) -> Result<bool, PipelineError> {
        match session {
            Some(session) if matches!(session.kind(), SessionKind::Deferred { .. }) => {
                Ok(self.find(context, session).await?.is_none())
            }
            _ => Ok(false),
        }
    }

    async fn find(
        &self,
        context: &Context,
        session: &Session,
    ) -> Result<Option<Option<Arc<str>>>, PipelineError> {
        if let Some(known) = self.opened.get(session.digest()) {
            return Ok(Some(known));
        }
        let stored = context
            .store
            .deferred_session(session.digest())
            .await
            .map_err(|error| store_unavailable(&error))?;
        let Some(sealed) = stored else { return Ok(None) };
        let text = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| PipelineError::unknown_session())?;
        let opened = context
            .keys
            .sealing
            .open(Purpose::McpSession, &[session.digest()], &text)
            .map_err(|_| PipelineError::unknown_session())?;
        let id = String::from_utf8(opened.to_vec()).map_err(|_| PipelineError::unknown_session())?;
        let id = Some(Arc::from(id)).filter(|id: &Arc<str>| !id.is_empty());
        self.opened.insert(session.digest().into(), id.clone());
        Ok(Some(id))
    }

    async fn save(
        &self,
        context: &Context,
        session: &Session,
        id: Option<&str>,
    ) -> Result<(), PipelineError> {
        let sealed = context
            .keys
            .sealing
            .seal(
                &context.random,
                Purpose::McpSession,
                &[session.digest()],
                id.unwrap_or_default().as_bytes(),
            )
            .map_err(|_| PipelineError::randomness_unavailable())?;
        context
            .store
            .open_deferred_session(session.digest(), &URL_SAFE_NO_PAD.encode(sealed), context.clock.now().0)
            .await
            .map_err(|error| store_unavailable(&error))?;
        // Rows beyond the maximum age of a session are no longer used.
        let oldest = context.clock.now().0.saturating_sub(i64::try_from(MAX_AGE_SECONDS).unwrap_or(0) * 1000);
        if let Err(error) = context.store.prune_deferred_sessions(oldest).await {
            tracing::warn!(%error, "failed to delete expired deferred sessions; retrying when the next session opens");
        }
        Ok(())
    }
}

/// Opens a deferred session at the origin.
pub(super) struct Open<'a> {
    pub(super) context: &'a Arc<Context>,
    pub(super) upstreams: &'a Arc<UpstreamPool>,
    pub(super) parsed: &'a Parsed<'a>,
    pub(super) session: &'a Session,
    /// The client's `initialize` parameters.
    pub(super) initialize: &'a str,
}

impl Open<'_> {
    /// Returns the origin's session id, and opens the session first if necessary.
    pub(super) async fn open(
        self,
        credential: Credential,
        record: &mut AuditRecord,
    ) -> Result<OriginAccess, NoAccess> {
        let (context, sessions) = (self.context, &self.context.deferred_sessions);
        if let Some(known) = sessions.find(context, self.session).await? {
            return Ok(OriginAccess::new(credential, known.as_deref()));
        }
        let opening = sessions.opening.get_with(self.session.digest().into(), Arc::default);
        let _one_at_a_time = opening.lock().await;
        if let Some(known) = sessions.find(context, self.session).await? {
            return Ok(OriginAccess::new(credential, known.as_deref()));
        }
        let (id, credential) = self.initialize(credential, record).await?;
        sessions.save(context, self.session, id.as_ref().and_then(|id| id.to_str().ok())).await?;
        // Another replica may have stored a session first. The stored one is used.
        let kept = sessions.find(context, self.session).await?.flatten();
        Ok(OriginAccess::new(credential, kept.as_deref()))
    }

    async fn initialize(
        &self,
        credential: Credential,
        record: &mut AuditRecord,
    ) -> Result<(Option<HeaderValue>, Credential), NoAccess> {
        let Self { context, upstreams, parsed, initialize, .. } = *self;
        let params = RawValue::from_string(initialize.to_owned());
        let params = params.map_err(|_| PipelineError::unknown_session())?;
        let request = (client::Session::legacy(), "portcullis");
        let mut client = OriginTransport::client(context, upstreams, parsed, request, credential, record);
        let status = match client.initialize(&params).await.map_err(|error| failure(error, parsed))? {
            Handshake::Opened { confirmed, .. } if confirmed.is_success() => {
                let (transport, session) = client.into_parts();
                return Ok((session.id().cloned(), transport.into_credential()));
            }
            Handshake::Opened { confirmed, .. } => confirmed,
            Handshake::Rejected(reply) => reply.status(),
        };
        Err(PipelineError::session_not_opened(parsed.id(), status).into())
    }
}

fn store_unavailable(error: &portcullis_store::StoreError) -> PipelineError {
    tracing::error!(%error, "failed to access deferred sessions in the store");
    PipelineError::store_unavailable()
}

#[cfg(test)]
mod golden;
