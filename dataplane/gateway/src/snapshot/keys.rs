//! The key rings of one machine: `keys.json` in the state folder, made where there is none, followed while it is edited, and moved
//! through a rotation that `portcullis keys rotate` has begun. There is one replica, which knows by itself what it has.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use portcullis_ambient::{Clock, Random};
use portcullis_custody::Custody;
use portcullis_events::EventSink;
use portcullis_keys::{Held, KeyDocument, KeyFolder, Keys, Standing};
use tokio::time::MissedTickBehavior;
use zeroize::Zeroizing;

use crate::reseal::{Resealing, tell_turned};

/// How often the file is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// After a file that is of no use, or a transit service that is away.
const PAUSE: Duration = Duration::from_secs(5);

/// Where one machine's rings lie, and how.
pub(crate) struct FolderKeys {
    folder: KeyFolder,
    custody: Custody,
    random: Random,
    clock: Clock,
}

/// The file as it was read or written last, and what it says.
struct Known {
    stored: Zeroizing<Vec<u8>>,
    document: KeyDocument,
}

/// Rings that are in use, to be followed.
pub(crate) struct Followed {
    from: FolderKeys,
    known: Known,
}

impl FolderKeys {
    pub(crate) fn new(state: &Path, custody: Custody, random: Random, clock: Clock) -> Self {
        Self { folder: KeyFolder::new(state), custody, random, clock }
    }

    /// Reads the rings, or makes them where there are none yet. Where something was sealed under them (`are_needed`), others are
    /// of no use.
    pub(crate) async fn open(self, are_needed: bool) -> anyhow::Result<(Arc<Keys>, Followed)> {
        let path = self.folder.path().display().to_string();
        let _held = self.hold().await?;
        let known = match self.read().await.context(path.clone())? {
            Some(known) if self.custody.keeps(&known.stored) => known,
            Some(known) => {
                tracing::info!("{path} is encrypted from now on");
                self.write(known.document).await?
            }
            None if are_needed => bail!(
                "{path} is missing, and the database holds accounts that only its keys can open: restore it from a backup, or begin with an empty database"
            ),
            None => self.write(KeyDocument::generate(&self.random)?).await?,
        };
        let keys = Arc::new(Keys::of(&known.document).context(path)?);
        Ok((keys, Followed { from: self, known }))
    }

    /// Asks for new keys, which the process that serves then moves to. Says in words what has become of it.
    pub(crate) async fn rotate(&self) -> anyhow::Result<&'static str> {
        let _held = self.hold().await?;
        let Some(Known { mut document, .. }) = self.read().await? else {
            bail!("{} is not there: `portcullis serve` makes it", self.folder.path().display());
        };
        if document.is_announcing() {
            return Ok("new keys are there already; `portcullis serve` moves to them once it has read them");
        }
        let now = self.clock.now();
        document.turn(Some(&now.0.to_string()), Standing::default(), now, &self.random)?;
        self.write(document).await?;
        Ok(
            "new keys are there; `portcullis serve` moves to them within seconds and keeps the old ones for what was made with them",
        )
    }

    async fn read(&self) -> anyhow::Result<Option<Known>> {
        let Some(stored) = self.folder.read()? else { return Ok(None) };
        let text = self.custody.open(&stored).await?;
        Ok(Some(Known { stored, document: KeyDocument::read(&text)? }))
    }

    /// To be called with the lock.
    async fn write(&self, document: KeyDocument) -> anyhow::Result<Known> {
        let stored = self.custody.close(&document.text()?).await?;
        self.folder.write(&stored)?;
        Ok(Known { stored, document })
    }

    /// The lock is the operating system's, and may be another process's for as long as a transit service takes.
    async fn hold(&self) -> anyhow::Result<Held> {
        let folder = self.folder.clone();
        Ok(tokio::task::spawn_blocking(move || folder.hold()).await??)
    }
}

impl Followed {
    /// Follows the file, and takes the steps of a rotation as they fall due, until dropped.
    pub(crate) async fn follow(mut self, keys: Arc<Keys>, resealing: Resealing, events: EventSink) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = String::new();
        loop {
            tick.tick().await;
            let problem = match self.look(&keys, &resealing, &events).await {
                Ok(()) => String::new(),
                Err(error) => format!("{error:#}"),
            };
            if !problem.is_empty() {
                if problem != told {
                    tracing::error!("the key rings cannot be followed, and those in memory stay: {problem}");
                }
                tokio::time::sleep(PAUSE).await;
            }
            told = problem;
        }
    }

    async fn look(&mut self, keys: &Keys, resealing: &Resealing, events: &EventSink) -> anyhow::Result<()> {
        let Some(stored) = self.from.folder.read()? else {
            bail!("{} is gone: put it back", self.from.folder.path().display());
        };
        if *stored != *self.known.stored {
            let Some(known) = self.from.read().await? else { return Ok(()) };
            keys.turn_to(&Keys::of(&known.document)?);
            self.known = known;
            tell_turned(events, &self.from.clock);
        }
        let standing = Standing {
            everywhere: true,
            resealed: resealing.under() == keys.sealing.current(),
            // One machine publishes nothing.
            republished: true,
        };
        let mut document = self.known.document.clone();
        let Some(turn) = document.turn(None, standing, self.from.clock.now(), &self.from.random)? else {
            return Ok(());
        };
        let _held = self.from.hold().await?;
        // Whoever was faster is read first.
        if self.from.folder.read()?.is_some_and(|stored| *stored == *self.known.stored) {
            tracing::info!("the key rings: {turn}");
            let known = self.from.write(document).await?;
            keys.turn_to(&Keys::of(&known.document)?);
            self.known = known;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use portcullis_ambient::Instant;
    use portcullis_keys::Purpose;

    use super::*;

    const START: Instant = Instant(1_800_000_000_000);

    struct World {
        state: tempfile::TempDir,
        clock: Clock,
        resealing: Resealing,
    }

    impl World {
        fn new() -> Self {
            let state = tempfile::tempdir().unwrap();
            Self { state, clock: Clock::manual(START), resealing: Resealing::default() }
        }

        fn folder(&self) -> FolderKeys {
            FolderKeys::new(self.state.path(), Custody::plain(), Random::system(), self.clock.clone())
        }

        async fn look(&self, followed: &mut Followed, keys: &Keys) {
            followed.look(keys, &self.resealing, &EventSink::new().0).await.unwrap();
        }

        fn path(&self) -> std::path::PathBuf {
            self.state.path().join("keys.json")
        }
    }

    fn published(keys: &Keys) -> usize {
        keys.signing.jwks()["keys"].as_array().unwrap().len()
    }

    #[tokio::test]
    async fn given_rings_that_serve_when_somebody_rotates_then_they_move_step_by_step_and_old_work_opens_to_the_end()
     {
        let world = World::new();
        let (keys, mut followed) = world.folder().open(false).await.unwrap();
        let first = keys.sealing.current();
        let sealed = keys.sealing.seal(&Random::system(), Purpose::McpSession, &[], b"x").unwrap();
        world.folder().rotate().await.unwrap();
        assert!(world.folder().rotate().await.unwrap().contains("already"), "one rotation at a time");
        world.look(&mut followed, &keys).await;
        assert_ne!(keys.sealing.current(), first, "one replica: once it has them, everybody has");
        assert_eq!(published(&keys), 2);
        world.look(&mut followed, &keys).await;
        world.clock.advance(Duration::from_secs(25 * 3600));
        world.look(&mut followed, &keys).await;
        assert_eq!(published(&keys), 1);
        assert!(keys.sealing.open(Purpose::McpSession, &[], &sealed).is_ok());
        world.clock.advance(Duration::from_secs(31 * 24 * 3600));
        world.look(&mut followed, &keys).await;
        assert!(
            keys.sealing.open(Purpose::McpSession, &[], &sealed).is_ok(),
            "the store was not sealed anew"
        );
        world.resealing.finished(&keys.sealing.current());
        world.look(&mut followed, &keys).await;
        assert!(keys.sealing.open(Purpose::McpSession, &[], &sealed).is_err());
        // What the file says is what is in memory.
        let (again, _) = world.folder().open(true).await.unwrap();
        assert_eq!(again.fingerprint(), keys.fingerprint());
    }

    #[tokio::test]
    async fn given_a_file_that_goes_bad_while_it_is_followed_then_the_rings_in_memory_stay_and_the_file_is_not_touched()
     {
        let world = World::new();
        let (keys, mut followed) = world.folder().open(false).await.unwrap();
        let (before, good) = (keys.fingerprint(), std::fs::read(world.path()).unwrap());
        for bad in [&b"{}"[..], b""] {
            std::fs::write(world.path(), bad).unwrap();
            assert!(followed.look(&keys, &world.resealing, &EventSink::new().0).await.is_err());
            assert_eq!(std::fs::read(world.path()).unwrap(), bad);
        }
        std::fs::remove_file(world.path()).unwrap();
        let error =
            followed.look(&keys, &world.resealing, &EventSink::new().0).await.unwrap_err().to_string();
        assert!(error.contains("put it back"), "{error}");
        assert_eq!(keys.fingerprint(), before);
        KeyFolder::new(world.state.path()).write(&good).unwrap();
        world.look(&mut followed, &keys).await;
        assert_eq!(keys.fingerprint(), before);
    }

    #[tokio::test]
    async fn given_no_file_when_something_was_sealed_under_it_then_no_other_is_made() {
        let world = World::new();
        let error = world.folder().open(true).await.err().unwrap().to_string();
        assert!(error.contains("restore it from a backup"), "{error}");
        assert!(!world.path().exists());
        assert!(world.folder().rotate().await.is_err());
        world.folder().open(false).await.unwrap();
        world.folder().open(true).await.unwrap();
    }
}
