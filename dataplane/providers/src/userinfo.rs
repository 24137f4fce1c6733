//! What a provider says of whoever holds an access token (OpenID Connect Core, section 5.3; elsewhere an API of its own).

use http::header::ACCEPT;
use secrecy::ExposeSecret as _;

use crate::provider::Provider;
use crate::token::Tokens;
use crate::{Claims, ProviderError};

/// Largest answer, in bytes.
const LARGEST: usize = 512 * 1024;

/// What came of asking.
pub(crate) enum Userinfo {
    /// This.
    Says(Claims),
    /// Nothing that can be used.
    Unusable(String),
}

impl Provider<'_> {
    /// Asks it, where there is such a place.
    pub(crate) async fn userinfo(&self, tokens: &Tokens) -> Result<Option<Userinfo>, ProviderError> {
        let Some(url) = self.userinfo_url() else { return Ok(None) };
        let request = self.http.get(url.clone()).bearer_auth(tokens.access.expose_secret());
        let request = request.header(ACCEPT, "application/json");
        let answer = self.http.send(request, LARGEST).await?;
        let status = answer.status;
        if status.is_server_error() || status.as_u16() == 429 {
            return Err(ProviderError::Away(format!(
                "userinfo is not available (status {})",
                status.as_u16()
            )));
        }
        Ok(Some(match answer.json() {
            Ok(claims) if status.is_success() => Userinfo::Says(claims),
            _ => Userinfo::Unusable(format!("its userinfo (status {}) is not usable", status.as_u16())),
        }))
    }
}
