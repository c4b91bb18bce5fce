//! From an archive to a database.

use std::path::Path;

use crate::archive::export::cell_kinds;
use crate::archive::manifest::{Manifest, PartEntry, TableEntry};
use crate::archive::part::read_part;
use crate::archive::{ArchiveError, Report};
use crate::base::ids::OrgId;
use crate::store::Store;
use crate::store::archive::Cell;
use crate::store::archive::tables::{ArchiveTable, LAST};
use crate::store::archive::writing::{ArchiveTarget, TargetState};

/// What to do with an interrupted import.
#[derive(Debug, Clone, Copy, Default)]
pub struct ImportOptions {
    /// Discards what an interrupted import has stored, and begins again.
    pub restart: bool,
}

/// Inserts the organisation of an archive. An import that was interrupted is continued.
///
/// The organisation is visible from the last commit on, with all its rows.
///
/// # Errors
///
/// The archive is damaged or of another version, or the organisation exists.
pub async fn import(store: &Store, folder: &Path, options: ImportOptions) -> Result<Report, ArchiveError> {
    let manifest = Manifest::read(folder)?;
    let needed = store.schema_version();
    if manifest.schema != needed {
        let found = manifest.schema;
        return Err(ArchiveError::Version { found, needed });
    }
    let tables = store.archive_tables().await?;
    let pairs = match_tables(folder, &manifest, &tables)?;
    let mut target = find_target(store, folder, &manifest, &tables, options).await?;
    let resumed_parts = usize::try_from(target.parts).unwrap_or(usize::MAX);
    let (last, first): (Vec<_>, Vec<_>) = pairs
        .into_iter()
        .partition(|(entry, _)| LAST.contains(&entry.name.as_str()));
    let parts = first
        .iter()
        .flat_map(|(entry, table)| entry.parts.iter().map(move |part| (part, *table)));
    for (part, table) in parts.skip(resumed_parts) {
        let rows = read_rows(folder, part, table).await?;
        if !store.import_archive_part(&mut target, table, rows).await? {
            return Err(ArchiveError::Concurrent);
        }
    }
    for (entry, table) in &first {
        let found = store.count_imported(&target, table).await?;
        if found != entry.rows() {
            return Err(ArchiveError::Count {
                table: entry.name.clone(),
                found,
                expected: entry.rows(),
            });
        }
    }
    let mut last_rows = Vec::new();
    for (entry, table) in last {
        let mut rows = Vec::new();
        for part in &entry.parts {
            rows.extend(read_rows(folder, part, table).await?);
        }
        last_rows.push((table.clone(), rows));
    }
    let voided = manifest.voided_statements.clone();
    store
        .finish_archive_import(&target, &manifest.organisation, voided, last_rows)
        .await?;
    Ok(Report::new(&manifest, resumed_parts))
}

/// The tables of the archive with those of the database.
fn match_tables<'a>(
    folder: &Path,
    manifest: &'a Manifest,
    tables: &'a [ArchiveTable],
) -> Result<Vec<(&'a TableEntry, &'a ArchiveTable)>, ArchiveError> {
    let pairs = manifest.tables.iter().map(|entry| {
        let table = tables.iter().find(|table| entry.matches(table));
        let unknown =
            || ArchiveError::damaged(folder, format!("this database has another table {}", entry.name));
        Ok((entry, table.ok_or_else(unknown)?))
    });
    pairs.collect()
}

async fn find_target(
    store: &Store,
    folder: &Path,
    manifest: &Manifest,
    tables: &[ArchiveTable],
    options: ImportOptions,
) -> Result<ArchiveTarget, ArchiveError> {
    let name = &manifest.organisation.id;
    let id = OrgId::new(name.clone()).map_err(|error| ArchiveError::damaged(folder, error))?;
    match store.find_archive_target(&id).await? {
        TargetState::Exists => Err(ArchiveError::OrganisationExists(name.clone())),
        TargetState::Unfinished(target) if options.restart => {
            store.discard_archive_import(&target, tables).await?;
            Ok(store.begin_archive_import(&id, manifest.archive).await?)
        }
        TargetState::Unfinished(target) if target.archive == manifest.archive => Ok(target),
        TargetState::Unfinished(_) => Err(ArchiveError::OtherArchive(name.clone())),
        TargetState::Absent => Ok(store.begin_archive_import(&id, manifest.archive).await?),
    }
}

/// Reads a part beside the runtime's own tasks, since files block.
async fn read_rows(
    folder: &Path,
    part: &PartEntry,
    table: &ArchiveTable,
) -> Result<Vec<Vec<Cell>>, ArchiveError> {
    let (folder, part, kinds) = (folder.to_owned(), part.clone(), cell_kinds(table));
    let path = folder.join(&part.file);
    tokio::task::spawn_blocking(move || read_part(&folder, &part, &kinds))
        .await
        .map_err(|error| ArchiveError::damaged(&path, error))?
}
