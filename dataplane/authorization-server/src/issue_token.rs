//! Issues access tokens and refresh tokens.

use std::sync::Arc;

use portcullis_clock::{Random, UnixMillis};
use portcullis_keyring::Keyring;
use portcullis_policy::RouteTable;
use portcullis_store::GrantRow;

use crate::InternalError;
use crate::claims::{ACCESS_TOKEN_TYPE, AccessClaims};

/// The only scope. Teams decide what a user may do, not the requested scope.
pub(crate) const SCOPE: &str = "mcp";
/// Prefix of refresh tokens. Secret scanners can find leaked tokens by it.
pub(crate) const REFRESH_PREFIX: &str = "pc_refresh_";

/// An access token with its lifetime in seconds.
pub(crate) struct AccessToken {
    pub(crate) token: String,
    pub(crate) expires_in: i64,
}

/// Creates access tokens and refresh tokens.
pub(crate) struct TokenIssuer {
    keys: Arc<Keyring>,
    random: Random,
}

impl TokenIssuer {
    pub(crate) const fn new(keys: Arc<Keyring>, random: Random) -> Self {
        Self { keys, random }
    }

    /// Signs an access token for a grant. It expires no later than the grant.
    pub(crate) fn sign_access_token(
        &self,
        table: &RouteTable,
        grant: &GrantRow,
        now: UnixMillis,
    ) -> Result<AccessToken, InternalError> {
        let iat = now.seconds();
        let exp = now
            .after_seconds(table.gateway.tokens.access_seconds)
            .seconds()
            .min(UnixMillis(grant.expires_at).seconds());
        let claims = AccessClaims {
            iss: grant.issuer.clone(),
            aud: grant.resource.clone(),
            sub: grant.principal.clone(),
            client_id: grant.client_id.clone(),
            client_name: grant.client_name.clone(),
            jti: self.random.token()?,
            iat,
            exp,
            scope: grant.scope.clone(),
            grant: grant.id.clone(),
            grant_exp: Some(UnixMillis(grant.expires_at).seconds()),
            route: grant.route_uid.clone(),
        };
        Ok(AccessToken { token: self.keys.signing.sign(ACCESS_TOKEN_TYPE, &claims)?, expires_in: exp - iat })
    }

    pub(crate) fn new_refresh_token(&self) -> Result<String, InternalError> {
        Ok(format!("{REFRESH_PREFIX}{}", self.random.token()?))
    }
}
