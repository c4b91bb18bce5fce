//! Bytes that clients send: attachments and documents.
//!
//! A [`Spool`] receives them and holds little in memory. When they are complete it becomes a [`Blob`]: with length and
//! digests, and cheap to clone. A transaction stores a blob in parts ([`OrgTx::insert_blob`]), and [`Store::blob`]
//! streams the parts. So a slow client or a large file needs a few mebibytes of memory and no database connection.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::try_unfold;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::store::db::columns::{FromRow, table_row};
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::{Store, StoreError};

/// The maximum size of a part in bytes. A spool with more bytes writes them to a file.
const PART_BYTES: usize = 1024 * 1024;

/// Why a spool refuses bytes.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// There are more bytes than the limit.
    #[error("there are more bytes than the limit")]
    TooLarge,
    /// The temporary file could not be written, or an earlier error was ignored.
    #[error("the temporary file could not be written: {0}")]
    Io(#[from] io::Error),
}

/// Complete bytes on their way in: in memory up to a mebibyte, otherwise in a temporary file. The last clone that is
/// dropped deletes the file.
#[derive(Debug, Clone)]
pub struct Blob {
    /// The number of bytes.
    pub length: u64,
    /// The SHA-1, which the ETag of a document contains (xAPI 1.0.3, Communication 3.1).
    pub sha1: [u8; 20],
    /// The SHA-256, which identifies an attachment (xAPI 1.0.3, Data 2.4.11).
    pub sha2: [u8; 32],
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Memory(Bytes),
    /// A file has one read position, so each read locks it.
    File(Arc<Mutex<File>>),
}

impl Blob {
    /// All bytes in memory. The caller must have limited their length.
    pub async fn bytes(&self) -> io::Result<Bytes> {
        self.read(0, usize::try_from(self.length).map_err(io::Error::other)?)
            .await
    }

    /// Reads the bytes from the beginning as a stream.
    pub async fn read_through<T: Send + 'static>(
        &self,
        reading: impl FnOnce(&mut dyn Read) -> T + Send + 'static,
    ) -> io::Result<T> {
        let content = self.content.clone();
        run_blocking(move || match content {
            Content::Memory(bytes) => Ok(reading(&mut bytes.as_ref())),
            Content::File(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.rewind()?;
                Ok(reading(&mut *file))
            }
        })
        .await
    }

    /// The number of parts. An empty blob has one empty part.
    fn part_count(&self) -> u64 {
        self.length.div_ceil(PART_BYTES as u64).max(1)
    }

    async fn read_part(&self, number: u64) -> io::Result<Bytes> {
        let start = number * PART_BYTES as u64;
        let length = self.length.saturating_sub(start).min(PART_BYTES as u64);
        self.read(start, length as usize).await // at most PART_BYTES
    }

    /// `length` bytes from `start`. Both must be within the length of the blob.
    async fn read(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let file = match &self.content {
            Content::Memory(bytes) => {
                let start = usize::try_from(start).map_err(io::Error::other)?;
                return Ok(bytes.slice(start..start + length));
            }
            Content::File(file) => Arc::clone(file),
        };
        run_blocking(move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            let mut bytes = vec![0; length];
            file.seek(SeekFrom::Start(start))?;
            file.read_exact(&mut bytes)?;
            Ok(Bytes::from(bytes))
        })
        .await
    }
}

/// Receives bytes in pieces, with a small use of memory.
pub struct Spool {
    limit: u64,
    length: u64,
    sha1: Sha1,
    sha2: Sha256,
    /// The bytes that are not in the file yet.
    waiting: Vec<u8>,
    /// Created when a part is full.
    file: Option<File>,
    /// Whether a piece was refused or lost. Then the other pieces must not be used.
    broken: bool,
}

impl Spool {
    /// An empty spool that accepts at most `limit` bytes.
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

    /// Adds a piece. After an error all further pieces are refused.
    pub async fn push(&mut self, piece: impl AsRef<[u8]>) -> Result<(), SpoolError> {
        self.check_complete()?;
        // If the caller drops this future, the piece is lost.
        self.broken = true;
        let piece = piece.as_ref();
        self.length = self.length.saturating_add(piece.len() as u64);
        if self.length > self.limit {
            return Err(SpoolError::TooLarge);
        }
        self.sha1.update(piece);
        self.sha2.update(piece);
        for piece in piece.chunks(PART_BYTES) {
            self.waiting.extend_from_slice(piece);
            if self.waiting.len() > PART_BYTES {
                self.write_out().await?;
            }
        }
        self.broken = false;
        Ok(())
    }

    /// The complete bytes.
    pub async fn finish(mut self) -> Result<Blob, SpoolError> {
        self.check_complete()?;
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

    fn check_complete(&self) -> Result<(), SpoolError> {
        if self.broken {
            return Err(io::Error::other("a piece is missing").into());
        }
        Ok(())
    }

    async fn write_out(&mut self) -> io::Result<()> {
        let (file, mut waiting) = (self.file.take(), std::mem::take(&mut self.waiting));
        let (file, waiting) = run_blocking(move || {
            let mut file = match file {
                Some(file) => file,
                // The file has no name, so the system deletes it when it is closed, also after a crash.
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

/// Runs file operations on a thread that may block.
async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

/// The key of a stored blob. Only the store creates keys, for blobs that the caller may read.
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

table_row! {
    struct PartRow in "blobs" {
        org: i64 = "org",
        blob: i64 = "blob",
        part: i64 = "part",
        bytes: Vec<u8> = "bytes",
    }
}

impl OrgTx {
    /// Stores the bytes and returns their key.
    pub(crate) async fn insert_blob(&mut self, blob: &Blob) -> Result<i64, StoreError> {
        let key = self.next_key();
        for number in 0..blob.part_count() {
            let bytes = blob.read_part(number).await.map_err(StoreError::File)?;
            let part = PartRow {
                org: self.org,
                blob: key,
                part: i64::try_from(number).map_err(|error| StoreError::corrupt("blob", error))?,
                bytes: bytes.to_vec(),
            };
            self.insert_rows(vec![part]).await?;
        }
        Ok(key)
    }

    /// All bytes of a stored blob. The caller must have limited their length.
    pub(crate) async fn read_blob(&mut self, key: i64) -> Result<Vec<u8>, StoreError> {
        let select = Sql::new("SELECT b.bytes FROM blobs b WHERE b.org = $1 AND b.blob = $2 ORDER BY b.part");
        let parts: Vec<(Vec<u8>,)> = self.fetch_rows(select.with(self.org).with(key)).await?;
        let parts: Vec<Vec<u8>> = parts.into_iter().map(|(bytes,)| bytes).collect();
        Ok(parts.concat())
    }

    /// Deletes a blob that no row refers to any more.
    pub(crate) async fn delete_blob(&mut self, key: i64) -> Result<(), StoreError> {
        let delete = Sql::new("DELETE FROM blobs WHERE org = $1 AND blob = $2");
        self.execute(delete.with(self.org).with(key)).await?;
        Ok(())
    }
}

impl Store {
    /// Streams the bytes of a blob part by part. If the blob is deleted meanwhile, the stream ends with an error.
    pub fn blob(
        &self,
        key: BlobKey,
    ) -> impl Stream<Item = Result<Bytes, StoreError>> + Send + use<> + 'static {
        self.blob_from(key, Next::First)
    }

    /// [`Store::blob`] for a caller that has the first part already and knows the number of the last one.
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
                    let select = Sql::new(select).with(key.org).with(key.blob);
                    let (bytes, last): (Vec<u8>, i64) = store.fetch_part(select).await?;
                    (Bytes::from(bytes), 0, last)
                }
                Next::Part(number, last) if number <= last => {
                    let select =
                        "SELECT b.bytes FROM blobs b WHERE b.org = $1 AND b.blob = $2 AND b.part = $3";
                    let select = Sql::new(select).with(key.org).with(key.blob).with(number);
                    let (bytes,): (Vec<u8>,) = store.fetch_part(select).await?;
                    (Bytes::from(bytes), number, last)
                }
                Next::Part(..) => return Ok(None),
            };
            Ok(Some((bytes, (store, Next::Part(number + 1, last)))))
        })
    }

    async fn fetch_part<T: FromRow>(&self, select: Sql) -> Result<T, StoreError> {
        let part = self.db().fetch_row(select).await?;
        part.ok_or_else(|| StoreError::corrupt("blob", "a part is missing"))
    }
}

/// The next part of a stream.
enum Next {
    /// The first part, which is read with the number of the last one.
    First,
    /// The first part, which the caller has read, and the number of the last one.
    Known(Bytes, i64),
    /// The part with the first number, unless it is after the last one.
    Part(i64, i64),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some_bytes(length: usize) -> Vec<u8> {
        (0..length).map(|index| (index % 251) as u8).collect()
    }

    async fn to_blob(bytes: &[u8], piece: usize) -> Blob {
        let mut spool = Spool::new(bytes.len() as u64);
        for piece in bytes.chunks(piece) {
            spool.push(piece).await.unwrap();
        }
        spool.finish().await.unwrap()
    }

    #[tokio::test]
    async fn bytes_are_read_back_complete_and_by_parts() {
        for length in [
            0,
            1,
            PART_BYTES - 1,
            PART_BYTES,
            PART_BYTES + 1,
            2 * PART_BYTES,
            3 * PART_BYTES + 7,
        ] {
            let bytes = some_bytes(length);
            for piece in [1_000, 64 * 1024, PART_BYTES + 1, 8 * PART_BYTES] {
                let blob = to_blob(&bytes, piece).await;
                assert_eq!(
                    matches!(blob.content, Content::Memory(_)),
                    length <= PART_BYTES,
                    "{length}"
                );
                assert_eq!(blob.length, length as u64);
                assert_eq!(blob.sha1, <[u8; 20]>::from(Sha1::digest(&bytes)));
                assert_eq!(blob.sha2, <[u8; 32]>::from(Sha256::digest(&bytes)));
                assert_eq!(blob.clone().bytes().await.unwrap(), bytes, "{length} by {piece}");
                let mut joined = Vec::new();
                for number in 0..blob.part_count() {
                    let part = blob.read_part(number).await.unwrap();
                    assert!(part.len() == PART_BYTES || number + 1 == blob.part_count());
                    joined.extend_from_slice(&part);
                }
                assert!(joined == bytes, "{length} by {piece}, by parts");
                let counted = blob.read_through(|bytes| io::copy(bytes, &mut io::sink()).unwrap());
                assert_eq!(counted.await.unwrap(), length as u64);
            }
        }
    }

    #[tokio::test]
    async fn clones_read_one_file_at_the_same_time() {
        let bytes = some_bytes(4 * PART_BYTES);
        let blob = to_blob(&bytes, PART_BYTES).await;
        let readers = (0..4).map(|number| {
            let blob = blob.clone();
            async move { blob.read_part(number).await.unwrap() }
        });
        let parts = futures_util::future::join_all(readers).await;
        assert!(parts.concat() == bytes);
    }

    #[tokio::test]
    async fn bytes_beyond_the_limit_are_refused_and_all_later_ones() {
        let mut spool = Spool::new(3);
        spool.push(b"123").await.unwrap();
        spool.push(b"").await.unwrap();
        assert!(matches!(spool.push(b"4").await, Err(SpoolError::TooLarge)));
        assert!(matches!(spool.push(b"").await, Err(SpoolError::Io(_))));
        assert!(matches!(spool.finish().await, Err(SpoolError::Io(_))));
    }
}
