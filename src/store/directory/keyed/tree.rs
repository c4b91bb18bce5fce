//! Collections that form a tree: users by their manager, teams by their parent.

use std::collections::{HashMap, HashSet};

use crate::base::fault::Fault;
use crate::base::keyed::{KeyedDraft as _, Refusal};
use crate::directory::first_cycle;

use crate::store::db::StoreError;
use crate::store::db::columns::TableRow;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;

use super::{Collection, Matched, WriteError, find_keys};

/// A collection that forms a tree: each may have one element above it.
pub(crate) trait Tree: Collection {
    /// The member and the column that name the element above: `manager` or `parent`.
    const MEMBER: &'static str;
    /// What an element is called in messages.
    const NOUN: &'static str;

    /// The id of the element above.
    fn above(draft: &Self::Draft) -> Option<&str>;

    /// The id of the element above, as it is stored.
    fn stored_above(stored: &Self::Stored) -> Option<&str>;
}

/// The keys of the drafts and of the elements above them, by id. Ids that do not exist are missing.
pub(crate) struct TreeKeys(HashMap<String, i64>);

/// A node of the tree as it will be.
struct Node<'d> {
    /// The number of the draft.
    index: usize,
    key: i64,
    id: &'d str,
    above: Option<i64>,
    /// Whether the node above is another one than before.
    moved: bool,
}

impl TreeKeys {
    /// Finds the keys. An element above may be one of the drafts.
    pub(crate) async fn find<C: Tree>(
        tx: &mut OrgTx,
        matched: &[Matched<'_, C>],
    ) -> Result<Self, StoreError> {
        let mut keys: HashMap<String, i64> = matched
            .iter()
            .map(|element| (element.draft.id_text().to_owned(), element.key))
            .collect();
        let stored: HashSet<&str> = matched
            .iter()
            .filter_map(|element| C::above(element.draft))
            .filter(|id| !keys.contains_key(*id))
            .collect();
        let stored = find_keys(tx, <C::WrittenRow as TableRow>::TABLE, stored).await?;
        keys.extend(stored);
        Ok(Self(keys))
    }

    /// The key of the element with that id.
    pub(crate) fn key(&self, id: &str) -> Option<i64> {
        self.0.get(id).copied()
    }

    /// The fault of a draft if the element above does not exist. An element that the same batch has, but that is refused,
    /// is no fault.
    pub(crate) fn missing_above<C: Tree>(
        &self,
        index: usize,
        draft: &C::Draft,
        refused_ids: &HashSet<String>,
    ) -> Option<Fault> {
        let id = C::above(draft).filter(|id| self.key(id).is_none() && !refused_ids.contains(*id))?;
        Some(Fault {
            pointer: format!("/{index}/{}", C::MEMBER),
            detail: format!("the {} `{id}` does not exist, nor is it in this batch", C::NOUN),
        })
    }

    /// Refuses drafts that would make a cycle with each other or with stored elements.
    pub(crate) async fn refuse_cycle<C: Tree>(
        &self,
        tx: &mut OrgTx,
        matched: &[Matched<'_, C>],
    ) -> Result<(), WriteError> {
        let nodes: Vec<Node<'_>> = matched
            .iter()
            .enumerate()
            .map(|(index, element)| {
                let above = C::above(element.draft);
                let before = element.before.as_ref();
                Node {
                    index,
                    key: element.key,
                    id: element.draft.id_text(),
                    above: above.and_then(|id| self.key(id)),
                    moved: before.is_none_or(|before| C::stored_above(before) != above),
                }
            })
            .collect();
        match find_cycle::<C>(tx, &nodes).await? {
            Some(fault) => Err(Refusal::Faults(vec![fault]).into()),
            None => Ok(()),
        }
    }
}

/// The fault of the first cycle. Only the nodes above the given ones are read, with one query for each level.
async fn find_cycle<C: Tree>(tx: &mut OrgTx, nodes: &[Node<'_>]) -> Result<Option<Fault>, StoreError> {
    if !nodes.iter().any(|node| node.moved && node.above.is_some()) {
        return Ok(None);
    }
    let mut ids: HashMap<i64, String> = nodes.iter().map(|node| (node.key, node.id.to_owned())).collect();
    let mut above: HashMap<i64, i64> = nodes
        .iter()
        .filter_map(|node| Some((node.key, node.above?)))
        .collect();
    let select = format!(
        "SELECT key, id, {} FROM {} WHERE org = $1 AND key IN LIST($2)",
        C::MEMBER,
        <C::WrittenRow as TableRow>::TABLE
    );
    loop {
        let unknown: HashSet<i64> = above
            .values()
            .copied()
            .filter(|key| !ids.contains_key(key))
            .collect();
        if unknown.is_empty() {
            break;
        }
        let unknown: Vec<i64> = unknown.into_iter().collect();
        let rows: Vec<(i64, String, Option<i64>)> = tx
            .fetch_rows(Sql::new(&select).with(tx.org).with(unknown))
            .await?;
        if rows.is_empty() {
            return Err(StoreError::Invariant("a node above another node does not exist"));
        }
        for (key, id, next) in rows {
            ids.insert(key, id);
            above.extend(next.map(|next| (key, next)));
        }
    }
    let moved = nodes.iter().filter(|node| node.moved).map(|node| node.key);
    Ok(first_cycle(&above, moved).map(|cycle| cycle_fault::<C>(&cycle, nodes, &ids)))
}

/// The fault of a cycle, at the first draft that is part of it. The message names the cycle from that draft on.
fn cycle_fault<C: Tree>(cycle: &[i64], nodes: &[Node<'_>], ids: &HashMap<i64, String>) -> Fault {
    // The first and the last node of `cycle` are the same.
    let round = cycle.get(1..).unwrap_or_default();
    let first = nodes.iter().find(|node| node.moved && round.contains(&node.key));
    let start = first
        .and_then(|node| round.iter().position(|key| *key == node.key))
        .unwrap_or_default();
    let path = round.iter().cycle().skip(start).take(round.len() + 1);
    let path: Vec<&str> = path.filter_map(|key| ids.get(key).map(String::as_str)).collect();
    Fault {
        pointer: format!("/{}/{}", first.map_or(0, |node| node.index), C::MEMBER),
        detail: format!("this makes a cycle: {}", path.join(" → ")),
    }
}
