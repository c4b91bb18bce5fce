//! Rows that are read while the database still sends them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{Stream, StreamExt, TryStreamExt};
use sqlx::AssertSqlSafe;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::store::db::StoreError;
use crate::store::db::copied_rows::copy;
use crate::store::db::database::{Db, Row, Sql};
use crate::store::db::eager::Eager;
use crate::store::db::postgres::PostgresPool;
use crate::store::db::unreadable::{name_of, skip_unreadable};

/// The number of rows that are sent to the reader at first. Each chunk has twice as many as the one before.
const FIRST_CHUNK_ROWS: usize = 1024;
/// The most rows of a chunk. A reader looks up the names of all its rows at once, so larger chunks need fewer queries.
const MOST_CHUNK_ROWS: usize = 16 * 1024;
/// A chunk with this number of bytes is sent, also if it has fewer rows.
const CHUNK_BYTES: usize = 1024 * 1024;
/// The most chunks that wait for the reader. The database goes on while a reader writes a row group of Parquet, which takes
/// about as long as reading these chunks.
const WAITING_CHUNKS: usize = 4;

/// The number of instructions of SQLite after which a query looks for its reader again. They take far less than a second.
const SQLITE_INSTRUCTIONS: i32 = 100_000;

/// The time after which the database is asked a second time whether it works at a query.
const SECOND_LOOK: Duration = Duration::from_millis(500);

/// How the rows of a stream are read, and how much memory they need.
pub(crate) struct RowReader<T> {
    /// Converts a row.
    pub(crate) read: fn(&Row) -> Result<T, StoreError>,
    /// The bytes of a row besides those of its type: texts that can be long, and what is in a box.
    pub(crate) bytes: fn(&T) -> usize,
    /// The columns as they are written in `SELECT`, if a [`CopiedRow`](super::copied_rows::CopiedRow) can hold them.
    pub(crate) copied: Option<&'static str>,
}

impl<T> Clone for RowReader<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for RowReader<T> {}

/// The number of rows that a stream has left out so far, because they cannot be read.
#[derive(Debug, Clone, Default)]
pub struct SkippedRows(Arc<AtomicU64>);

impl SkippedRows {
    /// The number so far. After the end of the stream it is the total.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// Whether the database works at the query of a stream. It is asked on another connection, so that a long sort is not
/// taken for a lost connection.
struct Watch {
    pool: PostgresPool,
    /// The unique name of the query's connection.
    name: String,
}

impl Watch {
    /// Waits for the next piece of the answer. There is no limit as long as the database works at it: an export has a
    /// deadline of its own.
    async fn wait_for<T>(&self, next: impl Future<Output = T>) -> Result<T, StoreError> {
        let mut next = std::pin::pin!(next);
        let patience = self.pool.long_limit();
        let mut limit = patience;
        loop {
            if let Ok(piece) = timeout(limit, next.as_mut()).await {
                return Ok(piece);
            }
            if self.pool.works_at(&self.name).await {
                limit = patience;
            } else if limit < patience {
                return Err(StoreError::silence(patience));
            } else {
                // A piece may have been on its way.
                limit = SECOND_LOOK;
            }
        }
    }
}

/// A message of the task that reads the rows.
enum Message<T> {
    Rows(Vec<T>),
    Failed(StoreError),
    End,
}

impl Db {
    /// Streams the rows in chunks. At most [`WAITING_CHUNKS`] wait for the reader, so memory use does not depend on the
    /// reader's speed. Dropping the stream ends the query. Rows that cannot be read are left out and counted in `skipped`.
    pub(crate) fn stream<T: Send + 'static>(
        &self,
        runtime: &Handle,
        sql: Sql,
        reader: RowReader<T>,
        skipped: SkippedRows,
    ) -> impl Stream<Item = Result<Vec<T>, StoreError>> + Send + 'static {
        let (send, receive) = mpsc::channel(WAITING_CHUNKS);
        let db = self.clone();
        runtime.spawn(async move {
            let last = match db.send_rows(sql, reader, &skipped, &send).await {
                Ok(()) => Message::End,
                Err(error) => Message::Failed(error),
            };
            let _ = send.send(last).await; // fails only when the reader has dropped the stream
        });
        futures_util::stream::unfold(Some(receive), |receive| async move {
            let mut receive = receive?;
            match receive.recv().await {
                Some(Message::Rows(rows)) => Some((Ok(rows), Some(receive))),
                Some(Message::End) => None,
                Some(Message::Failed(error)) => Some((Err(error), None)),
                // The task ended early. Without an error the rows so far would look complete.
                None => Some((Err(StoreError::Closed), None)),
            }
        })
    }

    async fn send_rows<T: Send + 'static>(
        &self,
        sql: Sql,
        reader: RowReader<T>,
        skipped: &SkippedRows,
        send: &mpsc::Sender<Message<T>>,
    ) -> Result<(), StoreError> {
        match self {
            Db::Sqlite { read, moments, .. } => {
                let (text, arguments) = sql.for_sqlite()?;
                let mut connection = moments.take_stream(read).await?;
                // SQLite notices the end of the reader by itself only at the next row. A handler that is left behind
                // finds no sender and stops nothing.
                let sender = send.downgrade();
                let goes_on = move || sender.upgrade().is_none_or(|sender| !sender.is_closed());
                connection
                    .lock_handle()
                    .await?
                    .set_progress_handler(SQLITE_INSTRUCTIONS, goes_on);
                let query = sqlx::query_with(AssertSqlSafe(text), arguments);
                let rows = Eager::new(query.fetch(&mut *connection)).map_ok(Row::Sqlite);
                let outcome = forward(rows, None, reader, skipped, send, &mut Progress::Nothing).await;
                // Waits for the end of a query that was interrupted.
                connection.lock_handle().await?.remove_progress_handler();
                outcome?;
            }
            Db::Postgres { read: pool, .. } => {
                let mut is_first = true;
                loop {
                    let (mut tx, name) = pool.take_stream().await?;
                    let watch = Watch {
                        pool: tx.lease()?.pool().clone(),
                        name,
                    };
                    let mut progress = Progress::Nothing;
                    let copied = reader
                        .copied
                        .and_then(|columns| Some((columns, sql.copied_from_postgres()?)));
                    let outcome = match copied {
                        Some((columns, text)) => {
                            let rows = copy(tx.lease()?.connection()?, text, columns);
                            forward(rows, Some(&watch), reader, skipped, send, &mut progress).await
                        }
                        None => {
                            let query = tx.lease()?.query(&sql)?;
                            let rows = query.fetch(tx.lease()?.connection()?).map_ok(Row::Postgres);
                            forward(rows, Some(&watch), reader, skipped, send, &mut progress).await
                        }
                    };
                    let outcome = tx.lease()?.observe(outcome);
                    if progress == Progress::Complete {
                        pool.give_back((tx, watch.name));
                    } else {
                        // Back in the pool, the connection would first have to read all remaining rows.
                        tx.lease()?.discard();
                    }
                    is_first &= !pool.is_at_one_moment();
                    match outcome {
                        Err(error)
                            if is_first && progress == Progress::Nothing && error.is_worth_a_retry() =>
                        {
                            is_first = false;
                        }
                        outcome => return outcome,
                    }
                }
            }
        }
        Ok(())
    }
}

/// How many rows were sent to the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Nothing,
    Some,
    /// All, so the connection has no further rows.
    Complete,
}

/// Sends the rows to the reader in chunks, until the last one or until the reader drops the stream, also while the
/// database finds no row.
async fn forward<T>(
    rows: impl Stream<Item = Result<Row, sqlx::Error>>,
    watch: Option<&Watch>,
    reader: RowReader<T>,
    skipped: &SkippedRows,
    send: &mpsc::Sender<Message<T>>,
    progress: &mut Progress,
) -> Result<(), StoreError> {
    let mut rows = std::pin::pin!(rows.fuse());
    let mut chunk_rows = FIRST_CHUNK_ROWS;
    loop {
        let next = next_chunk(&mut rows, chunk_rows, reader, skipped);
        let next = async {
            match watch {
                Some(watch) => watch.wait_for(next).await?,
                None => next.await,
            }
        };
        let chunk = tokio::select! {
            chunk = next => chunk?,
            () = send.closed() => return Ok(()),
        };
        if chunk.is_empty() {
            break;
        }
        *progress = Progress::Some;
        chunk_rows = MOST_CHUNK_ROWS.min(2 * chunk_rows);
        if send.send(Message::Rows(chunk)).await.is_err() {
            return Ok(());
        }
    }
    *progress = Progress::Complete;
    Ok(())
}

/// The next rows, or none after the last one.
async fn next_chunk<T>(
    rows: &mut (impl Stream<Item = Result<Row, sqlx::Error>> + Unpin),
    most: usize,
    reader: RowReader<T>,
    skipped: &SkippedRows,
) -> Result<Vec<T>, StoreError> {
    let capacity = most.min(CHUNK_BYTES / size_of::<T>().max(1) + 1);
    let (mut chunk, mut bytes) = (Vec::with_capacity(capacity), 0);
    while chunk.len() < most && bytes < CHUNK_BYTES {
        let Some(row) = rows.next().await else { break };
        let row = row?;
        // One row that cannot be read does not break off an export.
        match skip_unreadable("streamed row", || name_of(&row), (reader.read)(&row))? {
            Some(row) => {
                bytes += size_of::<T>() + (reader.bytes)(&row);
                chunk.push(row);
            }
            None => skipped.add_one(),
        }
    }
    Ok(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::db::opening::DatabaseSettings;

    #[tokio::test]
    async fn sqlite_query_without_rows_ends_with_its_reader() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("r.db").display());
        let mut settings = DatabaseSettings::new(url);
        settings.connections = 1;
        let db = Db::open(&settings).await.unwrap();
        let reader = RowReader {
            read: |row| row.get::<i64>(0),
            bytes: |_| 0,
            copied: None,
        };
        for _ in 0..3 {
            let endless = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers) \
                           SELECT n FROM numbers WHERE n < 0";
            let mut rows = Box::pin(db.stream(
                &Handle::current(),
                Sql::new(endless),
                reader,
                SkippedRows::default(),
            ));
            assert!(timeout(Duration::from_millis(200), rows.next()).await.is_err());
        }
        // The only connection is free, and its next query is not interrupted.
        let many = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000000) \
                    SELECT count(*) FROM numbers";
        let count = timeout(Duration::from_secs(20), db.count(Sql::new(many))).await;
        assert_eq!(count.unwrap().unwrap(), 1_000_000);
    }
}
