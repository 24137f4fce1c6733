//! Parses a JWT before its signature is verified.

use jsonwebtoken::{Algorithm, Header};

use crate::{Claims, JwtError};

/// Maximum length of a JWT, in bytes.
const MAX_JWT_LEN: usize = 16 * 1024;

/// A JWT whose signature is not verified yet. Use its content only to select the keys.
pub struct UnverifiedJwt<'a> {
    token: &'a str,
    header: Header,
    claims: Claims,
}

impl<'a> UnverifiedJwt<'a> {
    /// Reads header and claims.
    ///
    /// # Errors
    /// If it is not a signed JWT of a supported kind.
    pub fn read(token: &'a str) -> Result<Self, JwtError> {
        if token.len() > MAX_JWT_LEN || token.split('.').count() != 3 {
            return Err(JwtError::Malformed);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| JwtError::Malformed)?;
        // Critical extensions (RFC 7515, section 4.1.11). None is supported.
        if header.crit.is_some() {
            return Err(JwtError::Malformed);
        }
        let claims =
            jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| JwtError::Malformed)?;
        Ok(Self { token, header, claims })
    }

    /// The JWT in compact form.
    #[must_use]
    pub const fn token(&self) -> &'a str {
        self.token
    }

    /// Media type, without `application/`, in lower case (RFC 7515, section 4.1.9).
    pub fn typ(&self) -> Option<String> {
        let typ = self.header.typ.as_deref()?.to_ascii_lowercase();
        Some(typ.strip_prefix("application/").unwrap_or(&typ).to_owned())
    }

    /// Algorithm in the header, not verified.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.header.alg
    }

    /// Key id in the header, not verified.
    pub fn key_id(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// The claims, not verified.
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::Signer;

    fn token() -> String {
        Signer::ed25519().sign(Algorithm::EdDSA, Some("one"), &json!({"sub": "a"}))
    }

    #[test]
    fn given_a_token_when_read_then_it_says_its_kind_algorithm_key_and_claims() {
        let token = token();
        let read = UnverifiedJwt::read(&token).unwrap();
        assert_eq!((read.token(), read.algorithm()), (token.as_str(), Algorithm::EdDSA));
        assert_eq!((read.typ().as_deref(), read.key_id()), (Some("jwt"), Some("one")));
        assert_eq!(read.claims().text("sub").unwrap(), "a");
    }

    #[test]
    fn given_a_text_when_it_is_too_long_or_not_of_three_parts_then_it_is_no_assertion() {
        let token = token();
        let of_length = |length: usize| format!("{token}{}", "A".repeat(length - token.len()));
        assert!(UnverifiedJwt::read(&of_length(MAX_JWT_LEN)).is_ok(), "its signature is not looked at");
        assert!(UnverifiedJwt::read(&of_length(MAX_JWT_LEN + 1)).is_err());
        let (unsigned, signature) = token.rsplit_once('.').unwrap();
        for text in [
            "",
            unsigned,
            &format!("{token}."),
            &format!("A.{token}"),
            &format!("{unsigned}.{signature}.{signature}"),
            &of_length(MAX_JWT_LEN).replace('.', "A"),
        ] {
            assert!(matches!(UnverifiedJwt::read(text), Err(JwtError::Malformed)), "{text}");
        }
    }
}
