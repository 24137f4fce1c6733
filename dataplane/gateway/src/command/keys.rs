use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use portcullis_clock::{Clock, Random};
use portcullis_egress::{Egress, HttpClients, Proxies};
use portcullis_key_encryption::{KeyEncryption, KeyEncryptionArgs};
use portcullis_keyring::KeyDocument;

use super::startup::create_private_dir;
use crate::config_source::FolderKeys;

/// The gateway's own keys: they sign access tokens, seal sessions and stored credentials, and vouch for what is published.
#[derive(Subcommand)]
pub(crate) enum Keys {
    /// Print a new keys.json, with a key in each ring.
    Generate {
        #[command(flatten)]
        encryption: KeyEncryptionArgs,
    },
    /// Print a keys.json that a transit service encrypted, decrypted. Whoever sees it can open every stored credential.
    Decrypt {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        encryption: KeyEncryptionArgs,
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
    encryption: KeyEncryptionArgs,
}

impl Keys {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(self.execute())?;
        Ok(ExitCode::SUCCESS)
    }

    async fn execute(self) -> anyhow::Result<()> {
        let mut out = std::io::stdout();
        match self {
            Self::Generate { encryption } => {
                let document = KeyDocument::generate(&Random::system())?;
                let stored = custody(&encryption)?.encrypt(&document.text()?).await?;
                out.write_all(&stored)?;
            }
            Self::Decrypt { file, encryption } => {
                let stored = std::fs::read(&file).with_context(|| file.display().to_string())?;
                let text = custody(&encryption)?.decrypt(&stored).await?;
                // What is no key file is not printed as one.
                KeyDocument::read(&text)?;
                out.write_all(&text)?;
            }
            Self::Rotate(Rotate { state, encryption }) => {
                create_private_dir(&state)?;
                let (random, clock) = (Random::system(), Clock::system());
                let folder = FolderKeys::new(&state, custody(&encryption)?, random, clock);
                out.write_all(folder.rotate().await?.as_bytes())?;
            }
        }
        Ok(writeln!(out)?)
    }
}

fn custody(encryption: &KeyEncryptionArgs) -> anyhow::Result<KeyEncryption> {
    let egress = Egress::through(Proxies::from_environment(|name| std::env::var(name).ok())?);
    Ok(KeyEncryption::new(encryption, &HttpClients::through(egress))?)
}
