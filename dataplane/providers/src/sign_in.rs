use portcullis_policy::{Gateway, IdentityProvider, Principal};
use serde::Deserialize;

use crate::begin::{Proof, redirect_uri};
use crate::provider::Provider;
use crate::token::plain;
use crate::who::Asked;
use crate::{ProviderError, Providers, session_of};

/// What a provider sends back through the browser (RFC 6749, section 4.1.2; RFC 9207).
#[derive(Deserialize)]
pub struct Answer {
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// Somebody has signed in.
pub struct SignedIn {
    /// Who.
    pub principal: Principal,
    /// A digest of the provider's own session, where it has named it.
    pub provider_session: Option<String>,
}

impl Providers {
    /// Ends a sign-in: checks whose answer it is, redeems the code, and says who it was. What the provider gave to ask again with is
    /// kept.
    ///
    /// # Errors
    /// When nobody was signed in.
    pub async fn sign_in(
        &self,
        gateway: &Gateway,
        provider: &IdentityProvider,
        answer: Answer,
        proof: &Proof,
    ) -> Result<SignedIn, ProviderError> {
        let provider = self.provider(provider).await?;
        check_issuer(&provider, answer.iss.as_deref())?;
        if let Some(code) = answer.error {
            let description = answer.error_description.as_deref().map(plain);
            return Err(ProviderError::Refused { code: plain(&code), description });
        }
        let code = answer
            .code
            .ok_or_else(|| ProviderError::Wrong("its answer has neither code nor error".to_owned()))?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", &redirect_uri(gateway)),
            ("code_verifier", &proof.verifier),
        ];
        let tokens = provider.tokens(&form).await?;
        let who = self.who(&provider, &tokens, Asked::SignIn { nonce: &proof.nonce }).await?;
        let principal = who.description.principal(provider.name, None);
        self.keep(&provider, &principal.id, &who, &tokens, &proof.nonce).await?;
        let provider_session = who.sid.as_deref().map(|sid| session_of(provider.name, sid));
        Ok(SignedIn { principal, provider_session })
    }
}

/// RFC 9207, section 2.4: whoever says that its answers name it must do so in each, errors included.
fn check_issuer(provider: &Provider<'_>, iss: Option<&str>) -> Result<(), ProviderError> {
    match iss {
        Some(iss) if iss == provider.client.issuer => Ok(()),
        None if !provider.discovered.metadata.names_itself() => Ok(()),
        _ => Err(ProviderError::OtherIssuer),
    }
}
