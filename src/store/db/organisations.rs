//! Organisations. One exists from the first commit in its name on.

use chrono_tz::Tz;

use crate::access::ReachRules;
use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, UserId};

use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::transaction::Tx;
use crate::store::db::{Store, StoreError};

columns! {
    /// The settings of an organisation (`docs/specification.md#organisation`).
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Organisation {
        /// Its name. Initially its id.
        pub name: String = "o.name",
        /// The IANA name of the time zone for dates and periods. Initially `UTC`.
        pub time_zone: String = "o.time_zone",
        /// The home page of the xAPI accounts that have its users' ids as names.
        pub account_home_page: String = "o.account_home_page",
        /// Whether managers see their indirect reports without a separate permission.
        pub managers_see_indirect_reports: bool = "o.managers_see_indirect_reports",
    }
}

impl Organisation {
    /// The settings of a new organisation.
    pub fn initial(id: &OrgId) -> Self {
        Self {
            name: id.to_string(),
            time_zone: "UTC".to_owned(),
            account_home_page: default_home_page(id),
            managers_see_indirect_reports: true,
        }
    }

    /// The time zone. A name that only a newer server knows counts as UTC.
    pub fn zone(&self) -> Tz {
        self.time_zone.parse().unwrap_or(Tz::UTC)
    }

    /// The settings that a reach depends on.
    pub fn reach_rules(&self) -> ReachRules {
        ReachRules {
            managers_see_indirect_reports: self.managers_see_indirect_reports,
        }
    }
}

/// What every request needs to know about its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerFacts {
    /// The organisation's settings; `None` if it does not exist.
    pub organisation: Option<Organisation>,
    /// Whether the user is active; `None` if the directory does not have the user.
    pub user_active: Option<bool>,
}

/// A key that no organisation has.
const NO_KEY: i64 = 0;

fn default_home_page(id: &OrgId) -> String {
    let path: String = form_urlencoded::byte_serialize(id.as_str().as_bytes()).collect();
    format!("https://rollbook.invalid/{path}")
}

/// Returns the organisation's key. Creates the organisation and its ledger if they do not exist.
pub(crate) async fn ensure(tx: &mut Tx, id: &OrgId, now: Timestamp) -> Result<i64, StoreError> {
    let initial = Organisation::initial(id);
    let insert = Sql::new(
        "INSERT INTO organisations \
         (id, name, time_zone, account_home_page, managers_see_indirect_reports, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING",
    );
    let insert = insert
        .with(id.as_str())
        .with(initial.name)
        .with(initial.time_zone)
        .with(initial.account_home_page)
        .with(initial.managers_see_indirect_reports)
        .with(now.micros());
    tx.execute(insert).await?;
    let select = Sql::new("SELECT key FROM organisations WHERE id = $1").with(id.as_str());
    let row = tx
        .fetch_optional(select)
        .await?
        .ok_or(StoreError::Invariant("a new organisation does not exist"))?;
    let key: i64 = row.get(0)?;
    let ledger = Sql::new(
        "INSERT INTO ledgers (org, seq, keys, stored, epoch, directory) VALUES ($1, 0, 0, 0, 0, 0) ON CONFLICT (org) DO NOTHING",
    );
    tx.execute(ledger.with(key)).await?;
    Ok(key)
}

impl Store {
    /// The key of an organisation that exists.
    pub(crate) async fn organisation_key(&self, id: &OrgId) -> Result<Option<i64>, StoreError> {
        if let Some(key) = self.remembered_key(id) {
            return Ok(Some(key));
        }
        let select = Sql::new("SELECT key FROM organisations WHERE id = $1").with(id.as_str());
        let Some(row) = self.db().fetch_optional(select).await? else {
            return Ok(None);
        };
        let key = row.get(0)?;
        self.remember_key(id, key);
        Ok(Some(key))
    }

    /// The ids of all organisations.
    pub async fn organisations(&self) -> Result<Vec<OrgId>, StoreError> {
        let select = Sql::new("SELECT id FROM organisations ORDER BY id");
        let rows: Vec<(OrgId,)> = self.db().fetch_rows(select).await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    /// The organisation's settings and whether the user is active, by one query if the organisation's key is remembered.
    pub async fn caller_facts(
        &self,
        organisation: &OrgId,
        user: Option<&UserId>,
    ) -> Result<CallerFacts, StoreError> {
        let mut key = self.remembered_key(organisation).unwrap_or(NO_KEY);
        loop {
            let select = Sql::new(&format!(
                "SELECT {}, u.active, o.key FROM organisations o LEFT JOIN users u ON u.org = $3 AND u.id = $2 \
                 WHERE o.id = $1",
                Organisation::COLUMNS
            ));
            let select = select.with(organisation.as_str()).with(user.map(UserId::as_str));
            let Some(row) = self.db().fetch_optional(select.with(key)).await? else {
                self.forget_key(organisation);
                return Ok(CallerFacts {
                    organisation: None,
                    user_active: None,
                });
            };
            // The key was not remembered, or a fail-over that lost commits gave the organisation another one.
            let found = row.get(Organisation::COUNT + 1)?;
            let is_right_user = key == found || user.is_none();
            if key != found {
                self.remember_key(organisation, found);
                key = found;
            }
            if is_right_user {
                return Ok(CallerFacts {
                    organisation: Some(Organisation::read(&row)?),
                    user_active: row.get(Organisation::COUNT)?,
                });
            }
        }
    }

    /// The organisation's settings. The initial ones if it does not exist yet.
    pub async fn organisation(&self, id: &OrgId) -> Result<Organisation, StoreError> {
        let facts = self.caller_facts(id, None).await?;
        Ok(facts.organisation.unwrap_or_else(|| Organisation::initial(id)))
    }
}

impl OrgTx {
    /// The organisation's settings, including changes of this transaction.
    pub(crate) async fn organisation(&mut self) -> Result<Organisation, StoreError> {
        let select = Sql::new(&format!(
            "SELECT {} FROM organisations o WHERE o.key = $1",
            Organisation::COLUMNS
        ));
        let settings = self.fetch_row(select.with(self.org)).await?;
        settings.ok_or(StoreError::Invariant(
            "the organisation of a transaction does not exist",
        ))
    }
}
