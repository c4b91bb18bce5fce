//! Connections and queries, the same for both databases.
//!
//! [`Sql`] is a text with its values. [`Db`] reads with it, [`Tx`] writes with it. `opening` connects.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use sha2::{Digest as _, Sha256};
use sqlx::postgres::{PgRow, PgValueFormat};
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, ColumnIndex, Decode, Postgres, Row as _, Sqlite, SqlitePool, Type, ValueRef as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::store::db::StoreError;
use crate::store::db::columns::FromRow;
use crate::store::db::copied_rows::CopiedRow;
use crate::store::db::dialect::{self, Value};
use crate::store::db::eager::Eager;
use crate::store::db::moment::SqliteMoments;
use crate::store::db::postgres::{Hosts, PostgresPool, Work};
use crate::store::db::replica::Replica;
use crate::store::db::sqlite_begin::{Refusals, begin_sqlite};
use crate::store::db::sqlite_file::SqliteFile;
use crate::store::db::transaction::{DriverTransaction, Tx};
use crate::store::db::unreadable::{id_of, name_of, skip_unreadable};
use crate::store::db::write_health::WriteHealth;

/// An SQL text and its values.
///
/// The text is composed of static pieces only. Data of clients is bound as values ([`Sql::bind`]).
#[derive(Debug, Clone)]
pub(crate) struct Sql {
    text: String,
    values: Vec<Value>,
}

impl Sql {
    pub(crate) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            values: Vec::new(),
        }
    }

    /// Adds the value of the next `$n` of the text.
    pub(crate) fn with(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Puts a keyword such as `EXPLAIN` before the text.
    pub(crate) fn preceded_by(mut self, text: &'static str) -> Self {
        self.text.insert_str(0, text);
        self
    }

    pub(crate) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Adds a value, and its `$n` at the end of the text.
    pub(crate) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        let number = self.values.len();
        self.text.push('$');
        self.text.push_str(&number.to_string());
        self
    }

    /// Adds `IN LIST($n)` with the list.
    pub(crate) fn any_of(&mut self, values: impl Into<Value>) -> &mut Self {
        self.push(" IN LIST(").bind(values).push(")")
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The statement that copies the rows of the query from PostgreSQL in binary form, if its values are numbers. `COPY`
    /// takes no values besides its text.
    pub(super) fn copied_from_postgres(&self) -> Option<String> {
        let text = dialect::postgres_text(&self.text);
        let query = dialect::postgres_literals(&text, &self.values)?;
        Some(format!("COPY ({query}) TO STDOUT (FORMAT binary)"))
    }

    /// A digest of the text and all values. Every part has its kind and its length before it. Without them, two different
    /// queries could have the same digest, and one caller would receive the keys that another may see.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        let begin_part = |digest: &mut Sha256, kind: u8, length: usize| {
            digest.update([kind]);
            digest.update(length.to_le_bytes());
        };
        begin_part(&mut digest, b't', self.text.len());
        digest.update(&self.text);
        for value in &self.values {
            match value {
                Value::Ints(list) => {
                    begin_part(&mut digest, b'i', list.len());
                    list.iter().for_each(|number| digest.update(number.to_le_bytes()));
                }
                other => {
                    let text = format!("{other:?}");
                    begin_part(&mut digest, b'v', text.len());
                    digest.update(text);
                }
            }
        }
        digest.finalize().into()
    }

    pub(super) fn for_sqlite(self) -> Result<(String, sqlx::sqlite::SqliteArguments), StoreError> {
        let text = dialect::sqlite_text(&self.text, &self.values)?.into_owned();
        Ok((text, dialect::sqlite_arguments(self.values)?))
    }

    pub(super) fn for_postgres(&self) -> Result<(String, sqlx::postgres::PgArguments), StoreError> {
        let text = dialect::postgres_text(&self.text).into_owned();
        Ok((text, dialect::postgres_arguments(&self.values)?))
    }
}

/// A row of either database.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
    /// A row in the binary format of PostgreSQL's `COPY`.
    Copied(CopiedRow),
}

impl Row {
    /// The position of the column with this name.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        match self {
            Row::Sqlite(row) => row.try_column(name).map(sqlx::Column::ordinal).ok(),
            Row::Postgres(row) => row.try_column(name).map(sqlx::Column::ordinal).ok(),
            Row::Copied(row) => row.position(name),
        }
    }

    /// The value at this position. Positions begin at 0.
    pub(crate) fn get<T>(&self, index: usize) -> Result<T, StoreError>
    where
        T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>,
        usize: ColumnIndex<SqliteRow> + ColumnIndex<PgRow>,
    {
        Ok(match self {
            Row::Sqlite(row) => row.try_get(index)?,
            Row::Postgres(row) => row.try_get(index)?,
            Row::Copied(_) => return Err(StoreError::corrupt("column", "NULL, or no type that is copied")),
        })
    }

    /// [`Row::get`] for a text, or NULL.
    pub(super) fn get_text(&self, index: usize) -> Result<Option<String>, StoreError> {
        let Row::Copied(row) = self else {
            return self.get(index);
        };
        let text = row
            .get(index)?
            .map(|bytes| std::str::from_utf8(bytes).map(str::to_owned));
        text.transpose()
            .map_err(|error| StoreError::corrupt("text", error))
    }

    /// [`Row::get`] for a type of a fixed size, or NULL. On PostgreSQL `decode` reads the bytes: an export reads ten such
    /// values for each row, and the way of the driver takes four times as long.
    pub(super) fn get_fixed<T, const N: usize>(
        &self,
        index: usize,
        decode: fn([u8; N]) -> T,
    ) -> Result<Option<T>, StoreError>
    where
        T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        if let Row::Copied(row) = self {
            let Some(bytes) = row.get(index)? else {
                return Ok(None);
            };
            let bytes = bytes.try_into();
            let bytes = bytes.map_err(|_| StoreError::corrupt("column", "a value of another size"))?;
            return Ok(Some(decode(bytes)));
        }
        if let Row::Postgres(row) = self {
            let value = row.try_get_raw(index)?;
            if value.is_null() {
                return Ok(None);
            }
            let is_of_type = *value.type_info() == <T as Type<Postgres>>::type_info();
            let bytes = value.as_bytes().unwrap_or_default(); // not NULL
            if let (true, PgValueFormat::Binary, Ok(bytes)) = (is_of_type, value.format(), bytes.try_into()) {
                return Ok(Some(decode(bytes)));
            }
        }
        self.get(index)
    }
}

/// The kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// A handle to the database, cheap to clone. Readers and writers have separate pools.
#[derive(Clone)]
#[allow(
    clippy::large_enum_variant,
    reason = "a process has few of them, and a box would be followed at each query"
)]
pub(crate) enum Db {
    Sqlite {
        write: SqlitePool,
        read: SqlitePool,
        moments: SqliteMoments,
        /// `None` for a database in memory.
        file: Option<Arc<SqliteFile>>,
        /// The options of a connection that writes.
        options: Arc<SqliteConnectOptions>,
        /// How long a writer waits for the lock of the file, which another process may hold.
        wait: Duration,
        write_health: Arc<WriteHealth>,
    },
    Postgres {
        write: PostgresPool,
        read: PostgresPool,
        /// A permit to wait for a locked ledger with a connection. There are half as many as connections that write:
        /// locked organisations never hold them all.
        lock_waits: Arc<Semaphore>,
        /// The URL for the connection that announces commits to other replicas. `None` behind a pooler that lends
        /// connections for transactions: nobody can listen there.
        announcing: Option<Arc<Hosts>>,
        /// The replica for costly reads.
        replica: Option<Arc<Replica>>,
        write_health: Arc<WriteHealth>,
    },
}

impl Db {
    pub(crate) fn engine(&self) -> Engine {
        match self {
            Db::Sqlite { .. } => Engine::Sqlite,
            Db::Postgres { .. } => Engine::Postgres,
        }
    }

    /// The same database for queries that may take long: they count or sort many rows.
    pub(crate) fn for_long_queries(&self) -> Self {
        let mut db = self.clone();
        if let Db::Postgres { read, .. } = &mut db {
            *read = read.for_work(Work::Long);
        }
        db
    }

    /// The lines of the database's plan for a query.
    pub(crate) async fn explain(&self, sql: Sql) -> Result<Vec<String>, StoreError> {
        let (prefix, column) = match self.engine() {
            Engine::Sqlite => ("EXPLAIN QUERY PLAN ", 3),
            Engine::Postgres => ("EXPLAIN ", 0),
        };
        let rows = self.fetch_all(sql.preceded_by(prefix)).await?;
        rows.iter().map(|row| row.get(column)).collect()
    }

    pub(crate) async fn fetch_all(&self, sql: Sql) -> Result<Vec<Row>, StoreError> {
        match self {
            Db::Sqlite { read, moments, .. } => moments.fetch_all(read, sql).await,
            Db::Postgres { read, .. } => read.fetch_all(&sql).await,
        }
    }

    pub(crate) async fn fetch_optional(&self, sql: Sql) -> Result<Option<Row>, StoreError> {
        Ok(self.fetch_all(sql).await?.into_iter().next())
    }

    /// The rows of a query that can be read as `T`. A transaction reads all rows or none instead
    /// ([`Tx::fetch_rows`](super::transaction::Tx::fetch_rows)).
    pub(crate) async fn fetch_rows<T: FromRow>(&self, sql: Sql) -> Result<Vec<T>, StoreError> {
        let rows = self.fetch_all(sql).await?;
        rows.iter()
            .filter_map(|row| skip_unreadable("row", || name_of(row), T::from_row(row)).transpose())
            .collect()
    }

    /// The rows of a query that can be read as `T`. The others are named in the log by the column `id`.
    pub(crate) async fn fetch_readable<T: FromRow>(
        &self,
        kind: &'static str,
        id: usize,
        sql: Sql,
    ) -> Result<Vec<T>, StoreError> {
        let rows = self.fetch_all(sql).await?;
        rows.iter()
            .filter_map(|row| skip_unreadable(kind, || id_of(row, id), T::from_row(row)).transpose())
            .collect()
    }

    /// The first row of a query, read as `T`.
    pub(crate) async fn fetch_row<T: FromRow>(&self, sql: Sql) -> Result<Option<T>, StoreError> {
        let row = self.fetch_optional(sql).await?;
        row.as_ref().map(T::from_row).transpose()
    }

    /// The number that a counting query returns.
    pub(crate) async fn count(&self, sql: Sql) -> Result<i64, StoreError> {
        to_count(self.fetch_optional(sql).await?)
    }

    /// Begins a writing transaction. On SQLite it is the only one until its end.
    pub(crate) async fn begin(&self) -> Result<Tx, StoreError> {
        self.begin_noting(&Refusals::default()).await
    }

    /// [`Db::begin`], which also notes whether the database refuses the lock of the file.
    pub(super) async fn begin_noting(&self, refusals: &Refusals) -> Result<Tx, StoreError> {
        let begun = match self {
            Db::Sqlite {
                write, file, wait, ..
            } => {
                let begun = begin_sqlite(write, file.as_deref(), Instant::now() + *wait, refusals).await;
                begun.map(DriverTransaction::Sqlite)
            }
            Db::Postgres { write, .. } => write.begin().await.map(DriverTransaction::Postgres),
        };
        match begun {
            Ok(transaction) => Ok(Tx::new(transaction, Arc::clone(self.write_health()))),
            Err(error) => {
                self.write_health().note_failure(&error);
                Err(error)
            }
        }
    }

    /// How many connections have failed so far, or led to a server that only reads.
    pub(super) fn failed_connections(&self) -> u64 {
        match self {
            Db::Sqlite { .. } => 0,
            Db::Postgres { write, read, .. } => write.failed_connections() + read.failed_connections(),
        }
    }

    /// Whether anything can be written.
    pub(super) fn write_health(&self) -> &Arc<WriteHealth> {
        match self {
            Db::Sqlite { write_health, .. } | Db::Postgres { write_health, .. } => write_health,
        }
    }

    /// Runs one statement in a transaction of its own and returns the number of rows that it changed.
    pub(crate) async fn execute_alone(&self, sql: Sql) -> Result<u64, StoreError> {
        match self {
            Db::Sqlite { .. } => {
                let mut tx = self.begin().await?;
                let changed = tx.execute(sql).await?;
                tx.commit().await?;
                Ok(changed)
            }
            Db::Postgres { write, .. } => write.execute(&sql).await,
        }
    }

    /// Runs statements without time limits, each in a transaction of its own.
    pub(crate) async fn execute_without_limits(&self, statements: &[String]) -> Result<(), StoreError> {
        if let Db::Postgres { write, .. } = self {
            return write.execute_without_limits(statements).await;
        }
        for statement in statements {
            self.execute_alone(Sql::new(statement)).await?;
        }
        Ok(())
    }

    /// A permit to wait for a locked ledger with a connection, if one is free.
    pub(crate) fn try_wait_for_lock(&self) -> Option<OwnedSemaphorePermit> {
        match self {
            Db::Sqlite { .. } => None,
            Db::Postgres { lock_waits, .. } => Arc::clone(lock_waits).try_acquire_owned().ok(),
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Db::Sqlite {
                write, read, moments, ..
            } => {
                moments.close().await;
                read.close().await;
                write.close().await;
            }
            Db::Postgres {
                write, read, replica, ..
            } => {
                if let Some(replica) = replica {
                    replica.close().await;
                }
                read.close().await;
                write.close().await;
            }
        }
    }
}

pub(super) async fn sqlite_all<'e>(
    executor: impl sqlx::Executor<'e, Database = Sqlite>,
    sql: Sql,
) -> Result<Vec<Row>, StoreError> {
    let (text, arguments) = sql.for_sqlite()?;
    let rows = sqlx::query_with(AssertSqlSafe(text), arguments).fetch(executor);
    let rows = Eager::new(rows).map_ok(Row::Sqlite);
    Ok(rows.try_collect().await?)
}

pub(super) fn to_count(row: Option<Row>) -> Result<i64, StoreError> {
    row.ok_or(StoreError::Invariant("a counting query returned no row"))?
        .get(0)
}

#[cfg(test)]
mod tests {
    use super::Sql;

    #[test]
    fn different_queries_have_different_digests() {
        let of_lists = |first: &[i64], second: &[i64]| {
            let mut sql = Sql::new("SELECT 1 WHERE a");
            sql.any_of(first.to_vec()).push(" AND b").any_of(second.to_vec());
            sql.digest()
        };
        // The bytes of these lists are the same, apart from their lengths.
        assert_ne!(of_lists(&[1, 256 * 3], &[4]), of_lists(&[1], &[3, 4]));
        assert_ne!(of_lists(&[1, 2], &[]), of_lists(&[1], &[2]));
        assert_ne!(of_lists(&[], &[1]), of_lists(&[1], &[]));
        assert_eq!(of_lists(&[1], &[3, 4]), of_lists(&[1], &[3, 4]));

        let of_values = |first: &str, second: &str| Sql::new("").with(first).with(second).digest();
        assert_ne!(of_values("a", "bc"), of_values("ab", "c"));
        assert_ne!(
            of_values("a\"))\0Text(Some(\"b", "c"),
            of_values("a", "b\"))\0Text(Some(\"c")
        );
        assert_ne!(Sql::new("a").digest(), Sql::new("a").with(1_i64).digest());
    }
}
