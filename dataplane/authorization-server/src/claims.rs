//! Claims of access tokens.

use serde::{Deserialize, Serialize};

/// `typ` of access tokens (RFC 9068, section 2.1).
pub(crate) const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// Claims of an access token (RFC 9068, section 2.2), with the grant and the route that it belongs to. Groups
/// are not included: they can change while the token is valid, so each call looks them up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AccessClaims {
    pub(crate) iss: String,
    pub(crate) aud: String,
    /// The [`PrincipalId`](portcullis_policy::PrincipalId).
    pub(crate) sub: String,
    pub(crate) client_id: String,
    /// Included for events, which need no store lookup this way.
    pub(crate) client_name: String,
    pub(crate) jti: String,
    pub(crate) iat: i64,
    pub(crate) exp: i64,
    pub(crate) scope: String,
    /// Id of the grant. Revocation refers to it.
    pub(crate) grant: String,
    /// When the grant ends, in seconds. A stream may stay open until then. Missing in tokens of older versions,
    /// whose streams end with the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) grant_exp: Option<i64>,
    /// UID of the route. If another route takes over the slug, the token is invalid there.
    pub(crate) route: String,
}
