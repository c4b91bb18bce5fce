//! `rollbook migrate`: migrates the database's schema and prints the versions.

use clap::Args;

use crate::base::ids::OrgId;
use crate::cli::distributed::open_coordinator;
use crate::cli::{CliError, open_store, views};
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
    /// Also distribute the tables over the nodes of a cluster with Citus, see docs/operations.md
    #[arg(long)]
    pub distributed: bool,
    /// Only the views of this organisation, on PostgreSQL. All organisations are the default
    #[arg(long = "org", value_name = "ID", requires = "views")]
    pub organisation: Option<OrgId>,
    /// Also let this role of PostgreSQL read the views of the organisation
    #[arg(long, value_name = "NAME", requires = "organisation")]
    pub role: Option<String>,
}

impl Migrate {
    /// Migrates an older schema, and installs the views if they are requested.
    pub async fn run(self) -> Result<(), CliError> {
        let store = match self.distributed {
            true => open_coordinator(&self.database).await?,
            false => open_store(&self.database).await?,
        };
        if self.distributed {
            // Before the tables are created, which must not be on a worker.
            store.check_cluster().await?;
        }
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
            Ok(()) if self.distributed => distribute(&store).await,
            outcome => outcome,
        };
        let outcome = match outcome {
            Ok(()) if self.views => {
                views::install(&store, self.organisation.as_ref(), self.role.as_deref()).await
            }
            outcome => outcome,
        };
        store.close().await;
        outcome
    }
}

/// Distributes the tables that are not distributed yet.
async fn distribute(store: &Store) -> Result<(), CliError> {
    match store.distribute().await? {
        0 => println!("All tables are distributed."),
        tables => println!("Distributed {tables} tables over the nodes of the cluster."),
    }
    Ok(())
}
