//! The binary: reads the command, starts the log and the runtime, and calls the library.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use rollbook::cli::{Cli, CliError, logging};
use rollbook::config::{ConfigError, check_environment};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            // As clap does for wrong flags: 2 for what the user has to set right, 1 for everything else.
            ExitCode::from(if matches!(error, CliError::Config(_)) {
                2
            } else {
                1
            })
        }
    }
}

fn run() -> Result<(), CliError> {
    // Help and version come first: they must work in any environment.
    let cli = Cli::parse();
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    check_environment(names, &Cli::command()).map_err(ConfigError::from)?;
    logging::start(&cli.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(cli.run())
}
