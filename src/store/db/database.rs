//! The two databases behind one face: connections, statements, rows, transactions.
//!
//! Start at [`Sql`]: a text and its values. [`Db`] reads with it, [`Tx`] writes with it. Everything else in
//! this room is text and values.

use std::str::FromStr;
use std::time::Duration;

use futures_util::{Stream, StreamExt, TryStreamExt};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgRow};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ColumnIndex, Decode, PgPool, Postgres, Row as _, Sqlite, SqlitePool, Type};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::store::db::StoreError;
use crate::store::db::columns::{FromRow, TableRow};
use crate::store::db::dialect::{self, Value};

/// Rows that travel together from the database to whoever reads a stream of them.
const CHUNK: usize = 512;
/// Rows inserted by one statement on SQLite, the largest first: few lengths, so that each is prepared once.
const SQLITE_BATCHES: [usize; 3] = [64, 8, 1];

/// Where the data is: `sqlite:PATH` or `postgres://…`, and how many connections it may have.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// `sqlite:PATH`, `postgres://…` or `postgresql://…`.
    pub url: String,
    /// The most connections at once; on SQLite the readers, beside the one writer.
    pub connections: u32,
    /// How long a request waits for a connection before it is refused.
    pub wait: Duration,
}

impl DatabaseSettings {
    /// The settings for a URL, with the usual sizes.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            connections: 16,
            wait: Duration::from_secs(10),
        }
    }
}

/// A text and its values. The text is static or put together by [`Sql::push`] from static pieces, never
/// from what a client sent: that goes in by [`Sql::bind`].
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

    /// The value of the next `$n` that the text names already.
    pub(crate) fn with(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// The same with a word in front, such as `EXPLAIN`.
    pub(crate) fn preceded_by(mut self, text: &'static str) -> Self {
        self.text.insert_str(0, text);
        self
    }

    pub(crate) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// A value, and its `$n` at the end of the text.
    pub(crate) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        let number = self.values.len();
        self.text.push('$');
        self.text.push_str(&number.to_string());
        self
    }

    /// `IN LIST($n)` with its list.
    pub(crate) fn any_of(&mut self, values: impl Into<Value>) -> &mut Self {
        self.push(" IN LIST(").bind(values).push(")")
    }

    fn for_sqlite(self) -> Result<(String, sqlx::sqlite::SqliteArguments), StoreError> {
        let text = dialect::sqlite_text(&self.text, &self.values)?.into_owned();
        Ok((text, dialect::sqlite_arguments(self.values)?))
    }

    fn for_postgres(&self) -> Result<(String, sqlx::postgres::PgArguments), StoreError> {
        let text = dialect::postgres_text(&self.text).into_owned();
        Ok((text, dialect::postgres_arguments(&self.values)?))
    }
}

/// A row of either database.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// The value in that column, counted from 0.
    pub(crate) fn get<T>(&self, index: usize) -> Result<T, StoreError>
    where
        T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>,
        usize: ColumnIndex<SqliteRow> + ColumnIndex<PgRow>,
    {
        Ok(match self {
            Row::Sqlite(row) => row.try_get(index)?,
            Row::Postgres(row) => row.try_get(index)?,
        })
    }
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// A handle on the database, cheap to clone. Writers are apart from readers.
#[derive(Clone)]
pub(crate) enum Db {
    Sqlite { write: SqlitePool, read: SqlitePool },
    Postgres { write: PgPool, read: PgPool, home: Home },
}

/// The runtime that connections to PostgreSQL belong to. A connection is served by the runtime it was opened
/// in; the threads that answer requests have runtimes of their own, which end before the store is closed.
#[derive(Clone)]
pub(crate) struct Home(Handle);

impl Home {
    async fn open<T: Send + 'static>(
        &self,
        opening: impl Future<Output = Result<T, sqlx::Error>> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self.0.spawn(opening).await {
            Ok(opened) => Ok(opened?),
            Err(_) => Err(StoreError::Closed), // the runtime is ending
        }
    }

    /// A connection that is free, or else one that is opened.
    async fn connection(&self, pool: &PgPool) -> Result<PoolConnection<Postgres>, StoreError> {
        match pool.try_acquire() {
            Some(connection) => Ok(connection),
            None => self.checked(pool).await,
        }
    }

    /// A connection that has just been asked whether it still works.
    async fn checked(&self, pool: &PgPool) -> Result<PoolConnection<Postgres>, StoreError> {
        let pool = pool.clone();
        self.open(async move { pool.acquire().await }).await
    }
}

impl Db {
    /// Connects; makes an SQLite file that is not there yet.
    pub(crate) async fn open(settings: &DatabaseSettings) -> Result<Self, StoreError> {
        if settings.url.starts_with("sqlite:") {
            Self::open_sqlite(settings).await
        } else if settings.url.starts_with("postgres://") || settings.url.starts_with("postgresql://") {
            Self::open_postgres(settings).await
        } else {
            Err(StoreError::UnknownDatabase)
        }
    }

    async fn open_sqlite(settings: &DatabaseSettings) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::from_str(&settings.url)
            .map_err(StoreError::Connect)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // Every commit reaches the disk: an acknowledged record survives a power cut.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(settings.wait)
            .pragma("cache_size", "-16384")
            .pragma("temp_store", "memory")
            .statement_cache_capacity(256);
        let write = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(settings.wait)
            .connect_with(options.clone())
            .await
            .map_err(StoreError::Connect)?;
        let read = SqlitePoolOptions::new()
            .max_connections(settings.connections)
            .acquire_timeout(settings.wait)
            .connect_with(options.pragma("query_only", "on"))
            .await
            .map_err(StoreError::Connect)?;
        Ok(Self::Sqlite { write, read })
    }

    async fn open_postgres(settings: &DatabaseSettings) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(&settings.url)
            .map_err(StoreError::Connect)?
            .application_name("rollbook")
            .statement_cache_capacity(256);
        let writers = (settings.connections / 4).max(2);
        let pool = |connections: u32| {
            PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(settings.wait)
        };
        let write = pool(writers)
            .connect_with(options.clone())
            .await
            .map_err(StoreError::Connect)?;
        // A filter's best plan depends on its values: a generic one, which PostgreSQL would fall back to
        // after five runs, can be a thousand times slower.
        let read = pool(settings.connections.saturating_sub(writers).max(2))
            .connect_with(options.options([("plan_cache_mode", "force_custom_plan")]))
            .await
            .map_err(StoreError::Connect)?;
        Ok(Self::Postgres {
            write,
            read,
            home: Home(Handle::current()),
        })
    }

    pub(crate) fn engine(&self) -> Engine {
        match self {
            Db::Sqlite { .. } => Engine::Sqlite,
            Db::Postgres { .. } => Engine::Postgres,
        }
    }

    /// What the database says it will do for a query, a line each, in its own words.
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
            Db::Sqlite { read, .. } => sqlite_all(read, sql).await,
            Db::Postgres { read, home, .. } => {
                let mut connection = home.connection(read).await?;
                match postgres_all(&mut *connection, &sql).await {
                    // It was free but broken, as after a restart of the database: others may be, too.
                    Err(StoreError::Database(sqlx::Error::Io(_))) => {
                        drop(connection.detach());
                        postgres_all(&mut *home.checked(read).await?, &sql).await
                    }
                    outcome => outcome,
                }
            }
        }
    }

    pub(crate) async fn fetch_optional(&self, sql: Sql) -> Result<Option<Row>, StoreError> {
        Ok(self.fetch_all(sql).await?.into_iter().next())
    }

    /// All rows of a query, read as `T`.
    pub(crate) async fn fetch_rows<T: FromRow>(&self, sql: Sql) -> Result<Vec<T>, StoreError> {
        let rows = self.fetch_all(sql).await?;
        rows.iter().map(T::from_row).collect()
    }

    /// The first row of a query, read as `T`.
    pub(crate) async fn fetch_row<T: FromRow>(&self, sql: Sql) -> Result<Option<T>, StoreError> {
        let row = self.fetch_optional(sql).await?;
        row.as_ref().map(T::from_row).transpose()
    }

    /// What a query counts: the one number of its one row.
    pub(crate) async fn count(&self, sql: Sql) -> Result<i64, StoreError> {
        counted(self.fetch_optional(sql).await?)
    }

    /// The rows as `read` takes them, as they come, in chunks. The database reads ahead by two chunks and then waits, so memory
    /// stays flat however slow the reader is; a dropped stream ends the query.
    pub(crate) fn stream<T: Send + 'static>(
        &self,
        runtime: &Handle,
        sql: Sql,
        read: fn(&Row) -> Result<T, StoreError>,
    ) -> impl Stream<Item = Result<Vec<T>, StoreError>> + Send + 'static {
        let (send, receive) = mpsc::channel(2);
        let db = self.clone();
        runtime.spawn(async move {
            let last = match db.pump(sql, read, &send).await {
                Ok(()) => Part::End,
                Err(error) => Part::Failed(error),
            };
            let _ = send.send(last).await; // nobody reads any more: nothing to tell
        });
        futures_util::stream::unfold(Some(receive), |receive| async move {
            let mut receive = receive?;
            match receive.recv().await {
                Some(Part::Rows(rows)) => Some((Ok(rows), Some(receive))),
                Some(Part::End) => None,
                Some(Part::Failed(error)) => Some((Err(error), None)),
                // The task ended without a word: what came so far must not look whole.
                None => Some((Err(StoreError::Closed), None)),
            }
        })
    }

    async fn pump<T>(
        &self,
        sql: Sql,
        read: fn(&Row) -> Result<T, StoreError>,
        send: &mpsc::Sender<Part<T>>,
    ) -> Result<(), StoreError> {
        match self {
            Db::Sqlite { read: pool, .. } => {
                let (text, arguments) = sql.for_sqlite()?;
                let query = sqlx::query_with(AssertSqlSafe(text), arguments);
                forward(query.fetch(pool).map_ok(Row::Sqlite), read, send).await?;
            }
            Db::Postgres { read: pool, home, .. } => {
                let (text, arguments) = sql.for_postgres()?;
                let query = sqlx::query_with(AssertSqlSafe(text), arguments);
                let mut connection = home.checked(pool).await?;
                let whole = forward(query.fetch(&mut *connection).map_ok(Row::Postgres), read, send).await?;
                if !whole {
                    // Given back to the pool it would first have to read all the rows that nobody wants.
                    drop(connection.detach());
                }
            }
        }
        Ok(())
    }

    /// A writing transaction. On SQLite it has the database to itself from here to its end.
    pub(crate) async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(match self {
            Db::Sqlite { write, .. } => Tx::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?),
            Db::Postgres { write, home, .. } => {
                let write = write.clone();
                Tx::Postgres(home.open(async move { write.begin().await }).await?)
            }
        })
    }

    pub(crate) async fn close(&self) {
        match self {
            Db::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
            Db::Postgres { write, read, .. } => {
                read.close().await;
                write.close().await;
            }
        }
    }
}

/// What a stream's task tells its reader.
enum Part<T> {
    Rows(Vec<T>),
    Failed(StoreError),
    End,
}

/// Sends the rows on in chunks; false where the reader went away before the last one.
async fn forward<T>(
    rows: impl Stream<Item = Result<Row, sqlx::Error>>,
    read: fn(&Row) -> Result<T, StoreError>,
    send: &mpsc::Sender<Part<T>>,
) -> Result<bool, StoreError> {
    let rows = rows.map(|row| read(&row?));
    let mut chunks = std::pin::pin!(rows.try_chunks(CHUNK));
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| error.1)?;
        if send.send(Part::Rows(chunk)).await.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn sqlite_all<'e>(
    executor: impl sqlx::Executor<'e, Database = Sqlite>,
    sql: Sql,
) -> Result<Vec<Row>, StoreError> {
    let (text, arguments) = sql.for_sqlite()?;
    let rows = sqlx::query_with(AssertSqlSafe(text), arguments)
        .fetch_all(executor)
        .await?;
    Ok(rows.into_iter().map(Row::Sqlite).collect())
}

async fn postgres_all<'e>(
    executor: impl sqlx::Executor<'e, Database = Postgres>,
    sql: &Sql,
) -> Result<Vec<Row>, StoreError> {
    let (text, arguments) = sql.for_postgres()?;
    let rows = sqlx::query_with(AssertSqlSafe(text), arguments)
        .fetch_all(executor)
        .await?;
    Ok(rows.into_iter().map(Row::Postgres).collect())
}

/// A writing transaction; dropped without [`Tx::commit`], it changes nothing.
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

    /// What a query counts: the one number of its one row.
    pub(crate) async fn count(&mut self, sql: Sql) -> Result<i64, StoreError> {
        counted(self.fetch_optional(sql).await?)
    }

    /// Runs it and says how many rows it touched.
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

    /// Inserts the rows: one statement on PostgreSQL, a few on SQLite. Every row has a value for every column.
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

    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Tx::Sqlite(tx) => tx.commit().await?,
            Tx::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }
}

fn counted(row: Option<Row>) -> Result<i64, StoreError> {
    row.ok_or(StoreError::Invariant("a count without a row"))?.get(0)
}

fn values_text(table: &str, columns: &[&str], rows: usize) -> String {
    // Without numbers: SQLite looks for the name of each numbered value among all of them.
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
