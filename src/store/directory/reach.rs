//! From a reach to users and persons: the only place where a reach becomes SQL.
//!
//! [`push_users`] narrows a query to the users that a [`UserSelection`] contains. A selection is made from a reach, from
//! the subjects of an action, or from a scope and a filter.

use std::collections::BTreeMap;

use crate::access::{OverPeople, People, Reach, Scoped, Subjects};
use crate::base::ids::{GroupId, OrgId, TeamId, UserId};
use crate::log::Filter;

use crate::store::db::database::Sql;
use crate::store::db::rows::texts;
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

/// Narrows `column`, the key of a user, to the selected users. `$1` of the query is the organisation.
pub(crate) fn push_users<'a>(sql: &mut Sql, column: &str, selection: impl Into<UserSelection<'a>>) {
    let selection = selection.into();
    for people in &selection.people {
        push_people(sql, column, people);
    }
    if let Some(user) = selection.excluded {
        sql.push(" AND ")
            .push(column)
            .push(" NOT IN (SELECT me.key FROM users me WHERE me.org = $1 AND me.id = ")
            .bind(user.as_str())
            .push(")");
    }
    if let Some(whole) = selection.filter {
        for filter in whole.each() {
            let primary_only = filter.primary_team_only || whole.adds_primary_team_only();
            push_filter(sql, column, filter, primary_only);
        }
    }
}

impl Store {
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
        let rows: Vec<(i64,)> = self
            .db()
            .fetch_rows(persons_query(org, selection, filter))
            .await?;
        Ok(Persons::Only(rows.into_iter().map(|(key,)| key).collect()))
    }

    /// The database's plan for finding the persons of a filter, one line for each step. It is empty if the filter does not
    /// need this query.
    pub async fn explain_persons_query(&self, scoped: &Scoped<&Filter>) -> Result<Vec<String>, StoreError> {
        let filter = *scoped.inner();
        let selection = UserSelection::filtered(scoped, filter);
        match self.organisation_key(scoped.org()).await? {
            Some(org) if !selection.is_everyone() => {
                self.db().explain(persons_query(org, selection, filter)).await
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
        let mut sql = Sql::new("SELECT u.key FROM users u WHERE u.org = $1 AND u.id = $2")
            .with(org)
            .with(user.as_str());
        push_users(&mut sql, "u.key", reach);
        Ok(self.db().fetch_optional(sql).await?.is_some())
    }
}

/// The query for the keys of persons. The conditions imply that a person has a user, so the index of those is used. An
/// explicit condition would make SQLite read the whole index.
fn persons_query(org: i64, selection: UserSelection<'_>, filter: &Filter) -> Sql {
    let mut sql = Sql::new("SELECT p.key FROM persons p INDEXED BY persons_user WHERE p.org = $1").with(org);
    if !filter.shows_deactivated() {
        sql.push(" AND NOT p.deactivated");
    }
    push_users(&mut sql, "p.user_key", selection);
    sql
}

fn push_people(sql: &mut Sql, column: &str, people: &People<'_>) {
    match people {
        People::Everyone => {}
        People::Users(users) => {
            sql.push(" AND ")
                .push(column)
                .push(" IN (SELECT u.key FROM users u WHERE u.org = $1 AND u.id");
            let ids: Vec<String> = users.iter().map(|user| user.as_str().to_owned()).collect();
            sql.any_of(ids).push(")");
        }
        People::Tree {
            manager,
            manager_too,
            indirect,
        } => push_tree(sql, column, manager, *manager_too, *indirect),
    }
}

fn push_tree(sql: &mut Sql, column: &str, manager: &UserId, manager_too: bool, indirect: bool) {
    sql.push(" AND ")
        .push(column)
        .push(" IN (WITH RECURSIVE boss(org, key) AS (");
    sql.push("SELECT u.org, u.key FROM users u WHERE u.org = $1 AND u.id = ")
        .bind(manager.as_str());
    sql.push("), tree(org, key) AS (SELECT u.org, u.key FROM boss JOIN users u ON u.org = boss.org AND u.manager = boss.key");
    if indirect {
        // The organisation comes from the tree and not from `$1`. Otherwise SQLite would look up all users of the
        // organisation for each row of the tree.
        sql.push(
            " UNION SELECT u.org, u.key FROM tree JOIN users u ON u.org = tree.org AND u.manager = tree.key",
        );
    }
    sql.push(") SELECT key FROM tree");
    if manager_too {
        sql.push(" UNION SELECT key FROM boss");
    }
    sql.push(")");
}

/// Narrows `column`, the key of a user, to the users that one filter selects. `primary_only`: whether only the primary
/// team of a user counts.
fn push_filter(sql: &mut Sql, column: &str, filter: &Filter, primary_only: bool) {
    if !filter.users.is_empty() {
        sql.push(" AND ")
            .push(column)
            .push(" IN (SELECT u.key FROM users u WHERE u.org = $1 AND u.id");
        sql.any_of(texts(&filter.users)).push(")");
    }
    if !filter.teams.is_empty() {
        sql.push(" AND ").push(column).push(" IN (");
        push_members(sql, &filter.teams, filter.include_sub_teams, primary_only, &[]);
        sql.push(")");
    }
    if !filter.groups.is_empty() {
        sql.push(" AND ").push(column).push(" IN (");
        push_members(sql, &[], false, false, &filter.groups);
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

/// A subselect, without its brackets, for the keys of the members of these teams and groups. At least one of the lists is
/// not empty. `$1` of the query is the organisation.
pub(crate) fn push_members(
    sql: &mut Sql,
    teams: &[TeamId],
    sub_teams: bool,
    primary_only: bool,
    groups: &[GroupId],
) {
    if !teams.is_empty() {
        push_team_tree(sql, teams, sub_teams);
        // CROSS JOIN makes SQLite read the tables in this order: first the teams, which are few.
        sql.push(if primary_only {
            "SELECT u.key FROM tree CROSS JOIN users u WHERE u.org = tree.org AND u.primary_team = tree.key"
        } else {
            "SELECT m.user_key FROM tree CROSS JOIN memberships m WHERE m.org = tree.org AND m.team = tree.key"
        });
    }
    if !(teams.is_empty() || groups.is_empty()) {
        sql.push(" UNION ALL ");
    }
    if !groups.is_empty() {
        sql.push(
            "SELECT m.user_key FROM groups g CROSS JOIN group_members m WHERE m.org = g.org AND m.group_key = g.key \
             AND g.org = $1 AND g.id",
        );
        sql.any_of(texts(groups));
    }
}

/// The `WITH` clause of a table `tree(org, key)` of these teams and, if `sub_teams`, the teams below them. `$1` of the
/// query is the organisation.
pub(crate) fn push_team_tree(sql: &mut Sql, teams: &[TeamId], sub_teams: bool) {
    sql.push(if sub_teams { "WITH RECURSIVE" } else { "WITH" });
    sql.push(" tree(org, key) AS (SELECT t.org, t.key FROM teams t WHERE t.org = $1 AND t.id");
    sql.any_of(texts(teams));
    if sub_teams {
        // UNION instead of UNION ALL: the query ends even if the tree has a cycle.
        sql.push(
            " UNION SELECT t.org, t.key FROM tree JOIN teams t ON t.org = tree.org AND t.parent = tree.key",
        );
    }
    sql.push(") ");
}
