//! Supplies the credential broker with a user's identity tokens. They come from the session at the identity
//! provider that the user's sign-in created.

use std::sync::Arc;

use portcullis_authorization_server::SignInRenewal;
use portcullis_config::SubjectToken;
use portcullis_identity_providers::RenewalError;
use portcullis_origin_auth::{
    IdentityProviderClient, IdentityToken, IdentityTokenError, IdentityTokenFuture, IdentityTokenSource,
};
use portcullis_policy::{PrincipalId, RouteTableHandle};

pub(crate) struct SignInTokens {
    pub(crate) sign_ins: Arc<SignInRenewal>,
    pub(crate) tables: RouteTableHandle,
}

impl IdentityTokenSource for SignInTokens {
    fn token<'a>(&'a self, who: &'a PrincipalId, kind: SubjectToken) -> IdentityTokenFuture<'a> {
        Box::pin(async move {
            let tokens = self.sign_ins.identity_tokens(who).await.map_err(identity_token_error)?;
            let token = match kind {
                SubjectToken::AccessToken => Some(tokens.access_token.clone()),
                SubjectToken::IdToken => tokens.id_token.clone(),
            };
            let token = token.ok_or_else(|| {
                IdentityTokenError::Unavailable(
                    "the identity provider returned no id_token for a renewed sign-in".into(),
                )
            })?;
            let table = self.tables.current().ok_or(IdentityTokenError::NoSession)?;
            let provider = table.gateway.identity_providers.iter();
            let provider =
                provider.filter(|provider| provider.name == tokens.identity_provider).find_map(|provider| {
                    let client = provider.kind.client()?;
                    Some(IdentityProviderClient {
                        issuer: client.issuer.clone(),
                        client_id: client.client_id.clone(),
                        client_secret: provider.client_secret.clone(),
                        private_networks: client.private_networks.clone(),
                        ca_bundle_pem: client.ca_bundle_pem.clone(),
                    })
                });
            Ok(IdentityToken { token, provider: provider.ok_or(IdentityTokenError::NoSession)? })
        })
    }
}

fn identity_token_error(error: RenewalError) -> IdentityTokenError {
    match error {
        RenewalError::NoRefreshToken => IdentityTokenError::NoSession,
        RenewalError::Ended(problem) => IdentityTokenError::Refused(problem),
        error => IdentityTokenError::Unavailable(error.into()),
    }
}
