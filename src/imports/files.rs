//! The files that imports give out: rejected rows, and the template.

use super::fields::FIELDS;
use super::parse::{ERROR_HEADINGS, FileHead};
use crate::base::ids::OrgId;
use crate::export::cell::{Cell, CellFormat};
use crate::store::{PageLimits, Store, StoreError, StoredImport, StoredRejection};

/// The limits on the rejected rows that are read at once.
const PAGE: PageLimits = PageLimits {
    rows: 1_000,
    bytes: 1024 * 1024,
};

/// Writes some rejected rows of an import as CSV, from the row after the number `after` on, with the headings if that is 0.
/// Returns the number after which to go on, unless these are the last ones.
///
/// # Errors
///
/// The database does not answer.
pub async fn write_error_page(
    store: &Store,
    organisation: &OrgId,
    import: &StoredImport,
    after: i64,
) -> Result<(Vec<u8>, Option<i64>), StoreError> {
    let head: Option<FileHead> = import
        .headings
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok());
    let headings = head.as_ref().map(FileHead::input_headings);
    let page = store
        .find_rejections(organisation, import.key, after, PAGE)
        .await?;
    let mut out = Vec::new();
    if after == 0 {
        write_heading(&mut out, headings);
    }
    for rejection in &page.items {
        write_row(&mut out, headings, rejection);
    }
    let last = page.items.last().map(|rejection| rejection.number);
    Ok((out, last.filter(|_| page.more)))
}

/// Writes the headings of the input and those of the faults. NDJSON has no headings, but its row in one column.
fn write_heading(out: &mut Vec<u8>, headings: Option<&[String]>) {
    let own = headings.into_iter().flatten().map(String::as_str);
    let row = headings.is_none().then_some("row");
    write_line(out, own.chain(ERROR_HEADINGS).chain(row));
}

fn write_row(out: &mut Vec<u8>, headings: Option<&[String]>, rejection: &StoredRejection) {
    let line = rejection.line.to_string();
    let about = [line.as_str(), &rejection.place, &rejection.reason];
    match headings {
        Some(headings) => {
            let mut cells: Vec<String> = serde_json::from_slice(&rejection.content).unwrap_or_default();
            cells.resize(headings.len(), String::new());
            write_line(out, cells.iter().map(String::as_str).chain(about));
        }
        None => {
            let row = String::from_utf8_lossy(&rejection.content);
            write_line(out, about.into_iter().chain([row.as_ref()]));
        }
    }
}

/// The CSV with the headings of an import without a mapping.
pub fn write_template() -> Vec<u8> {
    let mut out = Vec::new();
    write_line(&mut out, FIELDS.iter().map(|(name, _)| *name));
    out
}

fn write_line<'c>(out: &mut Vec<u8>, cells: impl Iterator<Item = &'c str>) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        Cell::new(out, CellFormat::default()).text(cell);
    }
    out.extend_from_slice(b"\r\n");
}
