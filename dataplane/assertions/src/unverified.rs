use jsonwebtoken::{Algorithm, Header};

use crate::{AssertionError, Claims};

/// Longest assertion that is read.
const LONGEST: usize = 16 * 1024;

/// A JWT of which nothing is known to be true yet. What it says tells whose keys to take, and nothing else.
pub struct Unverified<'a> {
    token: &'a str,
    header: Header,
    claims: Claims,
}

impl<'a> Unverified<'a> {
    /// Reads header and claims.
    ///
    /// # Errors
    /// When it is no signed JWT of a kind that is understood.
    pub fn read(token: &'a str) -> Result<Self, AssertionError> {
        if token.len() > LONGEST || token.split('.').count() != 3 {
            return Err(AssertionError::Malformed);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| AssertionError::Malformed)?;
        // Extensions that have to be understood, of which none is (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return Err(AssertionError::Malformed);
        }
        let claims =
            jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| AssertionError::Malformed)?;
        Ok(Self { token, header, claims })
    }

    /// All of it, as it came.
    #[must_use]
    pub const fn token(&self) -> &'a str {
        self.token
    }

    /// Media type, without `application/`, in lower case (RFC 7515, section 4.1.9).
    pub fn typ(&self) -> Option<String> {
        let typ = self.header.typ.as_deref()?.to_ascii_lowercase();
        Some(typ.strip_prefix("application/").unwrap_or(&typ).to_owned())
    }

    /// What it says that it was signed with.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.header.alg
    }

    /// The key that it says it was signed with.
    pub fn key_id(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// What it says; nobody vouches for it.
    pub const fn says(&self) -> &Claims {
        &self.claims
    }
}
