//! `portcullis keys`: generates, decrypts and rotates the gateway's key rings.

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

/// The gateway's own keys. They sign access tokens, seal sessions and stored credentials, and authenticate
/// the published config.
#[derive(Subcommand)]
pub(crate) enum Keys {
    /// Print a new keys.json with one key in each ring.
    Generate {
        #[command(flatten)]
        encryption: KeyEncryptionArgs,
    },
    /// Decrypt a keys.json that a transit service encrypted, and print it. Keep the output secret: it can
    /// open every stored credential.
    Decrypt {
        /// The encrypted keys.json.
        file: PathBuf,
        #[command(flatten)]
        encryption: KeyEncryptionArgs,
    },
    /// Start a key rotation in a state folder. `portcullis serve` may be running. In a cluster, annotate the
    /// McpGateway with portcullis.dev/rotate-keys instead.
    Rotate(Rotate),
}

/// Arguments of `portcullis keys rotate`.
#[derive(Args)]
pub(crate) struct Rotate {
    /// State folder of `portcullis serve`.
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
                let stored = key_encryption(&encryption)?.encrypt(&document.text()?).await?;
                out.write_all(&stored)?;
            }
            Self::Decrypt { file, encryption } => {
                let stored =
                    std::fs::read(&file).with_context(|| format!("failed to read {}", file.display()))?;
                let text = key_encryption(&encryption)?.accepting_unencrypted().decrypt(&stored).await?;
                // Rejects content that is not a key file.
                KeyDocument::read(&text)?;
                out.write_all(&text)?;
            }
            Self::Rotate(Rotate { state, encryption }) => {
                create_private_dir(&state)?;
                let (random, clock) = (Random::system(), Clock::system());
                let folder = FolderKeys::new(&state, key_encryption(&encryption)?, random, clock);
                out.write_all(folder.rotate().await?.as_bytes())?;
            }
        }
        Ok(writeln!(out)?)
    }
}

fn key_encryption(encryption: &KeyEncryptionArgs) -> anyhow::Result<KeyEncryption> {
    let egress = Egress::through(Proxies::from_environment(|name| std::env::var(name).ok())?);
    Ok(KeyEncryption::new(encryption, &HttpClients::through(egress))?)
}
