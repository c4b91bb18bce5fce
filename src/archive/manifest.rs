//! The description of an archive.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::archive::ArchiveError;
use crate::base::private_files;
use crate::store::archive::OrganisationRow;
use crate::store::archive::tables::ArchiveTable;

/// The value of `format`.
const FORMAT: &str = "rollbook-archive";
/// The name of a complete description.
const COMPLETE: &str = "manifest.json";
/// The name of the description until the archive is complete.
const UNFINISHED: &str = "unfinished.json";

/// The description of an archive.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    format: String,
    /// The id of the archive.
    pub archive: Uuid,
    /// The version of the schema.
    pub schema: i64,
    /// The row of the organisation.
    pub(crate) organisation: OrganisationRow,
    /// The tables in the order of the import.
    pub(crate) tables: Vec<TableEntry>,
    /// The numbers of the statements that are voided. They count, and not the column in the rows: a part that an
    /// interrupted export has written can be older than a voiding.
    pub(crate) voided_statements: Vec<i64>,
}

/// A table of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TableEntry {
    pub(crate) name: String,
    pub(crate) columns: Vec<ColumnEntry>,
    pub(crate) parts: Vec<PartEntry>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ColumnEntry {
    pub(crate) name: String,
    /// A `CellKind` as text.
    pub(crate) kind: String,
}

/// A part of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartEntry {
    pub(crate) file: String,
    pub(crate) rows: u64,
    /// The size of the lines, without compression.
    pub(crate) bytes: u64,
    /// The SHA-256 of the file, in hexadecimal digits.
    pub(crate) sha256: String,
}

impl TableEntry {
    pub(crate) fn new(table: &ArchiveTable) -> Self {
        let columns = table.columns.iter().map(|column| ColumnEntry {
            name: column.name.clone(),
            kind: column.kind().to_string(),
        });
        Self {
            name: table.name.clone(),
            columns: columns.collect(),
            parts: Vec::new(),
        }
    }

    pub(crate) fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.rows).sum()
    }

    /// Whether the table of the database has the same columns.
    pub(crate) fn matches(&self, table: &ArchiveTable) -> bool {
        let other = Self::new(table);
        self.name == other.name && self.columns == other.columns
    }
}

/// Whether the path is the folder of an archive.
pub fn is_archive(path: &Path) -> bool {
    path.join(COMPLETE).is_file() || path.join(UNFINISHED).is_file()
}

impl Manifest {
    pub(crate) fn new(archive: Uuid, schema: i64, organisation: OrganisationRow) -> Self {
        Self {
            format: FORMAT.to_owned(),
            archive,
            schema,
            organisation,
            tables: Vec::new(),
            voided_statements: Vec::new(),
        }
    }

    /// Reads the description of a complete archive.
    ///
    /// # Errors
    ///
    /// The archive is not complete, or the file cannot be read.
    pub fn read(folder: &Path) -> Result<Self, ArchiveError> {
        if !folder.join(COMPLETE).exists() && folder.join(UNFINISHED).exists() {
            return Err(ArchiveError::Unfinished(folder.to_owned()));
        }
        read_file(&folder.join(COMPLETE))
    }

    /// Reads the description of an archive that is to be written. `None` if the folder is empty or does not exist.
    pub(crate) fn read_unfinished(folder: &Path) -> Result<Option<Self>, ArchiveError> {
        if folder.join(COMPLETE).exists() {
            return Err(ArchiveError::Complete(folder.to_owned()));
        }
        let path = folder.join(UNFINISHED);
        if path.exists() {
            return read_file(&path).map(Some);
        }
        private_files::create_folder(folder).map_err(ArchiveError::file(folder))?;
        let mut files = fs::read_dir(folder).map_err(ArchiveError::file(folder))?;
        match files.next() {
            Some(_) => Err(ArchiveError::FolderInUse(folder.to_owned())),
            None => Ok(None),
        }
    }

    /// Writes the description of an archive that is not complete yet.
    pub(crate) fn write_unfinished(&self, folder: &Path) -> Result<(), ArchiveError> {
        self.write(&folder.join(UNFINISHED))
    }

    /// Writes the description of a complete archive.
    pub(crate) fn write_complete(&self, folder: &Path) -> Result<(), ArchiveError> {
        self.write(&folder.join(COMPLETE))?;
        let unfinished = folder.join(UNFINISHED);
        fs::remove_file(&unfinished).map_err(ArchiveError::file(&unfinished))
    }

    fn write(&self, path: &Path) -> Result<(), ArchiveError> {
        let text = serde_json::to_vec_pretty(self).map_err(|error| ArchiveError::damaged(path, error))?;
        write_whole(path, &text)
    }
}

fn read_file(path: &Path) -> Result<Manifest, ArchiveError> {
    let text = fs::read(path).map_err(ArchiveError::file(path))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|error| ArchiveError::damaged(path, error))?;
    if manifest.format != FORMAT {
        return Err(ArchiveError::damaged(
            path,
            "this is not the description of an archive",
        ));
    }
    for part in manifest.tables.iter().flat_map(|table| &table.parts) {
        // A name from a file must not lead out of the folder.
        if Path::new(&part.file).components().count() != 1 || part.file.contains(['/', '\\']) {
            return Err(ArchiveError::damaged(
                path,
                format!("{} is not the name of a part", part.file),
            ));
        }
    }
    Ok(manifest)
}

/// Writes a file that is there completely or not at all, also after a crash. Only its owner may read it, since an archive
/// has the digests of secrets.
fn write_whole(path: &Path, content: &[u8]) -> Result<(), ArchiveError> {
    let temporary = temporary_path(path);
    let mut file = create_private(&temporary)?;
    file.write_all(content).map_err(ArchiveError::file(&temporary))?;
    file.sync_all().map_err(ArchiveError::file(&temporary))?;
    fs::rename(&temporary, path).map_err(ArchiveError::file(path))
}

/// The name of a file while it is written.
pub(super) fn temporary_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

/// Creates a file that only its owner may read.
pub(super) fn create_private(path: &Path) -> Result<fs::File, ArchiveError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    private_files::open(&mut options, path).map_err(ArchiveError::file(path))
}
