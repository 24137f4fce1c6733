//! The rings turn to what is published, or mounted, while everything goes on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_ambient::Clock;
use portcullis_custody::Custody;
use portcullis_events::EventSink;
use portcullis_keys::Keys;
use tokio::sync::watch;

use super::keys::{Rings, Stored, keep, read};
use crate::reseal::tell_turned;

/// How often a mounted file is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How often a transit service that is away is asked again.
const AGAIN: Duration = Duration::from_secs(5);

/// Works towards the rings that it is offered.
pub(super) struct Turning {
    pub(super) rings: Rings,
    pub(super) custody: Custody,
    /// Where to keep a copy.
    pub(super) kept: Option<PathBuf>,
    pub(super) offered: watch::Receiver<Stored>,
    /// Goes up when the rings have turned.
    pub(super) turned: watch::Sender<u64>,
    pub(super) events: EventSink,
    pub(super) clock: Clock,
}

/// Why rings that were offered are not taken.
enum Useless {
    /// Others will have to be offered.
    ForGood(String),
    /// Who decrypts them is away.
    ForNow(String),
}

impl Turning {
    /// Until nobody offers any more.
    pub(super) async fn run(mut self) {
        let mut told = String::new();
        while self.offered.changed().await.is_ok() {
            loop {
                let stored = self.offered.borrow_and_update().clone();
                let problem = match self.take(&stored).await {
                    Ok(()) => {
                        told.clear();
                        break;
                    }
                    Err(Useless::ForGood(problem)) => {
                        tracing::error!(
                            "the key rings that are offered are of no use; those in memory stay: {problem}"
                        );
                        break;
                    }
                    Err(Useless::ForNow(problem)) => problem,
                };
                if problem != told {
                    tracing::warn!(
                        "the key rings have changed and cannot be opened yet; those in memory stay: {problem}"
                    );
                    told = problem;
                }
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    async fn take(&mut self, stored: &Stored) -> Result<(), Useless> {
        if *stored != self.rings.stored {
            let text = self.custody.open(stored).await.map_err(|error| Useless::ForNow(error.to_string()))?;
            let other = Keys::from_json(&text).map_err(|error| Useless::ForGood(error.to_string()))?;
            self.rings.stored = stored.clone();
            if self.rings.keys.fingerprint() != other.fingerprint() {
                tracing::info!(
                    "the key rings have changed; this replica works with the new ones from now on"
                );
                tell_turned(&self.events, &self.clock);
            }
            self.rings.keys.turn_to(&other);
            self.turned.send_modify(|turns| *turns += 1);
        }
        if let Some(path) = &self.kept {
            keep(path, stored);
        }
        Ok(())
    }
}

/// Offers what a mounted file holds, until nobody wants it.
pub(super) async fn follow_file(path: impl AsRef<Path>, offer: watch::Sender<Stored>) {
    while !offer.is_closed() {
        if let Some(stored) = read(path.as_ref()) {
            offer.send_if_modified(|offered| {
                let other = *offered != stored;
                *offered = stored;
                other
            });
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portcullis_ambient::Random;
    use portcullis_keys::KeyDocument;
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
        let keys = Arc::new(Keys::from_json(&first).unwrap());
        let (offer, offered) = watch::channel(first.clone());
        let (tell_turned, turned) = watch::channel(0);
        let turning = Turning {
            rings: Rings { keys: Arc::clone(&keys), stored: first },
            custody: Custody::plain(),
            kept: None,
            offered,
            turned: tell_turned,
            events: EventSink::new().0,
            clock: Clock::system(),
        };
        tokio::spawn(turning.run());
        tokio::spawn(follow_file(path.clone(), offer));
        tokio::time::sleep(LOOK * 3).await;
        assert_eq!(*turned.borrow(), 0, "nothing has changed");
        std::fs::write(&path, &*second).unwrap();
        tokio::time::sleep(LOOK * 3).await;
        assert_eq!((keys.fingerprint().as_str(), *turned.borrow()), (expected.as_str(), 1));
        for useless in ["", "{}", "half of"] {
            std::fs::write(&path, useless).unwrap();
            tokio::time::sleep(LOOK * 3).await;
            assert_eq!(keys.fingerprint().as_str(), expected);
        }
        std::fs::remove_file(&path).unwrap();
        tokio::time::sleep(LOOK * 3).await;
        assert_eq!((keys.fingerprint().as_str(), *turned.borrow()), (expected.as_str(), 1));
    }
}
