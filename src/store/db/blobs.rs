//! Bytes that clients send: attachments and documents (product text, section 10).
//!
//! They come in through a [`Spool`], which keeps little in memory, and are a [`Blob`] once they are whole:
//! measured, digested, cheap to clone. A transaction keeps a blob in parts ([`OrgTx::insert_blob`]), and
//! [`Store::blob`] gives the parts back one by one. So however large the bytes are, and however slow whoever sends
//! or takes them, each holds some mebibytes and no connection to the database.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::try_unfold;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::{Store, StoreError};

/// Bytes of a part, and of what waits in memory before it goes to a file.
const PART: usize = 1024 * 1024;

/// Why bytes are not taken in.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// They are more than the limit.
    #[error("there are more bytes than the limit")]
    TooLarge,
    /// They can't be written to a temporary file, or an earlier failure was passed over.
    #[error("the temporary file can't be written: {0}")]
    Io(#[from] io::Error),
}

/// Whole bytes on their way in: in memory up to a mebibyte, else in a temporary file, which is gone when
/// nobody holds it any more.
#[derive(Debug, Clone)]
pub struct Blob {
    /// How many bytes.
    pub length: u64,
    /// Their SHA-1, which documents' ETags show (xAPI 1.0.3, Communication 3.1).
    pub sha1: [u8; 20],
    /// Their SHA-256, which attachments are known by (xAPI 1.0.3, Data 2.4.11).
    pub sha2: [u8; 32],
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Memory(Bytes),
    /// Locked for one reading: a file has one place that it reads at.
    File(Arc<Mutex<File>>),
}

impl Blob {
    /// All bytes at once. For those who must parse them, and have bounded their length before.
    pub async fn bytes(&self) -> io::Result<Bytes> {
        self.read(0, usize::try_from(self.length).map_err(io::Error::other)?)
            .await
    }

    /// Reads through the bytes from their beginning; memory stays flat.
    pub async fn read_through<T: Send + 'static>(
        &self,
        reading: impl FnOnce(&mut dyn Read) -> T + Send + 'static,
    ) -> io::Result<T> {
        let content = self.content.clone();
        off_thread(move || match content {
            Content::Memory(bytes) => Ok(reading(&mut bytes.as_ref())),
            Content::File(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.rewind()?;
                Ok(reading(&mut *file))
            }
        })
        .await
    }

    /// How many parts it has: one at least, which is empty where there are no bytes.
    fn parts(&self) -> u64 {
        self.length.div_ceil(PART as u64).max(1)
    }

    async fn part(&self, number: u64) -> io::Result<Bytes> {
        let start = number * PART as u64;
        let length = self.length.saturating_sub(start).min(PART as u64);
        self.read(start, length as usize).await // at most PART
    }

    /// Exactly so many bytes from there on; both lie within the length.
    async fn read(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let file = match &self.content {
            Content::Memory(bytes) => {
                let start = usize::try_from(start).map_err(io::Error::other)?;
                return Ok(bytes.slice(start..start + length));
            }
            Content::File(file) => Arc::clone(file),
        };
        off_thread(move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            let mut bytes = vec![0; length];
            file.seek(SeekFrom::Start(start))?;
            file.read_exact(&mut bytes)?;
            Ok(Bytes::from(bytes))
        })
        .await
    }
}

/// Takes bytes in, piece by piece; memory stays flat.
pub struct Spool {
    limit: u64,
    length: u64,
    sha1: Sha1,
    sha2: Sha256,
    /// What is not in the file yet.
    waiting: Vec<u8>,
    /// There once a part is full.
    file: Option<File>,
    /// Whether a piece was refused or lost, so that the rest would only look whole.
    broken: bool,
}

impl Spool {
    /// An empty one that takes `limit` bytes at most.
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            length: 0,
            sha1: Sha1::new(),
            sha2: Sha256::new(),
            waiting: Vec::new(),
            file: None,
            broken: false,
        }
    }

    /// Takes the next piece. After an error nothing more is taken.
    pub async fn push(&mut self, piece: impl AsRef<[u8]>) -> Result<(), SpoolError> {
        self.whole()?;
        // Until the piece is in: also where the caller goes away in between.
        self.broken = true;
        let piece = piece.as_ref();
        self.length = self.length.saturating_add(piece.len() as u64);
        if self.length > self.limit {
            return Err(SpoolError::TooLarge);
        }
        self.sha1.update(piece);
        self.sha2.update(piece);
        for piece in piece.chunks(PART) {
            self.waiting.extend_from_slice(piece);
            if self.waiting.len() > PART {
                self.write_out().await?;
            }
        }
        self.broken = false;
        Ok(())
    }

    /// What was taken in, whole.
    pub async fn finish(mut self) -> Result<Blob, SpoolError> {
        self.whole()?;
        if self.file.is_some() {
            self.write_out().await?;
        }
        let content = match self.file {
            Some(file) => Content::File(Arc::new(Mutex::new(file))),
            None => Content::Memory(Bytes::from(self.waiting)),
        };
        Ok(Blob {
            length: self.length,
            sha1: self.sha1.finalize().into(),
            sha2: self.sha2.finalize().into(),
            content,
        })
    }

    fn whole(&self) -> Result<(), SpoolError> {
        if self.broken {
            return Err(io::Error::other("a piece is missing").into());
        }
        Ok(())
    }

    async fn write_out(&mut self) -> io::Result<()> {
        let (file, mut waiting) = (self.file.take(), std::mem::take(&mut self.waiting));
        let (file, waiting) = off_thread(move || {
            let mut file = match file {
                Some(file) => file,
                // It has no name, so the system removes it when it is closed, however that happens.
                None => tempfile::tempfile()?,
            };
            file.write_all(&waiting)?;
            waiting.clear();
            Ok((file, waiting))
        })
        .await?;
        (self.file, self.waiting) = (Some(file), waiting);
        Ok(())
    }
}

/// Waits for a file on a thread that may wait.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

/// Where a blob is kept. Only this room can make one, of what a caller may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobKey {
    org: i64,
    blob: i64,
}

impl BlobKey {
    pub(crate) fn new(org: i64, blob: i64) -> Self {
        Self { org, blob }
    }
}

impl OrgTx {
    /// Keeps the bytes and gives the key that they have among the organisation's.
    pub(crate) async fn insert_blob(&mut self, blob: &Blob) -> Result<i64, StoreError> {
        let key = self.next_key();
        for number in 0..blob.parts() {
            let bytes = blob.part(number).await.map_err(StoreError::File)?;
            // A length in bytes that fits 63 bits has a number of parts that does.
            let row = vec![
                self.org.into(),
                key.into(),
                (number as i64).into(),
                bytes.to_vec().into(),
            ];
            self.insert("blobs", &["org", "blob", "part", "bytes"], vec![row])
                .await?;
        }
        Ok(key)
    }

    /// The whole of a blob, whose length the caller has bounded.
    pub(crate) async fn read_blob(&mut self, key: i64) -> Result<Vec<u8>, StoreError> {
        let select = Sql::new("SELECT b.bytes FROM blobs b WHERE b.org = $1 AND b.blob = $2 ORDER BY b.part");
        let rows = self.fetch_all(select.with(self.org).with(key)).await?;
        let parts: Vec<Vec<u8>> = rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
        Ok(parts.concat())
    }

    /// Deletes a blob that nothing leads to any more.
    pub(crate) async fn delete_blob(&mut self, key: i64) -> Result<(), StoreError> {
        let delete = Sql::new("DELETE FROM blobs WHERE org = $1 AND blob = $2");
        self.execute(delete.with(self.org).with(key)).await?;
        Ok(())
    }
}

impl Store {
    /// The bytes of a blob, part by part, as fast as they are taken. They are whole where the stream ends
    /// without an error: a blob that is deleted meanwhile is one.
    pub fn blob(
        &self,
        key: BlobKey,
    ) -> impl Stream<Item = Result<Bytes, StoreError>> + Send + use<> + 'static {
        self.blob_from(key, Next::First)
    }

    /// The same for somebody who has the first part already, and knows the number of the last.
    pub(crate) fn blob_after(
        &self,
        key: BlobKey,
        first: Bytes,
        last: i64,
    ) -> impl Stream<Item = Result<Bytes, StoreError>> + Send + use<> + 'static {
        self.blob_from(key, Next::Known(first, last))
    }

    fn blob_from(
        &self,
        key: BlobKey,
        next: Next,
    ) -> impl Stream<Item = Result<Bytes, StoreError>> + Send + use<> + 'static {
        let store = self.clone();
        try_unfold((store, next), move |(store, next)| async move {
            let (bytes, number, last) = match next {
                Next::Known(first, last) => (first, 0, last),
                Next::First => {
                    let select = "SELECT b.bytes, (SELECT MAX(l.part) FROM blobs l WHERE l.org = $1 AND l.blob = $2) \
                         FROM blobs b WHERE b.org = $1 AND b.blob = $2 AND b.part = 0";
                    let row = store.part(Sql::new(select).with(key.org).with(key.blob)).await?;
                    (Bytes::from(row.get::<Vec<u8>>(0)?), 0, row.get(1)?)
                }
                Next::Part(number, last) if number <= last => {
                    let select =
                        "SELECT b.bytes FROM blobs b WHERE b.org = $1 AND b.blob = $2 AND b.part = $3";
                    let select = Sql::new(select).with(key.org).with(key.blob).with(number);
                    let row = store.part(select).await?;
                    (Bytes::from(row.get::<Vec<u8>>(0)?), number, last)
                }
                Next::Part(..) => return Ok(None),
            };
            Ok(Some((bytes, (store, Next::Part(number + 1, last)))))
        })
    }

    async fn part(&self, select: Sql) -> Result<crate::store::db::database::Row, StoreError> {
        let row = self.db().fetch_optional(select).await?;
        row.ok_or_else(|| StoreError::corrupt("blob", "a part of it is gone"))
    }
}

/// What of a blob is to be read next.
enum Next {
    /// The first part, and how many there are.
    First,
    /// The first part was read already, with the number of the last.
    Known(Bytes, i64),
    /// The part with that number, where it is not past the last.
    Part(i64, i64),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some_bytes(length: usize) -> Vec<u8> {
        (0..length).map(|index| (index % 251) as u8).collect()
    }

    async fn spooled(bytes: &[u8], piece: usize) -> Blob {
        let mut spool = Spool::new(bytes.len() as u64);
        for piece in bytes.chunks(piece) {
            spool.push(piece).await.unwrap();
        }
        spool.finish().await.unwrap()
    }

    #[tokio::test]
    async fn what_comes_in_is_read_back_whole_and_by_parts() {
        for length in [0, 1, PART - 1, PART, PART + 1, 2 * PART, 3 * PART + 7] {
            let bytes = some_bytes(length);
            for piece in [1_000, 64 * 1024, PART + 1, 8 * PART] {
                let blob = spooled(&bytes, piece).await;
                assert_eq!(
                    matches!(blob.content, Content::Memory(_)),
                    length <= PART,
                    "{length}"
                );
                assert_eq!(blob.length, length as u64);
                assert_eq!(blob.sha1, <[u8; 20]>::from(Sha1::digest(&bytes)));
                assert_eq!(blob.sha2, <[u8; 32]>::from(Sha256::digest(&bytes)));
                assert_eq!(blob.clone().bytes().await.unwrap(), bytes, "{length} by {piece}");
                let mut joined = Vec::new();
                for number in 0..blob.parts() {
                    let part = blob.part(number).await.unwrap();
                    assert!(part.len() == PART || number + 1 == blob.parts());
                    joined.extend_from_slice(&part);
                }
                assert!(joined == bytes, "{length} by {piece}, by parts");
                let counted = blob.read_through(|bytes| io::copy(bytes, &mut io::sink()).unwrap());
                assert_eq!(counted.await.unwrap(), length as u64);
            }
        }
    }

    #[tokio::test]
    async fn clones_read_one_file_at_once() {
        let bytes = some_bytes(4 * PART);
        let blob = spooled(&bytes, PART).await;
        let readers = (0..4).map(|number| {
            let blob = blob.clone();
            async move { blob.part(number).await.unwrap() }
        });
        let parts = futures_util::future::join_all(readers).await;
        assert!(parts.concat() == bytes);
    }

    #[tokio::test]
    async fn one_byte_past_the_limit_is_too_many_and_nothing_is_taken_after_it() {
        let mut spool = Spool::new(3);
        spool.push(b"123").await.unwrap();
        spool.push(b"").await.unwrap();
        assert!(matches!(spool.push(b"4").await, Err(SpoolError::TooLarge)));
        assert!(matches!(spool.push(b"").await, Err(SpoolError::Io(_))));
        assert!(matches!(spool.finish().await, Err(SpoolError::Io(_))));
    }
}
