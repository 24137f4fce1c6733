//! One message's way to an origin. Where its credential is refused it is renewed and the message sent again, once; where it may do
//! too little, or there is no other, the person has to do something first.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::Full;
use portcullis_policy::Holder;
use portcullis_vault::{Challenge, ConnectionStatus, Credential, CredentialError, StepUp};
use serde_json::value::RawValue;

use super::Context;
use super::exchange::{arm, send};
use super::principal::Authenticated;
use super::record::Record;
use super::refusal::Refusal;
use super::unconnected::Lack;
use crate::upstream::{Answer, Upstreams};

/// A request to an origin.
pub(super) struct Courier<'a> {
    pub(super) context: &'a Arc<Context>,
    pub(super) upstreams: &'a Arc<Upstreams>,
    pub(super) by: &'a Authenticated,
    /// The message's, where it wants an answer.
    pub(super) id: Option<&'a RawValue>,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) session: Option<&'a str>,
    pub(super) body: Bytes,
}

/// What came of it.
pub(super) enum Delivered {
    Answer(Answer),
    /// The origin does not do it for this person as things are.
    Lacking(Lack),
}

impl<'a> Courier<'a> {
    /// For a request that carries no message: a stream of the origin's own, or the end of a session.
    pub(super) fn without_message(
        context: &'a Arc<Context>,
        upstreams: &'a Arc<Upstreams>,
        by: &'a Authenticated,
        method: Method,
        headers: HeaderMap,
        session: Option<&'a str>,
    ) -> Self {
        Self { context, upstreams, by, id: None, method, headers, session, body: Bytes::new() }
    }

    pub(super) async fn send(
        &self,
        credential: Credential,
        record: &mut Record,
    ) -> Result<Delivered, Refusal> {
        let answer = self.once(&credential, record).await?;
        match Refused::find(&answer) {
            None => Ok(Delivered::Answer(answer)),
            Some(refused) => Box::pin(self.send_again(credential, answer, refused, record)).await,
        }
    }

    async fn send_again(
        &self,
        credential: Credential,
        answer: Answer,
        refused: Refused,
        record: &mut Record,
    ) -> Result<Delivered, Refusal> {
        if self.by.route().origin.holder() != Holder::Person {
            return match refused {
                Refused::Token(_) => self.send_renewed(&credential, record).await,
                Refused::Scopes(_) => Ok(Delivered::Answer(answer)),
            };
        }
        drop(answer);
        let renewed = match self.renew(&credential, refused).await? {
            Renewed::Credential(renewed) => renewed,
            Renewed::Lack(lack) => return Ok(Delivered::Lacking(lack)),
        };
        let answer = self.once(&renewed, record).await?;
        match Refused::find(&answer) {
            None => Ok(Delivered::Answer(answer)),
            Some(refused) => self.give_up(&renewed, refused).await.map(Delivered::Lacking),
        }
    }

    /// Once more with a credential that is not the person's own: nothing that they could consent to would mend it.
    async fn send_renewed(&self, refused: &Credential, record: &mut Record) -> Result<Delivered, Refusal> {
        let origin = &self.by.route().origin;
        let renewed = match self.context.vault.renew(&self.by.caller().principal.id, origin, refused).await {
            Ok(renewed) => renewed,
            Err(CredentialError::NotConnected(status)) => {
                return Ok(Delivered::Lacking(Lack::Account(status)));
            }
            Err(error) => return Err(self.no_credential(&error)),
        };
        let answer = self.once(&renewed, record).await?;
        if answer.response.status() != StatusCode::UNAUTHORIZED {
            return Ok(Delivered::Answer(answer));
        }
        match origin.holder() {
            Holder::Everybody => Ok(Delivered::Lacking(Lack::Account(ConnectionStatus::AdminNeeded))),
            _ => Err(Refusal::credential_rejected(self.id, &origin.display_name)),
        }
    }

    async fn once(&self, credential: &Credential, record: &mut Record) -> Result<Answer, Refusal> {
        let origin = &self.by.route().origin;
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = self.headers.clone();
        arm(&mut request, self.session, credential);
        send(self.upstreams, origin, request, self.id, record).await
    }

    /// Another credential in place of a refused one, or what the person has to do to get one.
    async fn renew(&self, credential: &Credential, refused: Refused) -> Result<Renewed, Refusal> {
        let (vault, who) = (&self.context.vault, &self.by.caller().principal.id);
        let origin = &self.by.route().origin;
        match refused {
            Refused::Scopes(challenge) => {
                let step_up = vault.step_up(who, origin, credential, &challenge).await;
                self.stepped_up(step_up)
            }
            Refused::Token(challenge) => match vault.renew(who, origin, credential).await {
                Ok(renewed) => Ok(Renewed::Credential(renewed)),
                Err(CredentialError::NotConnected(status)) => {
                    vault
                        .note_scopes(who, origin, &challenge)
                        .await
                        .map_err(|error| self.no_credential(&error))?;
                    Ok(Renewed::Lack(Lack::Account(status)))
                }
                Err(error) => Err(self.no_credential(&error)),
            },
        }
    }

    /// A credential as good as can be had is refused: only the person can mend that, at the origin.
    async fn give_up(&self, credential: &Credential, refused: Refused) -> Result<Lack, Refusal> {
        let (vault, who) = (&self.context.vault, &self.by.caller().principal.id);
        let origin = &self.by.route().origin;
        let step_up = match refused {
            Refused::Scopes(challenge) => vault.step_up(who, origin, credential, &challenge).await.map(Some),
            Refused::Token(challenge) => vault.note_scopes(who, origin, &challenge).await,
        };
        let Some(step_up) = step_up.transpose() else {
            return Ok(Lack::Account(ConnectionStatus::ReconnectNeeded));
        };
        match self.stepped_up(step_up)? {
            Renewed::Lack(lack) => Ok(lack),
            Renewed::Credential(_) => Err(Refusal::credential_unavailable(self.id, &origin.display_name)),
        }
    }

    fn stepped_up(&self, step_up: Result<StepUp, CredentialError>) -> Result<Renewed, Refusal> {
        let origin = &self.by.route().origin.display_name;
        match step_up {
            Ok(StepUp::Renewed(renewed)) => Ok(Renewed::Credential(renewed)),
            Ok(StepUp::Consent(scopes)) => Ok(Renewed::Lack(Lack::Scopes(scopes))),
            Ok(StepUp::Refused(scopes)) => Err(Refusal::scope_refused(self.id, origin, &scopes)),
            Err(CredentialError::NotConnected(status)) => Ok(Renewed::Lack(Lack::Account(status))),
            Err(error) => Err(self.no_credential(&error)),
        }
    }

    fn no_credential(&self, error: &CredentialError) -> Refusal {
        Refusal::no_credential(self.id, &self.by.route().origin.display_name, error)
    }
}

/// How an origin refuses a credential.
enum Refused {
    /// It may do too little (RFC 6750 section 3.1).
    Scopes(Challenge),
    /// It is not honoured.
    Token(Challenge),
}

impl Refused {
    fn find(answer: &Answer) -> Option<Self> {
        let status = answer.response.status();
        if status != StatusCode::UNAUTHORIZED && status != StatusCode::FORBIDDEN {
            return None;
        }
        let challenge = Challenge::in_headers(answer.response.headers()).unwrap_or_default();
        if challenge.asks_for_more() {
            return Some(Self::Scopes(challenge));
        }
        (status == StatusCode::UNAUTHORIZED).then_some(Self::Token(challenge))
    }
}

/// What there is in place of a refused credential.
enum Renewed {
    Credential(Credential),
    Lack(Lack),
}
