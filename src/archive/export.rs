//! From a database to an archive.

use std::path::Path;

use crate::archive::manifest::{Manifest, PartEntry, TableEntry};
use crate::archive::part::{PartWriter, read_last_row};
use crate::archive::{ArchiveError, Report};
use crate::base::ids::OrgId;
use crate::store::Store;
use crate::store::archive::reading::ArchiveSource;
use crate::store::archive::tables::ArchiveTable;
use crate::store::archive::{Cell, CellKind};

/// A part ends with the row that makes it larger than this.
const PART_BYTES: u64 = 16 * 1024 * 1024;
/// The size of the rows that are read at once, as far as it is known from the rows before.
const PAGE_BYTES: u64 = 4 * 1024 * 1024;
/// The number of rows of the first page of a table, of which nothing is known.
const FIRST_PAGE_ROWS: usize = 16;
/// The largest number of rows that are read at once.
const MAX_PAGE_ROWS: usize = 2_000;

/// The tables of which rows are never changed, apart from `voided`. Their finished parts stay valid when an interrupted
/// export continues with a newer snapshot.
const GROWING: &[&str] = &["statements", "blobs"];

/// Writes an organisation to the folder, as it is at one moment. An archive that was interrupted is continued.
///
/// # Errors
///
/// The organisation does not exist, the folder has other files or a complete archive, or a file cannot be written.
pub async fn export(store: &Store, organisation: &OrgId, folder: &Path) -> Result<Report, ArchiveError> {
    let before = Manifest::read_unfinished(folder)?;
    let tables = store.archive_tables().await?;
    let schema = store.schema_version();
    let mut source = store
        .open_archive_source(organisation)
        .await?
        .ok_or_else(|| ArchiveError::NoOrganisation(organisation.clone()))?;
    let mut manifest = Manifest::new(store.clock().new_uuid(), schema, source.organisation.clone());
    let before =
        before.filter(|before| before.schema == schema && before.organisation.id == source.organisation.id);
    // Tables whose finished parts stay valid come first, so that much of an interrupted export is in them.
    let mut order: Vec<_> = tables.iter().collect();
    order.sort_by_key(|table| !is_growing(table));
    let mut resumed_parts = 0;
    for table in order {
        let mut entry = TableEntry::new(table);
        let mut after = None;
        if is_growing(table)
            && let Some((parts, last)) = valid_parts(&mut source, folder, before.as_ref(), table).await?
        {
            resumed_parts += parts.len();
            entry.parts = parts;
            after = Some(last);
        }
        manifest.tables.push(entry);
        write_table(&mut source, folder, &mut manifest, table, after).await?;
    }
    manifest.voided_statements = source.voided_statements().await?;
    manifest.write_complete(folder)?;
    Ok(Report::new(&manifest, resumed_parts))
}

impl Report {
    pub(super) fn new(manifest: &Manifest, resumed_parts: usize) -> Self {
        let tables = manifest
            .tables
            .iter()
            .map(|table| (table.name.clone(), table.rows()));
        Self {
            organisation: manifest.organisation.id.clone(),
            tables: tables.filter(|(_, rows)| *rows > 0).collect(),
            resumed_parts,
        }
    }
}

fn is_growing(table: &ArchiveTable) -> bool {
    GROWING.contains(&table.name.as_str())
}

/// The kinds of the cells of a table.
pub(super) fn cell_kinds(table: &ArchiveTable) -> Vec<CellKind> {
    table.columns.iter().map(|column| column.kind()).collect()
}

/// The finished parts of an interrupted export that the new snapshot still has, and the key of their last row.
async fn valid_parts(
    source: &mut ArchiveSource,
    folder: &Path,
    before: Option<&Manifest>,
    table: &ArchiveTable,
) -> Result<Option<(Vec<PartEntry>, Vec<Cell>)>, ArchiveError> {
    let entry = before.and_then(|before| before.tables.iter().find(|entry| entry.matches(table)));
    let Some((entry, last)) = entry.and_then(|entry| Some((entry, entry.parts.last()?))) else {
        return Ok(None);
    };
    let Ok(Some(row)) = read_last_row(folder, last, &cell_kinds(table)) else {
        return Ok(None);
    };
    let key = key_of(table, &row);
    // Rows can have disappeared, for example the blobs of a document that was replaced. Then the parts are written again.
    if source.count_through(table, &key).await? != entry.rows() {
        return Ok(None);
    }
    Ok(Some((entry.parts.clone(), key)))
}

fn key_of(table: &ArchiveTable, row: &[Cell]) -> Vec<Cell> {
    table
        .key
        .iter()
        .filter_map(|position| row.get(*position).cloned())
        .collect()
}

/// Writes the rows of a table after the key, and adds their parts to the last table of the manifest.
async fn write_table(
    source: &mut ArchiveSource,
    folder: &Path,
    manifest: &mut Manifest,
    table: &ArchiveTable,
    mut after: Option<Vec<Cell>>,
) -> Result<(), ArchiveError> {
    let mut writer: Option<PartWriter<'_>> = None;
    let mut limit = FIRST_PAGE_ROWS;
    loop {
        let rows = source.page(table, after.as_deref(), limit).await?;
        let is_last = rows.len() < limit || table.key.is_empty();
        let mut bytes = 0;
        for row in &rows {
            let part = match writer.as_mut() {
                Some(part) => part,
                None => writer.insert(PartWriter::create(folder, next_file(manifest, table))?),
            };
            bytes += part.write_row(row)?;
            if part.bytes() >= PART_BYTES {
                finish_part(&mut writer, folder, manifest)?;
            }
        }
        if let Some(row) = rows.last() {
            after = Some(key_of(table, row));
            limit = rows_of_next_page(bytes, rows.len());
        }
        if is_last {
            return finish_part(&mut writer, folder, manifest);
        }
    }
}

fn next_file(manifest: &Manifest, table: &ArchiveTable) -> String {
    let number = manifest.tables.last().map_or(0, |entry| entry.parts.len()) + 1;
    format!("{}-{number:06}.ndjson.gz", table.name)
}

/// Completes the part and notes it in the description, so that an interruption loses at most one part.
fn finish_part(
    writer: &mut Option<PartWriter<'_>>,
    folder: &Path,
    manifest: &mut Manifest,
) -> Result<(), ArchiveError> {
    let part = writer.take().map(PartWriter::finish).transpose()?;
    if let Some(entry) = manifest.tables.last_mut() {
        entry.parts.extend(part);
    }
    manifest.write_unfinished(folder)
}

fn rows_of_next_page(bytes: u64, rows: usize) -> usize {
    let bytes_per_row = (bytes / rows.max(1) as u64).max(1);
    usize::try_from(PAGE_BYTES / bytes_per_row)
        .unwrap_or(MAX_PAGE_ROWS)
        .clamp(1, MAX_PAGE_ROWS)
}
