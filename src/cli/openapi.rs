//! `rollbook openapi`: the description of the API, as committed under `openapi/`.

use std::io;
use std::path::PathBuf;

use clap::Args;

use crate::cli::{CliError, print_or_check};
use crate::http::openapi::document_text;

/// The arguments of `rollbook openapi`.
#[derive(Debug, Args)]
pub struct Openapi {
    /// Compare with this file instead of printing; fails where they differ
    #[arg(long, value_name = "FILE")]
    pub check: Option<PathBuf>,
}

impl Openapi {
    /// Prints or compares.
    pub fn run(self) -> Result<(), CliError> {
        let text = document_text().map_err(io::Error::from)?;
        print_or_check(&text, self.check, "openapi")
    }
}
