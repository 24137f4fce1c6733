//! An origin asks for more than a person's account there may do: what it has asked for is remembered until the person consents to
//! it, once for all of it (MCP, basic/authorization, "Step-Up Authorization Flow").

use std::sync::Arc;
use std::time::Duration;

use portcullis_clock::UnixMillis;
use portcullis_policy::{Origin, PrincipalId};
use portcullis_store::StepUpRow;

use crate::challenge::Challenge;
use crate::connection::is_bound_to;
use crate::scopes::{common, missing, union};
use crate::{Credential, CredentialBroker, CredentialError, Inner};

/// After a consent nobody is asked again for this long for what they were just asked for: the origin refuses it all the same, and
/// another consent would change nothing.
const CONSENT_COOLDOWN: Duration = Duration::from_secs(600);

/// An origin that has asked for more than this, in bytes, has asked for something else each time; then its latest wish counts.
const MAX_SCOPES_LEN: usize = 4000;

/// How often a note is tried upon what others have noted meanwhile.
const MAX_ATTEMPTS: u32 = 5;

/// What an origin's wish for more scopes leads to.
pub enum StepUp {
    /// There is another credential than the refused one by now; it may suffice.
    Renewed(Credential),
    /// The person has to consent to these.
    Consent(Vec<String>),
    /// The person consented to these a moment ago, and the origin still refuses.
    Refused(Vec<String>),
}

impl CredentialBroker {
    /// An origin refuses a credential because it may do too little. What it asks for is remembered, together with what it has
    /// asked for before, and the next consent is for all of that.
    ///
    /// # Errors
    /// When the person has no usable connection, or it cannot be told now.
    pub async fn step_up(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        refused: &Credential,
        challenge: &Challenge,
    ) -> Result<StepUp, CredentialError> {
        let inner = &self.0;
        // What is on its way from the store to the memory is waited for by whoever makes the memory forget.
        let gate = inner.cache.refresh_state(who, origin);
        let _alone = gate.lock().await;
        let connection = inner.stored_connection(who, origin).await?;
        if refused.header().is_some_and(|(_, value)| *value != *connection.header) {
            let refresh_at = connection.refresh_at();
            return Ok(StepUp::Renewed(inner.cache_connection(who, origin, &connection, refresh_at)));
        }
        inner.request_scopes(who, origin, &challenge.scopes).await
    }

    /// The same where the credential is refused altogether: whoever connects again is asked for all of it at once. `None` where
    /// nothing is asked for that was not granted already.
    ///
    /// # Errors
    /// When the store does not answer.
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

    /// What an origin has asked this person for and no consent has asked for yet. Empty where it is content.
    ///
    /// # Errors
    /// When the store does not answer.
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
    /// What is remembered of an origin as it is now.
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
        Err(CredentialError::Unavailable("too many requests ask for different scopes at a time".to_owned()))
    }
}
