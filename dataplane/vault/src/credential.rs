use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use portcullis_events::AuthMode;
use portcullis_policy::{Origin, OriginCredential};
use secrecy::SecretString;
use zeroize::Zeroizing;

/// What goes with a person's call to an origin. Cheap to clone. Has no `Debug`: it holds a secret.
#[derive(Clone)]
pub struct Credential(Kind);

#[derive(Clone)]
enum Kind {
    /// What the origin itself says: nothing, or a header or a query parameter that is everybody's.
    Fixed(Arc<Origin>),
    /// The person's own access token, ready to be sent.
    Bearer(Arc<HeaderValue>),
}

impl Credential {
    pub(crate) fn fixed(origin: &Arc<Origin>) -> Self {
        Self(Kind::Fixed(Arc::clone(origin)))
    }

    pub(crate) fn bearer(header: Arc<HeaderValue>) -> Self {
        Self(Kind::Bearer(header))
    }

    /// How this authenticates.
    #[must_use]
    pub fn mode(&self) -> AuthMode {
        match &self.0 {
            Kind::Bearer(_) => AuthMode::UserOauth,
            Kind::Fixed(origin) => match origin.credential {
                OriginCredential::Header(..) => AuthMode::Header,
                OriginCredential::Target(_) => AuthMode::QueryParameter,
                OriginCredential::None | OriginCredential::ClientSecret(..) => AuthMode::None,
            },
        }
    }

    /// The header to send, if any. Its value is marked sensitive.
    #[must_use]
    pub fn header(&self) -> Option<(&HeaderName, &HeaderValue)> {
        match &self.0 {
            Kind::Bearer(value) => Some((&AUTHORIZATION, value)),
            Kind::Fixed(origin) => match &origin.credential {
                OriginCredential::Header(name, value) => Some((name, value)),
                OriginCredential::None | OriginCredential::Target(_) | OriginCredential::ClientSecret(..) => {
                    None
                }
            },
        }
    }

    /// Path and query to ask for in place of the URL's own, where the credential is part of them.
    #[must_use]
    pub fn target(&self) -> Option<&SecretString> {
        match &self.0 {
            Kind::Fixed(origin) => match &origin.credential {
                OriginCredential::Target(target) => Some(target),
                _ => None,
            },
            Kind::Bearer(_) => None,
        }
    }
}

/// `Bearer …`, marked sensitive. `None` for what no header can hold; [`crate::token`] lets nothing like that in.
pub(crate) fn bearer_header(token: &str) -> Option<Arc<HeaderValue>> {
    let text = Zeroizing::new(format!("Bearer {token}"));
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(Arc::new(value))
}
