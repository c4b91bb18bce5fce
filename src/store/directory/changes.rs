//! The changes of the directory and the catalogue in the order of their commits (`docs/specification.md#change-feed`).
//!
//! Each resource has one entry, with the number of its last change. It is read after the entry, so it can be newer.

use std::collections::HashMap;

use crate::access::Reach;
use crate::base::ids::OrgId;
use crate::catalogue::Content;
use crate::directory::{Group, Team, User};

use crate::store::db::changes::{ChangePage, ResourceKind};
use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError};
use crate::store::directory::contents::Contents;
use crate::store::directory::groups::Groups;
use crate::store::directory::keyed::{Collection, Existing};
use crate::store::directory::teams::Teams;
use crate::store::directory::users::Users;

/// The entries that are read at a time, if the page is smaller.
const LEAST_ENTRIES: usize = 100;
/// How often entries are read for a page while the caller may see none of them.
const MOST_ROUNDS: usize = 100;

/// Which resources a caller may see in the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VisibleResources {
    /// All users, and the teams and groups.
    pub directory: bool,
    /// The contents.
    pub catalogue: bool,
}

/// A resource of the directory or the catalogue.
#[derive(Debug)]
pub enum Resource {
    /// A user.
    User(Box<User>),
    /// A team.
    Team(Team),
    /// A group.
    Group(Group),
    /// A content.
    Content(Box<Content>),
}

/// A change of the directory or the catalogue.
#[derive(Debug)]
pub struct ResourceChange {
    /// The number of the change. It is the place after it.
    pub number: i64,
    /// What the change did.
    pub effect: ResourceEffect,
}

/// What a change did to a resource.
#[derive(Debug)]
pub enum ResourceEffect {
    /// The resource is new or different: it is this now.
    Upsert(Resource),
    /// There is no content with this id any more. No other resource is ever deleted.
    DeletedContent(String),
}

/// An entry of the feed, whose resource is not loaded yet.
#[derive(Debug)]
pub struct ChangedResource {
    number: i64,
    kind: ResourceKind,
    key: i64,
    former_id: Option<String>,
}

impl ChangedResource {
    /// The number of the change.
    pub fn number(&self) -> i64 {
        self.number
    }
}

columns! {
    struct Entry {
        change: i64 = "change",
        kind: i16 = "kind",
        key: i64 = "key",
        former_id: Option<String> = "former_id",
    }
}

impl VisibleResources {
    fn include(self, kind: ResourceKind) -> bool {
        match kind {
            ResourceKind::User | ResourceKind::Team | ResourceKind::Group => self.directory,
            ResourceKind::Content | ResourceKind::FormerContent => self.catalogue,
        }
    }
}

impl Store {
    /// The changes of the directory and the catalogue after the place, in the order of their numbers. The caller loads
    /// the resources in pieces ([`Store::load_changed`]).
    ///
    /// `reach` must be the whole organisation.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn directory_changes_after(
        &self,
        organisation: &OrgId,
        reach: &Reach,
        visible: VisibleResources,
        after: i64,
        limit: usize,
    ) -> Result<ChangePage<ChangedResource>, StoreError> {
        if *reach != Reach::Organisation {
            return Err(StoreError::Invariant(
                "a change feed needs the whole organisation",
            ));
        }
        let mut page = ChangePage::empty(after);
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(page);
        };
        let at_once = limit.max(LEAST_ENTRIES);
        for _ in 0..MOST_ROUNDS {
            let entries: Vec<Entry> = self
                .db()
                .fetch_rows(select_entries(org, page.place, at_once))
                .await?;
            page.more = entries.len() == at_once;
            for entry in entries {
                if page.changes.len() == limit {
                    page.more = true;
                    return Ok(page);
                }
                page.place = entry.change;
                let kind = ResourceKind::from_code(entry.kind);
                let kind = kind.filter(|kind| visible.include(*kind));
                page.changes.extend(kind.map(|kind| ChangedResource {
                    number: entry.change,
                    kind,
                    key: entry.key,
                    former_id: entry.former_id,
                }));
            }
            if !page.changes.is_empty() || !page.more {
                break;
            }
        }
        Ok(page)
    }

    /// Loads the resources of a piece of a page. One that cannot be read is left out.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn load_changed(
        &self,
        organisation: &OrgId,
        changes: &[ChangedResource],
    ) -> Result<Vec<ResourceChange>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(Vec::new());
        };
        let mut users = self.load_kind::<Users>(org, changes).await?;
        let mut teams = self.load_kind::<Teams>(org, changes).await?;
        let mut groups = self.load_kind::<Groups>(org, changes).await?;
        let mut contents = self.load_kind::<Contents>(org, changes).await?;
        let mut loaded = Vec::with_capacity(changes.len());
        for ChangedResource {
            number,
            kind,
            key,
            former_id,
        } in changes
        {
            let effect = match kind {
                ResourceKind::User => users
                    .remove(key)
                    .map(|user| Resource::User(Box::new(user)).into()),
                ResourceKind::Team => teams.remove(key).map(|team| Resource::Team(team).into()),
                ResourceKind::Group => groups.remove(key).map(|group| Resource::Group(group).into()),
                ResourceKind::Content => contents.remove(key).map(|content| content.into_effect()),
                ResourceKind::FormerContent => former_id.clone().map(ResourceEffect::DeletedContent),
            };
            loaded.extend(effect.map(|effect| ResourceChange {
                number: *number,
                effect,
            }));
        }
        Ok(loaded)
    }

    async fn load_kind<C: Collection>(
        &self,
        org: i64,
        changes: &[ChangedResource],
    ) -> Result<HashMap<i64, C::Stored>, StoreError> {
        let keys = changes.iter().filter(|change| change.kind == C::KIND);
        let keys: Vec<i64> = keys.map(|change| change.key).collect();
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let mut sql = Sql::new(&C::select()).with(org);
        sql.push(" AND ").push(C::KEY_COLUMN).any_of(keys);
        let rows: Vec<C::SelectedRow> = self.db().fetch_rows(sql).await?;
        let mut found: Vec<Existing<C>> = rows.into_iter().map(C::stored).collect();
        if !found.is_empty() {
            C::load_details(&mut self.db(), org, self.clock().now(), &mut found).await?;
        }
        Ok(found
            .into_iter()
            .map(|element| (element.key, element.stored))
            .collect())
    }

    /// The database's plan for finding a page of changes of the directory.
    pub async fn explain_directory_changes(
        &self,
        org: i64,
        after: i64,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.db().explain(select_entries(org, after, limit)).await
    }
}

impl From<Resource> for ResourceEffect {
    fn from(resource: Resource) -> Self {
        Self::Upsert(resource)
    }
}

/// The query for the next entries.
fn select_entries(org: i64, after: i64, limit: usize) -> Sql {
    let select = Sql::new(&format!(
        "SELECT {} FROM directory_changes WHERE org = $1 AND change > $2 ORDER BY change LIMIT $3",
        Entry::COLUMNS
    ));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    select.with(org).with(after).with(limit)
}
