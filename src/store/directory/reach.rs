//! From a reach to users and persons: the only place where a reach becomes SQL.
//!
//! [`push_users`] narrows a query to the users that a [`UserSelection`] contains. A selection is made from a reach, from
//! the subjects of an action, or from a scope and a filter. Its trees, the users below a manager and the teams below a
//! team, are found first ([`Store::resolve_users`]) and are cached for the version of the directory
//! ([`key_cache`](crate::store::db::key_cache)).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::access::{OverPeople, People, Reach, Scoped, Subjects};
use crate::base::ids::{GroupId, OrgId, TeamId, UserId};
use crate::log::Filter;

use crate::store::db::database::{Engine, Sql};
use crate::store::db::key_cache::DirectoryVersion;
use crate::store::db::ledger::OrgTx;
use crate::store::db::rows::{Reads, texts};
use crate::store::db::{Store, StoreError, folded_digests};

/// How many custom fields get a subselect each, so that the database can begin with the most selective one. PostgreSQL
/// needs minutes to plan a query with a hundred.
const MAX_FIELD_SUBSELECTS: usize = 8;

/// The persons of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Persons {
    /// All persons of the organisation.
    Everyone {
        /// Whether the persons of deactivated users are included.
        deactivated_too: bool,
    },
    /// The persons with these keys. The list may be empty.
    Only(Vec<i64>),
}

/// The users of a query: those that all of its conditions include.
pub(crate) struct UserSelection<'a> {
    people: Vec<People<'a>>,
    excluded: Option<&'a UserId>,
    filter: Option<&'a Filter>,
}

/// A selection of which the trees are found.
#[derive(Debug, Clone, Default)]
pub(crate) struct ResolvedUsers {
    people: Vec<ResolvedPeople>,
    excluded: Option<UserId>,
    filters: Vec<ResolvedFilter>,
}

#[derive(Debug, Clone)]
enum ResolvedPeople {
    Ids(Vec<String>),
    /// The keys of users, in ascending order.
    Keys(Arc<[i64]>),
}

/// The conditions of one filter on users.
#[derive(Debug, Clone)]
struct ResolvedFilter {
    users: Vec<String>,
    /// The teams, with the teams below them if the filter includes these. `None` if the filter selects no teams.
    teams: Option<Arc<[i64]>>,
    primary_only: bool,
    groups: Vec<GroupId>,
    locations: Vec<String>,
    custom: BTreeMap<String, Vec<String>>,
}

impl<'a> UserSelection<'a> {
    /// The users within the reach and scope that the filter selects by user, team, group, location or custom field.
    pub(crate) fn filtered<F>(scoped: &'a Scoped<F>, filter: &'a Filter) -> Self {
        Self {
            people: scoped.people(),
            excluded: None,
            filter: Some(filter),
        }
    }

    /// Whether it contains every user, and persons without a user.
    fn is_everyone(&self) -> bool {
        self.people.is_empty() && self.filter.is_none_or(|filter| !filter.selects_persons())
    }

    /// Whether it has a tree, or a filter by a property of users, which can have any number of users.
    fn may_be_large(&self) -> bool {
        let is_tree = |people: &People<'_>| matches!(people, People::Tree { .. });
        let has_many = |filter: &Filter| {
            !(filter.teams.is_empty()
                && filter.groups.is_empty()
                && filter.locations.is_empty()
                && filter.custom.is_empty())
        };
        let by_property = |filter: &Filter| filter.each().any(has_many);
        self.people.iter().any(is_tree) || self.filter.is_some_and(by_property)
    }

    async fn resolve(
        &self,
        store: &Store,
        reads: &mut impl Reads,
        version: DirectoryVersion,
    ) -> Result<ResolvedUsers, StoreError> {
        let mut resolved = ResolvedUsers {
            excluded: self.excluded.cloned(),
            ..ResolvedUsers::default()
        };
        for people in &self.people {
            resolved.people.push(match people {
                People::Everyone => continue,
                People::Users(users) => {
                    ResolvedPeople::Ids(users.iter().map(|user| user.as_str().to_owned()).collect())
                }
                People::Tree { .. } => {
                    let tree = tree_query(store.db().engine(), version.org, people);
                    ResolvedPeople::Keys(store.directory_keys(reads, version, tree).await?)
                }
            });
        }
        let Some(whole) = self.filter else {
            return Ok(resolved);
        };
        for filter in whole.each() {
            let teams = match filter.teams.as_slice() {
                [] => None,
                teams => {
                    let sub_teams = filter.include_sub_teams;
                    Some(find_teams(store, reads, version, teams, sub_teams).await?)
                }
            };
            resolved.filters.push(ResolvedFilter {
                users: texts(&filter.users),
                teams,
                primary_only: filter.primary_team_only || whole.adds_primary_team_only(),
                groups: filter.groups.clone(),
                locations: filter.locations.clone(),
                custom: filter.custom.clone(),
            });
        }
        Ok(resolved)
    }
}

impl<'a> From<People<'a>> for UserSelection<'a> {
    fn from(people: People<'a>) -> Self {
        Self {
            people: vec![people],
            excluded: None,
            filter: None,
        }
    }
}

impl<'a> From<&'a Reach> for UserSelection<'a> {
    fn from(reach: &'a Reach) -> Self {
        reach.people().into()
    }
}

impl<'a, A: OverPeople> From<&'a Subjects<A>> for UserSelection<'a> {
    fn from(subjects: &'a Subjects<A>) -> Self {
        Self {
            people: vec![subjects.people()],
            excluded: subjects.excluded(),
            filter: None,
        }
    }
}

impl ResolvedUsers {
    /// Whether it contains the user with this key and id. The selection has no filter.
    fn contains(&self, key: i64, id: &UserId) -> bool {
        let is_in = |people: &ResolvedPeople| match people {
            ResolvedPeople::Ids(ids) => ids.iter().any(|other| other == id.as_str()),
            ResolvedPeople::Keys(keys) => keys.binary_search(&key).is_ok(),
        };
        self.excluded.as_ref() != Some(id) && self.people.iter().all(is_in)
    }
}

/// Narrows `column`, the key of a user, to the selected users. `$1` of the query is the organisation.
pub(crate) fn push_users(sql: &mut Sql, column: &str, users: &ResolvedUsers) {
    for people in &users.people {
        sql.push(" AND ").push(column);
        match people {
            ResolvedPeople::Ids(ids) => {
                sql.push(" IN (SELECT u.key FROM users u WHERE u.org = $1 AND u.id")
                    .any_of(ids.clone())
                    .push(")");
            }
            ResolvedPeople::Keys(keys) => {
                sql.any_of(keys.to_vec());
            }
        }
    }
    if let Some(user) = &users.excluded {
        sql.push(" AND ")
            .push(column)
            .push(" NOT IN (SELECT me.key FROM users me WHERE me.org = $1 AND me.id = ")
            .bind(user.as_str())
            .push(")");
    }
    for filter in &users.filters {
        push_filter(sql, column, filter);
    }
}

impl Store {
    /// Finds the trees of a selection.
    pub(crate) async fn resolve_users<'a>(
        &self,
        org: i64,
        selection: impl Into<UserSelection<'a>>,
    ) -> Result<ResolvedUsers, StoreError> {
        let selection = selection.into();
        let version = self.version_for(org, &selection).await?;
        selection.resolve(self, &mut self.db(), version).await
    }

    /// The version of the directory, if the selection needs it.
    async fn version_for(
        &self,
        org: i64,
        selection: &UserSelection<'_>,
    ) -> Result<DirectoryVersion, StoreError> {
        match selection.may_be_large() {
            true => self.directory_version(org).await,
            false => Ok(DirectoryVersion { org, number: None }),
        }
    }

    /// The keys of these teams and, if `sub_teams`, of the teams below them.
    pub(crate) async fn find_team_keys(
        &self,
        org: i64,
        teams: &[TeamId],
        sub_teams: bool,
    ) -> Result<Arc<[i64]>, StoreError> {
        let version = self.directory_version(org).await?;
        find_teams(self, &mut self.db(), version, teams, sub_teams).await
    }

    /// The persons within the reach and scope that the filter selects.
    pub(crate) async fn persons<F>(
        &self,
        org: i64,
        scoped: &Scoped<F>,
        filter: &Filter,
    ) -> Result<Persons, StoreError> {
        let selection = UserSelection::filtered(scoped, filter);
        if selection.is_everyone() {
            return Ok(Persons::Everyone {
                deactivated_too: filter.shows_deactivated(),
            });
        }
        let version = self.version_for(org, &selection).await?;
        let users = selection.resolve(self, &mut self.db(), version).await?;
        let sql = persons_query(org, &users, filter);
        let keys = self.directory_keys(&mut self.db(), version, sql).await?;
        Ok(Persons::Only(keys.to_vec()))
    }

    /// The database's plan for finding the persons of a filter, one line for each step. It is empty if the filter does not
    /// need this query.
    pub async fn explain_persons_query(&self, scoped: &Scoped<&Filter>) -> Result<Vec<String>, StoreError> {
        let filter = *scoped.inner();
        let selection = UserSelection::filtered(scoped, filter);
        match self.organisation_key(scoped.org()).await? {
            Some(org) if !selection.is_everyone() => {
                let users = self.resolve_users(org, selection).await?;
                self.db().explain(persons_query(org, &users, filter)).await
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Whether the user exists, active or not, and is within the reach.
    pub async fn reaches(
        &self,
        organisation: &OrgId,
        reach: &Reach,
        user: &UserId,
    ) -> Result<bool, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(false);
        };
        let users = self.resolve_users(org, reach).await?;
        Ok(find_user(&mut self.db(), org, &users, user).await?.is_some())
    }
}

impl OrgTx {
    /// Finds the trees of a selection, with the changes of this transaction.
    pub(crate) async fn resolve_users<'a>(
        &mut self,
        selection: impl Into<UserSelection<'a>>,
    ) -> Result<ResolvedUsers, StoreError> {
        let (store, version) = (self.store().clone(), self.directory_version());
        selection.into().resolve(&store, self, version).await
    }
}

/// The key of the user, if the user exists and is in the selection, which has no filter.
pub(crate) async fn find_user(
    reads: &mut impl Reads,
    org: i64,
    users: &ResolvedUsers,
    id: &UserId,
) -> Result<Option<i64>, StoreError> {
    let select = Sql::new("SELECT u.key FROM users u WHERE u.org = $1 AND u.id = $2");
    let rows = reads.rows(select.with(org).with(id.as_str())).await?;
    let key: Option<i64> = rows.first().map(|row| row.get(0)).transpose()?;
    Ok(key.filter(|key| users.contains(*key, id)))
}

/// The query for the keys of persons. The conditions imply that a person has a user, so the index of those is used. An
/// explicit condition would make SQLite read the whole index.
fn persons_query(org: i64, users: &ResolvedUsers, filter: &Filter) -> Sql {
    let mut sql = Sql::new("SELECT p.key FROM persons p INDEXED BY persons_user WHERE p.org = $1").with(org);
    if !filter.shows_deactivated() {
        sql.push(" AND NOT p.deactivated");
    }
    push_users(&mut sql, "p.user_key", users);
    sql
}

/// The query for the keys of the users below a manager.
fn tree_query(engine: Engine, org: i64, people: &People<'_>) -> Sql {
    let People::Tree {
        manager,
        manager_too,
        indirect,
    } = people
    else {
        return Sql::new("SELECT u.key FROM users u WHERE u.org = $1 AND 1 = 0").with(org);
    };
    let mut sql = Sql::new(
        "WITH RECURSIVE boss(key) AS (SELECT u.key FROM users u WHERE u.org = $1 AND u.id = $2), \
         tree(key) AS (SELECT u.key FROM boss JOIN users u ON u.org = $1 AND u.manager = boss.key",
    )
    .with(org)
    .with(manager.as_str());
    if *indirect {
        push_next_level(&mut sql, engine, "users", "manager");
    }
    sql.push(") SELECT key FROM tree");
    if *manager_too {
        sql.push(" UNION SELECT key FROM boss");
    }
    sql
}

/// Adds the recursive part of a table `tree(org, key)`: the rows of `table` that have a key of the tree in `column`.
///
/// Each level reads an index for the keys of the level above, so the cost grows with the size of the tree and not with
/// its depth. Without `LATERAL` and `OFFSET`, which keep the subquery apart, PostgreSQL reads the whole table for each
/// level. SQLite has no `LATERAL`, but reads in the order of a `CROSS JOIN`. `UNION` ends also if the tree has a cycle.
/// Each level names the organisation by `$1`, so that a cluster runs the whole query on the node of the organisation. On
/// SQLite the name of the index keeps both of its columns in use.
fn push_next_level(sql: &mut Sql, engine: Engine, table: &str, column: &str) {
    let text = match engine {
        Engine::Sqlite => format!(
            " UNION SELECT n.key FROM tree CROSS JOIN {table} n INDEXED BY {table}_{column} \
             WHERE n.org = $1 AND n.{column} = tree.key"
        ),
        Engine::Postgres => format!(
            " UNION SELECT below.key FROM tree CROSS JOIN LATERAL (SELECT n.key FROM {table} n \
             WHERE n.org = $1 AND n.{column} = tree.key OFFSET 0) below"
        ),
    };
    sql.push(&text);
}

/// The keys of these teams and, if `sub_teams`, of the teams below them.
async fn find_teams(
    store: &Store,
    reads: &mut impl Reads,
    version: DirectoryVersion,
    teams: &[TeamId],
    sub_teams: bool,
) -> Result<Arc<[i64]>, StoreError> {
    let sql = Sql::new("WITH RECURSIVE tree(key) AS (SELECT t.key FROM teams t WHERE t.org = $1 AND t.id");
    let mut sql = sql.with(version.org);
    sql.any_of(texts(teams));
    if sub_teams {
        push_next_level(&mut sql, store.db().engine(), "teams", "parent");
    }
    sql.push(") SELECT key FROM tree");
    store.directory_keys(reads, version, sql).await
}

/// Narrows `column`, the key of a user, to the users that one filter selects.
fn push_filter(sql: &mut Sql, column: &str, filter: &ResolvedFilter) {
    if !filter.users.is_empty() {
        sql.push(" AND ")
            .push(column)
            .push(" IN (SELECT u.key FROM users u WHERE u.org = $1 AND u.id");
        sql.any_of(filter.users.clone()).push(")");
    }
    if let Some(teams) = &filter.teams {
        sql.push(" AND ").push(column).push(" IN (");
        push_members(sql, Some(teams), filter.primary_only, &[]);
        sql.push(")");
    }
    if !filter.groups.is_empty() {
        sql.push(" AND ").push(column).push(" IN (");
        push_members(sql, None, false, &filter.groups);
        sql.push(")");
    }
    if !filter.locations.is_empty() {
        sql.push(" AND ")
            .push(column)
            .push(" IN (SELECT u.key FROM users u WHERE u.org = $1 AND u.location_folded");
        sql.any_of(folded_digests(&filter.locations)).push(")");
    }
    push_custom(sql, column, &filter.custom);
}

/// Narrows `column`, the key of a user, to the users that have one of the values in each of the fields.
fn push_custom(sql: &mut Sql, column: &str, fields: &BTreeMap<String, Vec<String>>) {
    const USERS: &str = " IN (SELECT f.user_key FROM user_fields f WHERE f.org = $1 AND ";
    let push_field = |sql: &mut Sql, field: &str, values: &[String]| {
        sql.push("f.field = ").bind(field).push(" AND f.folded");
        sql.any_of(folded_digests(values));
    };
    if fields.len() <= MAX_FIELD_SUBSELECTS {
        for (field, values) in fields {
            sql.push(" AND ").push(column).push(USERS);
            push_field(sql, field, values);
            sql.push(")");
        }
        return;
    }
    // A user has each field at most once. A user that matches in all fields has as many rows as there are fields.
    sql.push(" AND ").push(column).push(USERS);
    for (place, (field, values)) in fields.iter().enumerate() {
        sql.push(if place == 0 { "((" } else { " OR (" });
        push_field(sql, field, values);
        sql.push(")");
    }
    sql.push(") GROUP BY f.user_key HAVING count(*) = ")
        .bind(i64::try_from(fields.len()).unwrap_or(i64::MAX))
        .push(")");
}

/// A subselect, without its brackets, for the keys of the members of the teams with these keys and of these groups.
/// There are teams or groups. `$1` of the query is the organisation.
pub(crate) fn push_members(sql: &mut Sql, teams: Option<&[i64]>, primary_only: bool, groups: &[GroupId]) {
    if let Some(teams) = teams {
        sql.push(if primary_only {
            "SELECT u.key FROM users u WHERE u.org = $1 AND u.primary_team"
        } else {
            "SELECT m.user_key FROM memberships m WHERE m.org = $1 AND m.team"
        });
        sql.any_of(teams.to_vec());
    }
    if teams.is_some() && !groups.is_empty() {
        sql.push(" UNION ALL ");
    }
    if !groups.is_empty() {
        // CROSS JOIN makes SQLite read the tables in this order: first the groups, which are few.
        sql.push(
            "SELECT m.user_key FROM groups g CROSS JOIN group_members m WHERE m.org = g.org AND m.group_key = g.key \
             AND g.org = $1 AND g.id",
        );
        sql.any_of(texts(groups));
    }
}
