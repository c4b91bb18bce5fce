//! Rows of a page within a byte budget.

use std::time::Duration;

use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use sqlx::{AssertSqlSafe, Decode, Row as _, Sqlite, TypeInfo as _, ValueRef as _};
use tokio::time::{Instant, timeout};

use crate::base::Page;
use crate::store::db::StoreError;
use crate::store::db::columns::FromRow;
use crate::store::db::database::{Db, Row, Sql};
use crate::store::db::postgres::{GRACE, Lease, PostgresPool, READ_ATTEMPTS};

/// The limits of a page.
#[derive(Debug, Clone, Copy)]
pub struct PageLimits {
    /// The most rows.
    pub rows: usize,
    /// The most bytes of the rows as they are stored. A page has at least one row.
    pub bytes: usize,
}

impl Db {
    /// The first rows of a query within the limits. The query must have a limit of one row more
    /// ([`one_more`](super::rows::one_more)).
    ///
    /// The rows are read one by one until the budget is used up. So the memory is that of the page and of one row, also
    /// if the query finds many large rows.
    pub(crate) async fn fetch_page<T: FromRow>(
        &self,
        sql: Sql,
        limits: PageLimits,
    ) -> Result<Page<T>, StoreError> {
        match self {
            Db::Sqlite { read, .. } => {
                let (text, arguments) = sql.for_sqlite()?;
                let query = sqlx::query_with(AssertSqlSafe(text), arguments);
                let rows = query.fetch(read).map_ok(Row::Sqlite).map_err(StoreError::from);
                Ok(collect_page(rows, limits).await?.0)
            }
            Db::Postgres { read, .. } => read.fetch_page(&sql, limits).await,
        }
    }
}

impl PostgresPool {
    /// Reads a page as [`PostgresPool::fetch_all`] reads all rows.
    async fn fetch_page<T: FromRow>(&self, sql: &Sql, limits: PageLimits) -> Result<Page<T>, StoreError> {
        let deadline = Instant::now() + self.read_limit();
        let mut lease = self.acquire().await?;
        let mut attempt = 1;
        loop {
            match lease.fetch_page(sql, limits, self.read_limit() + GRACE).await {
                Err(error)
                    if error.is_worth_a_retry() && attempt < READ_ATTEMPTS && Instant::now() < deadline =>
                {
                    attempt += 1;
                    lease = self.acquire_tested().await?;
                }
                outcome => return outcome,
            }
        }
    }
}

impl Lease {
    async fn fetch_page<T: FromRow>(
        &mut self,
        sql: &Sql,
        limits: PageLimits,
        limit: Duration,
    ) -> Result<Page<T>, StoreError> {
        let (text, arguments) = sql.for_postgres()?;
        let query = sqlx::query_with(AssertSqlSafe(text), arguments);
        let rows = query.fetch(self.connection()?).map_ok(Row::Postgres);
        let page = timeout(limit, collect_page(rows.map_err(StoreError::from), limits)).await;
        let page = page.unwrap_or_else(|_| Err(StoreError::silence(limit)));
        let (page, has_ended) = self.observe(page)?;
        if !has_ended {
            // Back in the pool, the connection would first have to read all remaining rows.
            self.discard();
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
    let mut bytes = 0;
    while let Some(row) = rows.next().await {
        let row = row?;
        if page.items.len() >= limits.rows {
            page.more = true;
            continue; // the query has no further row
        }
        bytes += count_bytes(&row)?;
        if bytes > limits.bytes && !page.items.is_empty() {
            page.more = true;
            return Ok((page, false));
        }
        page.items.push(T::from_row(&row)?);
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
    }
    Ok(bytes)
}
