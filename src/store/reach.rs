//! Scopes as persons: whose rows may come back. The only place where a reach becomes SQL.

use crate::access::{People, Reach, Scoped};
use crate::ids::{OrgId, UserId};
use crate::log::Filter;

use super::db::Sql;
use super::{Store, StoreError};

/// Whose rows a question is about, as keys of persons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Persons {
    /// Everybody in the organisation, but for persons of deactivated users where they are left out.
    Everyone { deactivated_too: bool },
    /// These, and perhaps none.
    Only(Vec<i64>),
}

impl Store {
    /// The persons that may come back: those within the reach and scope, and among them those that the
    /// filter names by user, team, group or custom field.
    pub(super) async fn persons<F>(
        &self,
        org: i64,
        scoped: &Scoped<F>,
        filter: &Filter,
    ) -> Result<Persons, StoreError> {
        let people = scoped.people();
        let narrowed = !(filter.users.is_empty()
            && filter.teams.is_empty()
            && filter.groups.is_empty()
            && filter.custom.is_empty());
        if people == People::Everyone && !narrowed {
            return Ok(Persons::Everyone {
                deactivated_too: filter.include_deactivated,
            });
        }
        let mut sql = Sql::new("SELECT p.key FROM persons p WHERE p.org = $1").with(org);
        sql.push(" AND p.user_key IS NOT NULL");
        if !filter.include_deactivated {
            sql.push(" AND NOT p.deactivated");
        }
        push_people(&mut sql, "p.user_key", &people);
        if !filter.users.is_empty() {
            sql.push(" AND p.user_key IN (SELECT u.key FROM users u WHERE u.org = $1 AND u.id");
            sql.any_of(texts(&filter.users)).push(")");
        }
        push_teams(&mut sql, filter);
        if !filter.groups.is_empty() {
            sql.push(
                " AND p.user_key IN (SELECT m.user_key FROM group_members m \
                 JOIN groups g ON g.org = m.org AND g.key = m.group_key WHERE m.org = $1 AND g.id",
            );
            sql.any_of(texts(&filter.groups)).push(")");
        }
        for (field, values) in &filter.custom {
            sql.push(
                " AND p.user_key IN (SELECT f.user_key FROM user_fields f WHERE f.org = $1 AND f.field = ",
            );
            sql.bind(field.as_str())
                .push(" AND f.value")
                .any_of(values.clone())
                .push(")");
        }
        let rows = self.db().fetch_all(sql).await?;
        Ok(Persons::Only(
            rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?,
        ))
    }
}

fn texts(ids: &[impl AsRef<str>]) -> Vec<String> {
    ids.iter().map(|id| id.as_ref().to_owned()).collect()
}

fn push_teams(sql: &mut Sql, filter: &Filter) {
    if filter.teams.is_empty() {
        return;
    }
    sql.push(" AND p.user_key IN (");
    if filter.include_sub_teams {
        // UNION, not UNION ALL: a tree that was ever knotted could not keep this from ending.
        sql.push(
            "WITH RECURSIVE tree(org, key) AS (SELECT t.org, t.key FROM teams t WHERE t.org = $1 AND t.id",
        );
        sql.any_of(texts(&filter.teams));
        sql.push(
            " UNION SELECT t.org, t.key FROM tree JOIN teams t ON t.org = tree.org AND t.parent = tree.key) ",
        );
    } else {
        sql.push("WITH tree(org, key) AS (SELECT t.org, t.key FROM teams t WHERE t.org = $1 AND t.id");
        sql.any_of(texts(&filter.teams)).push(") ");
    }
    sql.push(if filter.primary_team_only {
        "SELECT u.key FROM tree JOIN users u ON u.org = tree.org AND u.primary_team = tree.key)"
    } else {
        "SELECT m.user_key FROM tree JOIN memberships m ON m.org = tree.org AND m.team = tree.key)"
    });
}

/// Narrows `column`, the key of a user, to those people: ` AND column IN (…)`. The text's `$1` is the
/// organisation.
pub(super) fn push_people(sql: &mut Sql, column: &str, people: &People<'_>) {
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

/// Narrows `column`, the key of a user, to a whole reach: what the directory's lists ask.
pub(super) fn push_reach(sql: &mut Sql, column: &str, reach: &Reach) {
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
