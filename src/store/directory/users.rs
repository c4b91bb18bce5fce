//! Users of the directory, and the identifiers that belong to them.

mod claims;
mod details;

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::access::{Reach, Role};
use crate::base::Page;
use crate::base::clock::Timestamp;
use crate::base::fault::{Fault, Faults};
use crate::base::fold;
use crate::base::ids::{GroupId, OrgId, TeamId, UserId};
use crate::base::keyed::Refusal;
use crate::base::sort::{ListOrder, SortValue, ordering_text};
use crate::directory::identity::{IdentifierMove, MoveStart, identifiers_of_email};
use crate::directory::{Agent, User, UserDraft, UserFilter, UserSortField};
use crate::log::row::full_name;
use crate::record::Identifier;

use crate::store::db::changes::ResourceKind;
use crate::store::db::columns::{columns, table_row};
use crate::store::db::conversions::Json;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::page_rows::PageLimits;
use crate::store::db::rows::{Reads, push_words, texts};
use crate::store::db::{Store, StoreError, folded_digest};
use crate::store::ingest::claims::{Claim, ClaimStart};
use crate::store::ingest::persons::read_identifier;

use super::keyed::{
    Collection, Existing, ListPart, Matched, Planned, Tree, TreeKeys, WriteError, find_existing, find_keys,
    match_by_id,
};
use super::reach::{push_members, push_users};

/// The collection of users.
pub(crate) struct Users;

columns! {
    /// A user as it is read.
    pub(crate) struct SelectedUser {
        key: i64 = "u.key",
        id: UserId = "u.id",
        first_name: Option<String> = "u.first_name",
        last_name: Option<String> = "u.last_name",
        email: Option<String> = "u.email",
        role: Role = "u.role",
        job_title: Option<String> = "u.job_title",
        language: Option<String> = "u.language",
        location: Option<String> = "u.location",
        joined_on: Option<String> = "u.joined_on",
        manager: Option<UserId> = "(SELECT m.id FROM users m WHERE m.org = $1 AND m.key = u.manager)",
        primary_team: Option<TeamId> = "(SELECT t.id FROM teams t WHERE t.org = $1 AND t.key = u.primary_team)",
        active: bool = "u.active",
        deactivated_at: Option<Timestamp> = "u.deactivated_at",
        custom: Json<BTreeMap<String, String>> = "u.custom",
    }
}

table_row! {
    /// A user as it is written.
    pub(crate) struct WrittenUser in "users" {
        org: i64 = "org",
        key: i64 = "key",
        id: UserId = "id",
        first_name: Option<String> = "first_name",
        last_name: Option<String> = "last_name",
        email: Option<String> = "email",
        role: Role = "role",
        job_title: Option<String> = "job_title",
        language: Option<String> = "language",
        location: Option<String> = "location",
        location_folded: Option<Vec<u8>> = "location_folded",
        joined_on: Option<String> = "joined_on",
        manager: Option<i64> = "manager",
        primary_team: Option<i64> = "primary_team",
        active: bool = "active",
        deactivated_at: Option<Timestamp> = "deactivated_at",
        custom: Json<BTreeMap<String, String>> = "custom",
        search: String = "search",
        name_order: String = "name_order",
        last_name_order: String = "last_name_order",
        email_order: String = "email_order",
    }
}

/// The keys that drafts of users name, and the home page of the users' accounts.
pub(crate) struct UserReferences {
    managers: TreeKeys,
    teams: HashMap<String, i64>,
    groups: HashMap<String, i64>,
    account_home_page: String,
}

impl Collection for Users {
    type Entity = User;
    type Draft = UserDraft;
    type Stored = User;
    type Filter = UserFilter;
    type SortField = UserSortField;
    type Visible = Reach;
    type SelectedRow = SelectedUser;
    type WrittenRow = WrittenUser;
    type References = UserReferences;

    const KIND: ResourceKind = ResourceKind::User;
    const KEY_COLUMN: &'static str = "u.key";
    const ID_COLUMN: &'static str = "u.id";

    fn select() -> String {
        // The ids of managers and teams are values and no joins. Without statistics PostgreSQL would compare each user
        // with each other one.
        format!("SELECT {} FROM users u WHERE u.org = $1", SelectedUser::COLUMNS)
    }

    async fn push_visible(store: &Store, org: i64, sql: &mut Sql, reach: &Reach) -> Result<(), StoreError> {
        push_users(sql, "u.key", &store.resolve_users(org, reach).await?);
        Ok(())
    }

    async fn push_filter(
        store: &Store,
        org: i64,
        sql: &mut Sql,
        filter: &UserFilter,
    ) -> Result<(), StoreError> {
        push_words(sql, "u.search", &filter.words);
        if !filter.ids.is_empty() {
            Self::push_ids(sql, texts(&filter.ids));
        }
        if let Some(active) = filter.active {
            sql.push(" AND u.active = ").bind(active);
        }
        if !filter.teams.is_empty() {
            let teams = store
                .find_team_keys(org, &filter.teams, filter.include_sub_teams)
                .await?;
            sql.push(" AND u.key IN (");
            push_members(sql, Some(&teams), filter.primary_team_only, &[]);
            sql.push(")");
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
            let roles: Vec<String> = filter.roles.iter().map(|role| role.key().to_owned()).collect();
            sql.push(" AND u.role").any_of(roles);
        }
        Ok(())
    }

    fn sort_columns(field: UserSortField) -> &'static [&'static str] {
        match field {
            UserSortField::Id => &["u.id"],
            UserSortField::Name => &["u.name_order", "u.id"],
            UserSortField::LastName => &["u.last_name_order", "u.id"],
            UserSortField::Email => &["u.email_order", "u.id"],
        }
    }

    fn sort_values(field: UserSortField, user: &User) -> Vec<SortValue> {
        let text = order_text(field, user).map(SortValue::Text);
        text.into_iter().chain([user.id.as_str().into()]).collect()
    }

    fn stored(row: SelectedUser) -> Existing<Self> {
        Existing {
            key: row.key,
            stored: User {
                id: row.id,
                first_name: row.first_name,
                last_name: row.last_name,
                email: row.email,
                role: row.role,
                job_title: row.job_title,
                language: row.language,
                location: row.location,
                joined_on: row.joined_on,
                manager: row.manager,
                primary_team: row.primary_team,
                teams: Vec::new(),
                groups: Vec::new(),
                active: row.active,
                deactivated_at: row.deactivated_at,
                identifiers: Vec::new(),
                custom: row.custom.0,
            },
        }
    }

    fn stored_id(stored: &User) -> &str {
        stored.id.as_str()
    }

    async fn load_details(
        reads: &mut impl Reads,
        org: i64,
        _now: Timestamp,
        users: &mut [Existing<Self>],
    ) -> Result<(), StoreError> {
        details::load(reads, org, users).await
    }

    async fn match_drafts<'d>(
        tx: &mut OrgTx,
        drafts: &'d [UserDraft],
        refused_ids: &HashSet<String>,
        now: Timestamp,
    ) -> Result<(Vec<Matched<'d, Self>>, UserReferences), WriteError> {
        let matched = match_by_id(tx, drafts, now).await?;
        let teams = drafts.iter().flat_map(|draft| &draft.teams).map(TeamId::as_str);
        let groups = drafts.iter().flat_map(|draft| &draft.groups).map(GroupId::as_str);
        let references = UserReferences {
            managers: TreeKeys::find(tx, &matched).await?,
            teams: find_keys(tx, "teams", teams.collect()).await?,
            groups: find_keys(tx, "groups", groups.collect()).await?,
            account_home_page: tx.organisation().await?.account_home_page,
        };
        references.refuse_faulty(drafts, refused_ids, now)?;
        references.managers.refuse_cycle(tx, &matched).await?;
        Ok((matched, references))
    }

    fn after(draft: &UserDraft, before: Option<&User>, _references: &UserReferences, now: Timestamp) -> User {
        // A user that was deactivated before keeps the time.
        let deactivated_before = before.and_then(|before| before.deactivated_at);
        User {
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
            deactivated_at: (!draft.active)
                .then(|| draft.deactivated_at.or(deactivated_before).unwrap_or(now)),
            // Identifiers are claimed after the rows are written.
            identifiers: before
                .map(|before| before.identifiers.clone())
                .unwrap_or_default(),
            custom: draft.custom.clone(),
        }
    }

    fn row(
        org: i64,
        element: &Planned<'_, Self>,
        references: &UserReferences,
        _now: Timestamp,
    ) -> WrittenUser {
        let user = element.after.clone();
        WrittenUser {
            org,
            key: element.key,
            search: search_text(&user),
            name_order: order_text(UserSortField::Name, &user).unwrap_or_default(),
            last_name_order: order_text(UserSortField::LastName, &user).unwrap_or_default(),
            email_order: order_text(UserSortField::Email, &user).unwrap_or_default(),
            manager: user
                .manager
                .as_ref()
                .and_then(|manager| references.managers.key(manager.as_str())),
            primary_team: user
                .primary_team
                .as_ref()
                .and_then(|team| references.teams.get(team.as_str()).copied()),
            id: user.id,
            first_name: user.first_name,
            last_name: user.last_name,
            email: user.email,
            role: user.role,
            job_title: user.job_title,
            language: user.language,
            location_folded: user.location.as_deref().map(folded_digest),
            location: user.location,
            joined_on: user.joined_on,
            active: user.active,
            deactivated_at: user.deactivated_at,
            custom: Json(user.custom),
        }
    }

    async fn write_details(
        tx: &mut OrgTx,
        planned: &mut [Planned<'_, Self>],
        references: &UserReferences,
    ) -> Result<(), WriteError> {
        details::replace(tx, planned, references).await?;
        claims::give_up(tx, planned).await?;
        claims::claim(tx, planned, &references.account_home_page).await?;
        for user in planned.iter() {
            let was_active = user.before.as_ref().map(|before| before.active);
            if was_active.is_some_and(|was_active| was_active != user.after.active) {
                tx.set_deactivated(user.key, !user.after.active).await?;
            }
        }
        refuse_without_owner(tx, planned).await
    }
}

impl Tree for Users {
    const MEMBER: &'static str = "manager";
    const NOUN: &'static str = "user";

    fn above(draft: &UserDraft) -> Option<&str> {
        draft.manager.as_ref().map(UserId::as_str)
    }

    fn stored_above(stored: &User) -> Option<&str> {
        stored.manager.as_ref().map(UserId::as_str)
    }
}

impl UserReferences {
    /// Refuses drafts that name a manager, team or group that does not exist, or a deactivation in the future.
    fn refuse_faulty(
        &self,
        drafts: &[UserDraft],
        refused_ids: &HashSet<String>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let mut faults = Faults::new();
        for (index, draft) in drafts.iter().enumerate() {
            faults.extend(self.managers.missing_above::<Users>(index, draft, refused_ids));
            for team in &draft.teams {
                if !self.teams.contains_key(team.as_str()) {
                    let is_primary = draft.primary_team.as_ref() == Some(team);
                    let member = if is_primary { "primary_team" } else { "teams" };
                    let detail = format!("the team `{team}` does not exist; create it first");
                    faults.push(fault(index, member, detail));
                }
            }
            for group in &draft.groups {
                if !self.groups.contains_key(group.as_str()) {
                    let detail = format!("the group `{group}` does not exist; create it first");
                    faults.push(fault(index, "groups", detail));
                }
            }
            if draft.deactivated_at.is_some_and(|at| at > now) {
                let detail = "this is in the future; deactivate the user when the time has come".to_owned();
                faults.push(fault(index, "deactivated_at", detail));
            }
        }
        Refusal::if_faulty(faults)
    }
}

/// Refuses a write after which the directory has no active owner, if it had one before. The rows are written already.
async fn refuse_without_owner(tx: &mut OrgTx, planned: &[Planned<'_, Users>]) -> Result<(), WriteError> {
    let is_owner = |user: &User| user.active && user.role == Role::Owner;
    let lost: Vec<(usize, &Planned<'_, Users>)> = planned
        .iter()
        .enumerate()
        .filter(|(_, user)| user.before.as_ref().is_some_and(is_owner) && !is_owner(&user.after))
        .collect();
    if lost.is_empty() {
        return Ok(());
    }
    let select = Sql::new("SELECT key FROM users WHERE org = $1 AND role = 'owner' AND active LIMIT 1");
    if tx.fetch_optional(select.with(tx.org)).await?.is_some() {
        return Ok(());
    }
    let faults = lost.into_iter().map(|(index, user)| {
        let member = if user.after.active { "role" } else { "active" };
        let detail = format!(
            "`{}` is the last active owner in the directory; make another user an owner first",
            user.after.id
        );
        fault(index, member, detail)
    });
    Err(Refusal::Conflicts(faults.collect()).into())
}

/// The text that the words of `q` are searched in. A word has no line break, so it cannot match across two facts.
fn search_text(user: &User) -> String {
    let names = [&user.first_name, &user.last_name, &user.email, &user.job_title];
    let mut facts: Vec<&str> = names.into_iter().flatten().map(String::as_str).collect();
    facts.push(user.id.as_str());
    fold(&facts.join("\n"))
}

/// The text by which the field orders a user; `None` for the id.
fn order_text(field: UserSortField, user: &User) -> Option<String> {
    let (first, last) = (user.first_name.as_deref(), user.last_name.as_deref());
    match field {
        UserSortField::Id => None,
        UserSortField::Name => Some(ordering_text(full_name(first, last).as_deref())),
        UserSortField::LastName => Some(ordering_text(full_name(last, first).as_deref())),
        UserSortField::Email => Some(ordering_text(user.email.as_deref())),
    }
}

/// A fault at a member of the draft with that number.
fn fault(index: usize, member: &str, detail: String) -> Fault {
    Fault {
        pointer: format!("/{index}/{member}"),
        detail,
    }
}

impl Store {
    /// A page of the users within the reach, by id. It begins after the id `after`.
    pub async fn users(
        &self,
        organisation: &OrgId,
        reach: &Reach,
        filter: &UserFilter,
        after: Option<&str>,
        limits: PageLimits,
    ) -> Result<Page<User>, StoreError> {
        let after = after.map(|id| [SortValue::from(id)]);
        let part = ListPart {
            order: ListOrder::default(),
            after: after.as_ref().map(<[_; 1]>::as_slice),
        };
        self.list::<Users>(organisation, reach, filter, part, limits)
            .await
    }

    /// The plan of a page of all users.
    pub async fn explain_users(
        &self,
        organisation: &OrgId,
        part: ListPart<'_, UserSortField>,
    ) -> Result<Vec<String>, StoreError> {
        let (reach, filter) = (Reach::Organisation, UserFilter::default());
        self.explain_list::<Users>(organisation, &reach, &filter, part)
            .await
    }

    /// One user; `None` if the user does not exist or is not within the reach.
    pub async fn user(
        &self,
        organisation: &OrgId,
        reach: &Reach,
        id: &UserId,
    ) -> Result<Option<User>, StoreError> {
        self.find::<Users>(organisation, reach, id.as_str()).await
    }

    /// Gives the identifiers to the user and takes them from other users (`docs/specification.md#identifiers`). An mbox
    /// takes the hashes of its address along. `None` if the user does not exist.
    ///
    /// # Errors
    ///
    /// A refusal: the move begins in the future.
    pub async fn move_identifiers(
        &self,
        organisation: &OrgId,
        id: &UserId,
        request: &IdentifierMove,
    ) -> Result<Option<User>, WriteError> {
        let mut tx = self.write(organisation).await?;
        let Some(user) = find_existing::<Users>(&mut tx, id.as_str()).await? else {
            return Ok(None);
        };
        let start = match request.from {
            MoveStart::Now => ClaimStart::Now,
            MoveStart::Always => ClaimStart::Always,
            MoveStart::At(moment) if moment <= self.clock().now() => ClaimStart::From(moment),
            MoveStart::At(_) => {
                let detail = "this is in the future; write a moment up to now, or leave it out".to_owned();
                let pointer = "/from".to_owned();
                return Err(Refusal::Faults(Fault { pointer, detail }.into()).into());
            }
        };
        let moved: Vec<Identifier> = request
            .identifiers
            .iter()
            .flat_map(|identifier| match identifier.email() {
                Some(address) => identifiers_of_email(address),
                None => vec![identifier.clone()],
            })
            .collect();
        let claims: Vec<Claim<'_>> = moved
            .iter()
            .map(|identifier| Claim {
                user: user.key,
                identifier,
                start,
                optional: false,
            })
            .collect();
        let claimants = HashMap::from([(user.key, claims::to_claimant(&user.stored))]);
        tx.claim(&claims, &claimants).await?;
        let user = find_existing::<Users>(&mut tx, id.as_str()).await?;
        tx.commit().await?;
        Ok(user.map(|user| user.stored))
    }
}
