//! An MCP client for requests that Portcullis itself sends to an origin: discovery, deferred sessions,
//! template lists.
//!
//! ```text
//! session   what a client has agreed with the origin, and the requests that follow from it
//! response  finds the response to a request in a JSON body or an event stream
//! list      reads all pages of a list
//! ```
//!
//! The module does no I/O. A [`Transport`] sends the requests; it adds URL and credential, renews a rejected
//! credential, accounts for the time, and enforces the deadlines.

mod list;
mod response;
mod session;
#[cfg(test)]
mod tests;

use std::future::Future;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

pub use list::{ListReply, Listing};
pub use response::{Reply, RpcError, is_event_stream};
pub use session::{LEGACY_VERSION, MODERN_VERSION, Session};

use crate::method::Method;
use response::ResponseReader;

/// Sends HTTP requests to one origin.
pub trait Transport {
    /// The unread part of a response.
    type Body: Send;
    /// Why there is no response.
    type Error;

    /// Sends a request without URL and credential, and returns the head of the response.
    fn send(
        &mut self,
        request: Request<Bytes>,
    ) -> impl Future<Output = Result<Response<Self::Body>, Self::Error>> + Send;

    /// Returns the next bytes of a response; `None` at its end. Fails when the deadline of the request passes.
    fn chunk(
        &mut self,
        body: &mut Self::Body,
    ) -> impl Future<Output = Result<Option<Bytes>, Self::Error>> + Send;
}

/// A request failed without a complete response.
#[derive(Debug, thiserror::Error)]
pub enum ClientError<E> {
    /// The transport failed.
    #[error(transparent)]
    Transport(E),
    /// The response has more bytes than the client accepts.
    #[error("the response exceeds {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
}

/// Outcome of `initialize`.
pub enum Handshake {
    /// The origin opened a session.
    Opened {
        /// Result of `initialize`.
        result: Box<RawValue>,
        /// Status of the response to `notifications/initialized`.
        confirmed: StatusCode,
    },
    /// The origin did not.
    Rejected(Reply),
}

/// Sends requests to one origin, one after another.
pub struct Client<T> {
    transport: T,
    session: Session,
    /// The id of the first request; later ones add a number.
    id: &'static str,
    sent: u32,
    max_response_bytes: usize,
}

impl<T: Transport> Client<T> {
    /// Creates a client. `id` is the id of its first request, and the start of all later ones.
    pub fn new(transport: T, session: Session, id: &'static str, max_response_bytes: usize) -> Self {
        Self { transport, session, id, sent: 0, max_response_bytes }
    }

    /// What the client has agreed with the origin.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Returns the transport and the session.
    pub fn into_parts(self) -> (T, Session) {
        (self.transport, self.session)
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When the transport fails or the response is too large. A JSON-RPC error is part of the [`Reply`].
    pub async fn request(
        &mut self,
        method: &str,
        params: Map<String, Value>,
    ) -> Result<Reply, ClientError<T::Error>> {
        let id = self.next_id();
        let request = self.session.request(method, &id, params);
        self.exchange(request, &id).await
    }

    /// Opens a legacy session: sends `initialize` and, if the origin accepts, `notifications/initialized`.
    /// From then on the session contains the origin's session id and protocol revision.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub async fn initialize(
        &mut self,
        params: &(impl Serialize + ?Sized),
    ) -> Result<Handshake, ClientError<T::Error>> {
        let id = self.next_id();
        let reply = self.exchange(self.session.initialize(&id, params), &id).await?;
        let Some(result) = reply.result().map(ToOwned::to_owned) else {
            return Ok(Handshake::Rejected(reply));
        };
        self.session.accept(reply.session().cloned(), &result);
        let confirmed = self.notify("notifications/initialized").await?;
        Ok(Handshake::Opened { result, confirmed })
    }

    /// Sends a notification and returns the status of the response.
    ///
    /// # Errors
    /// When the transport fails.
    pub async fn notify(&mut self, method: &str) -> Result<StatusCode, ClientError<T::Error>> {
        let request = self.session.notification(method);
        let response = self.transport.send(request).await.map_err(ClientError::Transport)?;
        Ok(response.status())
    }

    /// Ends the session at the origin, if there is one.
    ///
    /// # Errors
    /// When the transport fails.
    pub async fn end(&mut self) -> Result<(), ClientError<T::Error>> {
        if let Some(request) = self.session.end() {
            self.transport.send(request).await.map_err(ClientError::Transport)?;
        }
        Ok(())
    }

    /// Reads all pages of a list. `method` must list capabilities.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub async fn list(&mut self, method: Method) -> Result<ListReply, ClientError<T::Error>> {
        list::read(self, method).await
    }

    async fn exchange(&mut self, request: Request<Bytes>, id: &str) -> Result<Reply, ClientError<T::Error>> {
        let limit = self.max_response_bytes;
        let response = self.transport.send(request).await.map_err(ClientError::Transport)?;
        let (head, mut body) = response.into_parts();
        let mut reader = ResponseReader::new(id, &head.headers, limit);
        let message = loop {
            let Some(chunk) = self.transport.chunk(&mut body).await.map_err(ClientError::Transport)? else {
                break reader.finish();
            };
            // An event stream may stay open after the response.
            if let Some(message) = reader.push(&chunk).map_err(|_| ClientError::TooLarge { limit })? {
                break Some(message);
            }
        };
        Ok(Reply::new(head.status, &head.headers, message))
    }

    fn next_id(&mut self) -> String {
        self.sent += 1;
        match self.sent {
            1 => self.id.to_owned(),
            number => format!("{}-{number}", self.id),
        }
    }
}
