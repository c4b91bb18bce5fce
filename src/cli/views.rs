//! `rollbook views`: prints the SQL views for BI tools (`docs/bi.md`). `rollbook migrate --views` installs them.

use std::io::{self, Write as _};

use clap::Args;

use crate::base::ids::OrgId;
use crate::cli::{CliError, open_existing_store};
use crate::config::DatabaseArgs;
use crate::store::{Store, ViewSchema, ViewSet, ViewsError};

/// The arguments of `rollbook views`.
#[derive(Debug, Args)]
pub struct Views {
    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Only the views of this organisation, on PostgreSQL. All organisations are the default
    #[arg(long = "org", value_name = "ID")]
    pub organisation: Option<OrgId>,
    /// Also print the rights that this role of PostgreSQL needs, for one organisation
    #[arg(long, value_name = "NAME", requires = "organisation")]
    pub role: Option<String>,
}

impl Views {
    /// Prints the statements. Nothing is changed.
    pub async fn run(self) -> Result<(), CliError> {
        let store = open_existing_store(&self.database).await?;
        let printed = print(&store, self.organisation.as_ref(), self.role.as_deref()).await;
        store.close().await;
        printed
    }
}

async fn print(store: &Store, organisation: Option<&OrgId>, role: Option<&str>) -> Result<(), CliError> {
    let sets = find_view_sets(store, organisation, role).await?;
    let mut statements = vec![store.bi_index().await?];
    for set in &sets {
        statements.extend(set.statements());
        if let (Some(schema), Some(role)) = (&set.schema, role) {
            statements.extend(schema.grants(role));
            statements.extend(schema.role_settings(role));
        }
    }
    let text: String = statements
        .iter()
        .map(|statement| format!("{statement};\n"))
        .collect();
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}

/// Installs the views of one or all organisations, and lets the role read them. An organisation with views that
/// cannot be installed does not prevent those of the others.
pub(super) async fn install(
    store: &Store,
    organisation: Option<&OrgId>,
    role: Option<&str>,
) -> Result<(), CliError> {
    let sets = find_view_sets(store, organisation, role).await?;
    store.install_bi_index().await?;
    let mut first_error = None;
    for set in &sets {
        match store.install_bi_views(set, role).await {
            Ok(()) => {}
            Err(ViewsError::Store(error)) => return Err(error.into()),
            Err(error) if first_error.is_none() => {
                first_error = Some(error);
                continue;
            }
            Err(error) => {
                eprintln!("{error}");
                continue;
            }
        }
        let Some(schema) = &set.schema else {
            println!("Installed the views, with names that begin with `bi_`.");
            continue;
        };
        let ViewSchema {
            organisation, name, ..
        } = schema;
        println!("Installed the views of the organisation {organisation} in the schema {name}.");
        if let Some(role) = role {
            println!("The role {role} can read them.");
            set_role(store, schema, role).await;
        }
    }
    if sets.is_empty() {
        println!("There is no organisation yet, so there are no views. The first write creates one.");
    }
    first_error.map_or(Ok(()), |error| Err(error.into()))
}

/// Changes the settings of the role, or prints what an administrator can do.
async fn set_role(store: &Store, schema: &ViewSchema, role: &str) {
    if let Err(error) = store.set_bi_role(schema, role).await {
        println!("Its settings were not changed ({error}). An administrator can do it:");
        for setting in schema.role_settings(role) {
            println!("    {setting};");
        }
    }
}

/// The views of one or all organisations. Refuses what the database can't do.
async fn find_view_sets(
    store: &Store,
    organisation: Option<&OrgId>,
    role: Option<&str>,
) -> Result<Vec<ViewSet>, CliError> {
    if role.is_some() && store.is_distributed().await? {
        return Err(CliError::Refused(
            "the tables are distributed: a worker runs a query with the rights of its reader, and not with those of the \
             views. So only the owner of the tables and superusers can read the views; give a reader a CSV or Parquet file"
                .to_owned(),
        ));
    }
    let sets = store.bi_views(organisation).await?;
    let Some(organisation) = organisation else {
        return Ok(sets);
    };
    match sets.first() {
        Some(ViewSet { schema: None, .. }) => Err(CliError::Refused(
            "SQLite has neither schemas nor roles: leave out --org and --role. The views have all organisations, with a \
             column `organisation`, and everybody who can read the file can read all of it"
                .to_owned(),
        )),
        Some(_) => Ok(sets),
        None => Err(CliError::Refused(format!(
            "the organisation `{organisation}` does not exist; it is created by its first write"
        ))),
    }
}
