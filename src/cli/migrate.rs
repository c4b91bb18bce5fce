//! `rollbook migrate`: migrates the database's schema and prints the versions.

use clap::Args;

use crate::cli::{CliError, open_store};
use crate::config::DatabaseArgs;
use crate::store::{SchemaState, Store};

/// The arguments of `rollbook migrate`.
#[derive(Debug, Args)]
pub struct Migrate {
    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Also create or replace the SQL views for BI tools, see docs/bi.md
    #[arg(long)]
    pub views: bool,
}

impl Migrate {
    /// Migrates an older schema, and installs the views if they are requested.
    pub async fn run(self) -> Result<(), CliError> {
        let store = open_store(&self.database).await?;
        let outcome = match store.schema_state().await? {
            SchemaState::Current => {
                println!("The schema is up to date.");
                Ok(())
            }
            SchemaState::Behind { found, needed } => {
                store.migrate().await?;
                println!("Migrated the schema from version {found} to {needed}.");
                Ok(())
            }
            SchemaState::Ahead { found, needed } => Err(CliError::SchemaAhead { found, needed }),
        };
        let outcome = match outcome {
            Ok(()) if self.views => install_views(&store).await,
            outcome => outcome,
        };
        store.close().await;
        outcome
    }
}

/// Installs the views of all organisations.
async fn install_views(store: &Store) -> Result<(), CliError> {
    for set in store.bi_views(None).await? {
        store.install_bi_views(&set).await?;
        match (&set.organisation, &set.schema) {
            (Some(organisation), Some(schema)) => {
                println!("Installed the views of the organisation {organisation} in the schema {schema}.");
            }
            _ => println!("Installed the views, with names that begin with `bi_`."),
        }
    }
    Ok(())
}
