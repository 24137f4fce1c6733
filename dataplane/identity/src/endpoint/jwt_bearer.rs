//! `grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer` (RFC 7523, section 2.1): an identity assertion of the route's
//! identity provider, or the token of a Kubernetes service account. The assertion's own `typ` says which.

use super::token::{Granted, Request, RouteError};
use crate::Identity;
use portcullis_assertions::{AssertionError, OnceError, Unverified};

/// Identity Assertion JWT Authorization Grant (draft-ietf-oauth-identity-assertion-authz-grant).
const ID_JAG: &str = "oauth-id-jag+jwt";

impl Identity {
    pub(super) async fn jwt_bearer(&self, request: &Request<'_>) -> Result<Granted, RouteError> {
        let assertion = Unverified::read(request.require("assertion")?)?;
        match assertion.typ().as_deref() {
            Some(ID_JAG) => self.id_jag(request, &assertion).await,
            // Kubernetes gives its tokens no type.
            None | Some("jwt") => self.service_account(request, &assertion).await,
            Some(_) => Err(AssertionError::Type.into()),
        }
    }
}

impl From<AssertionError> for RouteError {
    fn from(error: AssertionError) -> Self {
        Self::Assertion(error)
    }
}

impl From<OnceError> for RouteError {
    fn from(error: OnceError) -> Self {
        match error {
            OnceError::Assertion(error) => Self::Assertion(error),
            OnceError::Store(error) => error.into(),
        }
    }
}
