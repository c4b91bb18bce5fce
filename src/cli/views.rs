//! `rollbook views`: prints the SQL views for BI tools (`docs/bi.md`). `rollbook migrate --views` installs them.

use std::io::{self, Write as _};

use clap::Args;

use crate::base::ids::OrgId;
use crate::cli::{CliError, open_migrated_store};
use crate::config::DatabaseArgs;
use crate::store::ViewSet;

/// The arguments of `rollbook views`.
#[derive(Debug, Args)]
pub struct Views {
    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Only the views of this organisation. All organisations are the default
    #[arg(long = "org", value_name = "ID")]
    pub organisation: Option<OrgId>,
    /// Also print the rights that this role of PostgreSQL needs, for one organisation
    #[arg(long, value_name = "NAME", requires = "organisation")]
    pub role: Option<String>,
}

impl Views {
    /// Prints the statements. Nothing is changed.
    pub async fn run(self) -> Result<(), CliError> {
        let organisation = self.organisation;
        let store = open_migrated_store(&self.database).await?;
        let sets = store.bi_views(organisation.as_ref()).await;
        store.close().await;
        let sets = sets?;
        if let (Some(organisation), []) = (&organisation, sets.as_slice()) {
            return Err(CliError::Refused(format!(
                "the organisation `{organisation}` does not exist; it is created by its first write"
            )));
        }
        let mut text = String::new();
        for set in &sets {
            push_statements(&mut text, set, self.role.as_deref());
        }
        Ok(io::stdout().lock().write_all(text.as_bytes())?)
    }
}

fn push_statements(text: &mut String, set: &ViewSet, role: Option<&str>) {
    for statement in &set.statements {
        text.push_str(statement);
        text.push_str(";\n");
    }
    if let (Some(schema), Some(role)) = (&set.schema, role) {
        let role = format!("\"{}\"", role.replace('"', "\"\""));
        text.push_str(&format!(
            "GRANT USAGE ON SCHEMA {schema} TO {role};\n\
             GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role};\n\
             ALTER ROLE {role} SET search_path = {schema};\n\
             ALTER ROLE {role} SET default_transaction_read_only = on;\n\
             ALTER ROLE {role} SET statement_timeout = '5min';\n"
        ));
    }
}
