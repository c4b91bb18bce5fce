//! `rollbook export`: writes a whole organisation to a folder.

use std::path::PathBuf;

use clap::Args;

use crate::archive;
use crate::base::ids::OrgId;
use crate::cli::{CliError, open_existing_store};
use crate::config::DatabaseArgs;

/// The arguments of `rollbook export`.
#[derive(Debug, Args)]
pub struct Export {
    /// The organisation
    #[arg(long, visible_alias = "organisation", value_name = "ID")]
    pub org: OrgId,

    /// The folder for the archive: a new or an empty one, or one with an interrupted export
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,

    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

impl Export {
    /// Writes the archive and prints the number of rows of each table. Servers may run meanwhile.
    pub async fn run(self) -> Result<(), CliError> {
        let store = open_existing_store(&self.database).await?;
        let outcome = archive::export(&store, &self.org, &self.folder).await;
        store.close().await;
        print_report(&outcome?);
        Ok(())
    }
}

/// Prints the number of rows of each table.
pub(crate) fn print_report(report: &archive::Report) {
    if report.resumed_parts > 0 {
        println!(
            "{} finished parts of an earlier run were used",
            report.resumed_parts
        );
    }
    for (table, rows) in &report.tables {
        println!("{table}\t{rows}");
    }
    let rows: u64 = report.tables.iter().map(|(_, rows)| rows).sum();
    println!(
        "{}: {rows} rows in {} tables",
        report.organisation,
        report.tables.len()
    );
}
