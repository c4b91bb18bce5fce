//! The file of an SQLite database: only its owner can read it, one server at a time serves it, and its removal is
//! noticed.
//!
//! The file itself is never opened here while SQLite has it open: closing it would release the locks of SQLite.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use sqlx::sqlite::SqliteConnectOptions;

use crate::base::private_files;
use crate::store::db::StoreError;

/// The files beside that of a database, by what is appended to its name.
const COMPANIONS: [&str; 3] = [WAL, "-shm", LOCK];
const WAL: &str = "-wal";
const LOCK: &str = ".lock";

/// The file of an open database.
#[derive(Debug)]
pub(crate) struct SqliteFile {
    /// The path without symbolic links, so that all spellings of it share one lock.
    path: PathBuf,
    identity: Identity,
    /// Whether the database has a write-ahead log. A read-only one may have none.
    has_wal: bool,
}

/// Tells a file from another one at the same path.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    #[cfg(unix)]
    device_and_inode: (u64, u64),
}

/// The right to serve the database, until it is dropped. The system releases it if the process is killed.
#[derive(Debug)]
pub struct ServingLock {
    _file: File,
}

/// How the address of a database names its file.
#[derive(Debug, PartialEq, Eq)]
enum Location {
    Memory,
    ReadOnly,
    Writable,
}

impl Location {
    /// Reads the address as the driver does.
    fn from_options(url: &str, options: &SqliteConnectOptions) -> Self {
        // A name that begins with `file:` is in memory, or SQLite reads it as an address with parameters of its own.
        if options.get_filename().to_string_lossy().starts_with("file:") {
            return Self::Memory;
        }
        let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
        let modes = form_urlencoded::parse(parameters.as_bytes()).filter(|(name, _)| name == "mode");
        match modes.last().as_ref().map(|(_, mode)| &**mode) {
            Some("memory") => Self::Memory,
            Some("ro") => Self::ReadOnly,
            _ => Self::Writable,
        }
    }
}

/// Creates the file of the address, if it is missing and may be created. SQLite gives the same rights to the files
/// beside it.
pub(super) fn create(url: &str, options: &SqliteConnectOptions) -> Result<(), StoreError> {
    if Location::from_options(url, options) != Location::Writable {
        return Ok(());
    }
    let path = options.get_filename();
    match private_files::open(OpenOptions::new().write(true).create_new(true), path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::database_file(path, error)),
    }
}

/// The file of an address; `None` if it is not that of an SQLite database in a file.
pub fn file_of(url: &str) -> Option<PathBuf> {
    let options = url
        .starts_with("sqlite:")
        .then(|| SqliteConnectOptions::from_str(url).ok())??;
    let is_file = Location::from_options(url, &options) != Location::Memory;
    is_file.then(|| options.get_filename().to_owned())
}

impl SqliteFile {
    /// The file of a database that has just been opened. `None` for a database in memory.
    pub(super) fn find(url: &str, options: &SqliteConnectOptions) -> Result<Option<Self>, StoreError> {
        let location = Location::from_options(url, options);
        if location == Location::Memory {
            return Ok(None);
        }
        let name = options.get_filename();
        let failed = |error| StoreError::database_file(name, error);
        let path = fs::canonicalize(name).map_err(failed)?;
        if location == Location::Writable {
            restrict(&path);
        }
        Ok(Some(Self {
            identity: Identity::read(&path).map_err(failed)?,
            has_wal: companion(&path, WAL).exists(),
            path,
        }))
    }

    /// Whether the file that SQLite has open is still the one at its path. If not, everything that is written is lost.
    pub(super) fn is_in_place(&self) -> bool {
        Identity::read(&self.path).is_ok_and(|identity| identity == self.identity)
    }

    /// Whether the write-ahead log is at its path. SQLite removes it with the last connection, so the answer tells
    /// something only during a transaction.
    pub(super) fn has_its_log(&self) -> bool {
        !self.has_wal || companion(&self.path, WAL).exists()
    }

    /// The size of the write-ahead log in bytes.
    pub(super) fn log_bytes(&self) -> u64 {
        fs::metadata(companion(&self.path, WAL)).map_or(0, |metadata| metadata.len())
    }

    /// Locks the database for one server.
    ///
    /// # Errors
    ///
    /// [`StoreError::Served`] if another server has locked it.
    pub(super) fn lock(&self) -> Result<Option<ServingLock>, StoreError> {
        let path = companion(&self.path, LOCK);
        let failed = |error| StoreError::database_file(&path, error);
        let opened = private_files::open(
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false),
            &path,
        );
        let mut file = match opened {
            Ok(file) => file,
            Err(error) if is_read_only(&error) => {
                tracing::warn!(
                    path = %path.display(), %error,
                    "the database cannot be locked; start no other server on it"
                );
                return Ok(None);
            }
            Err(error) => return Err(failed(error)),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut process = String::new();
                let _ = file.read_to_string(&mut process); // only the message is less exact without it
                return Err(StoreError::Served {
                    path: self.path.display().to_string(),
                    process: process.trim().parse().ok(),
                });
            }
            Err(TryLockError::Error(error)) => {
                tracing::warn!(
                    path = %path.display(), %error,
                    "the file system has no locks; start no other server on this database"
                );
                return Ok(None);
            }
        }
        // On a full disk the number is missing, and the lock works.
        let _ = file
            .set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Some(ServingLock { _file: file }))
    }
}

impl Identity {
    #[cfg(unix)]
    fn read(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = fs::metadata(path)?;
        Ok(Self {
            device_and_inode: (metadata.dev(), metadata.ino()),
        })
    }

    #[cfg(not(unix))]
    fn read(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|_| Self {})
    }
}

/// Takes the rights of other users from the files of a database. A database of an earlier version may have them.
fn restrict(path: &Path) {
    let companions = COMPANIONS.iter().map(|suffix| companion(path, suffix));
    for path in std::iter::once(path.to_owned()).chain(companions) {
        match private_files::make_private(&path) {
            Ok(false) => {}
            Ok(true) => tracing::info!(path = %path.display(), "took the rights of other users from a file"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(
                path = %path.display(), %error,
                "other users may read this file, and their rights cannot be taken away"
            ),
        }
    }
}

fn companion(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    )
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use super::*;

    #[test]
    fn mode_of_the_address_is_respected() {
        for (url, location) in [
            ("sqlite:a.db", Location::Writable),
            ("sqlite:a.db?mode=rwc", Location::Writable),
            ("sqlite:a.db?mode=ro", Location::ReadOnly),
            ("sqlite::memory:", Location::Memory),
            ("sqlite:a?mode=memory&cache=shared", Location::Memory),
            ("sqlite:file:a.db", Location::Memory),
        ] {
            let options = SqliteConnectOptions::from_str(url).unwrap();
            assert_eq!(Location::from_options(url, &options), location, "{url}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn second_lock_is_refused_also_by_another_spelling_of_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let link = folder.path().join("link.db");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let find = |path: &Path| {
            let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
            create("", &options).unwrap();
            SqliteFile::find("", &options).unwrap().unwrap()
        };
        let (first, second) = (find(&path), find(&link));
        let lock = first.lock().unwrap();
        assert!(lock.is_some());
        let Err(StoreError::Served { process, .. }) = second.lock() else {
            panic!("the second lock must be refused");
        };
        assert_eq!(process, Some(std::process::id()));
        drop(lock);
        assert!(second.lock().unwrap().is_some());
    }

    #[cfg(unix)]
    #[test]
    fn replaced_file_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let options = SqliteConnectOptions::new().filename(&path);
        create("", &options).unwrap();
        let file = SqliteFile::find("", &options).unwrap().unwrap();
        assert!(file.is_in_place());
        fs::rename(&path, folder.path().join("b.db")).unwrap();
        assert!(!file.is_in_place());
        fs::write(&path, "").unwrap();
        assert!(!file.is_in_place());
        fs::rename(folder.path().join("b.db"), &path).unwrap();
        assert!(file.is_in_place());
    }
}
