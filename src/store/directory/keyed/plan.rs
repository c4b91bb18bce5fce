//! Writing drafts: each is matched with the stored element, and the differences are written.
//!
//! A batch needs a fixed number of queries to read and to insert, whatever its size.

use std::collections::{HashMap, HashSet};

use crate::base::clock::Timestamp;
use crate::base::keyed::KeyedDraft as _;

use crate::store::db::StoreError;
use crate::store::db::columns::TableRow;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;

use super::{Change, Collection, Existing, WriteError, load, select_by_ids};

/// A draft with the element that it replaces.
pub(crate) struct Matched<'d, C: Collection> {
    /// The key of its row, a new one for a new element.
    pub(crate) key: i64,
    /// The draft.
    pub(crate) draft: &'d C::Draft,
    /// The element as it is now; `None` for a new one.
    pub(crate) before: Option<C::Stored>,
}

/// A draft with the element before and after the write.
pub(crate) struct Planned<'d, C: Collection> {
    /// The key of its row.
    pub(crate) key: i64,
    /// The draft.
    pub(crate) draft: &'d C::Draft,
    /// The element as it is now; `None` for a new one.
    pub(crate) before: Option<C::Stored>,
    /// The element after the write.
    pub(crate) after: C::Stored,
    /// What the write does to it.
    pub(crate) change: Change,
}

impl<'d, C: Collection> Matched<'d, C> {
    /// Matches a draft with the stored element, or with a new key.
    pub(crate) fn new(tx: &mut OrgTx, draft: &'d C::Draft, existing: Option<Existing<C>>) -> Self {
        match existing {
            Some(Existing { key, stored }) => Self {
                key,
                draft,
                before: Some(stored),
            },
            None => Self {
                key: tx.next_key(),
                draft,
                before: None,
            },
        }
    }

    fn plan(self, references: &C::References, now: Timestamp) -> Planned<'d, C> {
        let after = C::after(self.draft, self.before.as_ref(), references, now);
        Planned {
            key: self.key,
            draft: self.draft,
            change: C::change(self.before.as_ref(), &after),
            before: self.before,
            after,
        }
    }
}

/// Creates or replaces the elements. Returns what became of each. After a refusal the transaction must not be committed.
pub(crate) async fn write_drafts<C: Collection>(
    tx: &mut OrgTx,
    drafts: &[C::Draft],
    refused_ids: &HashSet<String>,
) -> Result<Vec<Change>, WriteError> {
    // Clients see milliseconds, so nothing finer is stored.
    let now = tx.store().clock().now().whole_millisecond();
    let (matched, references) = C::match_drafts(tx, drafts, refused_ids, now).await?;
    let mut planned: Vec<Planned<'_, C>> = matched
        .into_iter()
        .map(|matched| matched.plan(&references, now))
        .collect();
    write_rows(tx, &planned, &references, now).await?;
    C::write_details(tx, &mut planned, &references).await?;
    for element in planned
        .iter()
        .filter(|element| element.change != Change::Unchanged)
    {
        tx.note_resource(C::KIND, element.key);
    }
    Ok(planned.into_iter().map(|element| element.change).collect())
}

/// Inserts the rows of new elements at once, and updates the rows of changed ones.
async fn write_rows<C: Collection>(
    tx: &mut OrgTx,
    planned: &[Planned<'_, C>],
    references: &C::References,
    now: Timestamp,
) -> Result<(), StoreError> {
    let org = tx.org;
    let (mut columns, mut rows) = (C::WrittenRow::COLUMNS.to_vec(), Vec::new());
    for element in planned.iter().filter(|element| element.before.is_none()) {
        let mut values = C::row(org, element, references, now).into_values();
        let initial = C::initial_columns(element);
        if rows.is_empty() {
            columns.extend(initial.iter().map(|(column, _)| *column));
        }
        values.extend(initial.into_iter().map(|(_, value)| value));
        rows.push(values);
    }
    tx.insert(C::WrittenRow::TABLE, &columns, rows).await?;
    let changed = |element: &&Planned<'_, C>| element.before.is_some() && element.change != Change::Unchanged;
    let text = update_text::<C::WrittenRow>();
    for element in planned.iter().filter(changed) {
        let values = C::row(org, element, references, now).into_values();
        let update = values.into_iter().fold(Sql::new(&text), Sql::with);
        tx.execute(update).await?;
    }
    Ok(())
}

/// An update of all columns. The first two are `org` and `key`, which identify the row.
fn update_text<R: TableRow>() -> String {
    let columns = R::COLUMNS.iter().enumerate().skip(2);
    let assignments: Vec<String> = columns
        .map(|(index, column)| format!("{column} = ${}", index + 1))
        .collect();
    format!(
        "UPDATE {} SET {} WHERE org = $1 AND key = $2",
        R::TABLE,
        assignments.join(", ")
    )
}

/// Matches every draft with the element that has its id.
pub(crate) async fn match_by_id<'d, C: Collection>(
    tx: &mut OrgTx,
    drafts: &'d [C::Draft],
    now: Timestamp,
) -> Result<Vec<Matched<'d, C>>, StoreError> {
    let ids: Vec<String> = drafts.iter().map(|draft| draft.id_text().to_owned()).collect();
    let (org, select) = (tx.org, select_by_ids::<C>(tx.org, ids));
    let existing = load::<C>(tx, org, now, select).await?;
    let mut by_id: HashMap<String, Existing<C>> = existing
        .into_iter()
        .map(|element| (C::stored_id(&element.stored).to_owned(), element))
        .collect();
    let matched = drafts.iter().map(|draft| {
        let existing = by_id.remove(draft.id_text());
        Matched::new(tx, draft, existing)
    });
    Ok(matched.collect())
}

/// The keys of the ids that exist in the table `users`, `teams` or `groups`.
pub(crate) async fn find_keys(
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
    let rows: Vec<(String, i64)> = tx.fetch_rows(select.with(tx.org).with(ids)).await?;
    Ok(rows.into_iter().collect())
}

/// Replaces the rows that another table has for an element, such as its memberships, where they changed.
///
/// `owner` is the column of that table with the key of the element.
pub(crate) async fn replace_details<C: Collection, R: TableRow>(
    tx: &mut OrgTx,
    planned: &[Planned<'_, C>],
    owner: &'static str,
    differs: impl Fn(&C::Stored, &C::Stored) -> bool,
    rows: impl Fn(&Planned<'_, C>) -> Vec<R>,
) -> Result<(), StoreError> {
    let (mut stale, mut new) = (Vec::new(), Vec::new());
    for element in planned {
        match &element.before {
            Some(before) if !differs(before, &element.after) => continue,
            Some(_) => stale.push(element.key),
            None => {}
        }
        new.extend(rows(element));
    }
    if !stale.is_empty() {
        let delete = Sql::new(&format!(
            "DELETE FROM {} WHERE org = $1 AND {owner} IN LIST($2)",
            R::TABLE
        ));
        tx.execute(delete.with(tx.org).with(stale)).await?;
    }
    tx.insert_rows(new).await
}
