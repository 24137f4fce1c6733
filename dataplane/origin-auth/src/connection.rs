//! A stored connection: its sealed tokens, expiry, and binding to origin and client.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use portcullis_clock::UnixMillis;
use portcullis_config::{ClientRegistration, OriginAuth};
use portcullis_keyring::{SealError, digest};
use portcullis_policy::Origin;
use portcullis_store::ConnectionRow;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use crate::client::RegistrationMethod;
use crate::credential::bearer_header;
use crate::sealer::CredentialSealer;
use crate::token::TokenResponse;

/// Tokens that live longer than this are refreshed [`EARLY_REFRESH_MARGIN`] before they expire. Shorter ones
/// are refreshed in the last fifth of their lifetime.
const EARLY_REFRESH_MIN_LIFETIME: Duration = Duration::from_secs(120);
const EARLY_REFRESH_MARGIN: Duration = Duration::from_secs(60);

/// The sealed part of a connection. No `Debug`: it holds secrets.
#[derive(Serialize, Deserialize)]
pub(crate) struct Tokens {
    pub(crate) access: Zeroizing<String>,
    pub(crate) refresh: Option<Zeroizing<String>>,
    /// Secret of the dynamic registration that the tokens were issued to. Only that client can use the
    /// refresh token.
    pub(crate) client_secret: Option<Zeroizing<String>>,
}

/// A stored connection with its tokens decrypted.
pub(crate) struct Connection {
    pub(crate) row: ConnectionRow,
    pub(crate) tokens: Tokens,
    /// `Bearer …`
    pub(crate) header: Arc<HeaderValue>,
    pub(crate) token_endpoint: Url,
}

impl Tokens {
    /// Tokens of a response. If the provider sends no new refresh token, the old one stays valid.
    pub(crate) fn from_response(
        response: &TokenResponse,
        old_refresh: Option<&str>,
        client_secret: Option<&SecretString>,
    ) -> Self {
        let secret = |text: &str| Zeroizing::new(text.to_owned());
        Self {
            access: secret(response.access.expose_secret()),
            refresh: response.refresh.as_ref().map(SecretString::expose_secret).or(old_refresh).map(secret),
            client_secret: client_secret.map(|text| secret(text.expose_secret())),
        }
    }

    /// Seals the tokens, bound to everything in the row that decides where they may be sent.
    pub(crate) fn seal(&self, sealer: &CredentialSealer, row: &ConnectionRow) -> Result<String, SealError> {
        let text = Zeroizing::new(serde_json::to_vec(self).unwrap_or_default());
        sealer.seal(&associated_data(row), &text)
    }
}

impl Connection {
    /// Decrypts a stored connection. `None` if it was changed or its key is missing.
    pub(crate) fn open(row: ConnectionRow, sealer: &CredentialSealer) -> Option<Self> {
        let text = sealer.open(&associated_data(&row), &row.sealed)?;
        let tokens: Tokens = serde_json::from_slice(&text).ok()?;
        let header = bearer_header(&tokens.access)?;
        let token_endpoint = row.token_endpoint.parse().ok()?;
        Some(Self { row, tokens, header, token_endpoint })
    }

    /// When to refresh the access token. `None` if the provider did not state its lifetime.
    pub(crate) fn refresh_at(&self) -> Option<UnixMillis> {
        let lifetime = self.expires_at()?.since(UnixMillis(self.row.issued_at));
        Some(UnixMillis(self.row.issued_at).after(refresh_after(lifetime)))
    }

    pub(crate) fn expires_at(&self) -> Option<UnixMillis> {
        self.row.expires_at.map(UnixMillis)
    }
}

/// How long a token with this lifetime is used before it is refreshed.
pub(crate) fn refresh_after(lifetime: Duration) -> Duration {
    let early = if lifetime > EARLY_REFRESH_MIN_LIFETIME { EARLY_REFRESH_MARGIN } else { lifetime / 5 };
    lifetime.saturating_sub(early)
}

/// Whether a connection matches the origin's current URL and client registration.
pub(crate) fn is_bound_to(row: &ConnectionRow, origin: &Origin) -> bool {
    let Some((_, registration)) = origin.auth.consent() else {
        return row.registration == exchange_fingerprint(&origin.auth)
            && row.origin_url == origin.url.as_str();
    };
    let same_client = match registration {
        ClientRegistration::Client(client) => {
            row.registration == RegistrationMethod::Configured.as_str() && row.client_id == client.id
        }
        ClientRegistration::Auto => {
            let registration = RegistrationMethod::from_stored(&row.registration);
            registration.is_some_and(|it| it != RegistrationMethod::Configured)
        }
    };
    same_client && row.origin_url == origin.url.as_str()
}

pub(crate) fn associated_data(row: &ConnectionRow) -> [&str; 7] {
    [
        "connection",
        &row.principal_id,
        &row.origin_uid,
        &row.issuer,
        &row.origin_url,
        &row.token_endpoint,
        &row.client_id,
    ]
}

/// Stored in place of a registration for an exchanged token. It covers the whole auth configuration of the
/// origin, so any change invalidates the token.
pub(crate) fn exchange_fingerprint(auth: &OriginAuth) -> String {
    let text = serde_json::to_vec(auth).unwrap_or_default();
    format!("exchange {}", digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_lifetime_then_a_token_is_refreshed_in_its_last_minute_or_its_last_fifth() {
        for (lifetime, used) in [(3, 2.4), (120, 96.0), (121, 61.0), (3600, 3540.0)] {
            assert_eq!(refresh_after(Duration::from_secs(lifetime)).as_secs_f64(), used, "{lifetime}");
        }
    }
}
