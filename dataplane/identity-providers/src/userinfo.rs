//! Fetches a user's claims with their access token (OpenID Connect Core, section 5.3, or an OAuth server's
//! own API).

use http::header::ACCEPT;
use secrecy::ExposeSecret as _;

use crate::error::Problem;
use crate::provider::Provider;
use crate::token_endpoint::Tokens;
use crate::{ProviderError, UserClaims};

/// Maximum size of a response, in bytes.
const MAX_RESPONSE_LEN: usize = 512 * 1024;

/// Result of a userinfo request.
pub(crate) enum Userinfo {
    /// The user's claims.
    Found(UserClaims),
    /// An unusable response, with a description of the problem.
    Unusable(Problem),
}

impl Provider<'_> {
    /// Requests userinfo. `None` if the provider has no userinfo URL.
    pub(crate) async fn userinfo(&self, tokens: &Tokens) -> Result<Option<Userinfo>, ProviderError> {
        let Some(url) = self.userinfo_url() else { return Ok(None) };
        let request = self.http.get(url.clone()).bearer_auth(tokens.access.expose_secret());
        let request = request.header(ACCEPT, "application/json");
        let answer = self.http.send(request, MAX_RESPONSE_LEN).await?;
        let status = answer.status;
        if status.is_server_error() || status.as_u16() == 429 {
            let problem = format!("its userinfo endpoint returned status {}", status.as_u16());
            return Err(ProviderError::Unavailable(Problem::new(problem)));
        }
        let invalid =
            || Problem::new(format!("its userinfo response (status {}) is invalid", status.as_u16()));
        Ok(Some(match answer.json() {
            Ok(claims) if status.is_success() => Userinfo::Found(claims),
            Ok(_) => Userinfo::Unusable(invalid()),
            Err(error) => Userinfo::Unusable(invalid().with_source(error)),
        }))
    }
}
