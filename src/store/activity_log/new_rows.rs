//! Reads the rows that were recorded after a position, for the live stream.
//!
//! A position is a `seq`. The order of `seq` is the order of commit, so a reader that has read up to the last `seq` of
//! the ledger misses nothing that comes later.
//!
//! [`Store::new_rows`] and [`Store::find_owners`] are read once for all readers of an organisation, and only choose which
//! of them may see a row. [`Store::visible_rows`] decides: it runs the query of the log, with the scope and filter of the
//! reader.

use std::collections::{BTreeSet, HashMap};

use crate::access::{ReachRules, Scoped};
use crate::base::Page;
use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, UserId};
use crate::log::{Action, Filter, PersonKey, Row};

use crate::store::activity_log::log::{PageRow, select_rows};
use crate::store::db::columns::columns;
use crate::store::db::commits::Committed;
use crate::store::db::database::{Engine, Sql};
use crate::store::db::page_rows::PageLimits;
use crate::store::db::{Store, StoreError};

columns! {
    /// What decides at this moment what the readers of an organisation get.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct LogHead {
        /// The key of the organisation.
        pub(crate) org: i64 = "o.key",
        /// The last number in the order of recording.
        pub(crate) seq: i64 = "l.seq",
        /// The version of the directory.
        pub(crate) directory: i64 = "l.directory",
        managers_see_indirect_reports: bool = "o.managers_see_indirect_reports",
    }
}

columns! {
    /// A new row, without anything that names a person or a content.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct NewRow {
        pub(crate) seq: i64 = "a.seq",
        pub(crate) person: PersonKey = "a.person",
        pub(crate) action: Action = "a.action",
    }
}

columns! {
    /// The user to which a person belongs.
    #[derive(Debug, Clone)]
    struct OwnerRow {
        person: PersonKey = "p.key",
        deactivated: bool = "p.deactivated",
        user_key: Option<i64> = "u.key",
        user: Option<UserId> = "u.id",
    }
}

/// The owner of a person, as far as scopes depend on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    /// Whether the user of the person is deactivated.
    pub(crate) deactivated: bool,
    /// The user; `None` for a person that no user claims.
    pub(crate) user: Option<UserId>,
    /// The managers above the user. The first is the user's own.
    pub(crate) managers: Vec<UserId>,
}

/// Rows that a reader may see: the ones that the query of the log has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VisibleRows {
    org: OrgId,
    seqs: BTreeSet<i64>,
}

impl LogHead {
    /// The settings on which a reach depends.
    pub(crate) fn reach_rules(&self) -> ReachRules {
        ReachRules {
            managers_see_indirect_reports: self.managers_see_indirect_reports,
        }
    }
}

impl VisibleRows {
    /// No rows of the organisation.
    pub(crate) fn none(org: &OrgId) -> Self {
        Self {
            org: org.clone(),
            seqs: BTreeSet::new(),
        }
    }

    /// The organisation.
    pub(crate) fn org(&self) -> &OrgId {
        &self.org
    }

    /// Adds the rows that another reader of the organisation may see.
    pub(crate) fn add(&mut self, other: &Self) {
        if self.org == other.org {
            self.seqs.extend(&other.seqs);
        }
    }

    /// The rows in the order of recording.
    pub(crate) fn seqs(&self) -> &BTreeSet<i64> {
        &self.seqs
    }

    /// Removes the rows up to `seq`.
    pub(crate) fn remove_through(&mut self, seq: i64) {
        self.seqs = self.seqs.split_off(&seq.saturating_add(1));
    }
}

impl Store {
    /// The head of an organisation's log. `None` if the organisation does not exist yet.
    pub(crate) async fn log_head(&self, organisation: &OrgId) -> Result<Option<LogHead>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(None);
        };
        let mut select = Sql::new("SELECT ");
        select
            .push(LogHead::COLUMNS)
            .push(" FROM organisations o JOIN ledgers l ON l.org = o.key WHERE o.key = ")
            .bind(org);
        select.push(" AND o.id = ").bind(organisation.as_str());
        self.db().fetch_row(select).await
    }

    /// A receiver of the organisation's commits.
    pub(crate) fn subscribe_to(&self, head: &LogHead) -> tokio::sync::watch::Receiver<Committed> {
        self.commits().subscribe(head.org)
    }

    /// At most `limit` rows after the position `after`, up to `through`, in the order of recording.
    pub(crate) async fn new_rows(
        &self,
        org: i64,
        after: i64,
        through: i64,
        limit: usize,
    ) -> Result<Vec<NewRow>, StoreError> {
        let mut sql = select_rows(org, NewRow::COLUMNS);
        sql.push(" WHERE a.org = $1 AND a.seq > ").bind(after);
        sql.push(" AND a.seq <= ").bind(through);
        sql.push(" ORDER BY a.seq LIMIT ")
            .bind(i64::try_from(limit).unwrap_or(i64::MAX));
        self.db().fetch_rows(sql).await
    }

    /// Whether the organisation has more than `count` rows after the position. Reads `count` entries of an index at most.
    pub(crate) async fn has_more_rows(&self, org: i64, after: i64, count: u32) -> Result<bool, StoreError> {
        let mut sql = select_rows(org, "a.seq");
        sql.push(" WHERE a.org = $1 AND a.seq > ").bind(after);
        sql.push(" ORDER BY a.seq LIMIT 1 OFFSET ").bind(i64::from(count));
        Ok(self.db().fetch_optional(sql).await?.is_some())
    }

    /// The owners of these persons; with their managers if `with_managers`.
    pub(crate) async fn find_owners(
        &self,
        org: i64,
        persons: &BTreeSet<PersonKey>,
        with_managers: bool,
    ) -> Result<HashMap<PersonKey, Owner>, StoreError> {
        let mut sql = Sql::new("SELECT ").with(org);
        sql.push(OwnerRow::COLUMNS).push(
            " FROM persons p LEFT JOIN users u ON u.org = p.org AND u.key = p.user_key WHERE p.org = $1",
        );
        sql.push(" AND p.key")
            .any_of(persons.iter().map(|person| person.0).collect::<Vec<i64>>());
        let rows: Vec<OwnerRow> = self.db().fetch_rows(sql).await?;
        let users: BTreeSet<i64> = rows.iter().filter_map(|row| row.user_key).collect();
        let tree = match with_managers && !users.is_empty() {
            true => self.find_managers(org, users).await?,
            false => HashMap::new(),
        };
        let owners = rows.into_iter().map(|row| {
            let owner = Owner {
                deactivated: row.deactivated,
                managers: row
                    .user_key
                    .map_or_else(Vec::new, |user| managers_above(&tree, user)),
                user: row.user,
            };
            (row.person, owner)
        });
        Ok(owners.collect())
    }

    /// The id and the manager of each of these users and of all users above them, by key.
    async fn find_managers(
        &self,
        org: i64,
        users: BTreeSet<i64>,
    ) -> Result<HashMap<i64, (UserId, Option<i64>)>, StoreError> {
        let mut sql = Sql::new(
            "WITH RECURSIVE up(key, id, manager) AS (SELECT u.key, u.id, u.manager FROM users u \
             WHERE u.org = $1 AND u.key",
        )
        .with(org);
        sql.any_of(users.into_iter().collect::<Vec<i64>>());
        // Without `LATERAL` and `OFFSET`, PostgreSQL would read all users for each level. `UNION` ends a cycle.
        sql.push(match self.db().engine() {
            Engine::Sqlite => {
                " UNION SELECT n.key, n.id, n.manager FROM up CROSS JOIN users n \
                 WHERE n.org = $1 AND n.key = up.manager"
            }
            Engine::Postgres => {
                " UNION SELECT above.key, above.id, above.manager FROM up CROSS JOIN LATERAL \
                 (SELECT n.key, n.id, n.manager FROM users n \
                 WHERE n.org = $1 AND n.key = up.manager OFFSET 0) above"
            }
        });
        sql.push(") SELECT key, id, manager FROM up");
        let rows: Vec<(i64, UserId, Option<i64>)> = self.db().fetch_rows(sql).await?;
        Ok(rows
            .into_iter()
            .map(|(key, id, manager)| (key, (id, manager)))
            .collect())
    }

    /// Which of the rows with these `seq` the log shows within the scope and filter.
    pub(crate) async fn visible_rows(
        &self,
        filter: &Scoped<&Filter>,
        now: Timestamp,
        seqs: Vec<i64>,
    ) -> Result<VisibleRows, StoreError> {
        let mut visible = VisibleRows::none(filter.org());
        if let Some(sql) = self.rows_query_by_seq(filter, "a.seq", now, seqs).await? {
            let found: Vec<(i64,)> = self.db().fetch_rows(sql).await?;
            visible.seqs = found.into_iter().map(|(seq,)| seq).collect();
        }
        Ok(visible)
    }

    /// Loads rows that a reader may see, in the order of recording, within the limits.
    pub(crate) async fn load_visible(
        &self,
        visible: &VisibleRows,
        limits: PageLimits,
    ) -> Result<Page<Row>, StoreError> {
        let org = match self.organisation_key(&visible.org).await? {
            Some(org) if !visible.seqs.is_empty() => org,
            _ => return Ok(Page::empty()),
        };
        let mut sql = select_rows(org, &PageRow::columns());
        sql.push(" WHERE a.org = $1 AND a.seq")
            .any_of(visible.seqs.iter().copied().collect::<Vec<i64>>())
            .push(" ORDER BY a.seq");
        self.fetch_page_rows(&visible.org, sql, limits).await
    }

    /// The users among these that are deactivated.
    pub(crate) async fn find_deactivated(
        &self,
        org: i64,
        users: &BTreeSet<UserId>,
    ) -> Result<BTreeSet<UserId>, StoreError> {
        let mut sql =
            Sql::new("SELECT u.id FROM users u WHERE u.org = $1 AND NOT u.active AND u.id").with(org);
        sql.any_of(
            users
                .iter()
                .map(|user| user.as_str().to_owned())
                .collect::<Vec<String>>(),
        );
        let found: Vec<(UserId,)> = self.db().fetch_rows(sql).await?;
        Ok(found.into_iter().map(|(user,)| user).collect())
    }

    /// The keys of credentials among these that are valid: they exist in the organisation and are not revoked.
    pub(crate) async fn find_valid_credentials(
        &self,
        org: i64,
        keys: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, StoreError> {
        let mut sql =
            Sql::new("SELECT c.key FROM credentials c WHERE c.org = $1 AND c.revoked_at IS NULL AND c.key");
        sql = sql.with(org);
        sql.any_of(keys.iter().cloned().collect::<Vec<String>>());
        let found: Vec<(String,)> = self.db().fetch_rows(sql).await?;
        Ok(found.into_iter().map(|(key,)| key).collect())
    }
}

/// The managers above a user, the user's own first. A cycle ends at the first user that comes again.
fn managers_above(tree: &HashMap<i64, (UserId, Option<i64>)>, user: i64) -> Vec<UserId> {
    let mut managers = Vec::new();
    let mut passed = BTreeSet::new();
    let mut next = tree.get(&user).and_then(|(_, manager)| *manager);
    while let Some(key) = next.filter(|key| passed.insert(*key)) {
        let Some((id, manager)) = tree.get(&key) else {
            break;
        };
        managers.push(id.clone());
        next = *manager;
    }
    managers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn managers_are_listed_from_the_nearest_and_a_cycle_ends() {
        let user = |key: i64, manager: Option<i64>| (key, (format!("u{key}").parse().unwrap(), manager));
        let tree = HashMap::from([
            user(1, Some(2)),
            user(2, Some(3)),
            user(3, None),
            user(4, Some(5)),
            user(5, Some(4)),
        ]);
        let above = |key| {
            managers_above(&tree, key)
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(above(1), ["u2", "u3"]);
        assert_eq!(above(3), [""; 0]);
        assert_eq!(above(4), ["u5", "u4"]);
        assert_eq!(above(9), [""; 0]);
    }
}
