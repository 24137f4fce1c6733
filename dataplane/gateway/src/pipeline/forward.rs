//! Sixth step: forwards a request to an origin. If the origin rejects the credential, it is renewed and the message is
//! sent once more. If that does not help, the user must connect an account or grant more scopes.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Full;
use portcullis_origin_auth::{Challenge, ConnectionStatus, Credential, CredentialError, StepUp};
use portcullis_policy::CredentialSubject;
use serde_json::value::RawValue;

use super::Context;
use super::audit_record::AuditRecord;
use super::authenticate::Authenticated;
use super::authorize::Authorized;
use super::connect_required::ConnectRequired;
use super::credential::Credentialed;
use super::error::PipelineError;
use super::exchange::{apply_credential, send};
use crate::upstream::{OriginResponse, UpstreamPool};

/// Sends requests of one caller to the origin of the caller's route.
pub(super) struct Forwarder<'a> {
    context: &'a Arc<Context>,
    upstreams: &'a Arc<UpstreamPool>,
    authenticated: &'a Authenticated,
    /// The id of the caller's message, for errors.
    id: Option<&'a RawValue>,
}

/// Result of forwarding a request.
pub(super) enum ForwardOutcome {
    OriginResponse(OriginResponse),
    /// The origin rejects the request until the user connects an account or grants scopes.
    ConnectRequired(ConnectRequired),
}

/// Result of forwarding the caller's request.
pub(super) enum Forwarded<'r> {
    Response(Authorized<'r>, OriginResponse),
    /// The origin rejects the request until the user connects an account or grants scopes.
    ConnectRequired(Authorized<'r>, ConnectRequired),
}

/// Forwards the caller's request.
pub(super) async fn forward<'r>(
    context: &Arc<Context>,
    upstreams: &Arc<UpstreamPool>,
    credentialed: Credentialed<'r>,
    client: &HeaderMap,
    record: &mut AuditRecord,
) -> Result<Forwarded<'r>, PipelineError> {
    let (authorized, request, mut credential) = credentialed.into_request(client);
    let parsed = authorized.parsed();
    let forwarder = Forwarder::new(context, upstreams, parsed.authenticated(), parsed.id());
    Ok(match forwarder.send(&request, &mut credential, record).await? {
        ForwardOutcome::OriginResponse(response) => Forwarded::Response(authorized, response),
        ForwardOutcome::ConnectRequired(lack) => Forwarded::ConnectRequired(authorized, lack),
    })
}

impl<'a> Forwarder<'a> {
    pub(super) fn new(
        context: &'a Arc<Context>,
        upstreams: &'a Arc<UpstreamPool>,
        authenticated: &'a Authenticated,
        id: Option<&'a RawValue>,
    ) -> Self {
        Self { context, upstreams, authenticated, id }
    }

    /// Sends a request with the credential. If the credential is renewed, it is replaced.
    pub(super) async fn send(
        &self,
        request: &Request<Bytes>,
        credential: &mut Credential,
        record: &mut AuditRecord,
    ) -> Result<ForwardOutcome, PipelineError> {
        let answer = self.send_once(request, credential, record).await?;
        match CredentialRejection::from_response(&answer) {
            None => Ok(ForwardOutcome::OriginResponse(answer)),
            Some(refused) => Box::pin(self.retry(request, credential, answer, refused, record)).await,
        }
    }

    async fn retry(
        &self,
        request: &Request<Bytes>,
        credential: &mut Credential,
        answer: OriginResponse,
        refused: CredentialRejection,
        record: &mut AuditRecord,
    ) -> Result<ForwardOutcome, PipelineError> {
        if self.authenticated.route().origin.credential_subject() != CredentialSubject::Person {
            return match refused {
                CredentialRejection::InvalidToken(_) => {
                    self.retry_shared_credential(request, credential, record).await
                }
                CredentialRejection::InsufficientScope(_) => Ok(ForwardOutcome::OriginResponse(answer)),
            };
        }
        drop(answer);
        match self.renew(credential, refused).await? {
            Renewed::Credential(renewed) => *credential = renewed,
            Renewed::ConnectRequired(lack) => return Ok(ForwardOutcome::ConnectRequired(lack)),
        }
        let answer = self.send_once(request, credential, record).await?;
        match CredentialRejection::from_response(&answer) {
            None => Ok(ForwardOutcome::OriginResponse(answer)),
            Some(refused) => {
                self.require_connect(credential, refused).await.map(ForwardOutcome::ConnectRequired)
            }
        }
    }

    /// Retries with a renewed credential that does not come from the user's own connection. The user's
    /// consent cannot fix a rejection here.
    async fn retry_shared_credential(
        &self,
        request: &Request<Bytes>,
        credential: &mut Credential,
        record: &mut AuditRecord,
    ) -> Result<ForwardOutcome, PipelineError> {
        let origin = &self.authenticated.route().origin;
        let who = &self.authenticated.caller().principal.id;
        match self.context.broker.renew(who, origin, credential).await {
            Ok(renewed) => *credential = renewed,
            Err(CredentialError::NotConnected(status)) => {
                return Ok(ForwardOutcome::ConnectRequired(ConnectRequired::Account(status)));
            }
            Err(error) => return Err(self.credential_error(&error)),
        }
        let answer = self.send_once(request, credential, record).await?;
        if answer.response.status() != StatusCode::UNAUTHORIZED {
            return Ok(ForwardOutcome::OriginResponse(answer));
        }
        match origin.credential_subject() {
            CredentialSubject::SharedAccount => {
                Ok(ForwardOutcome::ConnectRequired(ConnectRequired::Account(ConnectionStatus::AdminNeeded)))
            }
            _ => Err(PipelineError::credential_rejected(self.id, &origin.display_name)),
        }
    }

    async fn send_once(
        &self,
        request: &Request<Bytes>,
        credential: &Credential,
        record: &mut AuditRecord,
    ) -> Result<OriginResponse, PipelineError> {
        let origin = &self.authenticated.route().origin;
        let mut request = request.clone().map(Full::new);
        apply_credential(&mut request, credential);
        send(self.upstreams, origin, request, self.id, record).await
    }

    /// Renews a rejected credential, or returns how the user can get a new one.
    async fn renew(
        &self,
        credential: &Credential,
        refused: CredentialRejection,
    ) -> Result<Renewed, PipelineError> {
        let (broker, who) = (&self.context.broker, &self.authenticated.caller().principal.id);
        let origin = &self.authenticated.route().origin;
        match refused {
            CredentialRejection::InsufficientScope(challenge) => {
                let step_up = broker.step_up(who, origin, credential, &challenge).await;
                self.step_up_outcome(step_up)
            }
            CredentialRejection::InvalidToken(challenge) => {
                match broker.renew(who, origin, credential).await {
                    Ok(renewed) => Ok(Renewed::Credential(renewed)),
                    Err(CredentialError::NotConnected(status)) => {
                        broker
                            .record_requested_scopes(who, origin, &challenge)
                            .await
                            .map_err(|error| self.credential_error(&error))?;
                        Ok(Renewed::ConnectRequired(ConnectRequired::Account(status)))
                    }
                    Err(error) => Err(self.credential_error(&error)),
                }
            }
        }
    }

    /// Handles the rejection of a renewed credential: only the user can fix it, at the origin.
    async fn require_connect(
        &self,
        credential: &Credential,
        refused: CredentialRejection,
    ) -> Result<ConnectRequired, PipelineError> {
        let (broker, who) = (&self.context.broker, &self.authenticated.caller().principal.id);
        let origin = &self.authenticated.route().origin;
        let step_up = match refused {
            CredentialRejection::InsufficientScope(challenge) => {
                broker.step_up(who, origin, credential, &challenge).await.map(Some)
            }
            CredentialRejection::InvalidToken(challenge) => {
                broker.record_requested_scopes(who, origin, &challenge).await
            }
        };
        let Some(step_up) = step_up.transpose() else {
            return Ok(ConnectRequired::Account(ConnectionStatus::ReconnectNeeded));
        };
        match self.step_up_outcome(step_up)? {
            Renewed::ConnectRequired(lack) => Ok(lack),
            Renewed::Credential(_) => {
                Err(PipelineError::credential_unavailable(self.id, &origin.display_name))
            }
        }
    }

    fn step_up_outcome(&self, step_up: Result<StepUp, CredentialError>) -> Result<Renewed, PipelineError> {
        let origin = &self.authenticated.route().origin.display_name;
        match step_up {
            Ok(StepUp::Renewed(renewed)) => Ok(Renewed::Credential(renewed)),
            Ok(StepUp::Consent(scopes)) => Ok(Renewed::ConnectRequired(ConnectRequired::Scopes(scopes))),
            Ok(StepUp::Refused(scopes)) => Err(PipelineError::scope_denied(self.id, origin, &scopes)),
            Err(CredentialError::NotConnected(status)) => {
                Ok(Renewed::ConnectRequired(ConnectRequired::Account(status)))
            }
            Err(error) => Err(self.credential_error(&error)),
        }
    }

    fn credential_error(&self, error: &CredentialError) -> PipelineError {
        PipelineError::credential_error(self.id, &self.authenticated.route().origin.display_name, error)
    }
}

/// How an origin rejects a credential.
enum CredentialRejection {
    /// The scope is insufficient (RFC 6750 section 3.1).
    InsufficientScope(Challenge),
    /// The credential is invalid (401).
    InvalidToken(Challenge),
}

impl CredentialRejection {
    fn from_response(answer: &OriginResponse) -> Option<Self> {
        let status = answer.response.status();
        if status != StatusCode::UNAUTHORIZED && status != StatusCode::FORBIDDEN {
            return None;
        }
        let challenge = Challenge::from_headers(answer.response.headers()).unwrap_or_default();
        if challenge.is_insufficient_scope() {
            return Some(Self::InsufficientScope(challenge));
        }
        (status == StatusCode::UNAUTHORIZED).then_some(Self::InvalidToken(challenge))
    }
}

/// Result of renewing a rejected credential.
enum Renewed {
    Credential(Credential),
    ConnectRequired(ConnectRequired),
}
