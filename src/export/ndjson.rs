//! Lines of JSON: one activity a line, the same that a page of the log holds (product text, sections 6 and 8).

use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;
use crate::log::Row;
use crate::store::{Lookups, Store};

use super::{ExportError, WriteLines};

/// Writes activities.
pub struct Lines {
    cards: Lookups,
    now: Timestamp,
}

impl Lines {
    /// Lines of an organisation's rows; `now` decides what has expired.
    pub fn new(store: &Store, organisation: &OrgId, now: Timestamp) -> Self {
        Self {
            cards: Lookups::new(store, organisation),
            now,
        }
    }
}

impl WriteLines for Lines {
    type Item = Row;

    fn begin(&mut self, _: &mut Vec<u8>) {}

    async fn load(&mut self, rows: &[Row]) -> Result<(), ExportError> {
        Ok(self.cards.load(rows).await?)
    }

    fn line(&mut self, row: &Row, out: &mut Vec<u8>) -> Result<(), ExportError> {
        let activity = self.cards.activity(row, self.now)?;
        serde_json::to_writer(&mut *out, &activity)?;
        out.push(b'\n');
        Ok(())
    }
}
