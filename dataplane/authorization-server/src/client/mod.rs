//! OAuth clients: registrations, metadata documents, redirect URIs and credentials.

mod client_auth;
mod document;
mod document_cache;
mod metadata;
mod public_keys;
mod redirect;
mod registration;
mod resolve;

pub use document::DocumentError;
pub use metadata::MetadataError;
pub use redirect::RedirectError;
pub use resolve::ClientRegistry;

pub(crate) use client_auth::{ClientAuth, SecretMethod};
pub(crate) use document_cache::MetadataDocuments;
pub(crate) use registration::{
    AuthMethod, NEVER_GRANTED_CLIENT_SECONDS, Registrations, RequestedMetadata, UNUSED_CLIENT_SECONDS,
};
pub(crate) use resolve::{ClientSource, is_registered};
#[cfg(fuzzing)]
pub(crate) use {document::read as read_document, redirect::check as check_redirect, redirect::matches};

use std::sync::Arc;

use crate::InternalError;

/// An OAuth client, registered (RFC 7591) or described by a client ID metadata document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// `client_id`: assigned by the gateway, or the URL of the metadata document.
    pub id: String,
    /// Name that the client chose. It is not verified: show it with the host of the redirect URI.
    pub name: String,
    /// Registered redirect URIs.
    pub redirect_uris: Vec<String>,
    /// Whether the client comes from the metadata document at `id`.
    pub from_document: bool,
    /// Whether the client must authenticate with a secret or a key to redeem a code. False if authentication
    /// is optional.
    pub authenticates: bool,
    /// Home page, `https` only.
    pub client_uri: Option<String>,
    /// Logo, `https` only. The gateway does not fetch it.
    pub logo_uri: Option<String>,
}

impl Client {
    /// Whether a redirect URI matches a registered one. Compared exactly, except that the port may differ for
    /// loopback IP addresses (RFC 8252, section 7.3) and for `localhost`, which common clients register.
    ///
    /// The rules for registration apply too: a client may have registered under the weaker rules of an older
    /// version.
    #[must_use]
    pub fn allows_redirect(&self, redirect_uri: &str) -> bool {
        redirect::check(redirect_uri).is_ok()
            && self.redirect_uris.iter().any(|registered| redirect::matches(registered, redirect_uri))
    }
}

/// The message to an unknown client.
pub(crate) const UNKNOWN_CLIENT: &str =
    "this client is not registered here, or its registration has expired; register again";

/// A client cannot be resolved.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The client never registered, or its registration expired because it was unused.
    #[error("this client is not registered here, or its registration has expired; let it register again")]
    Unknown,
    /// The client's metadata document is invalid, or its URL is not permitted.
    #[error("the client's metadata document is invalid: {0}")]
    Document(#[source] Arc<DocumentError>),
    /// The client's metadata document cannot be fetched at the moment. The client may be valid.
    #[error("the client's metadata document cannot be fetched: {0}")]
    DocumentUnavailable(#[source] Arc<DocumentError>),
    /// The gateway failed.
    #[error(transparent)]
    Gateway(#[from] InternalError),
}

impl From<Arc<DocumentError>> for ClientError {
    fn from(error: Arc<DocumentError>) -> Self {
        if error.is_temporary() { Self::DocumentUnavailable(error) } else { Self::Document(error) }
    }
}

/// Whether a `client_id` is the URL of a metadata document. Ids that the gateway assigns never start with
/// `https://`.
pub(crate) fn is_document_url(client_id: &str) -> bool {
    client_id.starts_with("https://")
}
