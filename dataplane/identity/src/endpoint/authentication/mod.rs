//! Which client is asking: `none`, `client_secret_basic`, `client_secret_post` (RFC 6749, section 2.3) and `private_key_jwt`
//! (RFC 7523, section 2.2; OpenID Connect Core, section 9). A client that is registered with one method cannot use another.

mod assertion;
mod error;
mod presented;

use std::sync::Arc;

use http::HeaderMap;
use portcullis_policy::{RouteTable, Workload};
use subtle::ConstantTimeEq as _;

use super::form::Form;
use crate::client::{KnownKind, Proof, SecretBy};
use crate::digest::digest;
use crate::{Identity, Issuer};

pub(super) use error::AuthenticationError;
#[cfg(fuzzing)]
pub(super) use presented::basic;
use presented::{Presented, Shown};

/// A client that has shown that it is who it says, as far as clients of its kind can.
#[derive(Clone)]
pub(super) struct Authenticated {
    pub(super) id: String,
    pub(super) name: String,
    /// It has shown a secret or a signature, and not only said who it is.
    pub(super) is_confidential: bool,
    /// The workload that it is, if it is one.
    pub(super) workload: Option<Arc<Workload>>,
}

/// Where a client authenticates.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) table: &'a RouteTable,
    pub(super) issuer: &'a Issuer,
}

impl Identity {
    /// Authenticates the client of a request to the token or revocation endpoint.
    pub(super) async fn authenticate_client(
        &self,
        at: At<'_>,
        headers: &HeaderMap,
        form: &Form,
    ) -> Result<Authenticated, AuthenticationError> {
        let presented = Presented::read(headers, form)?;
        let basic = matches!(presented.shown, Shown::Basic(_));
        let invalid = |problem| AuthenticationError::invalid(basic, problem);
        let known = self
            .known_client(at.table, &presented.id)
            .await
            .map_err(|error| AuthenticationError::unknown(basic, error))?;
        let is_confidential = !matches!(presented.shown, Shown::Nothing);
        match (known.proof, presented.shown) {
            (Proof::Nothing, Shown::Nothing) => {}
            (Proof::Nothing, _) => {
                return Err(invalid(
                    "this client has no secret and no key; it is registered with the method none",
                ));
            }
            (Proof::Secret { digest: right, by }, Shown::Basic(secret)) if by != SecretBy::Post => {
                check_secret(&right, &secret).map_err(invalid)?;
            }
            (Proof::Secret { digest: right, by }, Shown::Post(secret)) if by != SecretBy::Basic => {
                check_secret(&right, &secret).map_err(invalid)?;
            }
            (Proof::Secret { by, .. }, _) => {
                return Err(invalid(match by {
                    SecretBy::Basic => "this client has to authenticate by client_secret_basic",
                    SecretBy::Post => "this client has to authenticate by client_secret_post",
                    SecretBy::Either => "this client has to authenticate with its secret",
                }));
            }
            (Proof::Assertion { keys, algorithm, .. }, Shown::Assertion(assertion)) => {
                self.check_assertion(at, &presented.id, &keys, algorithm.as_deref(), &assertion).await?;
            }
            (Proof::Assertion { or_nothing: true, .. }, Shown::Nothing) => {}
            (Proof::Assertion { .. }, _) => {
                return Err(invalid("this client has to authenticate by private_key_jwt"));
            }
        }
        let workload = match known.kind {
            KnownKind::Workload(workload) => Some(workload),
            KnownKind::Registered(registration) => {
                self.note_use(&registration).await.map_err(AuthenticationError::Gateway)?;
                None
            }
            KnownKind::Documented => None,
        };
        Ok(Authenticated { id: presented.id, name: known.name, is_confidential, workload })
    }
}

fn check_secret(right: &str, secret: &str) -> Result<(), &'static str> {
    let is_right = bool::from(right.as_bytes().ct_eq(digest(secret).as_bytes()));
    if is_right { Ok(()) } else { Err("the client's secret is not right") }
}
