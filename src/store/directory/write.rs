//! What users, teams, groups and contents share: reading in and outside of a transaction, keys of ids, cycles,
//! and what a write may end in.

use std::collections::{HashMap, HashSet};

use crate::base::fault::Fault;
use crate::directory::{BatchOutcome, Refusal, first_cycle};

use crate::store::db::StoreError;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;

/// Why a write changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// What was written is refused, and the client is told why.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What goes wrong beneath.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl WriteError {
    /// The same for a body that is one element, and not a batch of one: places without its number.
    pub(crate) fn of_the_only_element(self) -> Self {
        match self {
            Self::Refused(refusal) => Self::Refused(refusal.of_the_only_element()),
            Self::Store(error) => Self::Store(error),
        }
    }
}

/// What became of one element of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Created,
    Updated,
    Unchanged,
}

impl Change {
    pub(crate) fn count(changes: impl IntoIterator<Item = Change>) -> BatchOutcome {
        let mut outcome = BatchOutcome::default();
        for change in changes {
            match change {
                Change::Created => outcome.created += 1,
                Change::Updated => outcome.updated += 1,
                Change::Unchanged => outcome.unchanged += 1,
            }
        }
        outcome
    }
}

/// The keys of those among the ids that are there; `table` is `users`, `teams` or `groups`.
pub(crate) async fn keys_of(
    tx: &mut OrgTx,
    table: &'static str,
    ids: HashSet<&str>,
) -> Result<HashMap<String, i64>, StoreError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<String> = ids.into_iter().map(str::to_owned).collect();
    let select = Sql::new(&format!(
        "SELECT id, key FROM {table} WHERE org = $1 AND id IN LIST($2)"
    ));
    let rows = tx.fetch_all(select.with(tx.org).with(ids)).await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// A tree whose nodes point upwards: users by `manager`, teams by `parent`.
pub(crate) struct Tree {
    /// `users` or `teams`.
    pub(crate) table: &'static str,
    /// `manager` or `parent`.
    pub(crate) column: &'static str,
}

/// A node as it will be: its place in the batch, its key and id, and the node above it.
pub(crate) struct Placed<'d> {
    pub(crate) index: usize,
    pub(crate) key: i64,
    pub(crate) id: &'d str,
    pub(crate) above: Option<i64>,
    /// Whether it stood elsewhere before, or not at all.
    pub(crate) moved: bool,
}

impl Tree {
    /// The fault of the first cycle that the nodes would make with each other and with what is there. Only
    /// the nodes above them are read, one query a level.
    pub(crate) async fn cycle(
        &self,
        tx: &mut OrgTx,
        nodes: &[Placed<'_>],
    ) -> Result<Option<Fault>, StoreError> {
        if !nodes.iter().any(|node| node.moved && node.above.is_some()) {
            return Ok(None);
        }
        let mut names: HashMap<i64, String> =
            nodes.iter().map(|node| (node.key, node.id.to_owned())).collect();
        let mut above: HashMap<i64, i64> = nodes
            .iter()
            .filter_map(|node| Some((node.key, node.above?)))
            .collect();
        loop {
            let unknown: HashSet<i64> = above
                .values()
                .copied()
                .filter(|key| !names.contains_key(key))
                .collect();
            if unknown.is_empty() {
                break;
            }
            let (table, column) = (self.table, self.column);
            let select = Sql::new(&format!(
                "SELECT key, id, {column} FROM {table} WHERE org = $1 AND key IN LIST($2)"
            ));
            let rows = tx
                .fetch_all(
                    select
                        .with(tx.org)
                        .with(unknown.iter().copied().collect::<Vec<i64>>()),
                )
                .await?;
            if rows.is_empty() {
                return Err(StoreError::Invariant("a node of a tree that is not there"));
            }
            for row in &rows {
                let key: i64 = row.get(0)?;
                names.insert(key, row.get(1)?);
                if let Some(next) = row.get(2)? {
                    above.insert(key, next);
                }
            }
        }
        let moved = nodes.iter().filter(|node| node.moved).map(|node| node.key);
        Ok(first_cycle(&above, moved).map(|cycle| self.fault(&cycle, nodes, &names)))
    }

    fn fault(&self, cycle: &[i64], nodes: &[Placed<'_>], names: &HashMap<i64, String>) -> Fault {
        // Round the cycle from the first element of the batch that stands on it.
        let round = cycle.get(1..).unwrap_or_default();
        let on_it = nodes.iter().find(|node| node.moved && round.contains(&node.key));
        let start = on_it
            .and_then(|node| round.iter().position(|key| *key == node.key))
            .unwrap_or_default();
        let path = round.iter().cycle().skip(start).take(round.len() + 1);
        let path: Vec<&str> = path
            .filter_map(|key| names.get(key).map(String::as_str))
            .collect();
        Fault {
            pointer: format!("/{}/{}", on_it.map_or(0, |node| node.index), self.column),
            detail: format!("this makes a cycle: {}", path.join(" → ")),
        }
    }
}
