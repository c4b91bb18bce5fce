//! `rollbook import`: inserts the organisation of an archive, or imports a file of activities.

mod rows;

use std::path::PathBuf;

use clap::Args;

use crate::archive::{self, ImportOptions};
use crate::cli::export::print_report;
use crate::cli::{CliError, open_migrated_store};
use crate::config::{DatabaseArgs, ImportArgs};
use crate::imports::ImportLimits;

/// The arguments of `rollbook import`.
#[derive(Debug, Args)]
pub struct Import {
    /// The folder of an archive that `rollbook export` wrote, or a file of activities (CSV, NDJSON, also gzip); `-` reads
    /// the file from standard input
    #[arg(value_name = "PATH")]
    pub path: PathBuf,

    /// What a file of activities is.
    #[command(flatten)]
    pub rows: rows::RowArgs,

    /// Discard what an interrupted import of the organisation has stored, and begin again
    #[arg(long)]
    pub restart: bool,

    /// The limits on a file of activities.
    #[command(flatten)]
    pub limits: ImportArgs,

    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

impl Import {
    /// Inserts an organisation and prints the number of rows of each table, or imports the rows of a file. Servers may run
    /// meanwhile.
    pub async fn run(self) -> Result<(), CliError> {
        if !archive::is_archive(&self.path) {
            if self.path.is_dir() {
                return Err(CliError::Refused(format!(
                    "{} is not the folder of an archive: it has no manifest.json",
                    self.path.display()
                )));
            }
            let limits = self.limits.limits(ImportLimits::default().json_depth);
            return rows::import_file(&self.path, &self.rows, limits, &self.database).await;
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
