//! Switches to key rings that are published, or mounted, without interrupting service.

use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_clock::Clock;
use portcullis_events::EventSink;
use portcullis_key_encryption::{KeyEncryption, KeyEncryptionError};
use portcullis_keyring::{Keyring, KeyringError};
use portcullis_logging::LoggedState;
use tokio::sync::watch;

use super::key_source::{ActiveKeys, StoredKeys, read_keys, save_copy};
use crate::reencrypt::record_key_rotation;

/// How often a mounted file is read.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// Delay between requests to an unavailable transit service.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// Applies the key rings that it receives.
pub(super) struct KeyRotator {
    pub(super) active_keys: ActiveKeys,
    pub(super) key_encryption: KeyEncryption,
    /// Path of the copy for a start without the API server.
    pub(super) keys_copy: Option<PathBuf>,
    pub(super) offered: watch::Receiver<StoredKeys>,
    /// Incremented when this replica uses changed key rings.
    pub(super) key_rotations: watch::Sender<u64>,
    pub(super) events: EventSink,
    pub(super) clock: Clock,
}

/// Why received key rings are not applied.
#[derive(Debug, thiserror::Error)]
enum ApplyError {
    /// The content is invalid; retrying does not help.
    #[error(transparent)]
    Invalid(#[from] KeyringError),
    /// The transit service that decrypts them is unavailable.
    #[error(transparent)]
    Unavailable(#[from] KeyEncryptionError),
}

impl KeyRotator {
    /// Runs until the sender is dropped.
    pub(super) async fn run(mut self) {
        let mut logged = LoggedState::default();
        while self.offered.changed().await.is_ok() {
            loop {
                let stored = self.offered.borrow_and_update().clone();
                let problem = match self.apply(&stored).await {
                    Ok(()) => {
                        logged = LoggedState::default();
                        break;
                    }
                    Err(ApplyError::Invalid(error)) => {
                        tracing::error!(
                            %error,
                            "received invalid key rings; the key rings in memory stay in use"
                        );
                        break;
                    }
                    Err(ApplyError::Unavailable(error)) => error.to_string(),
                };
                if logged.changes_to(Some(problem.clone())) {
                    tracing::warn!(
                        error = %problem,
                        "failed to decrypt changed key rings, retrying; the key rings in memory stay in use"
                    );
                }
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }

    async fn apply(&mut self, stored: &StoredKeys) -> Result<(), ApplyError> {
        if *stored != self.active_keys.stored {
            let text = self.key_encryption.decrypt(stored).await?;
            let other = Keyring::from_json(&text)?;
            self.active_keys.stored = stored.clone();
            if self.active_keys.keys.fingerprint() != other.fingerprint() {
                tracing::info!("using changed key rings");
                record_key_rotation(&self.events, &self.clock);
            }
            self.active_keys.keys.replace_with(&other);
            self.key_rotations.send_modify(|turns| *turns += 1);
        }
        if let Some(path) = &self.keys_copy {
            save_copy(path, stored);
        }
        Ok(())
    }
}

/// Sends the content of a mounted file when it changes, until the receiver is dropped.
pub(super) async fn follow_file(path: impl AsRef<Path>, offer: watch::Sender<StoredKeys>) {
    while !offer.is_closed() {
        if let Some(stored) = read_keys(path.as_ref()) {
            offer.send_if_modified(|offered| {
                let other = *offered != stored;
                *offered = stored;
                other
            });
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portcullis_clock::Random;
    use portcullis_keyring::KeyDocument;
    use zeroize::Zeroizing;

    use super::*;

    fn rings() -> (Zeroizing<Vec<u8>>, String) {
        let document = KeyDocument::generate(&Random::system()).unwrap();
        (document.text().unwrap(), document.fingerprint())
    }

    #[tokio::test(start_paused = true)]
    async fn given_a_mounted_file_when_it_changes_then_the_rings_turn_and_one_that_is_of_no_use_changes_nothing()
     {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mounted.json");
        let ((first, _), (second, expected)) = (rings(), rings());
        std::fs::write(&path, &*first).unwrap();
        let keys = Arc::new(Keyring::from_json(&first).unwrap());
        let (offer, offered) = watch::channel(first.clone());
        let (rotations, turned) = watch::channel(0);
        let turning = KeyRotator {
            active_keys: ActiveKeys { keys: Arc::clone(&keys), stored: first },
            key_encryption: KeyEncryption::plain(),
            keys_copy: None,
            offered,
            key_rotations: rotations,
            events: EventSink::new().0,
            clock: Clock::system(),
        };
        tokio::spawn(turning.run());
        tokio::spawn(follow_file(path.clone(), offer));
        tokio::time::sleep(POLL_INTERVAL * 3).await;
        assert_eq!(*turned.borrow(), 0, "nothing has changed");
        std::fs::write(&path, &*second).unwrap();
        tokio::time::sleep(POLL_INTERVAL * 3).await;
        assert_eq!((keys.fingerprint().as_str(), *turned.borrow()), (expected.as_str(), 1));
        for useless in ["", "{}", "half of"] {
            std::fs::write(&path, useless).unwrap();
            tokio::time::sleep(POLL_INTERVAL * 3).await;
            assert_eq!(keys.fingerprint().as_str(), expected);
        }
        std::fs::remove_file(&path).unwrap();
        tokio::time::sleep(POLL_INTERVAL * 3).await;
        assert_eq!((keys.fingerprint().as_str(), *turned.borrow()), (expected.as_str(), 1));
    }
}
