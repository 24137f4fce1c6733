//! `portcullis validate`: checks a folder of manifests without serving it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use portcullis_policy::RouteTable;

use crate::config_source::read_folder;

/// Check a folder of manifests. Prints one line per error or warning; the exit code is 1 if `portcullis
/// serve` would reject the folder.
#[derive(Args)]
pub(crate) struct Validate {
    /// Folder of manifests.
    folder: PathBuf,
}

impl Validate {
    #[allow(clippy::print_stdout, reason = "the command's output")]
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let read = read_folder(&self.folder)?;
        for diagnostic in &read.diagnostics {
            println!("{diagnostic}");
        }
        let errors = read.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
        let warnings = read.diagnostics.len() - errors;
        let Some(config) = read.config.filter(|_| errors == 0) else {
            println!(
                "invalid: {errors} errors, {warnings} warnings; fix the errors before serving this folder"
            );
            return Ok(ExitCode::FAILURE);
        };
        // The compiler should never produce config that cannot be built. If it does, report it here.
        RouteTable::build(&config, 0)?;
        println!(
            "valid: {} virtual MCPs, {} origins, {} teams, {warnings} warnings",
            config.routes.len(),
            config.origins.len(),
            config.teams.len(),
        );
        Ok(ExitCode::SUCCESS)
    }
}
