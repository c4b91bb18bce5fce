//! The changes of the log in the order of their commits (`docs/specification.md#change-feed`).
//!
//! A page walks two indexes: the records by their own numbers, and the later changes by theirs. One statement reads both,
//! so it sees one moment of the database. The rows are read after it. What changes in between has a greater number than
//! all numbers of the page, so it is on a later page.

use std::collections::HashMap;

use crate::access::Scoped;
use crate::base::ids::StatementId;
use crate::log::Row;

use crate::store::activity_log::log::{PageRow, select_rows};
use crate::store::db::changes::ChangePage;
use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::page_rows::PageLimits;
use crate::store::db::{Store, StoreError};

/// The numbers that are read at a time, if the page is smaller.
const LEAST_NUMBERS: usize = 100;
/// How often numbers are read for a page while all of them belong to later pages.
const MOST_ROUNDS: usize = 100;
/// The rows that are read at a time.
const ROWS_AT_ONCE: usize = 100;

/// A change of the log.
#[derive(Debug)]
pub struct LogChange {
    /// The number of the change. It is the place after it.
    pub number: i64,
    /// The number of the record.
    pub seq: i64,
    /// The id of the activity.
    pub id: StatementId,
    /// The row as it is now; `None` if it has left the log.
    pub row: Option<Box<Row>>,
}

columns! {
    /// A number of either index.
    struct Numbered {
        number: i64 = "number",
        seq: i64 = "seq",
        deleted: bool = "deleted",
        later: Option<i64> = "later",
    }
}

/// The numbers of a page.
struct Numbers {
    found: Vec<Numbered>,
    /// The number of the last one that was read.
    last: i64,
    more: bool,
}

impl Store {
    /// The changes of the log after the place.
    ///
    /// Each row is on the page of its last change. A row that cannot be read is left out.
    ///
    /// # Errors
    ///
    /// The caller does not see the whole organisation.
    pub async fn changes_after(
        &self,
        place: &Scoped<i64>,
        limits: PageLimits,
    ) -> Result<ChangePage<LogChange>, StoreError> {
        let after = *place.inner();
        if !place.people().is_empty() {
            return Err(StoreError::Invariant(
                "a change feed needs the whole organisation",
            ));
        }
        let Some(org) = self.organisation_key(place.org()).await? else {
            return Ok(ChangePage::empty(after));
        };
        let numbers = self.find_numbers(org, after, limits.rows).await?;
        let mut page = ChangePage {
            changes: Vec::with_capacity(numbers.found.len()),
            place: numbers.last,
            more: numbers.more,
        };
        let mut bytes = 0;
        for piece in numbers.found.chunks(ROWS_AT_ONCE) {
            let mut rows = self.find_changed_rows(org, piece).await?;
            let mut ids = self.find_deleted_ids(org, piece).await?;
            for numbered in piece {
                let row = rows.remove(&numbered.seq);
                bytes += row.as_ref().map_or(0, PageRow::bytes);
                if bytes > limits.bytes && !page.changes.is_empty() {
                    (page.place, page.more) = (numbered.number - 1, true);
                    return self.complete(place, page).await;
                }
                let id = match &row {
                    Some(row) => Some(row.row.id),
                    None => ids.remove(&numbered.seq),
                };
                // A row that is missing here has left the log since, with a greater number, or cannot be read.
                let (number, seq) = (numbered.number, numbered.seq);
                page.changes.extend(id.map(|id| (number, seq, id, row)));
            }
        }
        self.complete(place, page).await
    }

    /// Reads the large responses of the rows of a page.
    async fn complete(
        &self,
        place: &Scoped<i64>,
        page: ChangePage<(i64, i64, StatementId, Option<PageRow>)>,
    ) -> Result<ChangePage<LogChange>, StoreError> {
        let mut rows = Vec::with_capacity(page.changes.len());
        let mut changes = Vec::with_capacity(page.changes.len());
        for (number, seq, id, row) in page.changes {
            rows.extend(row);
            let row = None;
            changes.push(LogChange { number, seq, id, row });
        }
        let rows = self.complete_rows(place.org(), rows).await?;
        let mut rows: HashMap<i64, Row> = rows.into_iter().map(|row| (row.seq, row)).collect();
        for change in &mut changes {
            change.row = rows.remove(&change.seq).map(Box::new);
        }
        Ok(ChangePage {
            changes,
            place: page.place,
            more: page.more,
        })
    }

    /// The numbers after the place, without those of records that have a later one.
    async fn find_numbers(&self, org: i64, after: i64, limit: usize) -> Result<Numbers, StoreError> {
        let at_once = limit.max(LEAST_NUMBERS);
        let mut numbers = Numbers {
            found: Vec::new(),
            last: after,
            more: true,
        };
        for _ in 0..MOST_ROUNDS {
            let read: Vec<Numbered> = self
                .db()
                .fetch_rows(select_numbers(org, numbers.last, at_once))
                .await?;
            numbers.more = read.len() == at_once;
            for numbered in read {
                if numbers.found.len() == limit {
                    numbers.more = true;
                    return Ok(numbers);
                }
                numbers.last = numbered.number;
                if numbered.later.is_none() {
                    numbers.found.push(numbered);
                }
            }
            if !numbers.found.is_empty() || !numbers.more {
                break;
            }
        }
        Ok(numbers)
    }

    async fn find_changed_rows(
        &self,
        org: i64,
        numbers: &[Numbered],
    ) -> Result<HashMap<i64, PageRow>, StoreError> {
        let present = numbers.iter().filter(|numbered| !numbered.deleted);
        let seqs: Vec<i64> = present.map(|numbered| numbered.seq).collect();
        let mut sql = select_rows(org, &PageRow::columns());
        sql.push(" WHERE a.org = $1 AND a.seq").any_of(seqs);
        let rows: Vec<PageRow> = self.db().fetch_rows(sql).await?;
        Ok(rows.into_iter().map(|row| (row.row.seq, row)).collect())
    }

    async fn find_deleted_ids(
        &self,
        org: i64,
        numbers: &[Numbered],
    ) -> Result<HashMap<i64, StatementId>, StoreError> {
        let deleted = numbers.iter().filter(|numbered| numbered.deleted);
        let seqs: Vec<i64> = deleted.map(|numbered| numbered.seq).collect();
        if seqs.is_empty() {
            return Ok(HashMap::new());
        }
        let select = Sql::new("SELECT seq, id FROM statements WHERE org = $1 AND seq IN LIST($2)");
        let rows: Vec<(i64, StatementId)> = self.db().fetch_rows(select.with(org).with(seqs)).await?;
        Ok(rows.into_iter().collect())
    }

    /// The database's plan for finding a page of changes.
    pub async fn explain_changes(
        &self,
        org: i64,
        after: i64,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.db().explain(select_numbers(org, after, limit)).await
    }
}

/// The query for the next numbers. `later` is the number by which a changed record is found.
fn select_numbers(org: i64, after: i64, limit: usize) -> Sql {
    let select = Sql::new(&format!(
        "SELECT {} FROM ( \
             SELECT * FROM (SELECT a.seq AS number, a.seq, FALSE AS deleted, \
                     (SELECT l.change FROM activity_changes l WHERE l.org = $1 AND l.seq = a.seq) AS later \
                 FROM activities a WHERE a.org = $1 AND a.seq > $2 ORDER BY a.seq LIMIT $3) recorded \
             UNION ALL \
             SELECT * FROM (SELECT c.change AS number, c.seq, c.deleted, CAST(NULL AS BIGINT) AS later \
                 FROM activity_changes c WHERE c.org = $1 AND c.change > $2 ORDER BY c.change LIMIT $3) changed \
         ) numbers ORDER BY number LIMIT $3",
        Numbered::COLUMNS
    ));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    select.with(org).with(after).with(limit)
}
