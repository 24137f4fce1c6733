use portcullis_policy::{PrincipalId, Route};
use portcullis_store::CodeRow;

use crate::digest::digest;
use crate::issue_token::SCOPE;
use crate::{AuthorizationServer, Client, InternalError, Issuer};

/// How long a code can be redeemed.
const CODE_LIFETIME_SECONDS: u64 = 60;

/// What a person has approved, as the authorization endpoint checked it.
pub struct ApprovedRequest<'a> {
    /// For which client.
    pub client: &'a Client,
    /// By whom.
    pub principal: &'a PrincipalId,
    /// In which session of their identity provider's, where that is known.
    pub provider_session: Option<&'a str>,
    /// At which authorization server; the code can be redeemed there only.
    pub issuer: &'a Issuer,
    /// For which route.
    pub route: &'a Route,
    /// Where the code is sent, as the client wrote it.
    pub redirect_uri: &'a str,
    /// PKCE, S256 (RFC 7636).
    pub code_challenge: &'a str,
    /// What the client asked for. There is one scope, `mcp`: it is what is granted, whatever was asked for.
    pub scope: &'a str,
}

impl AuthorizationServer {
    /// An authorization code for what was approved: good for 60 s, once, at the same issuer, with the verifier.
    ///
    /// # Errors
    /// When the store does not answer, or nothing random can be had.
    pub async fn issue_code(&self, approved: ApprovedRequest<'_>) -> Result<String, InternalError> {
        let code = format!("pc_code_{}", self.random().token()?);
        let issuer = match approved.issuer {
            Issuer::Route(route) => route.url.to_string(),
            Issuer::Root => crate::authenticate::root_issuer(approved.route).to_owned(),
        };
        let row = CodeRow {
            digest: digest(&code),
            principal: approved.principal.as_str().to_owned(),
            client_id: approved.client.id.clone(),
            client_name: approved.client.name.clone(),
            issuer,
            route_uid: approved.route.uid.to_string(),
            resource: approved.route.url.to_string(),
            redirect_uri: approved.redirect_uri.to_owned(),
            code_challenge: approved.code_challenge.to_owned(),
            scope: SCOPE.to_owned(),
            expires_at: self.clock().now().after_seconds(CODE_LIFETIME_SECONDS).0,
            consumed_at: None,
            grant_id: None,
            provider_session: approved.provider_session.map(ToOwned::to_owned),
        };
        self.store().add_code(&row).await?;
        Ok(code)
    }
}
