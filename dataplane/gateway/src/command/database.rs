//! Database arguments: opens the database that they name, and follows changes of a database URL that is kept
//! in a file.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use portcullis_egress::error_chain;
use portcullis_logging::LoggedState;
use portcullis_store::{Store, StoreError};

/// Delay between connection attempts while the database is unavailable at startup.
const RETRY_DELAY: Duration = Duration::from_secs(2);
/// How often the file with the URL is read. The kubelet updates a mounted Secret within about a minute
/// anyway.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The database. Default: a SQLite file in the state folder.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct DatabaseArgs {
    /// Database URL: postgres://USER:PASSWORD@HOST/NAME for several replicas, or sqlite://PATH. Prefer the
    /// environment variable: other processes cannot read it.
    #[arg(long, value_name = "URL", env = "PORTCULLIS_DATABASE", hide_env_values = true)]
    database: Option<String>,
    /// File that contains the database URL, for example a mounted Secret. The file is followed: new
    /// connections use a changed password or host without a restart.
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

    /// Retries while the database is unavailable: in a cluster it may start after the replicas.
    pub(super) async fn open_with_retry(&self, state: &Path) -> anyhow::Result<Store> {
        let mut logged = LoggedState::default();
        loop {
            let problem = match self.open(state).await {
                Ok(store) => return Ok(store),
                Err(error) if is_unavailable(&error) => error.to_string(),
                Err(error) => return Err(error),
            };
            if logged.changes_to(Some(problem.clone())) {
                tracing::warn!(error = %problem, "database unavailable, retrying");
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    /// Passes a changed URL in the file to the store. An unreadable file or an invalid URL is logged and
    /// ignored.
    pub(super) async fn follow(self, store: Store) -> Infallible {
        let Some(path) = self.database_file else { return std::future::pending().await };
        let mut known = read(&path).ok();
        let mut logged = LoggedState::default();
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            let moved = match read(&path) {
                Ok(url) if known.as_ref() == Some(&url) => continue,
                Ok(url) => store.set_url(&url).map_err(anyhow::Error::from).map(|()| url),
                Err(error) => Err(error),
            };
            match moved {
                Ok(url) => {
                    tracing::info!(file = %path.display(), "new connections to the database use the changed URL");
                    (known, logged) = (Some(url), LoggedState::default());
                }
                Err(error) => {
                    let problem = error_chain(&*error);
                    if logged.changes_to(Some(problem.clone())) {
                        tracing::warn!(
                            file = %path.display(),
                            error = %problem,
                            "ignored the changed database URL; the previous one stays in use"
                        );
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
        .with_context(|| format!("failed to read the database URL from {}", path.display()))?;
    Ok(text.trim().to_owned())
}

fn is_unavailable(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(StoreError::Database(_) | StoreError::Timeout { .. }))
}
