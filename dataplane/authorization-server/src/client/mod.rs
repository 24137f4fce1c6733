//! OAuth clients: who they say they are, and where they may be sent back to.

mod client_auth;
mod document;
mod document_cache;
mod metadata;
mod public_keys;
mod redirect;
mod registration;
mod resolve;

pub use redirect::RedirectError;

pub(crate) use client_auth::{ClientAuth, SecretMethod};
pub(crate) use document_cache::DocumentCache;
pub(crate) use metadata::MetadataError;
pub(crate) use registration::{AuthMethod, RequestedMetadata, UNUSED_CLIENT_SECONDS};
pub(crate) use resolve::{ClientSource, is_registered};
#[cfg(fuzzing)]
pub(crate) use {document::read as read_document, redirect::check as check_redirect, redirect::matches};

use std::sync::Arc;

use crate::{AuthorizationServer, InternalError};

/// A client of the gateway's authorization servers, registered (RFC 7591) or described by a client ID metadata document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// `client_id`: ours, or the URL of its document.
    pub id: String,
    /// Its own name for itself. Nobody has checked it: show it next to the redirect's host.
    pub name: String,
    /// Where it may be sent back to.
    pub redirect_uris: Vec<String>,
    /// Whether a document at `id` describes it.
    pub from_document: bool,
    /// Its home page, `https` only.
    pub client_uri: Option<String>,
    /// Its logo, `https` only. Not fetched by the gateway.
    pub logo_uri: Option<String>,
}

impl Client {
    /// Whether a redirect URI is one of its own: compared exactly, except that any port will do on loopback literals (RFC 8252,
    /// section 7.3) and, because widespread clients register it so, on `localhost`.
    #[must_use]
    pub fn allows_redirect(&self, redirect_uri: &str) -> bool {
        self.redirect_uris.iter().any(|registered| redirect::matches(registered, redirect_uri))
    }

    /// Whether all its redirects lead to the user's own machine, where any program can listen: worth a warning.
    #[must_use]
    pub fn loopback_only(&self) -> bool {
        self.redirect_uris.iter().all(|uri| redirect::is_loopback(uri))
    }
}

/// What a client is told that is not known.
pub(crate) const UNKNOWN_CLIENT: &str =
    "this client is not registered here, or its registration has expired; register again";

/// Why there is no such client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It never registered, or was not used for so long that it was forgotten.
    #[error("this client is not registered here, or its registration has expired; let it register again")]
    Unknown,
    /// Its metadata document is not acceptable, or cannot be had.
    #[error("the client's metadata document is not usable: {0}")]
    Document(String),
    /// Its metadata document cannot be had at the moment, which says nothing about the client.
    #[error("the client's metadata document cannot be fetched: {0}")]
    DocumentUnavailable(String),
    /// The gateway could not find out.
    #[error(transparent)]
    Gateway(#[from] InternalError),
}

/// Whether a `client_id` is the URL of a metadata document. No id that the gateway gives begins so.
pub(crate) fn is_document_url(client_id: &str) -> bool {
    client_id.starts_with("https://")
}

impl AuthorizationServer {
    /// The client with an id: registered, or described by the document at that URL, which is fetched unless it is remembered.
    ///
    /// # Errors
    /// When there is none, its document is not acceptable or not to be had, or the store does not answer.
    pub async fn client(&self, client_id: &str) -> Result<Arc<Client>, ClientError> {
        if is_document_url(client_id) {
            return Ok(Arc::clone(&self.documented_client(client_id).await?.client));
        }
        let registration = self.registration(client_id).await?.ok_or(ClientError::Unknown)?;
        Ok(Arc::new(registration.client))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_client_when_one_of_its_redirects_leaves_the_machine_then_it_is_not_of_loopback_alone() {
        let (loopback, web) = ("http://127.0.0.1/cb", "https://a.example/cb");
        for (redirects, loopback_only) in [
            (vec![loopback, "http://localhost:8787/cb"], true),
            (vec![loopback, web], false),
            (vec!["cursor://x/cb"], false),
        ] {
            let client = Client {
                id: "x".to_owned(),
                name: "x".to_owned(),
                redirect_uris: redirects.iter().map(|uri| (*uri).to_owned()).collect(),
                from_document: false,
                client_uri: None,
                logo_uri: None,
            };
            assert_eq!(client.loopback_only(), loopback_only, "{redirects:?}");
        }
    }
}
