//! The credential of a call to an origin.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use portcullis_config::OriginAuth;
use portcullis_events::AuthMode;
use portcullis_policy::{Origin, OriginCredential};
use secrecy::SecretString;
use zeroize::Zeroizing;

/// The credential that is sent with a person's call to an origin. Cheap to clone. No `Debug`: it holds a
/// secret.
#[derive(Clone)]
pub struct Credential(CredentialKind);

#[derive(Clone)]
enum CredentialKind {
    /// From the origin's configuration: nothing, or a header or query parameter that all users share.
    Fixed(Arc<Origin>),
    /// An access token, ready to be sent.
    Bearer(Arc<Origin>, Arc<HeaderValue>),
}

impl Credential {
    pub(crate) fn fixed(origin: &Arc<Origin>) -> Self {
        Self(CredentialKind::Fixed(Arc::clone(origin)))
    }

    pub(crate) fn bearer(origin: &Arc<Origin>, header: Arc<HeaderValue>) -> Self {
        Self(CredentialKind::Bearer(Arc::clone(origin), header))
    }

    /// Authentication mode, for events.
    #[must_use]
    pub fn mode(&self) -> AuthMode {
        match &self.0 {
            CredentialKind::Fixed(origin) | CredentialKind::Bearer(origin, _) => auth_mode(origin),
        }
    }

    /// Header to send, if any. Its value is marked sensitive.
    #[must_use]
    pub fn header(&self) -> Option<(&HeaderName, &HeaderValue)> {
        match &self.0 {
            CredentialKind::Bearer(_, value) => Some((&AUTHORIZATION, value)),
            CredentialKind::Fixed(origin) => match &origin.credential {
                OriginCredential::Header(name, value) => Some((name, value)),
                OriginCredential::None
                | OriginCredential::RequestTarget(_)
                | OriginCredential::ClientSecret(..) => None,
            },
        }
    }

    /// Path and query that replace those of the origin's URL, if the credential is part of them.
    #[must_use]
    pub fn target(&self) -> Option<&SecretString> {
        match &self.0 {
            CredentialKind::Fixed(origin) => match &origin.credential {
                OriginCredential::RequestTarget(target) => Some(target),
                _ => None,
            },
            CredentialKind::Bearer(..) => None,
        }
    }
}

/// Authentication mode of an origin, as events name it.
#[must_use]
pub fn auth_mode(origin: &Origin) -> AuthMode {
    match &origin.auth {
        OriginAuth::None => AuthMode::None,
        OriginAuth::Header { .. } => AuthMode::Header,
        OriginAuth::QueryParameter { .. } => AuthMode::QueryParameter,
        OriginAuth::UserOAuth { .. } => AuthMode::UserOauth,
        OriginAuth::SharedOAuth { .. } => AuthMode::SharedOauth,
        OriginAuth::ClientCredentials { .. } => AuthMode::ClientCredentials,
        OriginAuth::TokenExchange { .. } => AuthMode::TokenExchange,
        OriginAuth::IdJag { .. } => AuthMode::IdJag,
    }
}

/// A token endpoint issued a token with characters that a header cannot hold.
#[derive(Debug, thiserror::Error)]
#[error("the issued token cannot be sent in a header")]
pub(crate) struct UnsendableToken;

/// `Bearer …`, marked sensitive. `None` if a header cannot hold it; [`crate::token`] rejects such tokens
/// earlier.
pub(crate) fn bearer_header(token: &str) -> Option<Arc<HeaderValue>> {
    let text = Zeroizing::new(format!("Bearer {token}"));
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(Arc::new(value))
}
