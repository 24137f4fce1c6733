//! `grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer` (RFC 7523, section 2.1). The assertion is an
//! identity assertion of the route's identity provider or the token of a Kubernetes service account,
//! depending on its `typ`.

use super::token::{IssuedGrant, TokenEndpointError, TokenRequest};
use crate::AuthorizationServer;
use portcullis_jwt_verification::{JwtError, ReplayError, UnverifiedJwt};

/// `typ` of an Identity Assertion JWT Authorization Grant (draft-ietf-oauth-identity-assertion-authz-grant).
const ID_JAG: &str = "oauth-id-jag+jwt";

impl AuthorizationServer {
    pub(super) async fn jwt_bearer(
        &self,
        request: &TokenRequest<'_>,
    ) -> Result<IssuedGrant, TokenEndpointError> {
        let assertion = UnverifiedJwt::read(request.require("assertion")?)?;
        match assertion.typ().as_deref() {
            Some(ID_JAG) => self.id_jag(request, &assertion).await,
            // Kubernetes tokens have no typ.
            None | Some("jwt") => self.service_account(request, &assertion).await,
            Some(_) => Err(JwtError::WrongType.into()),
        }
    }
}

impl From<JwtError> for TokenEndpointError {
    fn from(error: JwtError) -> Self {
        Self::Assertion(error)
    }
}

impl From<ReplayError> for TokenEndpointError {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Assertion(error) => Self::Assertion(error),
            ReplayError::Store(error) => error.into(),
        }
    }
}
