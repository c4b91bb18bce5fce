//! Groups of the directory.

use std::collections::HashSet;

use crate::base::clock::Timestamp;
use crate::base::fold;
use crate::base::ids::GroupId;
use crate::base::sort::{ById, SortValue};
use crate::directory::{Group, GroupDraft, GroupFilter};

use crate::store::db::changes::ResourceKind;
use crate::store::db::columns::{columns, table_row};
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::rows::push_words;
use crate::store::db::{Store, StoreError};

use super::keyed::{Collection, Existing, Matched, Planned, WriteError, match_by_id};

/// The collection of groups.
pub(crate) struct Groups;

columns! {
    /// A group as it is read.
    pub(crate) struct SelectedGroup {
        key: i64 = "g.key",
        id: GroupId = "g.id",
        name: String = "g.name",
    }
}

table_row! {
    /// A group as it is written.
    pub(crate) struct WrittenGroup in "groups" {
        org: i64 = "org",
        key: i64 = "key",
        id: GroupId = "id",
        name: String = "name",
        search: String = "search",
    }
}

impl Collection for Groups {
    type Entity = Group;
    type Draft = GroupDraft;
    type Stored = Group;
    type Filter = GroupFilter;
    type SortField = ById;
    type Visible = ();
    type SelectedRow = SelectedGroup;
    type WrittenRow = WrittenGroup;
    type References = ();

    const KIND: ResourceKind = ResourceKind::Group;
    const KEY_COLUMN: &'static str = "g.key";
    const ID_COLUMN: &'static str = "g.id";

    fn select() -> String {
        format!("SELECT {} FROM groups g WHERE g.org = $1", SelectedGroup::COLUMNS)
    }

    async fn push_filter(
        _store: &Store,
        _org: i64,
        sql: &mut Sql,
        filter: &GroupFilter,
    ) -> Result<(), StoreError> {
        push_words(sql, "g.search", &filter.words);
        Ok(())
    }

    fn sort_columns(_field: ById) -> &'static [&'static str] {
        &[Self::ID_COLUMN]
    }

    fn sort_values(_field: ById, element: &Group) -> Vec<SortValue> {
        vec![element.id.as_str().into()]
    }

    fn stored(row: SelectedGroup) -> Existing<Self> {
        Existing {
            key: row.key,
            stored: Group {
                id: row.id,
                name: row.name,
            },
        }
    }

    fn stored_id(stored: &Group) -> &str {
        stored.id.as_str()
    }

    async fn match_drafts<'d>(
        tx: &mut OrgTx,
        drafts: &'d [GroupDraft],
        _refused_ids: &HashSet<String>,
        now: Timestamp,
    ) -> Result<(Vec<Matched<'d, Self>>, ()), WriteError> {
        Ok((match_by_id(tx, drafts, now).await?, ()))
    }

    fn after(draft: &GroupDraft, _before: Option<&Group>, _references: &(), _now: Timestamp) -> Group {
        Group {
            id: draft.id.clone(),
            name: draft.name.clone(),
        }
    }

    fn row(org: i64, group: &Planned<'_, Self>, _references: &(), _now: Timestamp) -> WrittenGroup {
        let Group { id, name } = &group.after;
        WrittenGroup {
            org,
            key: group.key,
            id: id.clone(),
            name: name.clone(),
            search: fold(&format!("{name}\n{id}")),
        }
    }
}
