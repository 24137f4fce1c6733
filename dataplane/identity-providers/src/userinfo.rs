//! What a provider says of whoever holds an access token (OpenID Connect Core, section 5.3; elsewhere an API of its own).

use http::header::ACCEPT;
use secrecy::ExposeSecret as _;

use crate::provider::Provider;
use crate::token_endpoint::Tokens;
use crate::{ProviderError, UserClaims};

/// Largest answer, in bytes.
const MAX_RESPONSE_LEN: usize = 512 * 1024;

/// What came of asking.
pub(crate) enum Userinfo {
    /// This.
    Found(UserClaims),
    /// Nothing that can be used.
    Unusable(String),
}

impl Provider<'_> {
    /// Asks it, where there is such a place.
    pub(crate) async fn userinfo(&self, tokens: &Tokens) -> Result<Option<Userinfo>, ProviderError> {
        let Some(url) = self.userinfo_url() else { return Ok(None) };
        let request = self.http.get(url.clone()).bearer_auth(tokens.access.expose_secret());
        let request = request.header(ACCEPT, "application/json");
        let answer = self.http.send(request, MAX_RESPONSE_LEN).await?;
        let status = answer.status;
        if status.is_server_error() || status.as_u16() == 429 {
            return Err(ProviderError::Unavailable(format!(
                "userinfo is not available (status {})",
                status.as_u16()
            )));
        }
        Ok(Some(match answer.json() {
            Ok(claims) if status.is_success() => Userinfo::Found(claims),
            _ => Userinfo::Unusable(format!("its userinfo (status {}) is not usable", status.as_u16())),
        }))
    }
}
