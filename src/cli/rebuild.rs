//! `rollbook rebuild`: rebuilds the log from the records.

use std::time::Instant;

use clap::Args;

use crate::base::ids::OrgId;
use crate::cli::{CliError, open_existing_store};
use crate::config::DatabaseArgs;
use crate::store::Store;

/// The arguments of `rollbook rebuild`.
#[derive(Debug, Args)]
pub struct Rebuild {
    /// The organisation; all organisations by default
    #[arg(long, value_name = "ID")]
    pub organisation: Option<OrgId>,

    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

impl Rebuild {
    /// Rebuilds the log of each organisation and prints the number of records. Servers may run meanwhile.
    pub async fn run(self) -> Result<(), CliError> {
        let store = open_existing_store(&self.database).await?;
        let outcome = self.replay(&store).await;
        store.close().await;
        outcome
    }

    async fn replay(&self, store: &Store) -> Result<(), CliError> {
        let all = store.organisations().await?;
        let chosen = match &self.organisation {
            Some(organisation) if !all.contains(organisation) => {
                return Err(CliError::Refused(format!(
                    "the organisation `{organisation}` does not exist"
                )));
            }
            Some(organisation) => vec![organisation.clone()],
            None => all,
        };
        let mut skipped = Vec::new();
        for organisation in &chosen {
            let begin = Instant::now();
            match store.rebuild(organisation).await {
                Ok(records) => println!(
                    "{organisation}: {records} records replayed in {:.1} s",
                    begin.elapsed().as_secs_f64()
                ),
                // The other organisations do not depend on this one.
                Err(error) if error.is_passing() => {
                    eprintln!("{organisation}: skipped: {error}");
                    skipped.push(organisation.as_str());
                }
                Err(error) => return Err(error.into()),
            }
        }
        if !skipped.is_empty() {
            return Err(CliError::Refused(format!(
                "not rebuilt because they are locked: {}",
                skipped.join(", ")
            )));
        }
        if chosen.is_empty() {
            println!("No organisation exists yet.");
        }
        Ok(())
    }
}
