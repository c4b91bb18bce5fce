//! Stored rows that cannot be read, for example after a fault of the disk. One of them never fails a page, a voiding or a
//! rebuild: it is skipped, named in the log and counted.

use std::fmt::Display;

use uuid::Uuid;

use super::StoreError;
use super::columns::FromColumn as _;
use super::database::Row;

/// The number of reads that skipped a row, by `kind`.
pub const UNREADABLE: &str = "rollbook_unreadable_records_total";

/// Names a row that was skipped in the log, and counts it.
pub fn report_unreadable(kind: &'static str, name: impl Display, error: &dyn Display) {
    tracing::error!(kind, id = %name, %error, "a stored row cannot be read and was skipped");
    metrics::counter!(UNREADABLE, "kind" => kind).increment(1);
}

/// What was read, or `None` for a row that cannot be read. `name` is called for such a row only.
pub(crate) fn skip_unreadable<T, N: Display>(
    kind: &'static str,
    name: impl FnOnce() -> N,
    read: Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_unreadable() => {
            report_unreadable(kind, name(), &error);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The id in this column, for the log.
pub(crate) fn id_of(row: &Row, position: usize) -> String {
    let id = row.get::<Uuid>(position).map(|id| id.to_string());
    id.or_else(|_| row.get::<String>(position))
        .or_else(|_| i64::from_column(row, position).map(|key| key.to_string()))
        .unwrap_or_else(|_| "unknown".to_owned())
}

/// The columns of a row of the log by which an operator finds it.
const NAMING_COLUMNS: [&str; 4] = ["id", "seq", "key", "happened_at"];

/// A name of a row of any columns, for the log: the first naming column that it has.
pub(crate) fn name_of(row: &Row) -> String {
    let found = NAMING_COLUMNS
        .iter()
        .find_map(|name| Some((name, row.position(name)?)));
    found.map_or_else(
        || "unknown".to_owned(),
        |(name, position)| format!("{name} {}", id_of(row, position)),
    )
}
