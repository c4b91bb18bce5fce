//! A writing transaction of either database.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Postgres, Sqlite};

use crate::store::db::StoreError;
use crate::store::db::columns::{FromRow, TableRow};
use crate::store::db::database::{Row, Sql, postgres_all, sqlite_all, to_count};
use crate::store::db::dialect::{self, Value};

/// The numbers of rows that one statement inserts on SQLite, the largest first. Few different numbers keep the set of
/// prepared statements small.
const SQLITE_BATCHES: [usize; 3] = [64, 8, 1];

/// A writing transaction. Without [`Tx::commit`] it changes nothing.
pub(crate) enum Tx {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

impl Tx {
    pub(crate) async fn fetch_all(&mut self, sql: Sql) -> Result<Vec<Row>, StoreError> {
        match self {
            Tx::Sqlite(tx) => sqlite_all(&mut **tx, sql).await,
            Tx::Postgres(tx) => postgres_all(&mut **tx, &sql).await,
        }
    }

    pub(crate) async fn fetch_optional(&mut self, sql: Sql) -> Result<Option<Row>, StoreError> {
        Ok(self.fetch_all(sql).await?.into_iter().next())
    }

    /// All rows of a query, read as `T`.
    pub(crate) async fn fetch_rows<T: FromRow>(&mut self, sql: Sql) -> Result<Vec<T>, StoreError> {
        let rows = self.fetch_all(sql).await?;
        rows.iter().map(T::from_row).collect()
    }

    /// The first row of a query, read as `T`.
    pub(crate) async fn fetch_row<T: FromRow>(&mut self, sql: Sql) -> Result<Option<T>, StoreError> {
        let row = self.fetch_optional(sql).await?;
        row.as_ref().map(T::from_row).transpose()
    }

    /// The number that a counting query returns.
    pub(crate) async fn count(&mut self, sql: Sql) -> Result<i64, StoreError> {
        to_count(self.fetch_optional(sql).await?)
    }

    /// Runs a statement and returns the number of rows that it changed.
    pub(crate) async fn execute(&mut self, sql: Sql) -> Result<u64, StoreError> {
        Ok(match self {
            Tx::Sqlite(tx) => {
                let (text, arguments) = sql.for_sqlite()?;
                sqlx::query_with(AssertSqlSafe(text), arguments)
                    .execute(&mut **tx)
                    .await?
                    .rows_affected()
            }
            Tx::Postgres(tx) => {
                let (text, arguments) = sql.for_postgres()?;
                sqlx::query_with(AssertSqlSafe(text), arguments)
                    .execute(&mut **tx)
                    .await?
                    .rows_affected()
            }
        })
    }

    /// Inserts the rows into their table.
    pub(crate) async fn insert_rows<T: TableRow>(&mut self, rows: Vec<T>) -> Result<(), StoreError> {
        let rows = rows.into_iter().map(T::into_values).collect();
        self.insert(T::TABLE, T::COLUMNS, rows).await
    }

    /// Inserts rows by one statement on PostgreSQL, by a few on SQLite. Each row has a value for each column.
    pub(crate) async fn insert(
        &mut self,
        table: &str,
        columns: &[&str],
        rows: Vec<Vec<Value>>,
    ) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        match self {
            Tx::Sqlite(tx) => {
                let mut rows = rows.into_iter();
                while rows.len() > 0 {
                    let left = rows.len();
                    let size = SQLITE_BATCHES.into_iter().find(|size| *size <= left).unwrap_or(1);
                    let text = values_text(table, columns, size);
                    let values = rows.by_ref().take(size).flatten().collect();
                    let arguments = dialect::sqlite_arguments(values)?;
                    sqlx::query_with(AssertSqlSafe(text), arguments)
                        .execute(&mut **tx)
                        .await?;
                }
            }
            Tx::Postgres(tx) => {
                let mut arguments = sqlx::postgres::PgArguments::default();
                let mut text = format!(
                    "INSERT INTO {table} ({}) SELECT * FROM unnest(",
                    columns.join(", ")
                );
                for (index, column) in transpose(rows, columns.len()).into_iter().enumerate() {
                    let kind = dialect::add_column(&mut arguments, column)?;
                    let comma = if index == 0 { "" } else { ", " };
                    text.push_str(&format!("{comma}${}::{kind}", index + 1));
                }
                text.push(')');
                sqlx::query_with(AssertSqlSafe(text), arguments)
                    .execute(&mut **tx)
                    .await?;
            }
        }
        Ok(())
    }

    /// Limits how long the following statements of the transaction wait for a lock. SQLite has no locks within a
    /// transaction.
    pub(crate) async fn set_lock_timeout(&mut self, timeout: Duration) -> Result<(), StoreError> {
        if let Tx::Postgres(_) = self {
            // 0 would mean no limit.
            let milliseconds = timeout.as_millis().max(1).to_string();
            let set = Sql::new("SELECT set_config('lock_timeout', $1, true)");
            self.fetch_optional(set.with(milliseconds)).await?;
        }
        Ok(())
    }

    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Tx::Sqlite(tx) => tx.commit().await?,
            Tx::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }

    pub(crate) async fn rollback(self) -> Result<(), StoreError> {
        match self {
            Tx::Sqlite(tx) => tx.rollback().await?,
            Tx::Postgres(tx) => tx.rollback().await?,
        }
        Ok(())
    }
}

fn values_text(table: &str, columns: &[&str], rows: usize) -> String {
    // Numbered placeholders are slow: SQLite searches for each number in the list of all placeholders.
    let row = format!("({})", vec!["?"; columns.len()].join(", "));
    format!(
        "INSERT INTO {table} ({}) VALUES {}",
        columns.join(", "),
        vec![row.as_str(); rows].join(", ")
    )
}

fn transpose(rows: Vec<Vec<Value>>, width: usize) -> Vec<Vec<Value>> {
    let mut columns: Vec<Vec<Value>> = (0..width).map(|_| Vec::with_capacity(rows.len())).collect();
    for row in rows {
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(value);
        }
    }
    columns
}
