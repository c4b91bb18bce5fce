//! Lines of NDJSON. Each line is one activity, in the same format as in a page of the log.

use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;
use crate::log::Row;
use crate::store::{Lookups, Store};
use crate::texts::Language;

use super::{ExportError, WriteLines};

/// Writes rows as lines of NDJSON.
pub struct Lines {
    lookups: Lookups,
    now: Timestamp,
}

impl Lines {
    /// A writer for rows of the organisation. `now` is the time that expiries are compared with. Labels and sentences are
    /// in `language`.
    pub fn new(store: &Store, organisation: &OrgId, now: Timestamp, language: Language) -> Self {
        Self {
            lookups: Lookups::new(store, organisation).in_language(language),
            now,
        }
    }
}

impl WriteLines for Lines {
    type Item = Row;

    fn write_heading(&mut self, _: &mut Vec<u8>) {}

    async fn load(&mut self, rows: &[Row]) -> Result<(), ExportError> {
        Ok(self.lookups.load(rows).await?)
    }

    fn write_line(&mut self, row: &Row, out: &mut Vec<u8>) -> Result<(), ExportError> {
        let activity = self.lookups.activity(row, self.now)?;
        serde_json::to_writer(&mut *out, &activity)?;
        out.push(b'\n');
        Ok(())
    }
}
