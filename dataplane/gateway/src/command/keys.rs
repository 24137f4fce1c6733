use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use portcullis_ambient::{Clock, Random};
use portcullis_custody::{Custody, KeysEncryption};
use portcullis_keys::KeyDocument;
use portcullis_outbound::{Clients, Egress, Proxies};

use super::open::private_folder;
use crate::snapshot::FolderKeys;

/// The gateway's own keys: they sign access tokens, seal sessions and stored credentials, and vouch for what is published.
#[derive(Subcommand)]
pub(crate) enum Keys {
    /// Print a new keys.json, with a key in each ring.
    Generate {
        #[command(flatten)]
        encryption: KeysEncryption,
    },
    /// Print a keys.json that a transit service encrypted, decrypted. Whoever sees it can open every stored credential.
    Decrypt {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        encryption: KeysEncryption,
    },
    /// Put new keys into a state folder, also while `portcullis serve` works with it. In a cluster, annotate the McpGateway with
    /// portcullis.dev/rotate-keys instead.
    Rotate(Rotate),
}

/// What `rotate` takes.
#[derive(Args)]
pub(crate) struct Rotate {
    /// The folder that `portcullis serve` was given.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    #[command(flatten)]
    encryption: KeysEncryption,
}

impl Keys {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(self.done())?;
        Ok(ExitCode::SUCCESS)
    }

    async fn done(self) -> anyhow::Result<()> {
        let mut out = std::io::stdout();
        match self {
            Self::Generate { encryption } => {
                let document = KeyDocument::generate(&Random::system())?;
                let stored = custody(&encryption)?.close(&document.text()?).await?;
                out.write_all(&stored)?;
            }
            Self::Decrypt { file, encryption } => {
                let stored = std::fs::read(&file).with_context(|| file.display().to_string())?;
                let text = custody(&encryption)?.open(&stored).await?;
                // What is no key file is not printed as one.
                KeyDocument::read(&text)?;
                out.write_all(&text)?;
            }
            Self::Rotate(Rotate { state, encryption }) => {
                private_folder(&state)?;
                let (random, clock) = (Random::system(), Clock::system());
                let folder = FolderKeys::new(&state, custody(&encryption)?, random, clock);
                out.write_all(folder.rotate().await?.as_bytes())?;
            }
        }
        Ok(writeln!(out)?)
    }
}

fn custody(encryption: &KeysEncryption) -> anyhow::Result<Custody> {
    let egress = Egress::through(Proxies::from_environment(|name| std::env::var(name).ok())?);
    Ok(Custody::new(encryption, &Clients::through(egress))?)
}
