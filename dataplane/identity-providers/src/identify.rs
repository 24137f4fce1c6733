//! Identifies a user from the tokens of a provider: claims of the id_token, completed by userinfo.

use secrecy::ExposeSecret as _;

use crate::error::Problem;
use crate::id_token::{ExpectedNonce, IdTokenVerifier};
use crate::provider::Provider;
use crate::token_endpoint::Tokens;
use crate::user_profile::{is_incomplete, merge_userinfo};
use crate::userinfo::Userinfo;
use crate::{ProviderError, UserClaims, UserProfile};

/// A user as the provider describes them.
pub(crate) struct IdentifiedUser {
    /// The provider's identifier of the user.
    pub(crate) sub: String,
    /// The provider's session id, if the id_token has one.
    pub(crate) sid: Option<String>,
    pub(crate) description: UserProfile,
    /// Whether all sources of claims were read. If so, a missing claim has no value; otherwise its value is
    /// unknown.
    pub(crate) is_whole: bool,
}

/// The expected user, depending on the occasion.
#[derive(Clone, Copy)]
pub(crate) enum ExpectedUser<'a> {
    /// Any user, in a sign-in with this nonce.
    SignIn { nonce: &'a str },
    /// The user of an earlier sign-in, with the nonce of that sign-in.
    Renewal { sub: &'a str, nonce: Option<&'a str> },
}

/// Identifies users from their tokens.
pub(crate) struct UserIdentifier {
    id_tokens: IdTokenVerifier,
}

impl UserIdentifier {
    pub(crate) const fn new(id_tokens: IdTokenVerifier) -> Self {
        Self { id_tokens }
    }

    pub(crate) async fn identify(
        &self,
        provider: &Provider<'_>,
        tokens: &Tokens,
        asked: ExpectedUser<'_>,
    ) -> Result<IdentifiedUser, ProviderError> {
        let (claims, is_whole) = if provider.is_openid() {
            self.openid_claims(provider, tokens, asked).await?
        } else {
            match provider.userinfo(tokens).await? {
                Some(Userinfo::Found(claims)) => (claims, true),
                Some(Userinfo::Unusable(problem)) => return Err(ProviderError::InvalidResponse(problem)),
                None => {
                    return Err(ProviderError::invalid("it has no userinfo endpoint"));
                }
            }
        };
        let description = UserProfile::read(&claims, provider.client)
            .map_err(|error| ProviderError::InvalidResponse(Problem::of(error)))?;
        let sub = if provider.is_openid() { text(&claims, "sub") } else { Some(description.subject()) };
        let sub = sub.ok_or_else(|| ProviderError::invalid("its claims have no sub"))?;
        if matches!(asked, ExpectedUser::Renewal { sub: known, .. } if known != sub) {
            return Err(ProviderError::invalid("the renewed sign-in belongs to another user"));
        }
        let sid = text(&claims, "sid").filter(|_| provider.is_openid());
        Ok(IdentifiedUser { sub: sub.to_owned(), sid: sid.map(ToOwned::to_owned), description, is_whole })
    }

    /// The claims of the id_token and of userinfo, and whether they are complete.
    async fn openid_claims(
        &self,
        provider: &Provider<'_>,
        tokens: &Tokens,
        asked: ExpectedUser<'_>,
    ) -> Result<(UserClaims, bool), ProviderError> {
        let (nonce, expected) = match asked {
            ExpectedUser::SignIn { nonce } => (ExpectedNonce::Required(nonce), None),
            ExpectedUser::Renewal { sub, nonce } => (ExpectedNonce::IfPresent(nonce), Some(sub)),
        };
        let signed = match (&tokens.id_token, asked) {
            (Some(id_token), _) => {
                Some(self.id_tokens.verify(provider, id_token.expose_secret(), nonce).await?)
            }
            (None, ExpectedUser::SignIn { .. }) => {
                return Err(ProviderError::invalid("it sent no id_token"));
            }
            // A refresh may return no id_token (OpenID Connect Core, section 12.2).
            (None, ExpectedUser::Renewal { .. }) => None,
        };
        if let Some(claims) = signed.as_ref().filter(|claims| !is_incomplete(claims, provider.client)) {
            return Ok((claims.clone(), true));
        }
        let sub = signed.as_ref().map_or(expected, |claims| text(claims, "sub")).map(ToOwned::to_owned);
        let said = match provider.userinfo(tokens).await? {
            // Section 5.3.2: the response could otherwise hold the claims of another user.
            Some(Userinfo::Found(claims)) if sub.is_none() || text(&claims, "sub") != sub.as_deref() => {
                let problem = "its userinfo response describes another user";
                return Err(ProviderError::invalid(problem));
            }
            Some(Userinfo::Found(claims)) => Some(claims),
            Some(Userinfo::Unusable(problem)) => {
                tracing::warn!(
                    provider = provider.name,
                    %problem,
                    "failed to read userinfo; using the claims of the id_token only"
                );
                None
            }
            None => None,
        };
        match (signed, said) {
            (Some(mut signed), Some(said)) => {
                merge_userinfo(&mut signed, said);
                Ok((signed, true))
            }
            (Some(signed), None) => Ok((signed, provider.userinfo_url().is_none())),
            (None, Some(said)) => Ok((said, false)),
            (None, None) => {
                Err(ProviderError::invalid("it sent no id_token and has no usable userinfo endpoint"))
            }
        }
    }
}

/// A claim that is a non-empty string.
fn text<'a>(claims: &'a UserClaims, name: &str) -> Option<&'a str> {
    claims.get(name)?.as_str().filter(|text| !text.is_empty())
}
