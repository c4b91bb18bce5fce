//! Collections that form a tree: users by their manager, teams by their parent.

use std::collections::{HashMap, HashSet};

use crate::base::fault::Fault;
use crate::base::keyed::{KeyedDraft as _, Refusal};
use crate::directory::first_cycle;

use crate::store::db::StoreError;
use crate::store::db::columns::TableRow;
use crate::store::db::database::{Engine, Sql};
use crate::store::db::ledger::OrgTx;

use super::{Collection, Matched, WriteError, find_keys};

/// The most elements of a cycle that a message names.
const MAX_NAMED: usize = 20;

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
    /// Whether the element does not exist yet.
    is_new: bool,
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
                    is_new: before.is_none(),
                }
            })
            .collect();
        match find_cycle::<C>(tx, &nodes).await? {
            Some(fault) => Err(Refusal::Faults(fault.into()).into()),
            None => Ok(()),
        }
    }
}

/// The fault of the first cycle.
async fn find_cycle<C: Tree>(tx: &mut OrgTx, nodes: &[Node<'_>]) -> Result<Option<Fault>, StoreError> {
    if !nodes.iter().any(|node| node.moved && node.above.is_some()) {
        return Ok(None);
    }
    let mut above: HashMap<i64, i64> = nodes
        .iter()
        .filter_map(|node| Some((node.key, node.above?)))
        .collect();
    // A cycle through other stored nodes comes back to one of these by a node that is below it already.
    if has_nodes_below::<C>(tx, nodes).await? {
        let written: HashSet<i64> = nodes.iter().map(|node| node.key).collect();
        let others = above.values().copied().filter(|key| !written.contains(key));
        let stored = find_ancestors::<C>(tx, others.collect()).await?;
        above.extend(stored.into_iter().filter(|(key, _)| !written.contains(key)));
    }
    let moved = nodes.iter().filter(|node| node.moved).map(|node| node.key);
    match first_cycle(&above, moved) {
        Some(cycle) => cycle_fault::<C>(tx, &cycle, nodes).await.map(Some),
        None => Ok(None),
    }
}

/// Whether a stored element is below one of these.
async fn has_nodes_below<C: Tree>(tx: &mut OrgTx, nodes: &[Node<'_>]) -> Result<bool, StoreError> {
    let existing: Vec<i64> = nodes
        .iter()
        .filter(|node| !node.is_new)
        .map(|node| node.key)
        .collect();
    if existing.is_empty() {
        return Ok(false);
    }
    let (table, member) = (<C::WrittenRow as TableRow>::TABLE, C::MEMBER);
    let select = format!(
        "SELECT n.key FROM {table} n WHERE n.org = $1 AND n.key IN LIST($2) \
         AND EXISTS (SELECT 1 FROM {table} b WHERE b.org = $1 AND b.{member} = n.key) LIMIT 1"
    );
    let select = Sql::new(&select).with(tx.org).with(existing);
    Ok(tx.fetch_optional(select).await?.is_some())
}

/// These stored elements and all above them, each with the one above it.
///
/// Each step up reads one row by its key, so the cost grows with the depth. Without `LATERAL` and `OFFSET`, which keep the
/// subquery apart, PostgreSQL may read the whole table for each step.
async fn find_ancestors<C: Tree>(tx: &mut OrgTx, from: Vec<i64>) -> Result<Vec<(i64, i64)>, StoreError> {
    let (table, member) = (<C::WrittenRow as TableRow>::TABLE, C::MEMBER);
    let step = match tx.store().db().engine() {
        Engine::Sqlite => format!(
            "SELECT n.key, n.{member} FROM up CROSS JOIN {table} n WHERE n.org = $1 AND n.key = up.above"
        ),
        Engine::Postgres => format!(
            "SELECT a.key, a.above FROM up CROSS JOIN LATERAL (SELECT n.key, n.{member} AS above \
             FROM {table} n WHERE n.org = $1 AND n.key = up.above OFFSET 0) a"
        ),
    };
    let select = format!(
        "WITH RECURSIVE up(key, above) AS (SELECT n.key, n.{member} FROM {table} n \
         WHERE n.org = $1 AND n.key IN LIST($2) UNION {step}) SELECT key, above FROM up WHERE above IS NOT NULL"
    );
    tx.fetch_rows(Sql::new(&select).with(tx.org).with(from)).await
}

/// The fault of a cycle, at the first draft that is part of it. The message names the cycle from that draft on.
async fn cycle_fault<C: Tree>(
    tx: &mut OrgTx,
    cycle: &[i64],
    nodes: &[Node<'_>],
) -> Result<Fault, StoreError> {
    // The first and the last node of `cycle` are the same.
    let round = cycle.get(1..).unwrap_or_default();
    let first = nodes.iter().find(|node| node.moved && round.contains(&node.key));
    let start = first
        .and_then(|node| round.iter().position(|key| *key == node.key))
        .unwrap_or_default();
    let path: Vec<i64> = round
        .iter()
        .cycle()
        .skip(start)
        .take(round.len() + 1)
        .copied()
        .collect();
    let (begin, end) = match path.split_last() {
        Some((last, others)) if others.len() > MAX_NAMED => {
            (others.iter().take(MAX_NAMED).copied().collect(), vec![*last])
        }
        _ => (path.clone(), Vec::new()),
    };
    let mut ids: HashMap<i64, String> = nodes.iter().map(|node| (node.key, node.id.to_owned())).collect();
    let table = <C::WrittenRow as TableRow>::TABLE;
    let select = format!("SELECT key, id FROM {table} WHERE org = $1 AND key IN LIST($2)");
    let stored: Vec<(i64, String)> = tx
        .fetch_rows(Sql::new(&select).with(tx.org).with(begin.clone()))
        .await?;
    for (key, id) in stored {
        ids.entry(key).or_insert(id);
    }
    let mut names: Vec<&str> = begin
        .iter()
        .filter_map(|key| ids.get(key).map(String::as_str))
        .collect();
    if !end.is_empty() {
        names.push("…");
        names.extend(end.iter().filter_map(|key| ids.get(key).map(String::as_str)));
    }
    Ok(Fault {
        pointer: format!("/{}/{}", first.map_or(0, |node| node.index), C::MEMBER),
        detail: format!("this makes a cycle: {}", names.join(" → ")),
    })
}
