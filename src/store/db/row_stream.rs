//! Rows that are read while the database still sends them.

use std::time::Duration;

use futures_util::{Stream, StreamExt, TryStreamExt};
use sqlx::AssertSqlSafe;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::store::db::StoreError;
use crate::store::db::database::{Db, Row, Sql};

/// The number of rows that are sent to the reader at once.
const CHUNK_ROWS: usize = 512;

/// Waits up to the limit.
async fn within<T>(limit: Option<Duration>, next: impl Future<Output = T>) -> Result<T, StoreError> {
    match limit {
        Some(limit) => timeout(limit, next).await.map_err(|_| StoreError::silence(limit)),
        None => Ok(next.await),
    }
}

/// A message of the task that reads the rows.
enum Message<T> {
    Rows(Vec<T>),
    Failed(StoreError),
    End,
}

impl Db {
    /// Streams the rows in chunks, each row converted by `read`. At most two chunks wait for the reader, so memory use
    /// does not depend on the reader's speed. Dropping the stream ends the query.
    pub(crate) fn stream<T: Send + 'static>(
        &self,
        runtime: &Handle,
        sql: Sql,
        read: fn(&Row) -> Result<T, StoreError>,
    ) -> impl Stream<Item = Result<Vec<T>, StoreError>> + Send + 'static {
        let (send, receive) = mpsc::channel(2);
        let db = self.clone();
        runtime.spawn(async move {
            let last = match db.send_rows(sql, read, &send).await {
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

    async fn send_rows<T>(
        &self,
        sql: Sql,
        read: fn(&Row) -> Result<T, StoreError>,
        send: &mpsc::Sender<Message<T>>,
    ) -> Result<(), StoreError> {
        match self {
            Db::Sqlite { read: pool, .. } => {
                let (text, arguments) = sql.for_sqlite()?;
                let query = sqlx::query_with(AssertSqlSafe(text), arguments);
                let rows = query.fetch(pool).map_ok(Row::Sqlite);
                forward(rows, None, read, send, &mut Progress::Nothing).await?;
            }
            Db::Postgres { read: pool, .. } => {
                let mut is_first = true;
                loop {
                    let (text, arguments) = sql.for_postgres()?;
                    let mut tx = pool.begin_stream().await?;
                    let query = sqlx::query_with(AssertSqlSafe(text), arguments);
                    let rows = query.fetch(tx.lease()?.connection()?).map_ok(Row::Postgres);
                    let mut progress = Progress::Nothing;
                    let outcome = forward(rows, Some(pool.long_limit()), read, send, &mut progress).await;
                    let outcome = tx.lease()?.observe(outcome);
                    if progress != Progress::Complete {
                        // Back in the pool, the connection would first have to read all remaining rows.
                        tx.lease()?.discard();
                    }
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

/// Sends the rows to the reader in chunks, until the last one or until the reader drops the stream. Each chunk must come
/// from the database within the limit.
async fn forward<T>(
    rows: impl Stream<Item = Result<Row, sqlx::Error>>,
    limit: Option<Duration>,
    read: fn(&Row) -> Result<T, StoreError>,
    send: &mpsc::Sender<Message<T>>,
    progress: &mut Progress,
) -> Result<(), StoreError> {
    let rows = rows.map(|row| read(&row?));
    let mut chunks = std::pin::pin!(rows.try_chunks(CHUNK_ROWS));
    while let Some(chunk) = within(limit, chunks.next()).await? {
        let chunk = chunk.map_err(|error| error.1)?;
        *progress = Progress::Some;
        if send.send(Message::Rows(chunk)).await.is_err() {
            return Ok(());
        }
    }
    *progress = Progress::Complete;
    Ok(())
}
