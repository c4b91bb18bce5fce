//! `rollbook settings-reference`: `docs/settings.md`, from the settings themselves.

use std::path::PathBuf;

use clap::{Args, CommandFactory};

use crate::cli::{Cli, CliError, print_or_check};
use crate::config::reference;

/// The arguments of `rollbook settings-reference`.
#[derive(Debug, Args)]
pub struct SettingsReference {
    /// Compare with this file instead of printing; fails where they differ
    #[arg(long, value_name = "FILE")]
    pub check: Option<PathBuf>,
}

impl SettingsReference {
    /// Prints or compares.
    pub fn run(self) -> Result<(), CliError> {
        print_or_check(&reference(&Cli::command()), self.check, "settings-reference")
    }
}
