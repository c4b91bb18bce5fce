//! Rows that are read while the database still sends them.

use futures_util::{Stream, StreamExt, TryStreamExt};
use sqlx::AssertSqlSafe;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::store::db::StoreError;
use crate::store::db::database::{Db, Row, Sql};

/// The number of rows that are sent to the reader at once.
const CHUNK_ROWS: usize = 512;

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
                forward(query.fetch(pool).map_ok(Row::Sqlite), read, send).await?;
            }
            Db::Postgres { read: pool, home, .. } => {
                let (text, arguments) = sql.for_postgres()?;
                let query = sqlx::query_with(AssertSqlSafe(text), arguments);
                let mut connection = home.tested_connection(pool).await?;
                let complete =
                    forward(query.fetch(&mut *connection).map_ok(Row::Postgres), read, send).await?;
                if !complete {
                    // Back in the pool, the connection would first have to read all remaining rows.
                    drop(connection.detach());
                }
            }
        }
        Ok(())
    }
}

/// Sends the rows to the reader in chunks. Returns false if the reader dropped the stream before the last one.
async fn forward<T>(
    rows: impl Stream<Item = Result<Row, sqlx::Error>>,
    read: fn(&Row) -> Result<T, StoreError>,
    send: &mpsc::Sender<Message<T>>,
) -> Result<bool, StoreError> {
    let rows = rows.map(|row| read(&row?));
    let mut chunks = std::pin::pin!(rows.try_chunks(CHUNK_ROWS));
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| error.1)?;
        if send.send(Message::Rows(chunk)).await.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}
