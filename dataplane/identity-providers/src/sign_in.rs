//! Completes a sign-in: processes the authorization response and redeems the code.

use portcullis_policy::{Gateway, IdentityProvider, Principal};
use serde::Deserialize;

use crate::authorization_request::{SignInSecrets, redirect_uri};
use crate::identify::ExpectedUser;
use crate::provider::Provider;
use crate::token_endpoint::sanitize;
use crate::{IdentityProviders, ProviderError, session_key};

/// The provider's authorization response (RFC 6749, section 4.1.2; RFC 9207).
#[derive(Deserialize)]
pub struct AuthorizationResponse {
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// A completed sign-in.
pub struct CompletedSignIn {
    /// The user that signed in.
    pub principal: Principal,
    /// Digest of the provider's session id (`sid`), if the id_token has one.
    pub provider_session: Option<String>,
}

impl IdentityProviders {
    /// Completes a sign-in: checks the issuer, redeems the code, identifies the user, and stores the refresh
    /// token.
    ///
    /// # Errors
    /// When the provider refused the sign-in, is unavailable, or sent an invalid response, or when the store
    /// fails.
    pub async fn sign_in(
        &self,
        gateway: &Gateway,
        provider: &IdentityProvider,
        answer: AuthorizationResponse,
        proof: &SignInSecrets,
    ) -> Result<CompletedSignIn, ProviderError> {
        let provider = self.provider(provider).await?;
        check_issuer(&provider, answer.iss.as_deref())?;
        if let Some(code) = answer.error {
            let description = answer.error_description.as_deref().map(sanitize);
            return Err(ProviderError::Refused { code: sanitize(&code), description });
        }
        let code = answer.code.ok_or_else(|| {
            ProviderError::InvalidResponse("its response has neither code nor error".to_owned())
        })?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", &redirect_uri(gateway)),
            ("code_verifier", &proof.verifier),
        ];
        let tokens = provider.tokens(&form).await?;
        let who = self.identify(&provider, &tokens, ExpectedUser::SignIn { nonce: &proof.nonce }).await?;
        let principal = who.description.principal(provider.name, None);
        self.save_account(&provider, &principal.id, &who, &tokens, &proof.nonce).await?;
        let provider_session = who.sid.as_deref().map(|sid| session_key(provider.name, sid));
        Ok(CompletedSignIn { principal, provider_session })
    }
}

/// RFC 9207, section 2.4: if the provider's metadata announces `iss`, every response must contain it,
/// including errors.
fn check_issuer(provider: &Provider<'_>, iss: Option<&str>) -> Result<(), ProviderError> {
    match iss {
        Some(iss) if iss == provider.client.issuer => Ok(()),
        None if !provider.discovered.metadata.sends_iss() => Ok(()),
        _ => Err(ProviderError::OtherIssuer),
    }
}
