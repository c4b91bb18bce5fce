//! Users of the directory: read within a reach, written all or none.
//!
//! Reading is here; how a write becomes rows is in [`plan`]. A batch reads what is there by a few queries with
//! lists, decides in the process, and writes what is new in bulk: no query an element.

mod plan;

use std::collections::{HashMap, HashSet};

use crate::access::{Reach, Role};
use crate::base::Page;
use crate::base::clock::Timestamp;
use crate::base::fault::Fault;
use crate::base::ids::{GroupId, OrgId, TeamId, UserId};
use crate::directory::identity::{claimed_by_email, claimed_by_id};
use crate::directory::{Agent, BatchOutcome, Refusal, User, UserDraft, UserFilter};
use crate::record::Identifier;

use crate::store::db::database::{Row, Sql};
use crate::store::db::ledger::OrgTx;
use crate::store::db::rows::{Reads, one_more, push_words, read_id, read_optional_id, texts};
use crate::store::db::{Store, StoreError};
use crate::store::directory::reach::push_reach;
use crate::store::directory::write::{Change, WriteError};
use crate::store::ingest::persons::{digest_of, read_identifier};

const SELECT: &str = "SELECT u.key, u.id, u.first_name, u.last_name, u.email, u.role, u.job_title, u.language, \
     u.location, u.joined_on, m.id, t.id, u.active, u.deactivated_at, u.custom FROM users u \
     LEFT JOIN users m ON m.org = u.org AND m.key = u.manager \
     LEFT JOIN teams t ON t.org = u.org AND t.key = u.primary_team WHERE u.org = $1";

fn read(row: &Row) -> Result<(i64, User), StoreError> {
    let role: String = row.get(5)?;
    let custom: String = row.get(14)?;
    let user = User {
        id: read_id(row, 1)?,
        first_name: row.get(2)?,
        last_name: row.get(3)?,
        email: row.get(4)?,
        role: role.parse().map_err(|error| StoreError::corrupt("role", error))?,
        job_title: row.get(6)?,
        language: row.get(7)?,
        location: row.get(8)?,
        joined_on: row.get(9)?,
        manager: read_optional_id(row, 10)?,
        primary_team: read_optional_id(row, 11)?,
        teams: Vec::new(),
        groups: Vec::new(),
        active: row.get(12)?,
        deactivated_at: row.get::<Option<i64>>(13)?.map(Timestamp::from_micros),
        identifiers: Vec::new(),
        custom: serde_json::from_str(&custom).map_err(|error| StoreError::corrupt("custom field", error))?,
    };
    Ok((row.get(0)?, user))
}

/// The users that `sql` (of [`SELECT`]) finds, in its order, with their teams, groups and identifiers.
async fn load(reads: &mut impl Reads, org: i64, sql: Sql) -> Result<Vec<(i64, User)>, StoreError> {
    let mut users: Vec<(i64, User)> = reads
        .rows(sql)
        .await?
        .iter()
        .map(read)
        .collect::<Result<_, _>>()?;
    if users.is_empty() {
        return Ok(users);
    }
    let places: HashMap<i64, usize> = users
        .iter()
        .enumerate()
        .map(|(place, (key, _))| (*key, place))
        .collect();
    let keys: Vec<i64> = users.iter().map(|(key, _)| *key).collect();
    let teams = Sql::new(
        "SELECT m.user_key, t.id FROM memberships m JOIN teams t ON t.org = m.org AND t.key = m.team \
         WHERE m.org = $1 AND m.user_key IN LIST($2) ORDER BY t.id",
    );
    let groups = Sql::new(
        "SELECT m.user_key, g.id FROM group_members m JOIN groups g ON g.org = m.org AND g.key = m.group_key \
         WHERE m.org = $1 AND m.user_key IN LIST($2) ORDER BY g.id",
    );
    let persons =
        Sql::new("SELECT user_key, value FROM persons WHERE org = $1 AND user_key IN LIST($2) ORDER BY key");
    for row in reads.rows(teams.with(org).with(keys.clone())).await? {
        if let Some(user) = at(&mut users, &places, row.get(0)?) {
            user.teams.push(read_id::<TeamId>(&row, 1)?);
        }
    }
    for row in reads.rows(groups.with(org).with(keys.clone())).await? {
        if let Some(user) = at(&mut users, &places, row.get(0)?) {
            user.groups.push(read_id::<GroupId>(&row, 1)?);
        }
    }
    for row in reads.rows(persons.with(org).with(keys)).await? {
        let identifier = read_identifier(&row.get::<String>(1)?)?;
        if let (Some(user), Some(identifier)) = (at(&mut users, &places, row.get(0)?), identifier) {
            user.identifiers.push(Agent(identifier));
        }
    }
    Ok(users)
}

fn at<'u>(users: &'u mut [(i64, User)], places: &HashMap<i64, usize>, key: i64) -> Option<&'u mut User> {
    users.get_mut(*places.get(&key)?).map(|(_, user)| user)
}

fn by_ids(org: i64, ids: Vec<String>) -> Sql {
    Sql::new(&format!("{SELECT} AND u.id IN LIST($2)"))
        .with(org)
        .with(ids)
}

fn push_filter(sql: &mut Sql, filter: &UserFilter) {
    push_words(sql, "u.search", &filter.words);
    if let Some(active) = filter.active {
        sql.push(" AND u.active = ").bind(active);
    }
    if !filter.teams.is_empty() {
        sql.push(
            " AND u.key IN (SELECT f.user_key FROM memberships f JOIN teams ft ON ft.org = f.org \
             AND ft.key = f.team WHERE f.org = $1 AND ft.id",
        );
        sql.any_of(texts(&filter.teams)).push(")");
    }
    if !filter.groups.is_empty() {
        sql.push(
            " AND u.key IN (SELECT f.user_key FROM group_members f JOIN groups fg ON fg.org = f.org \
             AND fg.key = f.group_key WHERE f.org = $1 AND fg.id",
        );
        sql.any_of(texts(&filter.groups)).push(")");
    }
    if !filter.managers.is_empty() {
        sql.push(" AND u.manager IN (SELECT b.key FROM users b WHERE b.org = $1 AND b.id");
        sql.any_of(texts(&filter.managers)).push(")");
    }
    if !filter.roles.is_empty() {
        let roles: Vec<String> = filter
            .roles
            .iter()
            .map(|role: &Role| role.key().to_owned())
            .collect();
        sql.push(" AND u.role").any_of(roles);
    }
}

impl Store {
    /// A page of the users within the reach, by id, after the id `after`.
    pub async fn users(
        &self,
        organisation: &OrgId,
        reach: &Reach,
        filter: &UserFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<User>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(Page::empty());
        };
        let mut sql = Sql::new(SELECT).with(org);
        push_reach(&mut sql, "u.key", reach);
        push_filter(&mut sql, filter);
        if let Some(after) = after {
            sql.push(" AND u.id > ").bind(after);
        }
        sql.push(" ORDER BY u.id LIMIT ").bind(one_more(limit));
        let users = load(&mut self.db(), org, sql).await?;
        Ok(Page::from_overfetch(
            users.into_iter().map(|(_, user)| user).collect(),
            limit,
        ))
    }

    /// One user, if they are there and within the reach.
    pub async fn user(
        &self,
        organisation: &OrgId,
        reach: &Reach,
        id: &UserId,
    ) -> Result<Option<User>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(None);
        };
        let mut sql = by_ids(org, vec![id.to_string()]);
        push_reach(&mut sql, "u.key", reach);
        let mut found = load(&mut self.db(), org, sql).await?;
        Ok(found.pop().map(|(_, user)| user))
    }

    /// Makes or replaces users: all of them or none.
    ///
    /// # Errors
    ///
    /// A manager, team or group that is neither there nor (a manager) among them, a cycle of managers, and
    /// somebody else's identifier; each with its place, which begins with the number of the draft.
    pub async fn put_users(
        &self,
        organisation: &OrgId,
        drafts: &[UserDraft],
    ) -> Result<BatchOutcome, WriteError> {
        let mut tx = self.write(organisation).await?;
        let changes = plan::apply(&mut tx, drafts).await?;
        tx.commit().await?;
        Ok(Change::count(changes))
    }

    /// Makes or replaces one user and answers them, and whether they are new.
    ///
    /// # Errors
    ///
    /// As [`Store::put_users`], with places within the draft.
    pub async fn put_user(&self, organisation: &OrgId, draft: UserDraft) -> Result<(User, bool), WriteError> {
        let mut tx = self.write(organisation).await?;
        let changes = plan::apply(&mut tx, std::slice::from_ref(&draft)).await;
        let changes = changes.map_err(WriteError::of_the_only_element)?;
        let user = written(&mut tx, &draft.id).await?;
        tx.commit().await?;
        Ok((user, changes.contains(&Change::Created)))
    }

    /// Changes a user who is there: `change` is given what they are now. `None` where they are not there.
    ///
    /// # Errors
    ///
    /// What `change` says, and [`Store::put_user`].
    pub async fn patch_user(
        &self,
        organisation: &OrgId,
        id: &UserId,
        change: impl FnOnce(&User) -> Result<UserDraft, Refusal>,
    ) -> Result<Option<User>, WriteError> {
        let mut tx = self.write(organisation).await?;
        let org = tx.org;
        let select = by_ids(org, vec![id.to_string()]);
        let Some((_, user)) = load(&mut tx, org, select).await?.pop() else {
            return Ok(None);
        };
        let draft = change(&user)?;
        let changes = plan::apply(&mut tx, std::slice::from_ref(&draft)).await;
        changes.map_err(WriteError::of_the_only_element)?;
        let user = written(&mut tx, &draft.id).await?;
        tx.commit().await?;
        Ok(Some(user))
    }

    /// Binds the identifiers to the user, whoever had them: what their actors did goes along (product text,
    /// section 5). An mbox takes the hashes of its address along, as it was claimed with them. `None` where the
    /// user is not there.
    pub async fn move_identifiers(
        &self,
        organisation: &OrgId,
        id: &UserId,
        identifiers: &[Identifier],
    ) -> Result<Option<User>, StoreError> {
        let mut tx = self.write(organisation).await?;
        let org = tx.org;
        let select = by_ids(org, vec![id.to_string()]);
        let Some((key, user)) = load(&mut tx, org, select).await?.pop() else {
            return Ok(None);
        };
        let moved: Vec<Identifier> = identifiers
            .iter()
            .flat_map(|identifier| match identifier.email() {
                Some(address) => claimed_by_email(address),
                None => vec![identifier.clone()],
            })
            .collect();
        tx.claim(key, !user.active, &moved, true).await?;
        let user = written(&mut tx, id).await?;
        tx.commit().await?;
        Ok(Some(user))
    }
}

/// Users whose accounts are claimed at a time.
const CLAIMED_AT_ONCE: i64 = 1_000;

impl OrgTx {
    /// Binds every user's account on a new home page, where nobody has it.
    pub(crate) async fn claim_accounts(&mut self, home_page: &str) -> Result<(), StoreError> {
        let mut after = i64::MIN;
        loop {
            let select = Sql::new(
                "SELECT key, id, active FROM users WHERE org = $1 AND key > $2 ORDER BY key LIMIT $3",
            );
            let rows = self
                .fetch_all(select.with(self.org).with(after).with(CLAIMED_AT_ONCE))
                .await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.get(0)?;
            let (mut claims, mut deactivated) = (Vec::new(), HashMap::new());
            for row in &rows {
                let key: i64 = row.get(0)?;
                claims.push((key, claimed_by_id(home_page, &read_id(row, 1)?)));
                deactivated.insert(key, !row.get::<bool>(2)?);
            }
            let taken = self.taken(claims.iter().map(|(_, account)| account)).await?;
            let free: Vec<(i64, &Identifier)> = claims
                .iter()
                .filter(|(_, account)| !taken.contains(&digest_of(account)))
                .map(|(key, account)| (*key, account))
                .collect();
            self.claim_all(&free, &deactivated, false).await?;
        }
    }

    /// The digests of those among the identifiers that some user has.
    async fn taken(
        &mut self,
        identifiers: impl Iterator<Item = &Identifier>,
    ) -> Result<HashSet<Vec<u8>>, StoreError> {
        let digests: Vec<Vec<u8>> = identifiers.map(digest_of).collect();
        if digests.is_empty() {
            return Ok(HashSet::new());
        }
        let select = Sql::new(
            "SELECT digest FROM persons WHERE org = $1 AND digest IN LIST($2) AND user_key IS NOT NULL",
        );
        let rows = self.fetch_all(select.with(self.org).with(digests)).await?;
        rows.iter().map(|row| row.get(0)).collect()
    }
}

async fn written(tx: &mut OrgTx, id: &UserId) -> Result<User, StoreError> {
    let org = tx.org;
    let select = by_ids(org, vec![id.to_string()]);
    let user = load(tx, org, select).await?.pop();
    user.map(|(_, user)| user)
        .ok_or(StoreError::Invariant("a user who was not written"))
}

/// A fault at a member of the draft with that number.
fn fault(index: usize, member: &str, detail: String) -> Fault {
    Fault {
        pointer: format!("/{index}/{member}"),
        detail,
    }
}
