//! `rollbook migrate`: brings the database's schema up, and says what it was.

use clap::Args;

use crate::cli::{CliError, open};
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
    /// Migrates where the schema is behind.
    pub async fn run(self) -> Result<(), CliError> {
        let store = open(&self.database).await?;
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
