//! Rotates the key rings without downtime. Each call takes one step, depending on the state of all processes
//! that use the keys. A call without new information changes nothing.
//!
//! ```text
//! announced   after the current key: every process opens and verifies with it, none creates anything with it
//!    | every process has it, or MAX_ANNOUNCE_TIME is over
//! current     first: everything new is created with it
//!    | the next key is promoted
//! replaced    still opens and verifies; a process without the new rings may still create something with it
//!    | every process has the new rings: retired_at
//! retired     nothing new is created with it; kept while older data may need it (`is_needed`)
//! ```

use std::time::Duration;

use portcullis_clock::{NoRandomness, Random, UnixMillis};

use crate::key_entry::KeyEntry;
use crate::{KeyDocument, Ring};

/// An announced key is promoted after this time, even if some processes do not have it yet.
const MAX_ANNOUNCE_TIME: Duration = Duration::from_secs(10 * 60);
/// An access token is valid for at most a day (`spec.tokens.access`), plus clock differences.
const SIGNING_KEY_RETENTION: Duration = Duration::from_secs(25 * 3600);
/// Session ids are the oldest sealed values that cannot be sealed again: 30 days
/// (`gateway/src/pipeline/session.rs`).
const SEALING_KEY_RETENTION: Duration = Duration::from_secs(31 * 24 * 3600);
/// Published objects are rewritten immediately; the copies that replicas keep for a start without the API
/// server, seconds later.
const MAC_KEY_RETENTION: Duration = Duration::from_secs(3600);

/// State of the processes and data that use the keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct RotationStatus {
    /// Every process has exactly these rings ([`KeyDocument::fingerprint`]). Also `false` if unknown.
    pub distributed: bool,
    /// Nothing in the store is sealed under a key other than the current one.
    pub reencrypted: bool,
    /// Every published object has a MAC of the current key.
    pub republished: bool,
}

/// A step of a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RotationStep {
    /// New keys were added, which are not used yet.
    Announced,
    /// The new keys became the current ones.
    Promoted,
    /// Nothing is created with the replaced keys any more; their retention time begins.
    Retired,
    /// These keys were removed, because nothing needs them.
    Dropped(Vec<(Ring, String)>),
}

impl std::fmt::Display for RotationStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Announced => f.write_str("new keys announced"),
            Self::Promoted => f.write_str("new keys are now current"),
            Self::Retired => f.write_str("replaced keys retired"),
            Self::Dropped(keys) => {
                f.write_str("unneeded keys dropped:")?;
                keys.iter().try_for_each(|(ring, id)| write!(f, " {} {id}", ring.name()))
            }
        }
    }
}

impl KeyDocument {
    /// Takes the next step, if one is due. `request` is the value of the latest rotation request; a value
    /// that was already carried out is ignored.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn advance_rotation(
        &mut self,
        request: Option<&str>,
        standing: RotationStatus,
        now: UnixMillis,
        random: &Random,
    ) -> Result<Option<RotationStep>, NoRandomness> {
        if let Some(since) = self.announced_since() {
            let is_due = standing.distributed || now.since(since) >= MAX_ANNOUNCE_TIME;
            return Ok(is_due.then(|| self.promote()));
        }
        if let Some(request) = request.filter(|request| self.honoured.as_deref() != Some(*request)) {
            self.announce(now, random)?;
            self.honoured = Some(request.to_owned());
            return Ok(Some(RotationStep::Announced));
        }
        if !standing.distributed {
            return Ok(None);
        }
        Ok(self.retire(now).or_else(|| self.drop_unneeded(standing, now)))
    }

    /// Whether there are keys other than the current ones.
    #[must_use]
    pub fn is_rotating(&self) -> bool {
        Ring::ALL.into_iter().any(|ring| self.ring(ring).len() > 1)
    }

    /// Whether a rotation is in progress whose new keys are not the current ones yet.
    #[must_use]
    pub fn is_promotion_pending(&self) -> bool {
        self.announced_since().is_some()
    }

    fn announced_since(&self) -> Option<UnixMillis> {
        let entries = Ring::ALL.into_iter().flat_map(|ring| self.ring(ring));
        entries.filter_map(|entry| entry.announced_at).max().map(UnixMillis)
    }

    fn announce(&mut self, now: UnixMillis, random: &Random) -> Result<(), NoRandomness> {
        let mut made = Vec::with_capacity(Ring::ALL.len());
        for ring in Ring::ALL {
            made.push((ring, self.new_entry(ring, random)?));
        }
        for (ring, mut entry) in made {
            let ring = self.ring_mut(ring);
            // The first key of an empty ring is current at once.
            entry.announced_at = (!ring.is_empty()).then_some(now.0);
            ring.insert(ring.len().min(1), entry);
        }
        Ok(())
    }

    /// Generates a key with an unused id: ids of four bytes may collide.
    fn new_entry(&self, ring: Ring, random: &Random) -> Result<KeyEntry, NoRandomness> {
        loop {
            let entry = KeyEntry::new(random)?;
            if self.ring(ring).iter().all(|known| known.id != entry.id) {
                return Ok(entry);
            }
        }
    }

    fn promote(&mut self) -> RotationStep {
        for ring in Ring::ALL {
            let entries = self.ring_mut(ring);
            // The sort is stable: announced keys come first, the others keep their order.
            entries.sort_by_key(|entry| entry.announced_at.is_none());
            entries.iter_mut().for_each(|entry| entry.announced_at = None);
        }
        RotationStep::Promoted
    }

    fn retire(&mut self, now: UnixMillis) -> Option<RotationStep> {
        let mut changed = false;
        for ring in Ring::ALL {
            for entry in self.ring_mut(ring).iter_mut().skip(1).filter(|entry| entry.retired_at.is_none()) {
                entry.retired_at = Some(now.0);
                changed = true;
            }
        }
        changed.then_some(RotationStep::Retired)
    }

    fn drop_unneeded(&mut self, standing: RotationStatus, now: UnixMillis) -> Option<RotationStep> {
        let mut dropped = Vec::new();
        for ring in Ring::ALL {
            let entries = self.ring_mut(ring);
            let unneeded = entries.extract_if(1.., |entry| !is_needed(ring, entry, standing, now));
            dropped.extend(unneeded.map(|entry| (ring, entry.id)));
        }
        (!dropped.is_empty()).then_some(RotationStep::Dropped(dropped))
    }
}

fn is_needed(ring: Ring, entry: &KeyEntry, standing: RotationStatus, now: UnixMillis) -> bool {
    let Some(retired) = entry.retired_at.map(UnixMillis) else { return true };
    let for_this_long = |time: Duration| now.since(retired) >= time;
    !match ring {
        Ring::Signing => for_this_long(SIGNING_KEY_RETENTION),
        Ring::Sealing => for_this_long(SEALING_KEY_RETENTION) && standing.reencrypted,
        Ring::Mac => for_this_long(MAC_KEY_RETENTION) && standing.republished,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Keyring, Purpose};

    const ALL: RotationStatus = RotationStatus { distributed: true, reencrypted: true, republished: true };
    const START: UnixMillis = UnixMillis(1_800_000_000_000);

    fn document() -> KeyDocument {
        KeyDocument::generate(&Random::system()).unwrap()
    }

    fn ids(document: &KeyDocument, ring: Ring) -> Vec<String> {
        document.ring(ring).iter().map(|entry| entry.id.clone()).collect()
    }

    fn turn(
        document: &mut KeyDocument,
        request: &str,
        standing: RotationStatus,
        now: UnixMillis,
    ) -> Option<RotationStep> {
        let turned = document.advance_rotation(Some(request), standing, now, &Random::system()).unwrap();
        // Every resulting document can be parsed again.
        let again = KeyDocument::read(&document.text().unwrap()).unwrap();
        assert_eq!(again.fingerprint(), document.fingerprint());
        turned
    }

    /// Requirements: as.keys.rotation
    #[test]
    fn given_a_request_then_a_key_is_announced_promoted_when_everybody_has_it_and_the_old_one_dropped_when_unneeded()
     {
        let mut it = document();
        let old = ids(&it, Ring::Signing);
        assert_eq!(it.advance_rotation(None, ALL, START, &Random::system()).unwrap(), None, "nobody asked");
        assert!(!it.is_promotion_pending() && !it.is_rotating());
        assert_eq!(turn(&mut it, "1", RotationStatus::default(), START), Some(RotationStep::Announced));
        assert!(it.is_promotion_pending() && it.is_rotating());
        assert_eq!(ids(&it, Ring::Signing)[0], old[0], "the old one signs until everybody has the new one");
        let before = Keyring::from_document(&it).unwrap().signing.jwks();
        assert_eq!(before["keys"].as_array().unwrap().len(), 2);
        assert_eq!(turn(&mut it, "1", RotationStatus::default(), START.after_seconds(599)), None);
        assert_eq!(turn(&mut it, "1", ALL, START.after_seconds(1)), Some(RotationStep::Promoted));
        assert_eq!(ids(&it, Ring::Signing)[1], old[0]);
        let retired = START.after_seconds(7200);
        let unheard = RotationStatus { distributed: false, ..ALL };
        assert_eq!(turn(&mut it, "1", unheard, retired), None, "somebody may still sign with the old one");
        assert_eq!(turn(&mut it, "1", ALL, retired), Some(RotationStep::Retired));
        assert_eq!(turn(&mut it, "1", ALL, retired.after_seconds(3599)), None);
        let Some(RotationStep::Dropped(dropped)) = turn(&mut it, "1", ALL, retired.after_seconds(3600))
        else {
            panic!()
        };
        assert_eq!(dropped.iter().map(|(ring, _)| *ring).collect::<Vec<_>>(), [Ring::Mac]);
        assert_eq!(turn(&mut it, "1", ALL, retired.after_seconds(25 * 3600 - 1)), None);
        let step = turn(&mut it, "1", ALL, retired.after_seconds(25 * 3600));
        assert!(step.as_ref().unwrap().to_string().ends_with(&format!("signing {}", old[0])));
        assert_eq!(step, Some(RotationStep::Dropped(vec![(Ring::Signing, old[0].clone())])));
        let month = retired.after_seconds(31 * 24 * 3600);
        assert_eq!(turn(&mut it, "1", RotationStatus { reencrypted: false, ..ALL }, month), None);
        assert!(matches!(turn(&mut it, "1", ALL, month), Some(RotationStep::Dropped(_))));
        assert!(!it.is_rotating());
        assert_eq!(turn(&mut it, "1", ALL, month.after_seconds(1)), None, "the same value asks for nothing");
        assert_eq!(turn(&mut it, "2", ALL, month.after_seconds(1)), Some(RotationStep::Announced));
    }

    #[test]
    fn given_somebody_who_never_hears_when_ten_minutes_are_over_then_the_new_key_is_used_and_no_old_one_goes()
    {
        let mut it = document();
        turn(&mut it, "1", RotationStatus::default(), START);
        let deaf = RotationStatus { distributed: false, ..ALL };
        assert_eq!(turn(&mut it, "1", deaf, START.after_seconds(600)), Some(RotationStep::Promoted));
        assert_eq!(turn(&mut it, "1", deaf, START.after_seconds(100 * 24 * 3600)), None);
        assert!(it.is_rotating());
    }

    #[test]
    fn given_two_requests_in_a_row_then_the_second_waits_for_the_first_and_the_keys_of_all_three_open() {
        let (mut it, random) = (document(), Random::system());
        let seal = |it: &KeyDocument| {
            Keyring::from_document(it).unwrap().sealing.seal(&random, Purpose::Credential, &[], b"x").unwrap()
        };
        let mut sealed = vec![seal(&it)];
        assert_eq!(turn(&mut it, "1", ALL, START), Some(RotationStep::Announced));
        sealed.push(seal(&it));
        for expected in [RotationStep::Promoted, RotationStep::Announced, RotationStep::Promoted] {
            assert_eq!(turn(&mut it, "2", ALL, START), Some(expected));
            sealed.push(seal(&it));
        }
        let keys = Keyring::from_document(&it).unwrap();
        assert!(sealed.iter().all(|sealed| keys.sealing.open(Purpose::Credential, &[], sealed).is_ok()));
        assert_eq!(ids(&it, Ring::Sealing).len(), 3);
    }

    #[test]
    fn given_rings_without_a_mac_when_rotated_then_the_first_one_is_current_at_once() {
        let mut it = document();
        it.mac.clear();
        turn(&mut it, "1", ALL, START);
        assert_eq!(it.mac[0].announced_at, None);
        assert!(it.is_promotion_pending());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// Replicas that lag at any pace: one replica verifies and opens everything that another signs or
        /// seals, if they are at most one step apart.
        /// Requirements: as.keys.rotation
        #[test]
        fn given_replicas_one_step_apart_when_keys_rotate_then_what_one_makes_the_other_takes(
            steps in proptest::collection::vec((any::<bool>(), 0u64..40 * 24 * 3600), 1..40),
        ) {
            let random = Random::system();
            let mut it = document();
            let mut before = Keyring::from_document(&it).unwrap();
            let mut now = START;
            for (at, (ask, seconds)) in steps.into_iter().enumerate() {
                now = now.after_seconds(seconds);
                let request = if ask { at.to_string() } else { it.honoured.clone().unwrap_or_default() };
                turn(&mut it, &request, ALL, now);
                let after = Keyring::from_document(&it).unwrap();
                for (one, other) in [(&before, &after), (&after, &before)] {
                    let token = one.signing.sign("at+jwt", &serde_json::json!({})).unwrap();
                    prop_assert!(other.signing.verify::<serde_json::Value>("at+jwt", &token).is_ok());
                    let sealed = one.sealing.seal(&random, Purpose::McpSession, &[], b"x").unwrap();
                    prop_assert!(other.sealing.open(Purpose::McpSession, &[], &sealed).is_ok());
                    prop_assert!(other.mac.verify(&[], &one.mac.mac(&[]).unwrap()).is_ok());
                }
                before = after;
            }
        }
    }
}
