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

/// A temporary file without a name. The system deletes it when the last clone is dropped, also after a crash.
#[derive(Debug, Clone)]
pub(super) struct SpoolFile(Arc<Mutex<File>>);

impl SpoolFile {
    pub(super) async fn create() -> io::Result<Self> {
        let file = run_blocking(tempfile::tempfile).await?;
        Ok(Self(Arc::new(Mutex::new(file))))
    }

    /// Writes the bytes at the end of the file, which is at `start`. After an error, none of them is on the disk.
    pub(super) async fn write(&self, start: u64, bytes: Arc<Vec<u8>>) -> io::Result<()> {
        let file = self.clone();
        run_blocking(move || {
            let mut file = file.lock();
            file.seek(SeekFrom::Start(start))?;
            file.write_all(&bytes).inspect_err(|_| {
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

    pub(super) async fn read(&self, start: u64, length: usize) -> io::Result<Vec<u8>> {
        let file = self.clone();
        run_blocking(move || {
            let mut file = file.lock();
            let mut bytes = vec![0; length];
            file.seek(SeekFrom::Start(start))?;
            file.read_exact(&mut bytes)?;
            Ok(bytes)
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
        file.write(0, Arc::new(b"abc".to_vec())).await.unwrap();
        file.write(3, Arc::new(b"defg".to_vec())).await.unwrap();
        assert_eq!(file.read(2, 3).await.unwrap(), b"cde");
        assert!(file.read(5, 3).await.is_err());
        file.clear().await.unwrap();
        assert_eq!(file.length(), 0);
        assert!(file.read(0, 1).await.is_err());
    }
}
