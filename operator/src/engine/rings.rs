//! The key rings that are worked with, and their rotation: each step waits for the replicas that it concerns.

use std::sync::Arc;

use portcullis_custody::CustodyError;
use portcullis_keys::{KeyDocument, Keys, Standing, Turn};
use zeroize::Zeroizing;

use super::{Engine, patiently};
use crate::publish::{WriteError, bears_current_mac};
use crate::world::Replica;

/// What waits after a failure.
const KEYS: &str = "keys";

/// The rings that are worked with, and what they were read from.
pub(super) struct Rings {
    generation: u64,
    pub(super) keys: Arc<Keys>,
    document: KeyDocument,
    stored: Zeroizing<Vec<u8>>,
}

impl Engine {
    /// The rings; made where there are none. Without usable ones nothing can be published.
    pub(super) async fn keys(&mut self) -> Option<Arc<Keys>> {
        if self.parts.world.publication.keys.is_none() {
            if !self.backlog.may(KEYS) {
                return None;
            }
            if let Err(error) = self.make_keys().await {
                self.failed(KEYS, &error);
                return None;
            }
            self.backlog.done(KEYS);
        }
        let generation = self.parts.world.publication.keys_generation;
        let known = self.keys.as_ref().map(|rings| (rings.generation, Arc::clone(&rings.keys)));
        match known {
            Some((at, keys)) if at == generation => return Some(keys),
            // Those in memory are good for what was published; who decrypts the new ones may be away.
            Some((_, keys)) if !self.backlog.may(KEYS) => return Some(keys),
            None if !self.backlog.may(KEYS) => return None,
            _ => {}
        }
        match self.open_keys(generation).await {
            Ok(rings) => {
                let keys = Arc::clone(&rings.keys);
                self.keys = Some(rings);
                self.parts.world.publication.look_again();
                self.backlog.done(KEYS);
                Some(keys)
            }
            Err(error) => {
                let stays = matches!(error, WriteError::Custody(_));
                self.failed(KEYS, &error);
                known.filter(|_| stays).map(|(_, keys)| keys)
            }
        }
    }

    async fn make_keys(&mut self) -> Result<(), WriteError> {
        let stored = match &self.keys {
            Some(rings) => {
                tracing::error!("the Secret with the keys is gone; it is put back as it was");
                rings.stored.clone()
            }
            None => {
                tracing::info!("there are no keys yet; they are made");
                self.parts.custody.close(&Keys::generate(&self.parts.random)?).await?
            }
        };
        let made = crate::keys::make(&self.parts.client, &self.parts.namespace, &stored);
        let change = patiently(made).await?;
        self.parts.world.take(change);
        Ok(())
    }

    async fn open_keys(&self, generation: u64) -> Result<Rings, WriteError> {
        let stored = self.parts.world.publication.keys.clone().unwrap_or_default();
        let text = self.parts.custody.open(&stored).await?;
        let keys = Arc::new(Keys::from_json(&text)?);
        Ok(Rings { generation, keys, document: KeyDocument::read(&text)?, stored })
    }

    /// Whether the rings have another step to take.
    pub(super) fn keys_are_due(&self) -> bool {
        self.backlog.may(KEYS)
            && self.keys.as_ref().is_some_and(|rings| {
                !self.parts.custody.keeps(&rings.stored) || self.turned(rings).is_ok_and(|it| it.is_some())
            })
    }

    /// Takes the next step of a rotation, or begins to keep the rings in another way; whether there was one to take.
    pub(super) async fn turn_keys(&mut self) -> bool {
        let Some(rings) = self.keys.as_ref().filter(|_| self.backlog.may(KEYS)) else { return false };
        // What is not known to be there is not written over.
        if rings.generation != self.parts.world.publication.keys_generation || !*self.parts.leading.borrow() {
            return false;
        }
        let (document, step) = match self.turned(rings) {
            Ok(Some((document, turn))) => (document, turn.to_string()),
            Ok(None) if self.parts.custody.keeps(&rings.stored) => return false,
            Ok(None) => (rings.document.clone(), "they are encrypted from now on".to_owned()),
            Err(error) => {
                self.failed(KEYS, &error);
                return false;
            }
        };
        match self.write_keys(&document).await {
            Ok(()) => {
                tracing::info!("the key rings: {step}");
                self.backlog.done(KEYS);
                true
            }
            Err(error) => {
                self.failed(KEYS, &error);
                false
            }
        }
    }

    /// The rings after their next step, if one is due.
    fn turned(&self, rings: &Rings) -> Result<Option<(KeyDocument, Turn)>, WriteError> {
        let request = self.rotation_request();
        let mut document = rings.document.clone();
        let standing = self.standing_of(rings);
        let turn = document.turn(request, standing, self.parts.clock.now(), &self.parts.random)?;
        Ok(turn.map(|turn| (document, turn)))
    }

    fn standing_of(&self, rings: &Rings) -> Standing {
        if !rings.document.is_turning() {
            return Standing::default();
        }
        let published = &self.parts.world.publication;
        let is_current = |data| bears_current_mac(&rings.keys, data);
        Standing {
            everywhere: everywhere(&self.replicas, &rings.keys.fingerprint()),
            resealed: resealed(&self.replicas, &rings.keys.sealing.current()),
            republished: published.objects.values().all(|object| is_current(&object.data))
                && published.identities.as_ref().is_none_or(is_current),
        }
    }

    /// What the McpGateway that is served asks for.
    fn rotation_request(&self) -> Option<&str> {
        let (id, _) = self.plan.parts.iter().find(|(id, _)| id.kind == "McpGateway")?;
        self.parts.world.subjects.get(id)?.rotate_keys.as_deref()
    }

    async fn write_keys(&mut self, document: &KeyDocument) -> Result<(), WriteError> {
        let stored = self.parts.custody.close(&document.text()?).await?;
        let version = self.parts.world.publication.keys_version.clone().unwrap_or_default();
        let written = crate::keys::replace(&self.parts.client, &self.parts.namespace, &version, &stored);
        let change = patiently(written).await?;
        self.parts.world.take(change);
        Ok(())
    }
}

/// Whether every replica that takes traffic has told that it works with exactly these rings. Without replicas nobody knows.
fn everywhere(replicas: &[Replica], fingerprint: &str) -> bool {
    !replicas.is_empty()
        && replicas.iter().all(|it| it.report.as_ref().is_some_and(|report| report.keys == fingerprint))
}

/// Whether each of them has found nothing in the store that is sealed under another key.
fn resealed(replicas: &[Replica], current: &str) -> bool {
    !replicas.is_empty()
        && replicas.iter().all(|it| it.report.as_ref().is_some_and(|report| report.sealed_under == current))
}

impl From<CustodyError> for WriteError {
    fn from(error: CustodyError) -> Self {
        Self::Custody(Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use portcullis_publication::Report;

    use super::*;

    fn replica(keys: &str, sealed_under: &str) -> Replica {
        let report = Report { keys: keys.into(), sealed_under: sealed_under.into(), ..Report::default() };
        Replica { name: "a".into(), report: Some(report), private: None }
    }

    #[test]
    fn given_replicas_when_one_lags_or_says_nothing_or_is_of_a_version_that_says_nothing_then_it_is_waited_for()
     {
        let silent = Replica { name: "b".into(), report: None, private: None };
        let old = replica("", "");
        let has_it = || replica("now", "key");
        assert!(everywhere(&[has_it(), has_it()], "now") && resealed(&[has_it()], "key"));
        for other in [replica("before", "before"), silent, old] {
            assert!(!everywhere(&[has_it(), other.clone()], "now"));
            assert!(!resealed(&[has_it(), other], "key"));
        }
        assert!(!everywhere(&[], "now") && !resealed(&[], "key"), "nobody knows");
    }
}
