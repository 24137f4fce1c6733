use portcullis_ambient::Instant;

use super::{AssertionError, Claims};
use crate::digest::digest;
use crate::{Identity, IdentityError};

/// Longest id that is taken.
const LONGEST_ID: usize = 1024;

/// Why an assertion may not be used.
pub(crate) enum OnceError {
    /// It has no id, or was used.
    Assertion(AssertionError),
    /// It cannot be known.
    Gateway(IdentityError),
}

impl Identity {
    /// Uses an assertion up: of all that come with this `iss` and `jti`, to whichever replica, one counts. Only for one whose
    /// signature was verified: what strangers write is not remembered.
    pub(crate) async fn use_once(&self, claims: &Claims, until: Instant) -> Result<(), OnceError> {
        let (issuer, id) = (claims.text("iss"), claims.text("jti"));
        let (issuer, id) = issuer.and_then(|issuer| Ok((issuer, id?))).map_err(OnceError::Assertion)?;
        if id.len() > LONGEST_ID {
            return Err(OnceError::Assertion(AssertionError::Claim("jti")));
        }
        // The length keeps one pair from reading like another.
        let known_by = digest(&format!("{} {issuer} {id}", issuer.len()));
        let first = self
            .store()
            .use_assertion(&known_by, until.0)
            .await
            .map_err(|error| OnceError::Gateway(error.into()))?;
        if first { Ok(()) } else { Err(OnceError::Assertion(AssertionError::Reused)) }
    }
}
