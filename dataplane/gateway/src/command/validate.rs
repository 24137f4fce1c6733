use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use portcullis_policy::RouteTable;

use crate::config_source::read_folder;

/// Says what is wrong with a folder of manifests: one line for each, exit code 1 when it would not be served.
#[derive(Args)]
pub(crate) struct Validate {
    /// The folder.
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
            println!("{errors} errors, {warnings} warnings: this folder would not be served");
            return Ok(ExitCode::FAILURE);
        };
        // The compiler makes nothing that cannot be built; should it ever, this is the place to hear of it.
        RouteTable::build(&config, 0)?;
        println!(
            "sound: {} virtual MCPs, {} origins, {} teams, {warnings} warnings",
            config.routes.len(),
            config.origins.len(),
            config.teams.len(),
        );
        Ok(ExitCode::SUCCESS)
    }
}
