//! Rows of a page within a byte budget.

use std::marker::PhantomData;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use sqlx::{AssertSqlSafe, Decode, Row as _, Sqlite, TypeInfo as _, ValueRef as _};
use tokio::time::timeout;

use crate::base::Page;
use crate::store::db::StoreError;
use crate::store::db::columns::FromRow;
use crate::store::db::database::{Db, Row, Sql};
use crate::store::db::eager::Eager;
use crate::store::db::postgres::{Lease, Read};
use crate::store::db::rows::one_more;
use crate::store::db::unreadable::{name_of, skip_unreadable};

/// The limits of a page.
#[derive(Debug, Clone, Copy)]
pub struct PageLimits {
    /// The most rows.
    pub rows: usize,
    /// The most bytes of the rows as they are stored. A page has at least one row.
    pub bytes: usize,
}

impl PageLimits {
    /// The limits for reading a page again if it was empty although there are more rows: none of its rows could be read, so no
    /// cursor leads to the next page. `None` if the page need not be read again.
    pub(crate) fn after_unreadable<T>(self, page: &Page<T>) -> Option<Self> {
        let is_stuck = page.items.is_empty() && page.more;
        is_stuck.then(|| Self {
            rows: self.rows.saturating_mul(2).max(1),
            bytes: self.bytes.saturating_mul(2).max(1),
        })
    }
}

impl Db {
    /// A page of the rows of a query without a `LIMIT`. Rows that cannot be read are left out. The page has a row if the query
    /// has a row that can be read.
    pub(crate) async fn fetch_page<T: FromRow + Send>(
        &self,
        sql: Sql,
        limits: PageLimits,
    ) -> Result<Page<T>, StoreError> {
        self.fetch_page_by(limits, |_| sql.clone()).await
    }

    /// [`Db::fetch_page`] of a query that depends on the number of rows to read.
    pub(crate) async fn fetch_page_by<T: FromRow + Send>(
        &self,
        limits: PageLimits,
        query: impl Fn(i64) -> Sql,
    ) -> Result<Page<T>, StoreError> {
        let mut reading = limits;
        loop {
            let rows = one_more(reading.rows);
            let mut first = query(rows);
            first.push(" LIMIT ").bind(rows);
            let page = self.fetch_first(first, reading).await?;
            match reading.after_unreadable(&page) {
                Some(larger) => reading = larger,
                None => return Ok(page.first(limits.rows)),
            }
        }
    }

    /// The first rows of a query within the limits. The query must have a limit of one row more ([`one_more`]).
    ///
    /// Rows that cannot be read are left out, so the page may be empty although there are more rows. [`Db::fetch_page`] reads
    /// on; a caller that leaves out further rows does so itself ([`PageLimits::after_unreadable`]).
    ///
    /// The rows are read one by one until the budget is used up. So the memory is that of the page and of one row, also
    /// if the query finds many large rows.
    pub(crate) async fn fetch_first<T: FromRow + Send>(
        &self,
        sql: Sql,
        limits: PageLimits,
    ) -> Result<Page<T>, StoreError> {
        match self {
            Db::Sqlite { read, moments, .. } => {
                let (text, arguments) = sql.for_sqlite()?;
                let query = sqlx::query_with(AssertSqlSafe(text), arguments);
                let mut reads = moments.lock_reads().await;
                let rows = match &mut reads {
                    Some(transaction) => query.fetch(&mut ***transaction),
                    None => query.fetch(read),
                };
                let rows = Eager::new(rows).map_ok(Row::Sqlite).map_err(StoreError::from);
                Ok(collect_page(rows, limits).await?.0)
            }
            Db::Postgres { read, .. } => {
                let query = FirstRows {
                    sql: &sql,
                    limits,
                    row: PhantomData,
                };
                read.read(&query).await
            }
        }
    }
}

/// The first rows of a query within the limits.
struct FirstRows<'s, T> {
    sql: &'s Sql,
    limits: PageLimits,
    row: PhantomData<fn() -> T>,
}

impl<T: FromRow + Send> Read for FirstRows<'_, T> {
    type Rows = Page<T>;

    async fn read(&self, lease: &mut Lease, limit: Duration) -> Result<Page<T>, StoreError> {
        let query = lease.query(self.sql)?;
        let rows = query.fetch(lease.connection()?).map_ok(Row::Postgres);
        let page = timeout(limit, collect_page(rows.map_err(StoreError::from), self.limits)).await;
        let page = page.unwrap_or_else(|_| Err(StoreError::silence(limit)));
        let (page, has_ended) = lease.observe(page)?;
        if !has_ended {
            // Back in the pool, the connection would first have to read all remaining rows.
            lease.discard();
        }
        Ok(page)
    }
}

/// Collects the rows within the limits. Returns also whether all rows were read.
async fn collect_page<T: FromRow>(
    rows: impl Stream<Item = Result<Row, StoreError>>,
    limits: PageLimits,
) -> Result<(Page<T>, bool), StoreError> {
    let mut rows = std::pin::pin!(rows);
    let mut page = Page::empty();
    let (mut bytes, mut skipped) = (0, 0);
    while let Some(row) = rows.next().await {
        let row = row?;
        if page.items.len() + skipped >= limits.rows {
            page.more = true;
            continue; // the query has no further row
        }
        bytes += count_bytes(&row)?;
        if bytes > limits.bytes && !page.items.is_empty() {
            page.more = true;
            return Ok((page, false));
        }
        match skip_unreadable("row of a page", || name_of(&row), T::from_row(&row))? {
            Some(item) => page.items.push(item),
            None => skipped += 1,
        }
    }
    Ok((page, true))
}

/// The bytes of the texts and binary values of a row.
fn count_bytes(row: &Row) -> Result<usize, StoreError> {
    let mut bytes = 0;
    match row {
        Row::Sqlite(row) => {
            for column in 0..row.len() {
                let value = row.try_get_raw(column)?;
                if matches!(value.type_info().name(), "TEXT" | "BLOB") {
                    let content = <&[u8] as Decode<'_, Sqlite>>::decode(value);
                    bytes += content.map_err(sqlx::Error::Decode)?.len();
                }
            }
        }
        Row::Postgres(row) => {
            for column in 0..row.len() {
                let value = row.try_get_raw(column)?;
                if !value.is_null() {
                    bytes += value.as_bytes().map_err(sqlx::Error::Decode)?.len();
                }
            }
        }
        Row::Copied(row) => bytes += row.len(),
    }
    Ok(bytes)
}
