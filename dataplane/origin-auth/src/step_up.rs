//! Records scopes that an origin requests beyond those granted, until the person consents once to all of them
//! (MCP, basic/authorization, "Step-Up Authorization Flow").

use std::time::Duration;

use portcullis_clock::{Clock, UnixMillis};
use portcullis_policy::{Origin, PrincipalId};
use portcullis_store::{StepUpRow, Store};

use crate::connection::is_bound_to;
use crate::scopes::{common, missing, union};
use crate::{BrokerDependencies, Credential, CredentialError};

/// For this long after a consent, the same scopes are not requested again: the origin still rejects the call,
/// so another consent would not help.
const CONSENT_COOLDOWN: Duration = Duration::from_secs(600);

/// Maximum length of the recorded scopes, in bytes. Beyond it, only the latest request is kept.
const MAX_SCOPES_LEN: usize = 4000;

/// Attempts to update the record while other tasks change it.
const MAX_ATTEMPTS: u32 = 5;

/// Result of an origin's request for more scopes.
pub enum StepUp {
    /// The rejected credential has been replaced meanwhile; the new one may suffice.
    Renewed(Credential),
    /// The person has to consent to these scopes.
    Consent(Vec<String>),
    /// The person consented to these scopes recently, and the origin still rejects the call.
    Refused(Vec<String>),
}

#[derive(Debug, thiserror::Error)]
#[error("too many concurrent requests for different scopes")]
struct TooManyRequests;

/// Records of the scopes that origins requested.
pub(crate) struct RequestedScopes {
    store: Store,
    clock: Clock,
}

impl RequestedScopes {
    pub(crate) fn new(dependencies: &BrokerDependencies) -> Self {
        Self { store: dependencies.store.clone(), clock: dependencies.clock.clone() }
    }

    /// The record for the origin's current URL.
    pub(crate) async fn recorded(
        &self,
        who: &PrincipalId,
        origin: &Origin,
    ) -> Result<Option<StepUpRow>, CredentialError> {
        let row = self.store.step_up(who.as_str(), &origin.uid).await?;
        Ok(row.filter(|row| row.origin_url == origin.url.as_str()))
    }

    /// Scopes that no consent has requested yet.
    pub(crate) async fn pending(
        &self,
        who: &PrincipalId,
        origin: &Origin,
    ) -> Result<Vec<String>, CredentialError> {
        let recorded = self.recorded(who, origin).await?;
        Ok(recorded.map(|row| missing(&row.wanted, &row.asked)).unwrap_or_default())
    }

    /// Records scopes that the origin requested, together with earlier ones.
    pub(crate) async fn request(
        &self,
        who: &PrincipalId,
        origin: &Origin,
        scopes: &[String],
    ) -> Result<StepUp, CredentialError> {
        let scopes = union(scopes.iter().map(String::as_str));
        let requested = scopes.join(" ");
        for _ in 0..MAX_ATTEMPTS {
            let before = self.store.step_up(who.as_str(), &origin.uid).await?;
            let known = before.as_ref().filter(|row| row.origin_url == origin.url.as_str());
            let known = known.cloned().unwrap_or_default();
            if missing(&requested, &known.asked).is_empty() {
                if self.was_recently_consented(&known) {
                    return Ok(StepUp::Refused(scopes));
                }
            } else if missing(&requested, &known.wanted).is_empty() {
                return Ok(StepUp::Consent(scopes));
            }
            let mut wanted = union([known.wanted.as_str(), &requested]).join(" ");
            if wanted.len() > MAX_SCOPES_LEN {
                wanted.clone_from(&requested);
            }
            let row = StepUpRow {
                principal_id: who.as_str().to_owned(),
                origin_uid: origin.uid.to_string(),
                origin_url: origin.url.to_string(),
                wanted,
                asked: missing(&known.asked, &requested).join(" "),
                asked_at: known.asked_at,
            };
            if self.store.put_step_up(&row, before.as_ref()).await? {
                return Ok(StepUp::Consent(scopes));
            }
        }
        Err(CredentialError::unavailable(TooManyRequests))
    }

    /// Like [`request`](Self::request), for scopes beyond those of the stored connection. `None` if there is
    /// no connection, or it has all scopes and no recent consent requested them.
    pub(crate) async fn request_missing(
        &self,
        who: &PrincipalId,
        origin: &Origin,
        scopes: &[String],
    ) -> Result<Option<StepUp>, CredentialError> {
        let row = self.store.connection(who.as_str(), &origin.uid).await?;
        let Some(row) = row.filter(|row| is_bound_to(row, origin)) else { return Ok(None) };
        let requested = scopes.join(" ");
        let more = missing(&requested, &row.scope);
        if !more.is_empty() {
            return self.request(who, origin, &more).await.map(Some);
        }
        let recent = self.recorded(who, origin).await?.filter(|row| self.was_recently_consented(row));
        let consented = recent.map(|row| common(&requested, &row.asked)).unwrap_or_default();
        Ok(Some(consented).filter(|scopes| !scopes.is_empty()).map(StepUp::Refused))
    }

    /// Records that the person consented to these scopes. A failure is only logged: the tokens are stored.
    pub(crate) async fn record_consent(&self, who: &PrincipalId, origin: &Origin, scopes: &str) {
        if scopes.is_empty() {
            return;
        }
        let now = self.clock.now().0;
        if let Err(error) = self.store.record_step_up(who.as_str(), &origin.uid, scopes, now).await {
            tracing::warn!(%error, "failed to record consented scopes; the person may have to consent again");
        }
    }

    fn was_recently_consented(&self, row: &StepUpRow) -> bool {
        self.clock.now().since(UnixMillis(row.asked_at)) < CONSENT_COOLDOWN
    }
}
