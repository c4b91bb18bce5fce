//! `rollbook import`: inserts the organisation of an archive.

use std::path::PathBuf;

use clap::Args;

use crate::archive::{self, ImportOptions};
use crate::cli::export::print_report;
use crate::cli::{CliError, open_migrated_store};
use crate::config::DatabaseArgs;

/// The arguments of `rollbook import`.
#[derive(Debug, Args)]
pub struct Import {
    /// The folder of an archive that `rollbook export` wrote
    #[arg(value_name = "PATH")]
    pub path: PathBuf,

    /// Discard what an interrupted import of the organisation has stored, and begin again
    #[arg(long)]
    pub restart: bool,

    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

impl Import {
    /// Inserts the organisation and prints the number of rows of each table. Servers may run meanwhile.
    pub async fn run(self) -> Result<(), CliError> {
        if !archive::is_archive(&self.path) {
            return Err(CliError::Refused(format!(
                "{} is not the folder of an archive: it has no manifest.json",
                self.path.display()
            )));
        }
        let store = open_migrated_store(&self.database).await?;
        let options = ImportOptions {
            restart: self.restart,
        };
        let outcome = archive::import(&store, &self.path, options).await;
        store.close().await;
        print_report(&outcome?);
        Ok(())
    }
}
