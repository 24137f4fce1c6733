//! The grant types of the token endpoint.

use super::client_credentials::ClientCredentialsGrant;
use super::jwt_bearer::JwtBearerGrant;
use super::redeem::CodeGrant;
use super::refresh::RefreshGrant;
use super::token_error::TokenEndpointError;
use super::token_request::{IssuedGrant, TokenRequest};

/// RFC 6749, section 4.4.
pub(super) const CLIENT_CREDENTIALS: &str = "client_credentials";
/// RFC 7523, section 2.1.
pub(super) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// One member per supported `grant_type`.
pub(super) struct GrantTypes {
    pub(super) code: CodeGrant,
    pub(super) refresh: RefreshGrant,
    pub(super) client_credentials: ClientCredentialsGrant,
    pub(super) jwt_bearer: JwtBearerGrant,
}

impl GrantTypes {
    /// Issues the grant that a request asks for.
    pub(super) async fn issue(
        &self,
        grant_type: &str,
        request: &TokenRequest<'_>,
    ) -> Result<IssuedGrant, TokenEndpointError> {
        match grant_type {
            "authorization_code" => self.code.redeem(request).await,
            "refresh_token" => self.refresh.refresh(request).await,
            CLIENT_CREDENTIALS => self.client_credentials.issue(request).await,
            JWT_BEARER => self.jwt_bearer.issue(request).await,
            _ => Err(TokenEndpointError::GrantType),
        }
    }
}
