//! `rollbook openapi`: the description of the API, as committed under `openapi/`.

use std::io;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::{CliError, print_or_check};
use crate::http::openapi::{document_text, document_text_3_0};

/// The arguments of `rollbook openapi`.
#[derive(Debug, Args)]
// `--version` names the version of OpenAPI here, not that of the program.
#[command(disable_version_flag = true)]
pub struct Openapi {
    /// Compare with this file instead of printing; fails where they differ
    #[arg(long, value_name = "FILE")]
    pub check: Option<PathBuf>,
    /// The version of OpenAPI; 3.0 is for generators that do not read 3.1
    #[arg(long = "version", value_name = "VERSION", default_value = "3.1")]
    pub version: Edition,
}

/// A version of OpenAPI, as it is named on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Edition {
    /// 3.1
    #[value(name = "3.1")]
    V31,
    /// 3.0.3
    #[value(name = "3.0", alias = "3.0.3")]
    V30,
}

impl Openapi {
    /// Prints or compares.
    pub fn run(self) -> Result<(), CliError> {
        let text = match self.version {
            Edition::V31 => document_text(""),
            Edition::V30 => document_text_3_0(""),
        };
        let text = text.map_err(io::Error::from)?;
        print_or_check(&text, self.check, "openapi")
    }
}
