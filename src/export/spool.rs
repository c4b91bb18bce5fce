//! Temporary files for exports whose reader is slower than the database, and the disk space that they share.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base::fair_limit::Sharer;

/// The disk space that the spool files of a process may have together. One organisation may use three quarters of it,
/// one caller half of it.
#[derive(Debug, Clone)]
pub struct SpoolSpace(Arc<Mutex<Used>>);

#[derive(Debug)]
struct Used {
    most: u64,
    all: u64,
    /// The bytes of organisations and of callers. A caller has its id, an organisation `None`.
    shares: HashMap<(String, Option<String>), u64>,
}

impl SpoolSpace {
    /// Space for this number of bytes.
    pub fn new(most: u64) -> Self {
        Self(Arc::new(Mutex::new(Used {
            most,
            all: 0,
            shares: HashMap::new(),
        })))
    }

    /// An empty share of a caller.
    pub fn share(&self, sharer: &Sharer) -> SpoolShare {
        let organisation = sharer.organisation.as_str().to_owned();
        SpoolShare {
            space: self.clone(),
            organisation: (organisation.clone(), None),
            caller: (organisation, Some(sharer.caller.clone())),
            bytes: 0,
        }
    }

    /// The bytes that all shares use.
    #[cfg(test)]
    pub(super) fn used_bytes(&self) -> u64 {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        // No code panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The space that one spool file has reserved. Dropping it frees the space.
#[derive(Debug)]
pub struct SpoolShare {
    space: SpoolSpace,
    organisation: (String, Option<String>),
    caller: (String, Option<String>),
    bytes: u64,
}

impl SpoolShare {
    /// Reserves further bytes. Returns false if the process, the organisation or the caller has no more space.
    pub(super) fn reserve(&mut self, bytes: u64) -> bool {
        let mut used = self.space.lock();
        let most = used.most;
        let of = |key| used.shares.get(key).copied().unwrap_or(0) + bytes;
        let fits = used.all + bytes <= most
            && of(&self.organisation) <= most / 4 * 3
            && of(&self.caller) <= most / 2;
        if fits {
            used.all += bytes;
            for key in [&self.organisation, &self.caller] {
                *used.shares.entry(key.clone()).or_default() += bytes;
            }
            self.bytes += bytes;
        }
        fits
    }

    /// Frees all bytes.
    pub(super) fn release(&mut self) {
        self.give_back(self.bytes);
    }

    /// Frees some of the bytes, for example those of a block that was not written.
    pub(super) fn give_back(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        let mut used = self.space.lock();
        used.all -= bytes;
        for key in [&self.organisation, &self.caller] {
            if let Some(of_share) = used.shares.get_mut(key) {
                *of_share -= bytes;
                if *of_share == 0 {
                    used.shares.remove(key);
                }
            }
        }
        self.bytes -= bytes;
    }
}

impl Drop for SpoolShare {
    fn drop(&mut self) {
        self.release();
    }
}

/// A block as it is written to the file: compressed, if that makes it smaller.
pub(super) struct Packed {
    bytes: Vec<u8>,
    /// The number of bytes of the block before it was compressed.
    plain: usize,
}

/// The place of a block in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    start: u64,
    length: usize,
    plain: usize,
}

impl Packed {
    pub(super) fn new(block: &[u8]) -> Self {
        let compressed = snap::raw::Encoder::new().compress_vec(block);
        let smaller = compressed.ok().filter(|bytes| bytes.len() < block.len());
        Self {
            bytes: smaller.unwrap_or_else(|| block.to_vec()),
            plain: block.len(),
        }
    }

    /// The number of bytes in the file.
    pub(super) fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The place of the block if it is written at `start`.
    pub(super) fn piece(&self, start: u64) -> Piece {
        Piece {
            start,
            length: self.bytes.len(),
            plain: self.plain,
        }
    }
}

impl Piece {
    /// The number of bytes of the block.
    pub(super) fn bytes(&self) -> u64 {
        self.plain as u64
    }
}

/// A temporary file without a name. The system deletes it when the last clone is dropped, also after a crash.
#[derive(Debug, Clone)]
pub(super) struct SpoolFile(Arc<Mutex<File>>);

impl SpoolFile {
    pub(super) async fn create() -> io::Result<Self> {
        let file = run_blocking(tempfile::tempfile).await?;
        Ok(Self(Arc::new(Mutex::new(file))))
    }

    /// Writes the block at the end of the file, which is at `start`. After an error, nothing of it is on the disk.
    pub(super) async fn write(&self, start: u64, block: Packed) -> io::Result<()> {
        let file = self.clone();
        run_blocking(move || {
            let mut file = file.lock();
            file.seek(SeekFrom::Start(start))?;
            file.write_all(&block.bytes).inspect_err(|_| {
                let _ = file.set_len(start); // frees a part that was written
            })
        })
        .await
    }

    /// Removes all bytes from the file, so that it needs no disk space.
    pub(super) async fn clear(&self) -> io::Result<()> {
        let file = self.clone();
        run_blocking(move || file.lock().set_len(0)).await
    }

    /// Reads the block at this place.
    pub(super) async fn read(&self, piece: Piece) -> io::Result<Vec<u8>> {
        let file = self.clone();
        run_blocking(move || {
            let mut bytes = vec![0; piece.length];
            let mut file = file.lock();
            file.seek(SeekFrom::Start(piece.start))?;
            file.read_exact(&mut bytes)?;
            drop(file);
            if piece.length == piece.plain {
                return Ok(bytes);
            }
            snap::raw::Decoder::new()
                .decompress_vec(&bytes)
                .map_err(io::Error::other)
        })
        .await
    }

    /// A file that cannot be written.
    #[cfg(test)]
    pub(super) fn read_only() -> io::Result<Self> {
        let file = File::open(tempfile::NamedTempFile::new()?.path())?;
        Ok(Self(Arc::new(Mutex::new(file))))
    }

    /// The number of bytes in the file.
    #[cfg(test)]
    pub(super) fn length(&self) -> u64 {
        self.lock().metadata().unwrap().len()
    }

    /// The file has one position, so each access locks it.
    fn lock(&self) -> MutexGuard<'_, File> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a file operation on a thread that may block.
async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::OrgId;

    fn share(space: &SpoolSpace, organisation: &str, caller: &str) -> SpoolShare {
        space.share(&Sharer {
            organisation: OrgId::new(organisation).unwrap(),
            caller: caller.to_owned(),
        })
    }

    #[test]
    fn caller_and_organisation_leave_space_for_others() {
        let space = SpoolSpace::new(100);
        let mut first = share(&space, "acme", "a");
        let mut second = share(&space, "acme", "a");
        assert!(first.reserve(30) && second.reserve(20) && !second.reserve(1));
        let mut other = share(&space, "acme", "b");
        assert!(other.reserve(25) && !other.reserve(1));
        let mut elsewhere = share(&space, "other", "a");
        assert!(elsewhere.reserve(25) && !elsewhere.reserve(1));
        first.give_back(10);
        assert!(second.reserve(10) && !second.reserve(1));
        second.give_back(10);
        drop(first);
        assert!(other.reserve(10) && elsewhere.reserve(20));
        drop((second, other, elsewhere));
        let used = space.lock();
        assert!(used.all == 0 && used.shares.is_empty());
    }

    #[tokio::test]
    async fn file_returns_what_was_written() {
        let file = SpoolFile::create().await.unwrap();
        let blocks = [b"abcdefg".to_vec(), vec![b'x'; 100_000], b"h".to_vec()];
        let (mut pieces, mut end) = (Vec::new(), 0);
        for block in &blocks {
            let packed = Packed::new(block);
            pieces.push(packed.piece(end));
            let start = end;
            end += packed.length();
            file.write(start, packed).await.unwrap();
        }
        assert_eq!(file.length(), end);
        assert!(end < 10_000, "the second block is compressed");
        for (block, piece) in blocks.iter().zip(&pieces) {
            assert_eq!(piece.bytes(), block.len() as u64);
            assert!(file.read(*piece).await.unwrap() == *block);
        }
        file.clear().await.unwrap();
        assert_eq!(file.length(), 0);
        assert!(file.read(pieces[0]).await.is_err());
    }
}
