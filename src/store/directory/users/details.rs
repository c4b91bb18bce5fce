//! The rows that other tables have for a user: teams, groups, custom fields and identifiers.

use std::collections::HashMap;

use crate::base::ids::{GroupId, TeamId};
use crate::directory::User;

use crate::store::db::columns::{FromRow as _, table_row};
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::rows::Reads;
use crate::store::db::{StoreError, folded_digest};
use crate::store::directory::keyed::{Existing, Planned, replace_details};

use super::{Agent, UserReferences, Users, read_identifier};

table_row! {
    struct TeamMember in "memberships" {
        org: i64 = "org",
        team: i64 = "team",
        user: i64 = "user_key",
    }
}

table_row! {
    struct GroupMember in "group_members" {
        org: i64 = "org",
        group: i64 = "group_key",
        user: i64 = "user_key",
    }
}

table_row! {
    struct CustomField in "user_fields" {
        org: i64 = "org",
        field: String = "field",
        user: i64 = "user_key",
        value: String = "value",
        folded: Vec<u8> = "folded",
    }
}

/// Loads teams, groups and identifiers. Custom fields are also a column of the user.
pub(super) async fn load(
    reads: &mut impl Reads,
    org: i64,
    users: &mut [Existing<Users>],
) -> Result<(), StoreError> {
    let keys: Vec<i64> = users.iter().map(|user| user.key).collect();
    let mut by_key: HashMap<i64, &mut User> = users
        .iter_mut()
        .map(|user| (user.key, &mut user.stored))
        .collect();
    let teams = Sql::new(
        "SELECT m.user_key, t.id FROM memberships m JOIN teams t ON t.org = m.org AND t.key = m.team \
         WHERE m.org = $1 AND m.user_key IN LIST($2) ORDER BY t.id",
    );
    for row in reads.rows(teams.with(org).with(keys.clone())).await? {
        let (user, team) = <(i64, TeamId)>::from_row(&row)?;
        if let Some(user) = by_key.get_mut(&user) {
            user.teams.push(team);
        }
    }
    let groups = Sql::new(
        "SELECT m.user_key, g.id FROM group_members m JOIN groups g ON g.org = m.org AND g.key = m.group_key \
         WHERE m.org = $1 AND m.user_key IN LIST($2) ORDER BY g.id",
    );
    for row in reads.rows(groups.with(org).with(keys.clone())).await? {
        let (user, group) = <(i64, GroupId)>::from_row(&row)?;
        if let Some(user) = by_key.get_mut(&user) {
            user.groups.push(group);
        }
    }
    let persons = Sql::new(
        "SELECT user_key, value FROM persons WHERE org = $1 AND user_key IN LIST($2) \
         AND valid_until IS NULL AND given_up_at IS NULL ORDER BY key",
    );
    for row in reads.rows(persons.with(org).with(keys)).await? {
        let (user, value) = <(i64, String)>::from_row(&row)?;
        let identifier = read_identifier(&value)?;
        if let (Some(user), Some(identifier)) = (by_key.get_mut(&user), identifier) {
            user.identifiers.push(Agent(identifier));
        }
    }
    Ok(())
}

/// Replaces teams, groups and custom fields where they changed.
pub(super) async fn replace(
    tx: &mut OrgTx,
    planned: &[Planned<'_, Users>],
    references: &UserReferences,
) -> Result<(), StoreError> {
    let org = tx.org;
    let teams = |user: &Planned<'_, Users>| {
        let keys = user.after.teams.iter();
        let keys = keys.filter_map(|team| references.teams.get(team.as_str()));
        let user = user.key;
        keys.map(|team| TeamMember {
            org,
            team: *team,
            user,
        })
        .collect()
    };
    let differ = |before: &User, after: &User| before.teams != after.teams;
    replace_details(tx, planned, "user_key", differ, teams).await?;
    let groups = |user: &Planned<'_, Users>| {
        let keys = user.after.groups.iter();
        let keys = keys.filter_map(|group| references.groups.get(group.as_str()));
        let user = user.key;
        keys.map(|group| GroupMember {
            org,
            group: *group,
            user,
        })
        .collect()
    };
    let differ = |before: &User, after: &User| before.groups != after.groups;
    replace_details(tx, planned, "user_key", differ, groups).await?;
    let fields = |user: &Planned<'_, Users>| {
        let fields = user.after.custom.iter().map(|(field, value)| CustomField {
            org,
            field: field.clone(),
            user: user.key,
            value: value.clone(),
            folded: folded_digest(value),
        });
        fields.collect()
    };
    let differ = |before: &User, after: &User| before.custom != after.custom;
    replace_details(tx, planned, "user_key", differ, fields).await
}
