//! Completes a sign-in: processes the authorization response and redeems the code.

use std::sync::Arc;

use portcullis_clock::{NoRandomness, Random};
use portcullis_policy::{Gateway, IdentityProvider, Principal};
use serde::Deserialize;

use crate::authorization_request::{AuthorizationRequest, SignInSecrets, authorization_url, redirect_uri};
use crate::discovery::ProviderDirectory;
use crate::identify::{ExpectedUser, UserIdentifier};
use crate::issuer_binding::IssuerBindings;
use crate::provider::Provider;
use crate::stored_account::StoredAccounts;
use crate::token_endpoint::sanitize;
use crate::{ProviderError, session_key};

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

/// Signs users in at their identity provider.
pub struct SignInClient {
    directory: Arc<ProviderDirectory>,
    users: Arc<UserIdentifier>,
    bindings: Arc<IssuerBindings>,
    accounts: Arc<StoredAccounts>,
    random: Random,
}

impl SignInClient {
    pub(crate) const fn new(
        directory: Arc<ProviderDirectory>,
        users: Arc<UserIdentifier>,
        bindings: Arc<IssuerBindings>,
        accounts: Arc<StoredAccounts>,
        random: Random,
    ) -> Self {
        Self { directory, users, bindings, accounts, random }
    }

    /// Creates the secrets of a new sign-in.
    ///
    /// # Errors
    /// When the random source fails.
    pub fn new_secrets(&self) -> Result<SignInSecrets, NoRandomness> {
        Ok(SignInSecrets { nonce: self.random.token()?, verifier: self.random.token()? })
    }

    /// The URL of the authorization request.
    ///
    /// # Errors
    /// When the provider's metadata cannot be fetched, or has no authorization endpoint.
    pub async fn authorization_url(
        &self,
        gateway: &Gateway,
        provider: &IdentityProvider,
        begin: &AuthorizationRequest<'_>,
    ) -> Result<String, ProviderError> {
        authorization_url(gateway, &self.directory.provider(provider).await?, begin)
    }

    /// Completes a sign-in: checks the issuer, redeems the code, identifies the user, and stores the refresh
    /// token.
    ///
    /// # Errors
    /// When the provider refused the sign-in, is unavailable, or sent an invalid response, when its name is
    /// bound to another issuer, or when the store fails.
    pub async fn sign_in(
        &self,
        gateway: &Gateway,
        provider: &IdentityProvider,
        answer: AuthorizationResponse,
        proof: &SignInSecrets,
    ) -> Result<CompletedSignIn, ProviderError> {
        let configured = provider;
        let provider = self.directory.provider(configured).await?;
        check_issuer(&provider, answer.iss.as_deref())?;
        if let Some(code) = answer.error {
            let description = answer.error_description.as_deref().map(sanitize);
            return Err(ProviderError::Refused { code: sanitize(&code), description });
        }
        let code =
            answer.code.ok_or_else(|| ProviderError::invalid("its response has neither code nor error"))?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", &redirect_uri(gateway)),
            ("code_verifier", &proof.verifier),
        ];
        let tokens = provider.tokens(&form).await?;
        let who =
            self.users.identify(&provider, &tokens, ExpectedUser::SignIn { nonce: &proof.nonce }).await?;
        self.bindings.check_and_bind(configured).await?;
        let principal = who.description.principal(provider.name, None);
        self.accounts.save(&provider, &principal.id, &who, &tokens, &proof.nonce).await?;
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
