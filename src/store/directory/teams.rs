//! Teams of the directory: a tree.

use std::collections::HashSet;

use crate::base::clock::Timestamp;
use crate::base::fold;
use crate::base::ids::TeamId;
use crate::base::keyed::Refusal;
use crate::base::sort::{ById, SortValue};
use crate::directory::{Team, TeamDraft, TeamFilter};

use crate::store::db::changes::ResourceKind;
use crate::store::db::columns::{columns, table_row};
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::rows::{push_words, texts};
use crate::store::db::{Store, StoreError};

use super::keyed::{Collection, Existing, Matched, Planned, Tree, TreeKeys, WriteError, match_by_id};

/// The collection of teams.
pub(crate) struct Teams;

columns! {
    /// A team as it is read.
    pub(crate) struct SelectedTeam {
        key: i64 = "t.key",
        id: TeamId = "t.id",
        name: String = "t.name",
        parent: Option<TeamId> = "(SELECT p.id FROM teams p WHERE p.org = $1 AND p.key = t.parent)",
    }
}

table_row! {
    /// A team as it is written.
    pub(crate) struct WrittenTeam in "teams" {
        org: i64 = "org",
        key: i64 = "key",
        id: TeamId = "id",
        name: String = "name",
        search: String = "search",
        parent: Option<i64> = "parent",
    }
}

impl Collection for Teams {
    type Entity = Team;
    type Draft = TeamDraft;
    type Stored = Team;
    type Filter = TeamFilter;
    type SortField = ById;
    type Visible = ();
    type SelectedRow = SelectedTeam;
    type WrittenRow = WrittenTeam;
    type References = TreeKeys;

    const KIND: ResourceKind = ResourceKind::Team;
    const KEY_COLUMN: &'static str = "t.key";
    const ID_COLUMN: &'static str = "t.id";

    fn select() -> String {
        // The parent is a value and no join, see the users.
        format!("SELECT {} FROM teams t WHERE t.org = $1", SelectedTeam::COLUMNS)
    }

    async fn push_filter(
        _store: &Store,
        _org: i64,
        sql: &mut Sql,
        filter: &TeamFilter,
    ) -> Result<(), StoreError> {
        push_words(sql, "t.search", &filter.words);
        if !filter.parents.is_empty() {
            sql.push(" AND t.parent IN (SELECT p.key FROM teams p WHERE p.org = $1 AND p.id")
                .any_of(texts(&filter.parents))
                .push(")");
        }
        Ok(())
    }

    fn sort_columns(_field: ById) -> &'static [&'static str] {
        &[Self::ID_COLUMN]
    }

    fn sort_values(_field: ById, element: &Team) -> Vec<SortValue> {
        vec![element.id.as_str().into()]
    }

    fn stored(row: SelectedTeam) -> Existing<Self> {
        Existing {
            key: row.key,
            stored: Team {
                id: row.id,
                name: row.name,
                parent: row.parent,
            },
        }
    }

    fn stored_id(stored: &Team) -> &str {
        stored.id.as_str()
    }

    async fn match_drafts<'d>(
        tx: &mut OrgTx,
        drafts: &'d [TeamDraft],
        refused_ids: &HashSet<String>,
        now: Timestamp,
    ) -> Result<(Vec<Matched<'d, Self>>, TreeKeys), WriteError> {
        let matched = match_by_id(tx, drafts, now).await?;
        let keys = TreeKeys::find(tx, &matched).await?;
        let missing = drafts
            .iter()
            .enumerate()
            .filter_map(|(index, draft)| keys.missing_above::<Self>(index, draft, refused_ids));
        Refusal::if_faulty(missing.collect())?;
        keys.refuse_cycle(tx, &matched).await?;
        Ok((matched, keys))
    }

    fn after(draft: &TeamDraft, _before: Option<&Team>, _keys: &TreeKeys, _now: Timestamp) -> Team {
        Team {
            id: draft.id.clone(),
            name: draft.name.clone(),
            parent: draft.parent.clone(),
        }
    }

    fn row(org: i64, team: &Planned<'_, Self>, keys: &TreeKeys, _now: Timestamp) -> WrittenTeam {
        let Team { id, name, parent } = &team.after;
        WrittenTeam {
            org,
            key: team.key,
            id: id.clone(),
            name: name.clone(),
            search: fold(&format!("{name}\n{id}")),
            parent: parent.as_ref().and_then(|parent| keys.key(parent.as_str())),
        }
    }
}

impl Tree for Teams {
    const MEMBER: &'static str = "parent";
    const NOUN: &'static str = "team";

    fn above(draft: &TeamDraft) -> Option<&str> {
        draft.parent.as_ref().map(TeamId::as_str)
    }

    fn stored_above(stored: &Team) -> Option<&str> {
        stored.parent.as_ref().map(TeamId::as_str)
    }
}
