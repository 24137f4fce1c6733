//! Which database, and where its address is followed.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use portcullis_store::{Store, StoreError};

/// A database that is away when a replica starts is asked again after this time.
const RETRY_DELAY: Duration = Duration::from_secs(2);
/// How often a file with an address is looked at. A mounted Secret arrives within a minute or so in any case.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The database: left out, a SQLite file in the state folder.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct DatabaseArgs {
    /// postgres://USER:PASSWORD@HOST/NAME for many replicas, or sqlite://PATH. Rather in the environment, where other processes do
    /// not see it.
    #[arg(long, value_name = "URL", env = "PORTCULLIS_DATABASE", hide_env_values = true)]
    database: Option<String>,
    /// A file with that URL, a mounted Secret say. It is followed: another password or host is used for connections that are opened
    /// from then on, without a restart.
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_DATABASE_FILE", conflicts_with = "database")]
    database_file: Option<PathBuf>,
}

impl DatabaseArgs {
    pub(super) async fn open(&self, state: &Path) -> anyhow::Result<Store> {
        Ok(match self.url()? {
            Some(url) => Store::open(&url).await?,
            None => Store::open_sqlite(&state.join("portcullis.sqlite")).await?,
        })
    }

    /// In a cluster a database may come after those who use it.
    pub(super) async fn open_with_retry(&self, state: &Path) -> anyhow::Result<Store> {
        let mut told = None;
        loop {
            let problem = match self.open(state).await {
                Ok(store) => return Ok(store),
                Err(error) if is_unavailable(&error) => error.to_string(),
                Err(error) => return Err(error),
            };
            if told.as_ref() != Some(&problem) {
                tracing::warn!("waiting for the database: {problem}");
                told = Some(problem);
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    /// Tells the store where the file says that the database is. What cannot be read or used changes nothing.
    pub(super) async fn follow(self, store: Store) -> Infallible {
        let Some(path) = self.database_file else { return std::future::pending().await };
        let mut known = read(&path).ok();
        let mut told = None;
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            let moved = match read(&path) {
                Ok(url) if known.as_ref() == Some(&url) => continue,
                Ok(url) => store.set_url(&url).map_err(anyhow::Error::from).map(|()| url),
                Err(error) => Err(error),
            };
            match moved {
                Ok(url) => {
                    tracing::info!("new connections to the database go where {} says now", path.display());
                    (known, told) = (Some(url), None);
                }
                Err(error) => {
                    let problem = format!("{} changed, and is not used: {error}", path.display());
                    if told.as_ref() != Some(&problem) {
                        tracing::warn!("{problem}");
                        told = Some(problem);
                    }
                }
            }
        }
    }

    fn url(&self) -> anyhow::Result<Option<String>> {
        match &self.database_file {
            Some(path) => read(path).map(Some),
            None => Ok(self.database.clone()),
        }
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the database's URL from {}", path.display()))?;
    Ok(text.trim().to_owned())
}

fn is_unavailable(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(StoreError::Database(_) | StoreError::Timeout { .. }))
}
