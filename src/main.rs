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
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
    let foreign = check_environment(variables, &Cli::command()).map_err(ConfigError::from)?;
    logging::start(&cli.log)?;
    for variable in foreign {
        tracing::warn!(
            variable,
            "the variable is not a setting of Rollbook, and has no effect"
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(cli.run())
}
