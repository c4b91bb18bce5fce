//! Who somebody is, as far as the directory and the records say it: what the Person objects of xAPI are made
//! from (xAPI 1.0.3, Communication 2.4). Reading it takes an [`AgentReach`]; there is no other way.

use crate::access::AgentReach;
use crate::record::Identifier;

use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError};
use crate::store::directory::lookups::full_name;
use crate::store::directory::reach::push_reach;
use crate::store::ingest::persons::{digest_of, read_identifier};

/// What is known of an agent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KnownAgent {
    /// What they are called: by the directory first, then by the records; each name once.
    pub names: Vec<String>,
    /// Everything that identifies them, the oldest first.
    pub identifiers: Vec<Identifier>,
}

impl Store {
    /// What is known of the agent with that identifier: where a user has it, all that the user has, the hashes
    /// that the directory itself made of their addresses among it; else what the records say of that one.
    /// `None` for an agent whom nobody has named yet, and likewise for one outside the reach, so that asking
    /// tells nothing.
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
        let mut asked = Sql::new(
            "SELECT p.value, p.name, p.user_key, u.first_name, u.last_name FROM persons p \
             LEFT JOIN users u ON u.org = p.org AND u.key = p.user_key WHERE p.org = $1 AND p.digest = $2",
        )
        .with(org)
        .with(digest_of(identifier));
        push_reach(&mut asked, "p.user_key", agents);
        let Some(row) = self.db().fetch_optional(asked).await? else {
            return Ok(None);
        };
        let mut known = KnownAgent::default();
        match row.get::<Option<i64>>(2)? {
            Some(user) => {
                known.name(full_name(row.get(3)?, row.get(4)?));
                let persons =
                    Sql::new("SELECT value, name FROM persons WHERE org = $1 AND user_key = $2 ORDER BY key");
                for row in self.db().fetch_all(persons.with(org).with(user)).await? {
                    known.identifiers.extend(read_identifier(&row.get::<String>(0)?)?);
                    known.name(row.get(1)?);
                }
            }
            None => {
                known.identifiers.extend(read_identifier(&row.get::<String>(0)?)?);
                known.name(row.get(1)?);
            }
        }
        Ok(Some(known))
    }
}

impl KnownAgent {
    fn name(&mut self, name: Option<String>) {
        self.names.extend(name.filter(|name| !self.names.contains(name)));
    }
}
