//! `rollbook rebuild`: replays the projection from the records (contract sections 1 and 11).

use std::time::Instant;

use clap::Args;

use crate::base::ids::OrgId;
use crate::cli::{CliError, open_ready};
use crate::config::DatabaseArgs;
use crate::store::Store;

/// The arguments of `rollbook rebuild`.
#[derive(Debug, Args)]
pub struct Rebuild {
    /// The organisation; all of them unless given
    #[arg(long, value_name = "ID")]
    pub organisation: Option<OrgId>,

    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

impl Rebuild {
    /// Replays and says how much there was. Servers may run: readers see the old log until the new one is
    /// there, and writers wait.
    pub async fn run(self) -> Result<(), CliError> {
        let store = open_ready(&self.database).await?;
        let outcome = self.replay(&store).await;
        store.close().await;
        outcome
    }

    async fn replay(&self, store: &Store) -> Result<(), CliError> {
        let all = store.organisations().await?;
        let chosen = match &self.organisation {
            Some(organisation) if !all.contains(organisation) => {
                return Err(CliError::Refused(format!(
                    "there is no organisation `{organisation}`"
                )));
            }
            Some(organisation) => vec![organisation.clone()],
            None => all,
        };
        for organisation in &chosen {
            let began = Instant::now();
            let records = store.rebuild(organisation).await?;
            println!(
                "{organisation}: {records} records replayed in {:.1} s",
                began.elapsed().as_secs_f64()
            );
        }
        if chosen.is_empty() {
            println!("There is no organisation yet.");
        }
        Ok(())
    }
}
