use super::{At, AuthenticationError};
use crate::Identity;
use portcullis_assertions::{ALGORITHMS, AssertionError, KeySource, OnceError, Unverified};

/// `typ` of what clients sign to authenticate: nothing more telling than `JWT` in RFC 7523, the other one in its successor
/// (draft-ietf-oauth-rfc7523bis).
const TYPES: [&str; 2] = ["jwt", "client-authentication+jwt"];

impl Identity {
    /// Checks an assertion that a client signed to authenticate (RFC 7523, section 3): from itself about itself, for this
    /// authorization server, within its time, and never seen before.
    pub(super) async fn check_assertion(
        &self,
        at: At<'_>,
        client_id: &str,
        keys: &KeySource,
        algorithm: Option<&str>,
        assertion: &str,
    ) -> Result<(), AuthenticationError> {
        let refused = AuthenticationError::Assertion;
        let unverified = Unverified::read(assertion).map_err(refused)?;
        if unverified.typ().is_some_and(|typ| !TYPES.contains(&typ.as_str())) {
            return Err(refused(AssertionError::Type));
        }
        let algorithm = algorithm.and_then(|name| ALGORITHMS.iter().find(|(known, _)| *known == name));
        if algorithm.is_some_and(|(_, algorithm)| *algorithm != unverified.algorithm()) {
            return Err(refused(AssertionError::Algorithm));
        }
        let claims = self.verifier().verify(keys, &unverified).await.map_err(refused)?;
        for name in ["iss", "sub"] {
            claims.check_text(name, client_id).map_err(refused)?;
        }
        let issuer = at.issuer.identifier(at.table);
        let audience = claims.audience().map_err(refused)?;
        if audience != issuer && audience != format!("{issuer}/oauth/token") {
            return Err(refused(AssertionError::Mismatch("aud")));
        }
        let until = claims.check_times(self.clock().now()).map_err(refused)?;
        self.verifier().use_once(&claims, until).await.map_err(|error| match error {
            OnceError::Assertion(error) => refused(error),
            OnceError::Store(error) => AuthenticationError::Gateway(error.into()),
        })
    }
}
