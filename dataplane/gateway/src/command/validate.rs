use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use portcullis_policy::RouteTable;

use crate::snapshot::read_folder;

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
        for diagnosis in &read.diagnoses {
            println!("{diagnosis}");
        }
        let errors = read.diagnoses.iter().filter(|diagnosis| diagnosis.is_error()).count();
        let warnings = read.diagnoses.len() - errors;
        let Some(contract) = read.contract.filter(|_| errors == 0) else {
            println!("{errors} errors, {warnings} warnings: this folder would not be served");
            return Ok(ExitCode::FAILURE);
        };
        // The compiler makes nothing that cannot be built; should it ever, this is the place to hear of it.
        RouteTable::build(&contract, 0)?;
        println!(
            "sound: {} virtual MCPs, {} origins, {} teams, {warnings} warnings",
            contract.routes.len(),
            contract.origins.len(),
            contract.teams.len(),
        );
        Ok(ExitCode::SUCCESS)
    }
}
