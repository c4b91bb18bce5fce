//! `rollbook migrate`: migrates the database's schema and prints the versions.

use clap::Args;

use crate::cli::{CliError, open_store};
use crate::config::DatabaseArgs;
use crate::store::SchemaState;

/// The arguments of `rollbook migrate`.
#[derive(Debug, Args)]
pub struct Migrate {
    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

impl Migrate {
    /// Migrates an older schema.
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
        store.close().await;
        outcome
    }
}
