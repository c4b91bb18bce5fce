//! Organisations: one exists as soon as something is written in its name.

use chrono_tz::Tz;

use crate::access::ReachRules;
use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, UserId};

use crate::store::db::database::{Sql, Tx};
use crate::store::db::ledger::OrgTx;
use crate::store::db::{Store, StoreError};

/// An organisation's own settings (product text, section 3: `/v1/organisation`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organisation {
    /// How it is called; its id unless changed.
    pub name: String,
    /// IANA name of the zone in which dates and periods are read; `UTC` unless changed.
    pub time_zone: String,
    /// The home page of the accounts by which its users' ids are xAPI identifiers.
    pub account_home_page: String,
    /// Whether managers see their indirect reports without a permission of their own.
    pub managers_see_indirect_reports: bool,
}

impl Organisation {
    /// What an organisation is before anything was set.
    pub fn unset(id: &OrgId) -> Self {
        Self {
            name: id.to_string(),
            time_zone: "UTC".to_owned(),
            account_home_page: default_home_page(id),
            managers_see_indirect_reports: true,
        }
    }

    /// The zone itself. It was checked when it was set; one that a newer server knew and this one doesn't reads as UTC.
    pub fn zone(&self) -> Tz {
        self.time_zone.parse().unwrap_or(Tz::UTC)
    }

    /// What a reach depends on.
    pub fn reach_rules(&self) -> ReachRules {
        ReachRules {
            managers_see_indirect_reports: self.managers_see_indirect_reports,
        }
    }
}

/// What must be known of a caller before anything else is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerFacts {
    /// The organisation's settings; `None` while it does not exist.
    pub organisation: Option<Organisation>,
    /// Whether the user is active; `None` where the directory doesn't have them.
    pub user_active: Option<bool>,
}

fn default_home_page(id: &OrgId) -> String {
    let path: String = form_urlencoded::byte_serialize(id.as_str().as_bytes()).collect();
    format!("https://rollbook.invalid/{path}")
}

/// The organisation's key, made where it is not there yet.
pub(crate) async fn ensure(tx: &mut Tx, id: &OrgId, now: Timestamp) -> Result<i64, StoreError> {
    let unset = Organisation::unset(id);
    let insert = Sql::new(
        "INSERT INTO organisations \
         (id, name, time_zone, account_home_page, managers_see_indirect_reports, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING",
    );
    let insert = insert
        .with(id.as_str())
        .with(unset.name)
        .with(unset.time_zone)
        .with(unset.account_home_page)
        .with(unset.managers_see_indirect_reports)
        .with(now.micros());
    tx.execute(insert).await?;
    let select = Sql::new("SELECT key FROM organisations WHERE id = $1").with(id.as_str());
    let row = tx
        .fetch_optional(select)
        .await?
        .ok_or(StoreError::Invariant("an organisation that was not made"))?;
    let key: i64 = row.get(0)?;
    let ledger = Sql::new(
        "INSERT INTO ledgers (org, seq, keys, stored, epoch) VALUES ($1, 0, 0, 0, 0) ON CONFLICT (org) DO NOTHING",
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

    /// The organisation's settings and whether the user is active, in one look.
    pub async fn caller_facts(
        &self,
        organisation: &OrgId,
        user: Option<&UserId>,
    ) -> Result<CallerFacts, StoreError> {
        let select = Sql::new(
            "SELECT o.name, o.time_zone, o.account_home_page, o.managers_see_indirect_reports, u.active \
             FROM organisations o LEFT JOIN users u ON u.org = o.key AND u.id = $2 WHERE o.id = $1",
        );
        let select = select.with(organisation.as_str()).with(user.map(UserId::as_str));
        let Some(row) = self.db().fetch_optional(select).await? else {
            return Ok(CallerFacts {
                organisation: None,
                user_active: None,
            });
        };
        let organisation = Organisation {
            name: row.get(0)?,
            time_zone: row.get(1)?,
            account_home_page: row.get(2)?,
            managers_see_indirect_reports: row.get(3)?,
        };
        Ok(CallerFacts {
            organisation: Some(organisation),
            user_active: row.get(4)?,
        })
    }

    /// The organisation's settings; what they are unless changed, where it does not exist yet.
    pub async fn organisation(&self, id: &OrgId) -> Result<Organisation, StoreError> {
        let facts = self.caller_facts(id, None).await?;
        Ok(facts.organisation.unwrap_or_else(|| Organisation::unset(id)))
    }
}

impl OrgTx {
    /// The settings, as this transaction sees them.
    pub(crate) async fn organisation(&mut self) -> Result<Organisation, StoreError> {
        let select = Sql::new(
            "SELECT name, time_zone, account_home_page, managers_see_indirect_reports \
             FROM organisations WHERE key = $1",
        );
        let org = self.org;
        let row = self
            .fetch_optional(select.with(org))
            .await?
            .ok_or(StoreError::Invariant("an organisation that is not there"))?;
        Ok(Organisation {
            name: row.get(0)?,
            time_zone: row.get(1)?,
            account_home_page: row.get(2)?,
            managers_see_indirect_reports: row.get(3)?,
        })
    }
}
