//! How users are written: what is there, what shall be, and the difference as rows.

use std::collections::{HashMap, HashSet};

use crate::base::fold;
use crate::base::ids::UserId;
use crate::directory::error::in_words;
use crate::directory::identity::{claimed_by_email, claimed_by_id};
use crate::directory::{Keyed as _, Refusal, User, UserDraft};
use crate::record::Identifier;

use super::{by_ids, fault, load};
use crate::store::db::StoreError;
use crate::store::db::database::Sql;
use crate::store::db::dialect::Value;
use crate::store::db::ledger::OrgTx;
use crate::store::directory::write::{Change, Placed, Tree, WriteError, keys_of};
use crate::store::ingest::persons::digest_of;

const TREE: Tree = Tree {
    table: "users",
    column: "manager",
};

const COLUMNS: [&str; 17] = [
    "org",
    "key",
    "id",
    "first_name",
    "last_name",
    "email",
    "role",
    "job_title",
    "language",
    "location",
    "joined_on",
    "manager",
    "primary_team",
    "active",
    "deactivated_at",
    "custom",
    "search",
];

/// What is there, and the keys of all that the drafts name.
struct Known {
    users: HashMap<UserId, (i64, User)>,
    /// Keys of the drafts' users, new ones among them.
    own: HashMap<String, i64>,
    managers: HashMap<String, i64>,
    teams: HashMap<String, i64>,
    groups: HashMap<String, i64>,
}

/// One user as they will be.
struct Planned<'d> {
    key: i64,
    draft: &'d UserDraft,
    /// As they are now.
    before: Option<&'d User>,
    /// As they will be, without identifiers.
    after: User,
}

/// Makes or replaces the users and says what became of each.
pub(super) async fn apply(tx: &mut OrgTx, drafts: &[UserDraft]) -> Result<Vec<Change>, WriteError> {
    let known = Known::of(tx, drafts).await?;
    known.check(tx, drafts).await?;
    let planned = known.plan(tx, drafts)?;
    let claims = Claims::of(tx, &planned).await?;
    let changes: Vec<Change> = planned
        .iter()
        .enumerate()
        .map(|(index, user)| match user.before {
            None => Change::Created,
            Some(_) if user.differs() || claims.touched.contains(&index) => Change::Updated,
            Some(_) => Change::Unchanged,
        })
        .collect();
    write_users(tx, &known, &planned).await?;
    write_memberships(tx, &known, &planned).await?;
    write_fields(tx, &planned).await?;
    claims.make(tx, &planned).await?;
    for user in &planned {
        if user
            .before
            .is_some_and(|before| before.active != user.after.active)
        {
            tx.set_deactivated(user.key, !user.after.active).await?;
        }
    }
    Ok(changes)
}

impl Known {
    async fn of(tx: &mut OrgTx, drafts: &[UserDraft]) -> Result<Self, StoreError> {
        let org = tx.org;
        let ids = drafts.iter().map(|draft| draft.id.to_string()).collect();
        let users: HashMap<UserId, (i64, User)> = load(tx, org, by_ids(org, ids))
            .await?
            .into_iter()
            .map(|(key, user)| (user.id.clone(), (key, user)))
            .collect();
        let mut own = HashMap::with_capacity(drafts.len());
        for draft in drafts {
            let key = match users.get(&draft.id) {
                Some((key, _)) => *key,
                None => tx.next_key(),
            };
            own.insert(draft.id.to_string(), key);
        }
        let managers: HashSet<&str> = drafts
            .iter()
            .filter_map(|draft| draft.manager.as_ref())
            .map(UserId::as_str)
            .filter(|id| !own.contains_key(*id))
            .collect();
        let teams = drafts
            .iter()
            .flat_map(|draft| &draft.teams)
            .map(AsRef::as_ref)
            .collect();
        let groups = drafts
            .iter()
            .flat_map(|draft| &draft.groups)
            .map(AsRef::as_ref)
            .collect();
        Ok(Self {
            managers: keys_of(tx, "users", managers).await?,
            teams: keys_of(tx, "teams", teams).await?,
            groups: keys_of(tx, "groups", groups).await?,
            users,
            own,
        })
    }

    fn key(&self, user: &UserId) -> Option<i64> {
        self.own
            .get(user.as_str())
            .or_else(|| self.managers.get(user.as_str()))
            .copied()
    }

    /// Everybody and everything that is named must be there, and the managers must be a tree.
    async fn check(&self, tx: &mut OrgTx, drafts: &[UserDraft]) -> Result<(), WriteError> {
        let mut faults = Vec::new();
        for (index, draft) in drafts.iter().enumerate() {
            if let Some(manager) = draft
                .manager
                .as_ref()
                .filter(|manager| self.key(manager).is_none())
            {
                faults.push(fault(
                    index,
                    "manager",
                    format!("there is no user `{manager}`, here or in this batch"),
                ));
            }
            for team in draft
                .teams
                .iter()
                .filter(|team| !self.teams.contains_key(team.as_str()))
            {
                let member = if draft.primary_team.as_ref() == Some(team) {
                    "primary_team"
                } else {
                    "teams"
                };
                faults.push(fault(
                    index,
                    member,
                    format!("there is no team `{team}`; make it first"),
                ));
            }
            for group in draft
                .groups
                .iter()
                .filter(|group| !self.groups.contains_key(group.as_str()))
            {
                faults.push(fault(
                    index,
                    "groups",
                    format!("there is no group `{group}`; make it first"),
                ));
            }
        }
        Refusal::unless_empty(faults)?;
        let nodes: Vec<Placed<'_>> = drafts
            .iter()
            .enumerate()
            .filter_map(|(index, draft)| {
                let above = draft.manager.as_ref().and_then(|manager| self.key(manager));
                let moved = self
                    .users
                    .get(&draft.id)
                    .is_none_or(|(_, user)| user.manager != draft.manager);
                Some(Placed {
                    index,
                    key: self.key(&draft.id)?,
                    id: draft.id_text(),
                    above,
                    moved,
                })
            })
            .collect();
        match TREE.cycle(tx, &nodes).await? {
            Some(fault) => Err(Refusal::Faults(vec![fault]).into()),
            None => Ok(()),
        }
    }

    fn plan<'d>(&'d self, tx: &OrgTx, drafts: &'d [UserDraft]) -> Result<Vec<Planned<'d>>, StoreError> {
        let now = tx.store().clock().now().whole_millisecond();
        let planned = |draft: &'d UserDraft| {
            let before = self.users.get(&draft.id).map(|(_, user)| user);
            // Somebody who was away already has been away since then.
            let since = before.and_then(|before| before.deactivated_at);
            let after = User {
                id: draft.id.clone(),
                first_name: draft.first_name.clone(),
                last_name: draft.last_name.clone(),
                email: draft.email.clone(),
                role: draft.role,
                job_title: draft.job_title.clone(),
                language: draft.language.clone(),
                location: draft.location.clone(),
                joined_on: draft.joined_on.clone(),
                manager: draft.manager.clone(),
                primary_team: draft.primary_team.clone(),
                teams: draft.teams.clone(),
                groups: draft.groups.clone(),
                active: draft.active,
                deactivated_at: (!draft.active).then(|| draft.deactivated_at.or(since).unwrap_or(now)),
                identifiers: Vec::new(),
                custom: draft.custom.clone(),
            };
            let key = self
                .key(&draft.id)
                .ok_or(StoreError::Invariant("a user without a key"))?;
            Ok(Planned {
                key,
                draft,
                before,
                after,
            })
        };
        drafts.iter().map(planned).collect()
    }

    fn row(&self, org: i64, user: &Planned<'_>) -> Vec<Value> {
        let Planned { key, after, .. } = user;
        let names = [
            after.first_name.as_deref(),
            after.last_name.as_deref(),
            after.email.as_deref(),
        ];
        let search: Vec<&str> = names.into_iter().flatten().chain([after.id.as_str()]).collect();
        let team = after
            .primary_team
            .as_ref()
            .and_then(|team| self.teams.get(team.as_str()).copied());
        vec![
            org.into(),
            (*key).into(),
            after.id.as_str().into(),
            after.first_name.clone().into(),
            after.last_name.clone().into(),
            after.email.clone().into(),
            after.role.key().into(),
            after.job_title.clone().into(),
            after.language.clone().into(),
            after.location.clone().into(),
            after.joined_on.clone().into(),
            after
                .manager
                .as_ref()
                .and_then(|manager| self.key(manager))
                .into(),
            team.into(),
            after.active.into(),
            after.deactivated_at.map(|at| at.micros()).into(),
            // A map of texts always has a JSON form.
            serde_json::to_string(&after.custom)
                .unwrap_or_else(|_| "{}".to_owned())
                .into(),
            // Words hold no line break, so none of them reaches from one fact into the next.
            fold(&search.join("\n")).into(),
        ]
    }
}

impl Planned<'_> {
    /// Whether anything but identifiers is different.
    fn differs(&self) -> bool {
        self.before.is_none_or(|before| {
            let without = User {
                identifiers: Vec::new(),
                ..before.clone()
            };
            without != self.after
        })
    }
}

async fn write_users(tx: &mut OrgTx, known: &Known, planned: &[Planned<'_>]) -> Result<(), StoreError> {
    let org = tx.org;
    let made = planned
        .iter()
        .filter(|user| user.before.is_none())
        .map(|user| known.row(org, user))
        .collect();
    tx.insert("users", &COLUMNS, made).await?;
    for user in planned
        .iter()
        .filter(|user| user.before.is_some() && user.differs())
    {
        let mut update = Sql::new(
            "UPDATE users SET id = $3, first_name = $4, last_name = $5, email = $6, role = $7, job_title = $8, \
             language = $9, location = $10, joined_on = $11, manager = $12, primary_team = $13, active = $14, \
             deactivated_at = $15, custom = $16, search = $17 WHERE org = $1 AND key = $2",
        );
        for value in known.row(org, user) {
            update = update.with(value);
        }
        tx.execute(update).await?;
    }
    Ok(())
}

async fn write_memberships(tx: &mut OrgTx, known: &Known, planned: &[Planned<'_>]) -> Result<(), StoreError> {
    let org = tx.org;
    let link = |key: &i64, user: &Planned<'_>| vec![org.into(), (*key).into(), user.key.into()];
    let (mut left, mut teams) = (Vec::new(), Vec::new());
    for user in planned
        .iter()
        .filter(|user| user.before.is_none_or(|before| before.teams != user.after.teams))
    {
        left.extend(user.before.map(|_| user.key));
        let keys = user
            .after
            .teams
            .iter()
            .filter_map(|team| known.teams.get(team.as_str()));
        teams.extend(keys.map(|key| link(key, user)));
    }
    delete_of_users(tx, "memberships", left).await?;
    tx.insert("memberships", &["org", "team", "user_key"], teams)
        .await?;
    let (mut left, mut groups) = (Vec::new(), Vec::new());
    for user in planned.iter().filter(|user| {
        user.before
            .is_none_or(|before| before.groups != user.after.groups)
    }) {
        left.extend(user.before.map(|_| user.key));
        let keys = user
            .after
            .groups
            .iter()
            .filter_map(|group| known.groups.get(group.as_str()));
        groups.extend(keys.map(|key| link(key, user)));
    }
    delete_of_users(tx, "group_members", left).await?;
    tx.insert("group_members", &["org", "group_key", "user_key"], groups)
        .await
}

async fn write_fields(tx: &mut OrgTx, planned: &[Planned<'_>]) -> Result<(), StoreError> {
    let (mut left, mut fields) = (Vec::new(), Vec::new());
    for user in planned.iter().filter(|user| {
        user.before
            .is_none_or(|before| before.custom != user.after.custom)
    }) {
        left.extend(user.before.map(|_| user.key));
        for (field, value) in &user.after.custom {
            fields.push(vec![
                tx.org.into(),
                field.as_str().into(),
                user.key.into(),
                value.as_str().into(),
            ]);
        }
    }
    delete_of_users(tx, "user_fields", left).await?;
    tx.insert("user_fields", &["org", "field", "user_key", "value"], fields)
        .await
}

async fn delete_of_users(tx: &mut OrgTx, table: &'static str, users: Vec<i64>) -> Result<(), StoreError> {
    if users.is_empty() {
        return Ok(());
    }
    let delete = Sql::new(&format!(
        "DELETE FROM {table} WHERE org = $1 AND user_key IN LIST($2)"
    ));
    tx.execute(delete.with(tx.org).with(users)).await?;
    Ok(())
}

/// What the users claim that is not theirs yet.
struct Claims {
    /// The number of the user, the member that claims it, what is claimed.
    list: Vec<(usize, &'static str, Identifier)>,
    /// The users who get an identifier.
    touched: HashSet<usize>,
}

impl Claims {
    /// What a new user, a new address or `identifiers` claims must be free. What an address or id claims that
    /// was there before is bound where nobody has it: somebody who moved it away meant that, and the
    /// next nightly run of the same users must not fail for it.
    async fn of(tx: &mut OrgTx, planned: &[Planned<'_>]) -> Result<Self, StoreError> {
        let home_page = tx.organisation().await?.account_home_page;
        let (mut list, mut where_free) = (Vec::new(), Vec::new());
        for (index, user) in planned.iter().enumerate() {
            let mut theirs: HashSet<(i16, String)> = user
                .before
                .into_iter()
                .flat_map(|before| &before.identifiers)
                .map(|agent| (agent.0.kind_code(), agent.0.lookup_key()))
                .collect();
            let mut add = |list: &mut Vec<_>, member: &'static str, identifier: Identifier| {
                if theirs.insert((identifier.kind_code(), identifier.lookup_key())) {
                    list.push((index, member, identifier));
                }
            };
            for identifier in user.draft.identifiers.iter().cloned() {
                add(&mut list, "identifiers", identifier);
            }
            let same_address = user.before.is_some_and(|before| before.email == user.after.email);
            for identifier in user.after.email.iter().flat_map(|email| claimed_by_email(email)) {
                add(
                    if same_address { &mut where_free } else { &mut list },
                    "email",
                    identifier,
                );
            }
            let account = claimed_by_id(&home_page, &user.after.id);
            add(
                if user.before.is_some() {
                    &mut where_free
                } else {
                    &mut list
                },
                "id",
                account,
            );
        }
        let taken = tx.taken(where_free.iter().map(|(_, _, claimed)| claimed)).await?;
        list.extend(
            where_free
                .into_iter()
                .filter(|(_, _, claimed)| !taken.contains(&digest_of(claimed))),
        );
        let touched = list.iter().map(|(user, _, _)| *user).collect();
        Ok(Self { list, touched })
    }

    async fn make(&self, tx: &mut OrgTx, planned: &[Planned<'_>]) -> Result<(), WriteError> {
        if self.list.is_empty() {
            return Ok(());
        }
        let deactivated = planned
            .iter()
            .map(|user| (user.key, !user.after.active))
            .collect();
        let claims: Vec<(i64, &Identifier)> = self
            .list
            .iter()
            .filter_map(|(index, _, claimed)| planned.get(*index).map(|user| (user.key, claimed)))
            .collect();
        let conflicts = tx.claim_all(&claims, &deactivated, false).await?;
        let faults: Vec<_> = conflicts
            .into_iter()
            .filter_map(|(place, conflict)| {
                let (index, member, _) = self.list.get(place)?;
                let detail = format!(
                    "{} belongs to the user `{}` already; an owner or admin may move it with POST \
                     /v1/users/{{id}}/identifiers",
                    in_words(&conflict.identifier),
                    conflict.owner,
                );
                Some(fault(*index, member, detail))
            })
            .collect();
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Refusal::Conflicts(faults).into())
        }
    }
}
