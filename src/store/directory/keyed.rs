//! Collections of elements with ids that the client chooses: users, teams, groups and contents.
//!
//! A type that implements [`Collection`] describes one of them: its types, its columns and its own rules. This module
//! does the rest for all of them: pages by id, one element, PUT, PATCH and batches. A write is complete or changes
//! nothing.

mod batch;
mod plan;
mod tree;

use std::collections::HashSet;

use crate::base::Page;
use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;
use crate::base::keyed::{BatchOutcome, DraftBatch, KeyedDraft, KeyedEntity, Refusal};
use crate::base::sort::{ListOrder, SortField, SortValue};

use crate::store::db::changes::ResourceKind;
use crate::store::db::columns::{FromRow, TableRow};
use crate::store::db::database::Sql;
use crate::store::db::dialect::Value;
use crate::store::db::ledger::OrgTx;
use crate::store::db::page_rows::PageLimits;
use crate::store::db::rows::Reads;
use crate::store::db::{Store, StoreError};

pub(crate) use plan::{Matched, Planned, find_keys, match_by_id, replace_details, write_drafts};
pub(crate) use tree::{Tree, TreeKeys};

/// A collection of elements with ids that the client chooses.
///
/// It is implemented by a type without values, such as [`Teams`](crate::store::Teams). Reading goes from
/// [`Collection::SelectedRow`] to [`Collection::Stored`] to [`Collection::Entity`], writing from [`Collection::Draft`]
/// to [`Collection::Stored`] to [`Collection::WrittenRow`].
pub(crate) trait Collection: Sized + 'static {
    /// An element as clients read it.
    type Entity: From<Self::Stored> + KeyedEntity;
    /// An element as clients write it.
    type Draft: KeyedDraft + Clone;
    /// An element as it is stored, with its details from other tables.
    type Stored: PartialEq;
    /// The conditions of a list.
    type Filter;
    /// The fields by which a list can be ordered: [`ById`](crate::base::sort::ById) if it has one order.
    type SortField: SortField;
    /// The elements that a caller may read; `()` if every caller may read all.
    type Visible;
    /// The columns that are read.
    type SelectedRow: FromRow + Send;
    /// The columns that a write sets. The first two are `org` and `key`.
    type WrittenRow: TableRow;
    /// Stored facts that a write needs besides the elements, such as the keys of teams.
    type References;

    /// The kind of its elements in the feed of changes.
    const KIND: ResourceKind;

    /// The column of the key in [`Collection::select`].
    const KEY_COLUMN: &'static str;

    /// The column of the id in [`Collection::select`].
    const ID_COLUMN: &'static str;

    /// The query for [`Collection::SelectedRow`]. It ends with a condition for the organisation, which is `$1`.
    fn select() -> String;

    /// Narrows the query to the elements that the caller may read.
    async fn push_visible(
        _store: &Store,
        _org: i64,
        _sql: &mut Sql,
        _visible: &Self::Visible,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    /// Narrows the query of a list.
    async fn push_filter(
        store: &Store,
        org: i64,
        sql: &mut Sql,
        filter: &Self::Filter,
    ) -> Result<(), StoreError>;

    /// The columns that an order compares. Together they are different for each element. An index has them after the
    /// organisation.
    fn sort_columns(field: Self::SortField) -> &'static [&'static str];

    /// The values of the element in these columns.
    fn sort_values(field: Self::SortField, element: &Self::Entity) -> Vec<SortValue>;

    /// Narrows the query to the elements with these ids.
    fn push_ids(sql: &mut Sql, ids: Vec<String>) {
        sql.push(" AND ").push(Self::ID_COLUMN).any_of(ids);
    }

    /// Converts a row. Details are added by [`Collection::load_details`].
    fn stored(row: Self::SelectedRow) -> Existing<Self>;

    /// The id of a stored element.
    fn stored_id(stored: &Self::Stored) -> &str;

    /// Adds the details that other tables have, as they are at `now`.
    async fn load_details(
        _reads: &mut impl Reads,
        _org: i64,
        _now: Timestamp,
        _elements: &mut [Existing<Self>],
    ) -> Result<(), StoreError> {
        Ok(())
    }

    /// Finds the stored element and the references of every draft. Drafts that cannot be written are refused.
    ///
    /// A draft may refer to an element with one of `refused_ids`. The batch has such an element, and it is refused.
    async fn match_drafts<'d>(
        tx: &mut OrgTx,
        drafts: &'d [Self::Draft],
        refused_ids: &HashSet<String>,
        now: Timestamp,
    ) -> Result<(Vec<Matched<'d, Self>>, Self::References), WriteError>;

    /// The element after the write.
    fn after(
        draft: &Self::Draft,
        before: Option<&Self::Stored>,
        references: &Self::References,
        now: Timestamp,
    ) -> Self::Stored;

    /// What the write does to an element.
    fn change(before: Option<&Self::Stored>, after: &Self::Stored) -> Change {
        match before {
            None => Change::Created,
            Some(before) if before == after => Change::Unchanged,
            Some(_) => Change::Updated,
        }
    }

    /// The row of an element.
    fn row(
        org: i64,
        element: &Planned<'_, Self>,
        references: &Self::References,
        now: Timestamp,
    ) -> Self::WrittenRow;

    /// Columns that are set when the row is inserted, and that a later write leaves as they are.
    fn initial_columns(_element: &Planned<'_, Self>) -> Vec<(&'static str, Value)> {
        Vec::new()
    }

    /// Writes the details that other tables have, after the rows. It may set [`Planned::change`] to
    /// [`Change::Updated`].
    async fn write_details(
        _tx: &mut OrgTx,
        _planned: &mut [Planned<'_, Self>],
        _references: &Self::References,
    ) -> Result<(), WriteError> {
        Ok(())
    }
}

/// The order of a list, and where a part of it begins.
#[derive(Debug, Clone, Copy)]
pub struct ListPart<'p, F> {
    /// The order.
    pub order: ListOrder<F>,
    /// The values of the element before the part, one for each column of the order; `None` for the beginning.
    pub after: Option<&'p [SortValue]>,
}

/// A stored element with its key.
pub(crate) struct Existing<C: Collection> {
    /// The key of its row.
    pub(crate) key: i64,
    /// The element.
    pub(crate) stored: C::Stored,
}

/// Why a write changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The request is refused, and the client gets the reason.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl WriteError {
    /// The same error for a body that is a single element: pointers lose the number of the element.
    fn for_single_element(self) -> Self {
        match self {
            Self::Refused(refusal) => Self::Refused(refusal.for_single_element()),
            Self::Store(error) => Self::Store(error),
        }
    }
}

/// What a write does to one element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// The element did not exist.
    Created,
    /// The element existed and is different now.
    Updated,
    /// The element existed and is the same.
    Unchanged,
}

impl Change {
    fn count(changes: impl IntoIterator<Item = Change>) -> BatchOutcome {
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

impl Store {
    /// A page of the visible elements.
    pub(crate) async fn list<C: Collection>(
        &self,
        organisation: &OrgId,
        visible: &C::Visible,
        filter: &C::Filter,
        part: ListPart<'_, C::SortField>,
        limits: PageLimits,
    ) -> Result<Page<C::Entity>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(Page::empty());
        };
        let sql = self.select_list::<C>(org, visible, filter, part).await?;
        let rows: Page<C::SelectedRow> = self.db().fetch_page(sql, limits).await?;
        let mut page = rows.map(C::stored);
        if !page.items.is_empty() {
            C::load_details(&mut self.db(), org, self.clock().now(), &mut page.items).await?;
        }
        Ok(page.map(|element| element.stored.into()))
    }

    /// The query of a list, without a `LIMIT`.
    async fn select_list<C: Collection>(
        &self,
        org: i64,
        visible: &C::Visible,
        filter: &C::Filter,
        part: ListPart<'_, C::SortField>,
    ) -> Result<Sql, StoreError> {
        let mut sql = Sql::new(&C::select()).with(org);
        C::push_visible(self, org, &mut sql, visible).await?;
        C::push_filter(self, org, &mut sql, filter).await?;
        push_order(&mut sql, C::sort_columns(part.order.field), part);
        Ok(sql)
    }

    /// The plan of a page of 51 elements, which are all visible.
    pub(super) async fn explain_list<C: Collection>(
        &self,
        organisation: &OrgId,
        visible: &C::Visible,
        filter: &C::Filter,
        part: ListPart<'_, C::SortField>,
    ) -> Result<Vec<String>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(Vec::new());
        };
        let mut sql = self.select_list::<C>(org, visible, filter, part).await?;
        sql.push(" LIMIT ").bind(51_i64);
        self.db().explain(sql).await
    }

    /// One element; `None` if it does not exist or is not visible.
    pub(crate) async fn find<C: Collection>(
        &self,
        organisation: &OrgId,
        visible: &C::Visible,
        id: &str,
    ) -> Result<Option<C::Entity>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(None);
        };
        let mut sql = select_by_ids::<C>(org, vec![id.to_owned()]);
        C::push_visible(self, org, &mut sql, visible).await?;
        let found = load::<C>(&mut self.db(), org, self.clock().now(), sql).await?;
        Ok(found.into_iter().next().map(|element| element.stored.into()))
    }

    /// Creates or replaces elements: all of them or none.
    ///
    /// # Errors
    ///
    /// A refusal with the faults of all elements. Pointers begin with the number of the element.
    pub(crate) async fn put_all<C: Collection>(
        &self,
        organisation: &OrgId,
        drafts: impl Into<DraftBatch<C::Draft>>,
    ) -> Result<BatchOutcome, WriteError> {
        let drafts = drafts.into();
        self.repeat(async || {
            let mut tx = self.write(organisation).await?;
            let changes = batch::write_batch::<C>(&mut tx, drafts.clone()).await?;
            Ok((Change::count(changes), tx.commit().await))
        })
        .await
    }

    /// Creates or replaces one element. Returns it, and whether it is new.
    ///
    /// # Errors
    ///
    /// A refusal, with pointers into the draft.
    pub(crate) async fn put<C: Collection>(
        &self,
        organisation: &OrgId,
        draft: C::Draft,
    ) -> Result<(C::Entity, bool), WriteError> {
        self.repeat(async || {
            let mut tx = self.write(organisation).await?;
            let (entity, change) = write_one::<C>(&mut tx, draft.clone()).await?;
            Ok(((entity, change == Change::Created), tx.commit().await))
        })
        .await
    }

    /// Changes an element that exists. `change` converts it to a draft. `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// The errors of `change`, and a refusal, with pointers into the draft.
    pub(crate) async fn patch<C: Collection>(
        &self,
        organisation: &OrgId,
        id: &str,
        change: impl Fn(&C::Entity) -> Result<C::Draft, Refusal>,
    ) -> Result<Option<C::Entity>, WriteError> {
        self.repeat(async || {
            let mut tx = self.write(organisation).await?;
            let Some(existing) = find_existing::<C>(&mut tx, id).await? else {
                return Ok((None, Ok(())));
            };
            let draft = change(&existing.stored.into())?;
            let (entity, _) = write_one::<C>(&mut tx, draft).await?;
            Ok((Some(entity), tx.commit().await))
        })
        .await
    }

    /// Makes a change again if the database failed. Elements have ids of their own, so a change that was committed without
    /// an answer changes nothing the second time, and its first outcome counts. `make` returns the outcome of the change
    /// and of its commit.
    pub(crate) async fn repeat<T>(
        &self,
        make: impl AsyncFn() -> Result<(T, Result<(), StoreError>), WriteError>,
    ) -> Result<T, WriteError> {
        let (attempts, mut unconfirmed) = (self.attempts(), None);
        loop {
            let error = match make().await {
                Ok((outcome, Ok(()))) => return Ok(unconfirmed.unwrap_or(outcome)),
                Ok((outcome, Err(error @ StoreError::UnknownOutcome(_)))) => {
                    unconfirmed.get_or_insert(outcome);
                    error
                }
                Ok((_, Err(error))) | Err(WriteError::Store(error)) => error,
                Err(refused @ WriteError::Refused(_)) => return Err(refused),
            };
            if !attempts.again(&error).await {
                return Err(error.after(unconfirmed.is_some()).into());
            }
        }
    }
}

/// Orders the query by the columns, and lets it begin after the values of the part.
fn push_order<F: SortField>(sql: &mut Sql, columns: &[&str], part: ListPart<'_, F>) {
    let (comparison, direction) = if part.order.descending {
        ("<", " DESC")
    } else {
        (">", "")
    };
    if let Some(after) = part.after {
        // A comparison of rows walks the index from there on, also among many equal elements.
        sql.push(&format!(" AND ({}) {comparison} (", columns.join(", ")));
        for (number, value) in after.iter().enumerate() {
            if number > 0 {
                sql.push(", ");
            }
            match value {
                SortValue::Number(number) => sql.bind(*number),
                SortValue::Text(text) => sql.bind(text.as_str()),
            };
        }
        sql.push(")");
    }
    let columns: Vec<_> = columns
        .iter()
        .map(|column| format!("{column}{direction}"))
        .collect();
    sql.push(" ORDER BY ").push(&columns.join(", "));
}

/// Writes one draft. Returns the element as it is then.
async fn write_one<C: Collection>(
    tx: &mut OrgTx,
    draft: C::Draft,
) -> Result<(C::Entity, Change), WriteError> {
    let drafts = [draft];
    let changes = plan::write_drafts::<C>(tx, &drafts, &HashSet::new())
        .await
        .map_err(WriteError::for_single_element)?;
    let [draft] = drafts;
    let element = find_existing::<C>(tx, draft.id_text()).await?;
    match (element, changes.first()) {
        (Some(element), Some(change)) => Ok((element.stored.into(), *change)),
        _ => Err(StoreError::Invariant("an element that was written does not exist").into()),
    }
}

/// The element with that id, including changes of this transaction.
pub(crate) async fn find_existing<C: Collection>(
    tx: &mut OrgTx,
    id: &str,
) -> Result<Option<Existing<C>>, StoreError> {
    let (org, now) = (tx.org, tx.store().clock().now());
    let sql = select_by_ids::<C>(org, vec![id.to_owned()]);
    Ok(load::<C>(tx, org, now, sql).await?.into_iter().next())
}

fn select_by_ids<C: Collection>(org: i64, ids: Vec<String>) -> Sql {
    let mut sql = Sql::new(&C::select()).with(org);
    C::push_ids(&mut sql, ids);
    sql
}

/// The elements that the query finds, in its order, with their details as they are at `now`. The query begins with
/// [`Collection::select`].
pub(crate) async fn load<C: Collection>(
    reads: &mut impl Reads,
    org: i64,
    now: Timestamp,
    sql: Sql,
) -> Result<Vec<Existing<C>>, StoreError> {
    let mut elements = Vec::new();
    for row in reads.rows(sql).await? {
        elements.push(C::stored(C::SelectedRow::from_row(&row)?));
    }
    if !elements.is_empty() {
        C::load_details(reads, org, now, &mut elements).await?;
    }
    Ok(elements)
}
