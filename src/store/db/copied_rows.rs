//! Rows that PostgreSQL sends as the binary format of `COPY`.
//!
//! The driver makes a list of its values of each row of a query, and looks up the type of each value. A message of `COPY` it
//! hands over as it is, which takes a third of the time. An export reads millions of rows with ten numbers each, and the
//! columns for counting are loaded from all rows of a log.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use sqlx::PgConnection;

use super::StoreError;
use super::database::{Db, Row, Sql};
use super::postgres::{Lease, Read, within};

/// The bytes with which the format begins. Flags and an extension follow.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// The bytes of the signature, the flags, and the length of the extension.
const HEADER_BYTES: usize = SIGNATURE.len() + 8;
/// The most columns of a row.
const MOST_COLUMNS: usize = 20;
/// The length that stands for NULL.
const NULL: i32 = -1;

/// A row of numbers, truth values, UUIDs and short texts.
pub(crate) struct CopiedRow {
    bytes: Bytes,
    /// The places of the lengths of the values. The values follow.
    places: [u32; MOST_COLUMNS],
    columns: &'static str,
}

impl CopiedRow {
    /// The bytes of a value in the binary format, or `None` for NULL.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Result<Option<&[u8]>, StoreError> {
        let place = self.places.get(index).filter(|place| **place > 0);
        let place = *place.ok_or(StoreError::Invariant("a row with too few columns"))? as usize;
        let (length, rest) = self.bytes[place..].split_at(4);
        let length = i32::from_be_bytes(length.try_into().unwrap_or_default()); // four bytes
        // The length was checked when the row arrived.
        Ok(usize::try_from(length).ok().map(|length| &rest[..length]))
    }

    /// The number of bytes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The position of the column with this name.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        let mut columns = self.columns.split(", ");
        columns.position(|column| column.rsplit('.').next() == Some(name))
    }
}

/// The rows of the messages of `COPY`.
struct CopiedRows<S> {
    messages: S,
    columns: &'static str,
    /// What has arrived of the rows that were not returned yet.
    rest: Bytes,
    has_begun: bool,
    /// Whether there was an error. Nothing follows it.
    has_failed: bool,
}

impl<S> CopiedRows<S> {
    /// `columns` are the columns of the query, as they are written in `SELECT`.
    fn new(messages: S, columns: &'static str) -> Self {
        Self {
            messages,
            columns,
            rest: Bytes::new(),
            has_begun: false,
            has_failed: false,
        }
    }

    /// Takes the next row, if all of it has arrived. There is none after the last one.
    fn take_row(&mut self) -> Result<Option<CopiedRow>, sqlx::Error> {
        if !self.has_begun {
            let Some(extension) = self.rest.get(HEADER_BYTES - 4..HEADER_BYTES) else {
                return Ok(None);
            };
            if !self.rest.starts_with(SIGNATURE) || extension != [0; 4] {
                return Err(malformed("COPY began with an unknown header"));
            }
            self.rest.advance(HEADER_BYTES);
            self.has_begun = true;
        }
        let Some(count) = self.rest.first_chunk() else {
            return Ok(None);
        };
        let Ok(count) = usize::try_from(i16::from_be_bytes(*count)) else {
            self.rest.clear(); // the mark of the end
            return Ok(None);
        };
        let mut places = [0; MOST_COLUMNS];
        let mut end = 2;
        for index in 0..count {
            let Some(length) = self.rest.get(end..).and_then(<[u8]>::first_chunk) else {
                return Ok(None);
            };
            let place = places.get_mut(index);
            *place.ok_or_else(|| malformed("COPY sent too many columns"))? = end as u32; // a row of short values
            end += 4;
            match i32::from_be_bytes(*length) {
                NULL => {}
                length => {
                    let length =
                        usize::try_from(length).map_err(|_| malformed("COPY sent a wrong length"))?;
                    end += length;
                }
            }
        }
        if end > self.rest.len() {
            return Ok(None);
        }
        Ok(Some(CopiedRow {
            bytes: self.rest.split_to(end),
            places,
            columns: self.columns,
        }))
    }

    fn add(&mut self, message: Bytes) {
        if self.rest.is_empty() {
            self.rest = message;
        } else {
            let mut both = BytesMut::with_capacity(self.rest.len() + message.len());
            both.extend_from_slice(&self.rest);
            both.extend_from_slice(&message);
            self.rest = both.freeze();
        }
    }
}

impl Db {
    /// All rows of a query, which PostgreSQL copies. `columns` are those of the query, as they are written in `SELECT`; a
    /// [`CopiedRow`] has to be able to hold them.
    pub(crate) async fn fetch_copied(&self, sql: Sql, columns: &'static str) -> Result<Vec<Row>, StoreError> {
        match self {
            Db::Sqlite { .. } => self.fetch_all(sql).await,
            Db::Postgres { read, .. } => read.read(&AllCopied { sql, columns }).await,
        }
    }
}

/// The rows that a `COPY` sends. The driver does not read the end of one that the database refuses: only a connection whose
/// rows were all read can be used again. On another one, the next query would take that end for its own, and find no row.
pub(super) fn copy(
    connection: &mut PgConnection,
    text: String,
    columns: &'static str,
) -> impl Stream<Item = Result<Row, sqlx::Error>> {
    let messages = async move { connection.copy_out_raw(&text).await };
    let messages = stream::once(messages).try_flatten();
    CopiedRows::new(Box::pin(messages), columns).map_ok(Row::Copied)
}

/// All rows of a query, copied.
struct AllCopied {
    sql: Sql,
    columns: &'static str,
}

impl Read for AllCopied {
    type Rows = Vec<Row>;

    async fn read(&self, lease: &mut Lease, limit: Duration) -> Result<Vec<Row>, StoreError> {
        let Some(text) = self.sql.copied_from_postgres() else {
            return lease.fetch_all(&self.sql, limit).await;
        };
        let mut copying = Copying {
            lease,
            is_read: false,
        };
        let rows = copy(copying.lease.connection()?, text, self.columns);
        let rows = within(limit, rows.try_collect()).await;
        copying.is_read = rows.is_ok();
        copying.lease.observe(rows)
    }
}

/// Closes the connection unless everything was read, also if nobody waits for it any more.
struct Copying<'l> {
    lease: &'l mut Lease,
    is_read: bool,
}

impl Drop for Copying<'_> {
    fn drop(&mut self) {
        if !self.is_read {
            self.lease.discard();
        }
    }
}

fn malformed(reason: &str) -> sqlx::Error {
    sqlx::Error::Protocol(reason.to_owned())
}

impl<S: Stream<Item = Result<Bytes, sqlx::Error>> + Unpin> Stream for CopiedRows<S> {
    type Item = Result<CopiedRow, sqlx::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.has_failed {
            return Poll::Ready(None);
        }
        let error = loop {
            match self.take_row() {
                Ok(Some(row)) => return Poll::Ready(Some(Ok(row))),
                Ok(None) => {}
                Err(error) => break error,
            }
            match ready!(self.messages.poll_next_unpin(context)) {
                Some(Ok(message)) => self.add(message),
                Some(Err(error)) => break error,
                None if self.rest.is_empty() => return Poll::Ready(None),
                None => break malformed("COPY ended within a row"),
            }
        };
        self.has_failed = true;
        Poll::Ready(Some(Err(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of two rows: 7 and NULL, -1 and true.
    fn file() -> Vec<u8> {
        let mut file = [SIGNATURE, &[0; 8]].concat();
        file.extend([0, 2, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 7, 255, 255, 255, 255]);
        file.extend([
            0, 2, 0, 0, 0, 8, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 1, 1,
        ]);
        file.extend([255, 255]);
        file
    }

    async fn read(messages: Vec<Vec<u8>>) -> Vec<Result<CopiedRow, sqlx::Error>> {
        let messages = stream::iter(messages.into_iter().map(|message| Ok(message.into())));
        CopiedRows::new(messages, "a.one, a.two").collect().await
    }

    fn check(rows: &[Result<CopiedRow, sqlx::Error>]) {
        let rows: Vec<_> = rows.iter().map(|row| row.as_ref().unwrap()).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].get(0).unwrap(), Some(&7_i64.to_be_bytes()[..]));
        assert_eq!(rows[0].get(1).unwrap(), None);
        assert_eq!(rows[1].get(0).unwrap(), Some(&(-1_i64).to_be_bytes()[..]));
        assert_eq!(rows[1].get(1).unwrap(), Some(&[1][..]));
        assert!(rows[1].get(2).is_err());
        assert_eq!(rows[1].position("two"), Some(1));
        assert_eq!(rows[1].position("o"), None);
    }

    #[tokio::test]
    async fn rows_are_read_from_messages_of_any_size() {
        let file = file();
        check(&read(vec![file.clone()]).await);
        for size in 1..file.len() {
            check(&read(file.chunks(size).map(<[u8]>::to_vec).collect()).await);
        }
    }

    #[tokio::test]
    async fn incomplete_and_unknown_files_are_errors() {
        let file = file();
        let (short, rest) = file.split_at(file.len() - 5);
        assert_eq!(rest.len(), 5);
        let rows = read(vec![short.to_vec()]).await;
        assert!(rows.len() == 2 && rows[0].is_ok() && rows[1].is_err());
        let unknown = read(vec![b"id,name\n1,a\n2,b\n3,c\n".to_vec()]).await;
        assert!(unknown.len() == 1 && unknown[0].is_err());
    }
}
