//! Adapts [`Egress`] to the connector interface of hyper's client.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use http::uri::Scheme;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::Destination;
use crate::{AddressPolicy, Egress, EgressError};

/// [`Egress::connect`] as a hyper connector.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) egress: Egress,
    pub(crate) policy: AddressPolicy,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = EgressError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, EgressError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), EgressError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { egress, policy } = self.clone();
        Box::pin(async move {
            let plain = uri.scheme() == Some(&Scheme::HTTP);
            let host = uri.host().ok_or(EgressError::Url("it has no host"))?;
            let port = uri.port_u16().unwrap_or(if plain { 80 } else { 443 });
            egress.connect(Destination { host, port, plain }, &policy).await.map(TokioIo::new)
        })
    }
}
