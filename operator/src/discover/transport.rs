//! Sends the requests of the MCP client to one origin, with the same rules as calls.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use portcullis_config::OriginAuth;
use portcullis_egress::{EgressError, HttpClient, ResponseStream};
use portcullis_mcp::client::Transport;
use secrecy::ExposeSecret as _;

use super::Target;

/// Adds URL and credential of a target.
pub(super) struct TargetTransport<'a> {
    pub(super) http: &'a HttpClient,
    pub(super) target: &'a Target,
}

impl TargetTransport<'_> {
    fn credential(&self) -> Option<(HeaderName, HeaderValue)> {
        let OriginAuth::Header { name, .. } = &self.target.document.auth else { return None };
        let name = HeaderName::try_from(name.as_str()).ok()?;
        let mut value = HeaderValue::from_str(self.target.credential.as_ref()?.expose_secret()).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    }
}

impl Transport for TargetTransport<'_> {
    type Body = ResponseStream;
    type Error = EgressError;

    async fn send(&mut self, request: Request<Bytes>) -> Result<Response<ResponseStream>, EgressError> {
        let (mut head, body) = request.into_parts();
        head.headers.extend(self.credential());
        let request = self.http.request(head.method, self.target.url()).headers(head.headers).body(body);
        let stream = self.http.send_for_stream(request).await?;
        let mut response = Response::new(());
        *response.status_mut() = stream.status;
        response.headers_mut().clone_from(&stream.headers);
        Ok(response.map(|()| stream))
    }

    async fn chunk(&mut self, body: &mut ResponseStream) -> Result<Option<Bytes>, EgressError> {
        body.chunk().await
    }
}
