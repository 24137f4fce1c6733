//! Client authentication: `none`, `client_secret_basic`, `client_secret_post` (RFC 6749, section 2.3) and
//! `private_key_jwt` (RFC 7523, section 2.2; OpenID Connect Core, section 9). A client must use the method
//! that it is registered with.

mod assertion;
mod credential;
mod error;

use std::sync::Arc;

use http::HeaderMap;
use portcullis_clock::Clock;
use portcullis_jwt_verification::{JwtVerifier, UnusedAssertion};
use portcullis_policy::{RouteTable, Workload};
use subtle::ConstantTimeEq as _;

use super::failure_limit::FailureLimit;
use super::form::Form;
use crate::client::{ClientAuth, ClientSource, Registrations, SecretMethod};
use crate::{ClientRegistry, Issuer};
use portcullis_keyring::digest;

use assertion::ClientAssertions;
#[cfg(fuzzing)]
pub(super) use credential::basic;
use credential::{Credential, PresentedClient};
pub(super) use error::ClientAuthError;

/// A client after authentication. A public client has only named its id.
#[derive(Clone)]
pub(super) struct AuthenticatedClient {
    pub(super) id: String,
    pub(super) name: String,
    /// Whether the client authenticated with a secret or an assertion.
    pub(super) is_confidential: bool,
    /// The workload in the gateway's settings, if the client is one.
    pub(super) workload: Option<Arc<Workload>>,
    /// The assertion with which the client authenticated. It must be used up before the request has an effect.
    pub(super) assertion: Option<UnusedAssertion>,
}

/// The issuer at which a client authenticates.
#[derive(Clone, Copy)]
pub(super) struct IssuerContext<'a> {
    pub(super) table: &'a RouteTable,
    pub(super) issuer: &'a Issuer,
}

/// Authenticates clients at the token and revocation endpoints.
pub(crate) struct ClientAuthenticator {
    clients: Arc<ClientRegistry>,
    registrations: Arc<Registrations>,
    assertions: ClientAssertions,
    /// Limits failed requests of both endpoints.
    pub(super) failures: FailureLimit,
}

impl ClientAuthenticator {
    pub(crate) fn new(
        clients: Arc<ClientRegistry>,
        registrations: Arc<Registrations>,
        verifier: Arc<JwtVerifier>,
        clock: Clock,
    ) -> Self {
        let failures = FailureLimit::new(clock.clone());
        Self { clients, registrations, assertions: ClientAssertions::new(verifier, clock), failures }
    }

    /// Authenticates the client of a request to the token or revocation endpoint.
    pub(super) async fn authenticate(
        &self,
        at: IssuerContext<'_>,
        headers: &HeaderMap,
        form: &Form,
    ) -> Result<AuthenticatedClient, ClientAuthError> {
        let presented = PresentedClient::read(headers, form)?;
        let basic = matches!(presented.credential, Credential::Basic(_));
        let invalid = |problem| ClientAuthError::invalid(basic, problem);
        let known = self
            .clients
            .resolve(at.table, &presented.id)
            .await
            .map_err(|error| ClientAuthError::unknown(basic, error))?;
        let is_confidential = !matches!(presented.credential, Credential::Nothing);
        let mut unused = None;
        match (known.proof, presented.credential) {
            (ClientAuth::Nothing, Credential::Nothing) => {}
            (ClientAuth::Nothing, _) => {
                return Err(invalid(
                    "this client is registered with token_endpoint_auth_method none; send no secret or assertion",
                ));
            }
            (ClientAuth::Secret { digest: right, by }, Credential::Basic(secret))
                if by != SecretMethod::Post =>
            {
                check_secret(&right, &secret).map_err(invalid)?;
            }
            (ClientAuth::Secret { digest: right, by }, Credential::Post(secret))
                if by != SecretMethod::Basic =>
            {
                check_secret(&right, &secret).map_err(invalid)?;
            }
            (ClientAuth::Secret { by, .. }, _) => {
                return Err(invalid(match by {
                    SecretMethod::Basic => "this client must authenticate with client_secret_basic",
                    SecretMethod::Post => "this client must authenticate with client_secret_post",
                    SecretMethod::Either => "this client must authenticate with its secret",
                }));
            }
            (ClientAuth::Assertion { keys, algorithm, .. }, Credential::Assertion(assertion)) => {
                let checked =
                    self.assertions.check(at, &presented.id, &keys, algorithm.as_deref(), &assertion);
                unused = Some(checked.await?);
            }
            (ClientAuth::Assertion { or_nothing: true, .. }, Credential::Nothing) => {}
            (ClientAuth::Assertion { .. }, _) => {
                return Err(invalid("this client must authenticate with private_key_jwt"));
            }
        }
        let workload = match known.kind {
            ClientSource::Workload(workload) => Some(workload),
            ClientSource::Registered(registration) => {
                self.registrations.record_use(&registration).await.map_err(ClientAuthError::Gateway)?;
                None
            }
            ClientSource::Documented => None,
        };
        Ok(AuthenticatedClient {
            id: presented.id,
            name: known.name,
            is_confidential,
            workload,
            assertion: unused,
        })
    }
}

fn check_secret(right: &str, secret: &str) -> Result<(), &'static str> {
    let is_right = bool::from(right.as_bytes().ct_eq(digest(secret).as_bytes()));
    if is_right { Ok(()) } else { Err("the client secret is wrong") }
}
