//! Records scopes that an origin requests beyond those granted, until the person consents once to all of them
//! (MCP, basic/authorization, "Step-Up Authorization Flow").

use std::sync::Arc;
use std::time::Duration;

use portcullis_clock::UnixMillis;
use portcullis_policy::{Origin, PrincipalId};
use portcullis_store::StepUpRow;

use crate::challenge::Challenge;
use crate::connection::is_bound_to;
use crate::scopes::{common, missing, union};
use crate::{Credential, CredentialBroker, CredentialError, Inner};

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

impl CredentialBroker {
    /// Handles an origin's rejection of a credential with too few scopes. Records the requested scopes
    /// together with earlier ones; the next consent requests all of them.
    ///
    /// # Errors
    /// If the person has no usable connection, or on a temporary failure.
    pub async fn step_up(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        refused: &Credential,
        challenge: &Challenge,
    ) -> Result<StepUp, CredentialError> {
        let inner = &self.0;
        // The lock keeps an older store read from filling the cache after it was invalidated.
        let gate = inner.cache.refresh_state(who, origin);
        let _alone = gate.lock().await;
        let connection = inner.stored_connection(who, origin).await?;
        if refused.header().is_some_and(|(_, value)| *value != *connection.header) {
            let refresh_at = connection.refresh_at();
            return Ok(StepUp::Renewed(inner.cache_connection(who, origin, &connection, refresh_at)));
        }
        inner.request_scopes(who, origin, &challenge.scopes).await
    }

    /// Like [`step_up`](Self::step_up) when the credential itself is rejected, so the next consent requests
    /// all scopes at once. `None` if all requested scopes were already granted.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn record_requested_scopes(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        challenge: &Challenge,
    ) -> Result<Option<StepUp>, CredentialError> {
        let row = self.0.parts.store.connection(who.as_str(), &origin.uid).await?;
        let Some(row) = row.filter(|row| is_bound_to(row, origin)) else { return Ok(None) };
        let asks = challenge.scopes.join(" ");
        let more = missing(&asks, &row.scope);
        if !more.is_empty() {
            return self.0.request_scopes(who, origin, &more).await.map(Some);
        }
        let wish =
            self.0.requested_scopes(who, origin).await?.filter(|wish| self.0.was_recently_requested(wish));
        let asked = wish.map(|wish| common(&asks, &wish.asked)).unwrap_or_default();
        Ok(Some(asked).filter(|asked| !asked.is_empty()).map(StepUp::Refused))
    }

    /// Scopes that the origin requested and no consent has requested yet. Empty if there are none.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn pending_scopes(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
    ) -> Result<Vec<String>, CredentialError> {
        let wish = self.0.requested_scopes(who, origin).await?;
        Ok(wish.map(|wish| missing(&wish.wanted, &wish.asked)).unwrap_or_default())
    }
}

impl Inner {
    /// The recorded scopes for the origin's current URL.
    pub(crate) async fn requested_scopes(
        &self,
        who: &PrincipalId,
        origin: &Origin,
    ) -> Result<Option<StepUpRow>, CredentialError> {
        let row = self.parts.store.step_up(who.as_str(), &origin.uid).await?;
        Ok(row.filter(|row| row.origin_url == origin.url.as_str()))
    }

    fn was_recently_requested(&self, wish: &StepUpRow) -> bool {
        self.parts.clock.now().since(UnixMillis(wish.asked_at)) < CONSENT_COOLDOWN
    }

    async fn request_scopes(
        &self,
        who: &PrincipalId,
        origin: &Origin,
        scopes: &[String],
    ) -> Result<StepUp, CredentialError> {
        let scopes = union(scopes.iter().map(String::as_str));
        let asks = scopes.join(" ");
        for _ in 0..MAX_ATTEMPTS {
            let before = self.parts.store.step_up(who.as_str(), &origin.uid).await?;
            let known = before.as_ref().filter(|row| row.origin_url == origin.url.as_str());
            let known = known.cloned().unwrap_or_default();
            if missing(&asks, &known.asked).is_empty() {
                if self.was_recently_requested(&known) {
                    return Ok(StepUp::Refused(scopes));
                }
            } else if missing(&asks, &known.wanted).is_empty() {
                return Ok(StepUp::Consent(scopes));
            }
            let mut wanted = union([known.wanted.as_str(), &asks]).join(" ");
            if wanted.len() > MAX_SCOPES_LEN {
                wanted.clone_from(&asks);
            }
            let row = StepUpRow {
                principal_id: who.as_str().to_owned(),
                origin_uid: origin.uid.to_string(),
                origin_url: origin.url.to_string(),
                wanted,
                asked: missing(&known.asked, &asks).join(" "),
                asked_at: known.asked_at,
            };
            if self.parts.store.put_step_up(&row, before.as_ref()).await? {
                return Ok(StepUp::Consent(scopes));
            }
        }
        Err(CredentialError::Unavailable("too many concurrent requests for different scopes".to_owned()))
    }
}
