//! A writing transaction of either database.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Sqlite};

use crate::store::db::StoreError;
use crate::store::db::columns::FromRow;
use crate::store::db::database::{Row, Sql, sqlite_all, to_count};
use crate::store::db::dialect::{self, Value};
use crate::store::db::postgres::PostgresTx;
use crate::store::db::write_health::WriteHealth;

/// The numbers of rows that one statement inserts on SQLite, the largest first. Few different numbers keep the set of
/// prepared statements small.
const SQLITE_BATCHES: [usize; 3] = [64, 8, 1];

/// A writing transaction. Without [`Tx::commit`] it changes nothing.
///
/// After a statement failed, or the caller dropped its future, the transaction only ends: SQLite may have ended it
/// already, and further statements would be committed one by one. The pool throws the connection away if the end fails
/// ([`has_ended`]).
pub(crate) struct Tx {
    transaction: DriverTransaction,
    progress: Progress,
    /// Whether a statement changed something.
    changed: bool,
    health: Arc<WriteHealth>,
}

pub(super) enum DriverTransaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(PostgresTx),
}

/// The state of a transaction between two statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Every statement so far succeeded.
    Open,
    /// A statement is under way. The state stays if the caller drops the statement's future.
    Running,
    /// A statement failed.
    Failed,
}

/// The value of PostgreSQL's `lock_timeout`, in milliseconds. 0 would mean no limit.
pub(crate) fn lock_timeout_text(timeout: Duration) -> String {
    timeout.as_millis().max(1).to_string()
}

impl Tx {
    /// A transaction that has begun.
    pub(super) fn new(transaction: DriverTransaction, health: Arc<WriteHealth>) -> Self {
        Self {
            transaction,
            progress: Progress::Open,
            changed: false,
            health,
        }
    }

    /// Notes that a statement begins.
    fn start_statement(&mut self) -> Result<(), StoreError> {
        if self.progress != Progress::Open {
            return Err(StoreError::Invariant(
                "a transaction was continued after a failed statement",
            ));
        }
        self.progress = Progress::Running;
        Ok(())
    }

    /// Notes how a statement ended.
    fn end_statement<T>(&mut self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        self.progress = match &outcome {
            Ok(_) => Progress::Open,
            Err(error) => {
                self.health.note_failure(error);
                Progress::Failed
            }
        };
        outcome
    }

    pub(crate) async fn fetch_all(&mut self, sql: Sql) -> Result<Vec<Row>, StoreError> {
        self.start_statement()?;
        let rows = match &mut self.transaction {
            DriverTransaction::Sqlite(transaction) => sqlite_all(&mut **transaction, sql).await,
            DriverTransaction::Postgres(transaction) => transaction.fetch_all(&sql).await,
        };
        self.end_statement(rows)
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

    /// Runs a statement with `RETURNING` and returns its rows.
    pub(super) async fn change_rows<T: FromRow>(&mut self, sql: Sql) -> Result<Vec<T>, StoreError> {
        let rows = self.fetch_rows(sql).await?;
        self.changed |= !rows.is_empty();
        Ok(rows)
    }

    /// The number that a counting query returns.
    pub(crate) async fn count(&mut self, sql: Sql) -> Result<i64, StoreError> {
        to_count(self.fetch_optional(sql).await?)
    }

    /// Runs a statement and returns the number of rows that it changed.
    pub(crate) async fn execute(&mut self, sql: Sql) -> Result<u64, StoreError> {
        self.start_statement()?;
        let changed = self.transaction.execute(sql).await;
        self.changed |= changed.as_ref().is_ok_and(|rows| *rows > 0);
        self.end_statement(changed)
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
        self.start_statement()?;
        self.changed = true;
        let inserted = self.transaction.insert(table, columns, rows).await;
        self.end_statement(inserted)
    }

    /// Limits how long the following statements of the transaction wait for a lock. SQLite has no locks within a
    /// transaction.
    pub(crate) async fn set_lock_timeout(&mut self, timeout: Duration) -> Result<(), StoreError> {
        if let DriverTransaction::Postgres(_) = self.transaction {
            let set = Sql::new("SELECT set_config('lock_timeout', $1, true)");
            self.fetch_optional(set.with(lock_timeout_text(timeout))).await?;
        }
        Ok(())
    }

    /// Lets the following statements take long, since they change many rows.
    pub(crate) async fn allow_long_statements(&mut self) -> Result<(), StoreError> {
        self.start_statement()?;
        let allowed = match &mut self.transaction {
            DriverTransaction::Sqlite(_) => Ok(()),
            DriverTransaction::Postgres(transaction) => transaction.allow_long_statements().await,
        };
        self.end_statement(allowed)
    }

    /// Commits all changes.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownOutcome`] if it is not known whether the changes are stored. With any other error nothing is
    /// stored.
    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        self.start_statement()?;
        let committed = match self.transaction {
            DriverTransaction::Sqlite(transaction) => transaction.commit().await.map_err(StoreError::from),
            DriverTransaction::Postgres(transaction) => transaction.commit().await,
        };
        match committed {
            Ok(()) if self.changed => self.health.note_success(),
            Ok(()) => {}
            Err(error) => {
                self.health.note_failure(&error);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Ends the transaction without its changes. It may have failed before.
    pub(crate) async fn rollback(self) -> Result<(), StoreError> {
        match self.transaction {
            DriverTransaction::Sqlite(transaction) => transaction.rollback().await?,
            DriverTransaction::Postgres(transaction) => transaction.rollback().await?,
        }
        Ok(())
    }
}

impl DriverTransaction {
    async fn execute(&mut self, sql: Sql) -> Result<u64, StoreError> {
        Ok(match self {
            Self::Sqlite(transaction) => {
                let (text, arguments) = sql.for_sqlite()?;
                sqlx::query_with(AssertSqlSafe(text), arguments)
                    .execute(&mut **transaction)
                    .await?
                    .rows_affected()
            }
            Self::Postgres(transaction) => {
                let (text, arguments) = sql.for_postgres()?;
                transaction.execute(text, arguments).await?
            }
        })
    }

    async fn insert(
        &mut self,
        table: &str,
        columns: &[&str],
        rows: Vec<Vec<Value>>,
    ) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(transaction) => {
                let mut rows = rows.into_iter();
                while rows.len() > 0 {
                    let left = rows.len();
                    let size = SQLITE_BATCHES.into_iter().find(|size| *size <= left).unwrap_or(1);
                    let text = values_text(table, columns, size);
                    let values = rows.by_ref().take(size).flatten().collect();
                    let arguments = dialect::sqlite_arguments(values)?;
                    sqlx::query_with(AssertSqlSafe(text), arguments)
                        .execute(&mut **transaction)
                        .await?;
                }
            }
            Self::Postgres(transaction) => {
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
                transaction.execute(text, arguments).await?;
            }
        }
        Ok(())
    }
}

/// Whether the transaction of a connection has ended, after the rollback that the driver has queued for a [`Tx`]. SQLite
/// ends a transaction by itself when the disk is full. Then the driver's rollback fails, and the driver would refuse every
/// further transaction of the connection.
pub(super) async fn has_ended<C: Connection>(connection: &mut C) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // The driver answers after it has run the queued rollback.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
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

#[cfg(test)]
mod tests {
    use crate::store::db::database::{Db, Sql};
    use crate::store::db::opening::DatabaseSettings;
    use crate::store::db::{StoreError, WriteFault};

    async fn open_table(folder: &tempfile::TempDir) -> Db {
        let url = format!("sqlite:{}", folder.path().join("t.db").display());
        let db = Db::open(&DatabaseSettings::new(url)).await.unwrap();
        let mut tx = db.begin().await.unwrap();
        tx.execute(Sql::new("CREATE TABLE t (bytes BLOB)")).await.unwrap();
        tx.commit().await.unwrap();
        db
    }

    async fn count(db: &Db) -> i64 {
        db.count(Sql::new("SELECT count(*) FROM t")).await.unwrap()
    }

    #[tokio::test]
    async fn writer_goes_on_after_sqlite_had_no_space() {
        let folder = tempfile::tempdir().unwrap();
        let db = open_table(&folder).await;
        for attempt in 0..3 {
            let mut tx = db.begin().await.unwrap();
            // The limit belongs to the connection, which is thrown away with the failed transaction.
            tx.fetch_all(Sql::new("PRAGMA max_page_count = 4")).await.unwrap();
            tx.execute(Sql::new("INSERT INTO t VALUES (x'00')"))
                .await
                .unwrap();
            let large = tx
                .execute(Sql::new("INSERT INTO t VALUES (zeroblob(1000000))"))
                .await;
            let fault = large.unwrap_err().write_fault();
            assert_eq!(fault, Some(WriteFault::DiskFull), "{attempt}");
            drop(tx);
        }
        assert_eq!(count(&db).await, 0);
        let mut tx = db.begin().await.unwrap();
        tx.execute(Sql::new("INSERT INTO t VALUES (zeroblob(1000000))"))
            .await
            .unwrap();
        tx.commit().await.unwrap();
        assert_eq!(count(&db).await, 1);
    }

    #[tokio::test]
    async fn failed_transaction_cannot_be_continued_or_committed() {
        let folder = tempfile::tempdir().unwrap();
        let db = open_table(&folder).await;
        let mut tx = db.begin().await.unwrap();
        tx.execute(Sql::new("INSERT INTO t VALUES (x'00')"))
            .await
            .unwrap();
        assert!(
            tx.execute(Sql::new("INSERT INTO missing VALUES (1)"))
                .await
                .is_err()
        );
        let next = tx.execute(Sql::new("INSERT INTO t VALUES (x'00')")).await;
        assert!(matches!(next, Err(StoreError::Invariant(_))));
        assert!(tx.commit().await.is_err());
        assert_eq!(count(&db).await, 0);
        db.begin().await.unwrap().rollback().await.unwrap();
    }
}
