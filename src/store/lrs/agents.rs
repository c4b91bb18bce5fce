//! Reads the names and identifiers of an agent, for the Person object of xAPI (xAPI 1.0.3, Communication 2.4).

use crate::access::AgentReach;
use crate::log::row::full_name;
use crate::record::Identifier;
use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError};
use crate::store::directory::reach::push_users;
use crate::store::ingest::persons::{digest_of, read_identifier};

/// The names and identifiers of an agent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KnownAgent {
    /// The name in the directory, then the names in the records; each name once.
    pub names: Vec<String>,
    /// The identifiers, the oldest first.
    pub identifiers: Vec<Identifier>,
}

columns! {
    /// A person, with the name of the user that owns it.
    struct AgentRow {
        identifier: String = "p.value",
        name: Option<String> = "p.name",
        user_key: Option<i64> = "p.user_key",
        first_name: Option<String> = "u.first_name",
        last_name: Option<String> = "u.last_name",
    }
}

columns! {
    /// One of the persons that a user owns now.
    struct IdentifierRow {
        identifier: String = "value",
        name: Option<String> = "name",
    }
}

impl Store {
    /// Finds the agent with this identifier. If a user owns the identifier now, the result has all names and identifiers
    /// of that user; else it has this identifier and the name in the records.
    ///
    /// Returns `None` for an agent that no record names, and for an agent outside the reach, so that the answer does
    /// not show which of the two it is.
    pub async fn find_agent(
        &self,
        reach: &AgentReach,
        identifier: &Identifier,
    ) -> Result<Option<KnownAgent>, StoreError> {
        let Some(agents) = reach.agents() else {
            return Ok(None);
        };
        let Some(org) = self.organisation_key(reach.org()).await? else {
            return Ok(None);
        };
        let mut select = Sql::new(&format!(
            "SELECT {} FROM persons p LEFT JOIN users u ON u.org = p.org AND u.key = p.user_key \
             WHERE p.org = $1 AND p.digest = $2 AND p.valid_until IS NULL",
            AgentRow::COLUMNS
        ))
        .with(org)
        .with(digest_of(identifier));
        let agents = self.resolve_users(org, agents).await?;
        push_users(&mut select, "p.user_key", &agents);
        let Some(row) = self.db().fetch_row::<AgentRow>(select).await? else {
            return Ok(None);
        };
        let mut agent = KnownAgent::default();
        match row.user_key {
            Some(user) => {
                agent.add_name(full_name(row.first_name.as_deref(), row.last_name.as_deref()));
                let select = Sql::new(&format!(
                    "SELECT {} FROM persons WHERE org = $1 AND user_key = $2 AND valid_until IS NULL ORDER BY key",
                    IdentifierRow::COLUMNS
                ));
                let rows: Vec<IdentifierRow> = self.db().fetch_rows(select.with(org).with(user)).await?;
                for row in rows {
                    agent.add(&row.identifier, row.name)?;
                }
            }
            None => agent.add(&row.identifier, row.name)?,
        }
        Ok(Some(agent))
    }
}

impl KnownAgent {
    fn add(&mut self, identifier: &str, name: Option<String>) -> Result<(), StoreError> {
        self.identifiers.extend(read_identifier(identifier)?);
        self.add_name(name);
        Ok(())
    }

    fn add_name(&mut self, name: Option<String>) {
        self.names.extend(name.filter(|name| !self.names.contains(name)));
    }
}
