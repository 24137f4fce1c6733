use serde::{Deserialize, Serialize};

/// `typ` of access tokens (RFC 9068, section 2.1).
pub(crate) const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// Claims of an access token (RFC 9068, section 2.2), plus what binds it to a grant and a route. No groups: who somebody is
/// changes while a token lives, so it is looked up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AccessClaims {
    pub(crate) iss: String,
    pub(crate) aud: String,
    /// The person's [`PrincipalId`](portcullis_policy::PrincipalId).
    pub(crate) sub: String,
    pub(crate) client_id: String,
    /// For events, so that they need not ask the store for it.
    pub(crate) client_name: String,
    pub(crate) jti: String,
    pub(crate) iat: i64,
    pub(crate) exp: i64,
    pub(crate) scope: String,
    /// What revocation names.
    pub(crate) grant: String,
    /// UID of the route: a slug that another route has taken over honours nothing.
    pub(crate) route: String,
}
