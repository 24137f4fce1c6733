//! `grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer` (RFC 7523, section 2.1). The assertion is an
//! identity assertion of the route's identity provider or the token of a Kubernetes service account,
//! depending on its `typ`.

use portcullis_jwt_verification::{JwtError, UnverifiedJwt};

use super::id_jag::IdJagGrant;
use super::service_account::ServiceAccountGrant;
use super::token_error::TokenEndpointError;
use super::token_request::{IssuedGrant, TokenRequest};

/// `typ` of an Identity Assertion JWT Authorization Grant (draft-ietf-oauth-identity-assertion-authz-grant).
const ID_JAG: &str = "oauth-id-jag+jwt";

/// Grants for assertions.
pub(super) struct JwtBearerGrant {
    id_jag: IdJagGrant,
    service_account: ServiceAccountGrant,
}

impl JwtBearerGrant {
    pub(super) const fn new(id_jag: IdJagGrant, service_account: ServiceAccountGrant) -> Self {
        Self { id_jag, service_account }
    }

    pub(super) async fn issue(&self, request: &TokenRequest<'_>) -> Result<IssuedGrant, TokenEndpointError> {
        let assertion = UnverifiedJwt::read(request.require("assertion")?)?;
        match assertion.typ().as_deref() {
            Some(ID_JAG) => self.id_jag.issue(request, &assertion).await,
            // Kubernetes tokens have no typ.
            None | Some("jwt") => self.service_account.issue(request, &assertion).await,
            Some(_) => Err(JwtError::WrongType.into()),
        }
    }
}
