//! Archives: whole organisations in files, to move them between databases
//! (`docs/specification.md#commands-export-and-import`).
//!
//! An archive is a folder. `manifest.json` describes it and is written last; until then the description has the name
//! `unfinished.json`. Each part is a gzip file of lines, each line a row of one table as a JSON array.
//!
//! | module | content |
//! | --- | --- |
//! | [`manifest`] | the description of an archive |
//! | [`part`] | writing and reading the file of a part |
//! | [`mod@export`] | from a database to an archive |
//! | [`mod@import`] | from an archive to a database |

pub mod export;
pub mod import;
pub mod manifest;
pub mod part;

use std::io;
use std::path::{Path, PathBuf};

use crate::base::ids::OrgId;
use crate::store::StoreError;

pub use export::export;
pub use import::{ImportOptions, import};
pub use manifest::{Manifest, is_archive};

/// Why an archive could not be written or read. The messages say what to do.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file cannot be read or written.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file has other content than its archive needs.
    #[error("{path}: {detail}", path = .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The organisation to export does not exist.
    #[error("the organisation `{0}` does not exist in this database")]
    NoOrganisation(OrgId),
    /// The folder for a new archive has other files in it.
    #[error("{path}: the folder has other files in it; choose an empty or a new one", path = .0.display())]
    FolderInUse(PathBuf),
    /// The folder has a complete archive.
    #[error("{path}: the folder has a complete archive; choose another one", path = .0.display())]
    Complete(PathBuf),
    /// The folder has an archive that was not completed.
    #[error(
        "{path}: the archive is not complete; run `rollbook export` to the same folder again to complete it",
        path = .0.display()
    )]
    Unfinished(PathBuf),
    /// The archive is of another version of the schema.
    #[error(
        "the archive has version {found} of the schema and this rollbook has {needed}: import it with the same version"
    )]
    Version {
        /// The version of the archive.
        found: i64,
        /// The version of this binary.
        needed: i64,
    },
    /// The organisation exists already.
    #[error("the organisation `{0}` exists in this database already; an archive is imported as a whole")]
    OrganisationExists(String),
    /// An import of another archive of the organisation was interrupted.
    #[error(
        "an import of another archive of `{0}` was interrupted; import that one, or discard it with `--restart`"
    )]
    OtherArchive(String),
    /// Two processes import the archive.
    #[error("another process imports this archive at the moment")]
    Concurrent,
    /// The database has another number of rows than the archive.
    #[error(
        "the table {table} has {found} rows and the archive {expected}; import it again with `--restart`"
    )]
    Count {
        /// The table.
        table: String,
        /// The rows in the database.
        found: u64,
        /// The rows of the archive.
        expected: u64,
    },
}

impl ArchiveError {
    fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    fn damaged(path: &Path, detail: impl ToString) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            detail: detail.to_string(),
        }
    }
}

/// The number of rows of each table, in the order of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The organisation.
    pub organisation: String,
    /// The tables that have rows, with their number.
    pub tables: Vec<(String, u64)>,
    /// The number of parts that an interrupted run had finished before.
    pub resumed_parts: usize,
}
