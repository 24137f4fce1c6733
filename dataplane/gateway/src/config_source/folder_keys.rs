//! The key rings of folder mode: `keys.json` in the state folder. The file is created if missing, followed
//! while it is edited, and moved through the rotation that `portcullis keys rotate` starts. There is only one
//! replica, so its own state decides when a rotation advances.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use portcullis_clock::{Clock, Random};
use portcullis_egress::error_chain;
use portcullis_events::EventSink;
use portcullis_key_encryption::KeyEncryption;
use portcullis_keyring::{KeyDocument, KeyFile, KeyFileLock, Keyring, RotationStatus};
use portcullis_logging::LoggedState;
use tokio::time::MissedTickBehavior;
use zeroize::Zeroizing;

use crate::reencrypt::{Reencryption, record_key_rotation};

/// How often the file is read.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Delay after an invalid file or a failed request to the transit service.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// The key file of a state folder, and how it is encrypted.
pub(crate) struct FolderKeys {
    folder: KeyFile,
    key_encryption: KeyEncryption,
    random: Random,
    clock: Clock,
}

/// The file as it was last read or written, and its decoded content.
struct LoadedKeys {
    stored: Zeroizing<Vec<u8>>,
    document: KeyDocument,
}

/// Follows the file of key rings that are in use.
pub(crate) struct KeyFollower {
    source: FolderKeys,
    loaded: LoadedKeys,
}

impl FolderKeys {
    pub(crate) fn new(state: &Path, key_encryption: KeyEncryption, random: Random, clock: Clock) -> Self {
        // Only this process can write the state folder, so its rings may still have to be encrypted.
        let key_encryption = key_encryption.accepting_unencrypted();
        Self { folder: KeyFile::new(state), key_encryption, random, clock }
    }

    /// Reads the key rings, or creates them if the file is missing. `are_needed`: the database contains data
    /// that is sealed under them, so a missing file is an error.
    pub(crate) async fn open(self, are_needed: bool) -> anyhow::Result<(Arc<Keyring>, KeyFollower)> {
        let path = self.folder.path().display().to_string();
        let _held = self.lock().await?;
        let known = match self.read().await.context(path.clone())? {
            Some(known) if self.key_encryption.is_up_to_date(&known.stored) => known,
            Some(known) => {
                tracing::info!(file = %path, "encrypting the key file");
                self.write(known.document).await?
            }
            None if are_needed => bail!(
                "{path} is missing, but the database contains accounts that only its keys can open; restore it from a backup, or start with an empty database"
            ),
            None => self.write(KeyDocument::generate(&self.random)?).await?,
        };
        let keys = Arc::new(Keyring::from_document(&known.document).context(path)?);
        Ok((keys, KeyFollower { source: self, loaded: known }))
    }

    /// Adds new keys to the file; the serving process then switches to them. Returns a message for the user.
    pub(crate) async fn rotate(&self) -> anyhow::Result<&'static str> {
        let _held = self.lock().await?;
        let Some(LoadedKeys { mut document, .. }) = self.read().await? else {
            bail!(
                "{} does not exist; run `portcullis serve` first, which creates it",
                self.folder.path().display()
            );
        };
        if document.is_promotion_pending() {
            return Ok(
                "a rotation is already in progress; `portcullis serve` switches to the new keys when it has read them",
            );
        }
        let now = self.clock.now();
        document.advance_rotation(Some(&now.0.to_string()), RotationStatus::default(), now, &self.random)?;
        self.write(document).await?;
        Ok(
            "new keys created; `portcullis serve` switches to them within seconds and keeps the old keys for existing tokens and data",
        )
    }

    async fn read(&self) -> anyhow::Result<Option<LoadedKeys>> {
        let Some(stored) = self.folder.read()? else { return Ok(None) };
        let text = self.key_encryption.decrypt(&stored).await?;
        Ok(Some(LoadedKeys { stored, document: KeyDocument::read(&text)? }))
    }

    /// The caller must hold the lock.
    async fn write(&self, document: KeyDocument) -> anyhow::Result<LoadedKeys> {
        let stored = self.key_encryption.encrypt(&document.text()?).await?;
        self.folder.write(&stored)?;
        Ok(LoadedKeys { stored, document })
    }

    /// Takes the operating system's file lock. Another process may hold it for as long as a request to the
    /// transit service takes.
    async fn lock(&self) -> anyhow::Result<KeyFileLock> {
        let folder = self.folder.clone();
        Ok(tokio::task::spawn_blocking(move || folder.lock()).await??)
    }
}

impl KeyFollower {
    /// Follows the file and advances a rotation when its next step is due, until dropped.
    pub(crate) async fn follow(mut self, keys: Arc<Keyring>, reencryption: Reencryption, events: EventSink) {
        let mut tick = tokio::time::interval(POLL_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut logged = LoggedState::default();
        loop {
            tick.tick().await;
            let synced = self.sync(&keys, &reencryption, &events).await;
            let problem = synced.err().map(|error| error_chain(&*error));
            let changed = logged.changes_to(problem.clone());
            if let Some(problem) = problem {
                if changed {
                    tracing::error!(error = %problem, "failed to sync the key file; the key rings in memory stay in use");
                }
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }

    async fn sync(
        &mut self,
        keys: &Keyring,
        reencryption: &Reencryption,
        events: &EventSink,
    ) -> anyhow::Result<()> {
        let Some(stored) = self.source.folder.read()? else {
            bail!("{} was deleted; restore it", self.source.folder.path().display());
        };
        if *stored != *self.loaded.stored {
            let Some(known) = self.source.read().await? else { return Ok(()) };
            keys.replace_with(&Keyring::from_document(&known.document)?);
            self.loaded = known;
            record_key_rotation(events, &self.source.clock);
        }
        let standing = RotationStatus {
            distributed: true,
            reencrypted: reencryption.key_id() == keys.sealing.current_key_id(),
            // Folder mode publishes nothing.
            republished: true,
        };
        let mut document = self.loaded.document.clone();
        let Some(turn) =
            document.advance_rotation(None, standing, self.source.clock.now(), &self.source.random)?
        else {
            return Ok(());
        };
        let _held = self.source.lock().await?;
        // If another process has changed the file, its content is read first.
        if self.source.folder.read()?.is_some_and(|stored| *stored == *self.loaded.stored) {
            tracing::info!(step = %turn, "advanced the key rotation");
            let known = self.source.write(document).await?;
            keys.replace_with(&Keyring::from_document(&known.document)?);
            self.loaded = known;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use portcullis_clock::UnixMillis;
    use portcullis_keyring::Purpose;

    use super::*;

    const START: UnixMillis = UnixMillis(1_800_000_000_000);

    struct Fixture {
        state: tempfile::TempDir,
        clock: Clock,
        reencryption: Reencryption,
    }

    impl Fixture {
        fn new() -> Self {
            let state = tempfile::tempdir().unwrap();
            Self { state, clock: Clock::manual(START), reencryption: Reencryption::default() }
        }

        fn folder(&self) -> FolderKeys {
            FolderKeys::new(self.state.path(), KeyEncryption::plain(), Random::system(), self.clock.clone())
        }

        async fn sync(&self, followed: &mut KeyFollower, keys: &Keyring) {
            followed.sync(keys, &self.reencryption, &EventSink::new().0).await.unwrap();
        }

        fn path(&self) -> std::path::PathBuf {
            self.state.path().join("keys.json")
        }
    }

    fn published(keys: &Keyring) -> usize {
        keys.signing.jwks()["keys"].as_array().unwrap().len()
    }

    #[tokio::test]
    async fn given_rings_that_serve_when_somebody_rotates_then_they_move_step_by_step_and_old_work_opens_to_the_end()
     {
        let world = Fixture::new();
        let (keys, mut followed) = world.folder().open(false).await.unwrap();
        let first = keys.sealing.current_key_id();
        let sealed = keys.sealing.seal(&Random::system(), Purpose::McpSession, &[], b"x").unwrap();
        world.folder().rotate().await.unwrap();
        assert!(world.folder().rotate().await.unwrap().contains("already"), "one rotation at a time");
        world.sync(&mut followed, &keys).await;
        assert_ne!(keys.sealing.current_key_id(), first, "one replica: the new keys are distributed at once");
        assert_eq!(published(&keys), 2);
        world.sync(&mut followed, &keys).await;
        world.clock.advance(Duration::from_secs(25 * 3600));
        world.sync(&mut followed, &keys).await;
        assert_eq!(published(&keys), 1);
        assert!(keys.sealing.open(Purpose::McpSession, &[], &sealed).is_ok());
        world.clock.advance(Duration::from_secs(31 * 24 * 3600));
        world.sync(&mut followed, &keys).await;
        assert!(
            keys.sealing.open(Purpose::McpSession, &[], &sealed).is_ok(),
            "the store is not re-encrypted yet"
        );
        world.reencryption.set_key_id(&keys.sealing.current_key_id());
        world.sync(&mut followed, &keys).await;
        assert!(keys.sealing.open(Purpose::McpSession, &[], &sealed).is_err());
        // The file and memory have the same content.
        let (again, _) = world.folder().open(true).await.unwrap();
        assert_eq!(again.fingerprint(), keys.fingerprint());
    }

    #[tokio::test]
    async fn given_a_file_that_goes_bad_while_it_is_followed_then_the_rings_in_memory_stay_and_the_file_is_not_touched()
     {
        let world = Fixture::new();
        let (keys, mut followed) = world.folder().open(false).await.unwrap();
        let (before, good) = (keys.fingerprint(), std::fs::read(world.path()).unwrap());
        for bad in [&b"{}"[..], b""] {
            std::fs::write(world.path(), bad).unwrap();
            assert!(followed.sync(&keys, &world.reencryption, &EventSink::new().0).await.is_err());
            assert_eq!(std::fs::read(world.path()).unwrap(), bad);
        }
        std::fs::remove_file(world.path()).unwrap();
        let error =
            followed.sync(&keys, &world.reencryption, &EventSink::new().0).await.unwrap_err().to_string();
        assert!(error.contains("was deleted; restore it"), "{error}");
        assert_eq!(keys.fingerprint(), before);
        KeyFile::new(world.state.path()).write(&good).unwrap();
        world.sync(&mut followed, &keys).await;
        assert_eq!(keys.fingerprint(), before);
    }

    #[tokio::test]
    async fn given_no_file_when_something_was_sealed_under_it_then_no_other_is_made() {
        let world = Fixture::new();
        let error = world.folder().open(true).await.err().unwrap().to_string();
        assert!(error.contains("restore it from a backup"), "{error}");
        assert!(!world.path().exists());
        assert!(world.folder().rotate().await.is_err());
        world.folder().open(false).await.unwrap();
        world.folder().open(true).await.unwrap();
    }
}
