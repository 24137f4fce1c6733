//! Client authentication by `private_key_jwt` (RFC 7523).

use std::sync::Arc;

use portcullis_clock::Clock;
use portcullis_jwt_verification::{
    JwksSource, JwtError, JwtVerifier, SIGNING_ALGORITHMS, UnusedAssertion, UnverifiedJwt,
};

use super::{ClientAuthError, IssuerContext};

/// Accepted `typ` of client assertions: `JWT` in RFC 7523, and the specific type of its successor
/// (draft-ietf-oauth-rfc7523bis).
const CLIENT_ASSERTION_TYPES: [&str; 2] = ["jwt", "client-authentication+jwt"];

/// Verifies client assertions.
pub(super) struct ClientAssertions {
    verifier: Arc<JwtVerifier>,
    clock: Clock,
}

impl ClientAssertions {
    pub(super) const fn new(verifier: Arc<JwtVerifier>, clock: Clock) -> Self {
        Self { verifier, clock }
    }

    /// Checks a client assertion (RFC 7523, section 3): `iss` and `sub` are the client's id, `aud` is this
    /// issuer or its token endpoint, the assertion has not expired and was not used before. It counts as used
    /// only when the request succeeds, so a client without a grant cannot fill the store.
    pub(super) async fn check(
        &self,
        at: IssuerContext<'_>,
        client_id: &str,
        keys: &JwksSource,
        algorithm: Option<&str>,
        assertion: &str,
    ) -> Result<UnusedAssertion, ClientAuthError> {
        let refused = ClientAuthError::Assertion;
        let unverified = UnverifiedJwt::read(assertion).map_err(refused)?;
        if unverified.typ().is_some_and(|typ| !CLIENT_ASSERTION_TYPES.contains(&typ.as_str())) {
            return Err(refused(JwtError::WrongType));
        }
        let algorithm =
            algorithm.and_then(|name| SIGNING_ALGORITHMS.iter().find(|(known, _)| *known == name));
        if algorithm.is_some_and(|(_, algorithm)| *algorithm != unverified.algorithm()) {
            return Err(refused(JwtError::Algorithm));
        }
        let claims = self.verifier.verify(keys, &unverified).await.map_err(refused)?;
        for name in ["iss", "sub"] {
            claims.check_text(name, client_id).map_err(refused)?;
        }
        let issuer = at.issuer.identifier(at.table);
        let audience = claims.audience().map_err(refused)?;
        if audience != issuer && audience != format!("{issuer}/oauth/token") {
            return Err(refused(JwtError::Mismatch("aud")));
        }
        let until = claims.check_times(self.clock.now()).map_err(refused)?;
        Ok(self.verifier.unused(&claims, until).await?)
    }
}
