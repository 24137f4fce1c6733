//! Legacy sessions that a client opened before its user connected an account. The gateway answers
//! `initialize` itself and opens the origin's session, transparently for the client, once a credential is
//! available.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::Full;
use portcullis_keyring::Purpose;
use portcullis_mcp::header::{PROTOCOL_VERSION, SESSION_ID};
use portcullis_mcp::sse::{self, Splitter};
use portcullis_origin_auth::Credential;

use super::Context;
use super::audit_record::AuditRecord;
use super::authenticate::Authenticated;
use super::error::PipelineError;
use super::exchange::{apply_credential, collect, is_event_stream, send};
use super::session::{MAX_AGE_SECONDS, Session};
use crate::upstream::UpstreamPool;

/// Maximum number of opened sessions in the cache. Others are read from the store.
const CACHE_CAPACITY: u64 = 10_000;

/// Maps deferred sessions to the origin's session ids. The inner value is `None` if the origin uses no
/// sessions.
pub(crate) struct DeferredSessions {
    opened: moka::sync::Cache<Arc<str>, Option<Arc<str>>>,
    /// Serializes opening, so a deferred session opens only one session at the origin.
    opening: tokio::sync::Mutex<()>,
}

impl Default for DeferredSessions {
    fn default() -> Self {
        let opened = moka::sync::Cache::builder()
            .max_capacity(CACHE_CAPACITY)
            .time_to_idle(Duration::from_secs(24 * 3600))
            .build();
        Self { opened, opening: tokio::sync::Mutex::default() }
    }
}

impl DeferredSessions {
    /// Whether the session is already open at the origin.
    pub(super) async fn is_opened(
        &self,
        context: &Context,
        session: Option<&Session>,
    ) -> Result<bool, PipelineError> {
        match session {
            Some(session) => Ok(self.find(context, session).await?.is_some()),
            None => Ok(false),
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

/// Returns the origin's session id for a deferred session, and opens the session first if necessary.
pub(super) async fn open(
    context: &Arc<Context>,
    upstreams: &Arc<UpstreamPool>,
    by: &Authenticated,
    session: &Session,
    initialize: &str,
    credential: &Credential,
) -> Result<Option<String>, PipelineError> {
    let sessions = &context.deferred_sessions;
    if let Some(known) = sessions.find(context, session).await? {
        return Ok(known.map(|id| id.to_string()));
    }
    let _one_at_a_time = sessions.opening.lock().await;
    if let Some(known) = sessions.find(context, session).await? {
        return Ok(known.map(|id| id.to_string()));
    }
    let opener = SessionOpener { upstreams, authenticated: by, credential };
    let (id, version) = opener.initialize(initialize).await?;
    opener.initialized(id.as_deref(), version).await?;
    sessions.save(context, session, id.as_deref()).await?;
    // Another replica may have stored a session first. The stored one is used.
    let kept = sessions.find(context, session).await?.flatten();
    Ok(kept.map(|id| id.to_string()))
}

fn store_unavailable(error: &portcullis_store::StoreError) -> PipelineError {
    tracing::error!(%error, "failed to access deferred sessions in the store");
    PipelineError::store_unavailable()
}

struct SessionOpener<'a> {
    upstreams: &'a Arc<UpstreamPool>,
    authenticated: &'a Authenticated,
    credential: &'a Credential,
}

impl SessionOpener<'_> {
    /// Sends `initialize` with the client's parameters. Returns the session id and the protocol revision that
    /// the origin chose.
    async fn initialize(&self, params: &str) -> Result<(Option<String>, Option<HeaderValue>), PipelineError> {
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":"portcullis","method":"initialize","params":{params}}}"#);
        let answer = self.send(body, HeaderMap::new()).await?;
        let (head, incoming) = answer.response.into_parts();
        if !head.status.is_success() {
            return Err(PipelineError::session_not_opened(head.status));
        }
        let id = head.headers.get(SESSION_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
        let limit = self.authenticated.route().origin.limits.response_bytes;
        let body = collect(incoming, limit, None).await?;
        answer.lease.release();
        Ok((id, chosen_version(&body, is_event_stream(&head.headers))))
    }

    async fn initialized(
        &self,
        session: Option<&str>,
        version: Option<HeaderValue>,
    ) -> Result<(), PipelineError> {
        let mut headers = HeaderMap::new();
        if let Some(version) = version {
            headers.insert(PROTOCOL_VERSION, version);
        }
        if let Some(session) = session.and_then(|session| session.parse().ok()) {
            headers.insert(SESSION_ID, session);
        }
        let body = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned();
        let answer = self.send(body, headers).await?;
        match answer.response.status() {
            status if status.is_success() => Ok(()),
            status => Err(PipelineError::session_not_opened(status)),
        }
    }

    async fn send(
        &self,
        body: String,
        headers: HeaderMap,
    ) -> Result<crate::upstream::OriginResponse, PipelineError> {
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = http::Method::POST;
        *request.headers_mut() = headers;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        apply_credential(&mut request, None, self.credential);
        send(self.upstreams, &self.authenticated.route().origin, request, None, &mut AuditRecord::disabled())
            .await
    }
}

/// Returns the protocol revision in the response to `initialize`. The response is JSON or an event of a
/// stream.
fn chosen_version(body: &[u8], events: bool) -> Option<HeaderValue> {
    #[derive(serde::Deserialize)]
    struct Answer {
        result: Chosen,
    }
    #[derive(serde::Deserialize)]
    struct Chosen {
        #[serde(rename = "protocolVersion")]
        protocol_version: String,
    }
    let read = |message: &[u8]| {
        let answer: Answer = serde_json::from_slice(message).ok()?;
        answer.result.protocol_version.parse().ok()
    };
    if !events {
        return read(body);
    }
    let mut splitter = Splitter::new(body.len());
    splitter.push(body);
    while let Ok(Some(event)) = splitter.next_event() {
        if let Some(version) = read(&sse::data(&event)) {
            return Some(version);
        }
    }
    None
}

#[cfg(test)]
mod golden;
