//! Scopes as persons: whose rows may come back. The only place where a reach becomes SQL.

use std::collections::BTreeMap;

use crate::access::{OverPeople, People, Reach, Scoped, Subjects};
use crate::base::ids::{GroupId, OrgId, TeamId, UserId};
use crate::log::Filter;

use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError};

/// Custom fields that each have a subselect of their own, so that the most selective one can lead. PostgreSQL plans for
/// minutes where there are a hundred.
const FEW_FIELDS: usize = 8;

/// Whose rows a question is about, as keys of persons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Persons {
    /// Everybody in the organisation, but for persons of deactivated users where they are left out.
    Everyone { deactivated_too: bool },
    /// These, and perhaps none.
    Only(Vec<i64>),
}

impl Store {
    /// The persons that may come back: those within the reach and scope, and among them those that the
    /// filter names by user, team, group or custom field.
    pub(crate) async fn persons<F>(
        &self,
        org: i64,
        scoped: &Scoped<F>,
        filter: &Filter,
    ) -> Result<Persons, StoreError> {
        let people = scoped.people();
        if people.is_empty() && !filter.selects_persons() {
            return Ok(Persons::Everyone {
                deactivated_too: filter.shows_deactivated(),
            });
        }
        let sql = persons_query(org, &people, filter);
        let rows = self.db().fetch_all(sql).await?;
        Ok(Persons::Only(
            rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?,
        ))
    }

    /// What the database says it will do to find the persons of a question, a line each, as [`Store::explain`] says
    /// it of the rows. No line where everybody is meant, or nobody can be.
    pub async fn explain_persons(&self, question: &Scoped<&Filter>) -> Result<Vec<String>, StoreError> {
        let filter = *question.inner();
        let people = question.people();
        let Some(org) = self.organisation_key(question.org()).await? else {
            return Ok(Vec::new());
        };
        if people.is_empty() && !filter.selects_persons() {
            return Ok(Vec::new());
        }
        self.db().explain(persons_query(org, &people, filter)).await
    }
}

/// The persons of the people who are asked for, of whom not all may be. Each narrowing says that there is a user, so
/// that the index of those serves; said once more, SQLite would walk all of it.
fn persons_query(org: i64, people: &[People<'_>], filter: &Filter) -> Sql {
    let mut sql = Sql::new("SELECT p.key FROM persons p INDEXED BY persons_user WHERE p.org = $1").with(org);
    if !filter.shows_deactivated() {
        sql.push(" AND NOT p.deactivated");
    }
    push_asked(&mut sql, "p.user_key", people, filter);
    sql
}

/// Narrows `column`, the key of a user, to the people who are asked for: those who are in all of `people` (the reach
/// and its part), and among them those that the filter, and each that it is within, names by user, team, group or
/// custom field. The text's `$1` is the organisation.
pub(crate) fn push_asked(sql: &mut Sql, column: &str, people: &[People<'_>], filter: &Filter) {
    for people in people {
        push_people(sql, column, people);
    }
    for filter in filter.each() {
        push_named(sql, column, filter);
    }
}

/// Narrows `column`, the key of a user, to those that one filter names.
fn push_named(sql: &mut Sql, column: &str, filter: &Filter) {
    if !filter.users.is_empty() {
        sql.push(" AND ")
            .push(column)
            .push(" IN (SELECT u.key FROM users u WHERE u.org = $1 AND u.id");
        sql.any_of(texts(&filter.users)).push(")");
    }
    if !filter.teams.is_empty() {
        sql.push(" AND ").push(column).push(" IN (");
        push_members(
            sql,
            &filter.teams,
            filter.include_sub_teams,
            filter.primary_team_only,
            &[],
        );
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
            .push(" IN (SELECT u.key FROM users u WHERE u.org = $1 AND u.location");
        sql.any_of(filter.locations.clone()).push(")");
    }
    push_custom(sql, column, &filter.custom);
}

/// Narrows `column`, the key of a user, to those who have one of its values in each of the fields.
fn push_custom(sql: &mut Sql, column: &str, fields: &BTreeMap<String, Vec<String>>) {
    const USERS: &str = " IN (SELECT f.user_key FROM user_fields f WHERE f.org = $1 AND ";
    let push_field = |sql: &mut Sql, field: &str, values: &[String]| {
        sql.push("f.field = ").bind(field).push(" AND f.value");
        sql.any_of(values.to_vec());
    };
    if fields.len() <= FEW_FIELDS {
        for (field, values) in fields {
            sql.push(" AND ").push(column).push(USERS);
            push_field(sql, field, values);
            sql.push(")");
        }
        return;
    }
    // A user has a field once: who has one of the values in each has as many of them as there are fields.
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

/// The members of these teams and groups, as keys of users: a subselect without its brackets. One of the two lists has
/// something in it. The text's `$1` is the organisation.
pub(crate) fn push_members(
    sql: &mut Sql,
    teams: &[TeamId],
    sub_teams: bool,
    primary_only: bool,
    groups: &[GroupId],
) {
    if !teams.is_empty() {
        push_team_tree(sql, teams, sub_teams);
        // CROSS JOIN: SQLite takes the tables in this order, the few teams first.
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

/// These teams, and the teams below them where `sub_teams` says so, as the table `tree(org, key)`: the `WITH` before a
/// `SELECT`. The text's `$1` is the organisation.
pub(crate) fn push_team_tree(sql: &mut Sql, teams: &[TeamId], sub_teams: bool) {
    sql.push(if sub_teams { "WITH RECURSIVE" } else { "WITH" });
    sql.push(" tree(org, key) AS (SELECT t.org, t.key FROM teams t WHERE t.org = $1 AND t.id");
    sql.any_of(texts(teams));
    if sub_teams {
        // UNION, not UNION ALL: a tree that was ever knotted could not keep this from ending.
        sql.push(
            " UNION SELECT t.org, t.key FROM tree JOIN teams t ON t.org = tree.org AND t.parent = tree.key",
        );
    }
    sql.push(") ");
}

fn texts(ids: &[impl AsRef<str>]) -> Vec<String> {
    ids.iter().map(|id| id.as_ref().to_owned()).collect()
}

/// Narrows `column`, the key of a user, to those people: ` AND column IN (…)`. The text's `$1` is the
/// organisation.
pub(crate) fn push_people(sql: &mut Sql, column: &str, people: &People<'_>) {
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
        } => {
            push_tree(sql, column, manager, *manager_too, *indirect);
        }
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
        // The organisation comes from the tree, not from `$1`: else SQLite looks up all of the organisation's
        // users for each of the tree's rows.
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

/// Narrows `column`, the key of a user, to those over whom the caller may do `A`.
pub(crate) fn push_subjects<A: OverPeople>(sql: &mut Sql, column: &str, subjects: &Subjects<A>) {
    push_people(sql, column, &subjects.people());
    if let Some(caller) = subjects.excluded() {
        sql.push(" AND ")
            .push(column)
            .push(" NOT IN (SELECT me.key FROM users me WHERE me.org = $1 AND me.id = ")
            .bind(caller.as_str())
            .push(")");
    }
}

/// Narrows `column`, the key of a user, to a whole reach: what the directory's lists ask.
pub(crate) fn push_reach(sql: &mut Sql, column: &str, reach: &Reach) {
    push_people(sql, column, &reach.people());
}

impl Store {
    /// Whether the user is there and within the reach, deactivated or not.
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
        push_reach(&mut sql, "u.key", reach);
        Ok(self.db().fetch_optional(sql).await?.is_some())
    }
}
