//! Reads records in the order of recording, for a record store that gets all of them.

use crate::base::Page;
use crate::base::ids::OrgId;
use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::page_rows::PageLimits;
use crate::store::db::{Store, StoreError};

use super::{PageRow, StoredRecord};

columns! {
    /// The numbers of a part of the records.
    struct Bounds {
        count: i64 = "count(*)",
        last: Option<i64> = "max(f.seq)",
    }
}

/// A part of the records.
#[derive(Debug, Clone)]
pub struct RecordPart {
    /// The records that can be read.
    pub records: Vec<StoredRecord>,
    /// The number of the last record of the part, also of one that can't be read. `None` if there are no more records.
    pub through: Option<i64>,
}

impl Store {
    /// The records after a number, in the order of recording, voided ones too. They have at most `bytes` bytes together,
    /// except a single one.
    pub async fn find_records_after(
        &self,
        organisation: &OrgId,
        after: i64,
        limit: usize,
        bytes: usize,
    ) -> Result<RecordPart, StoreError> {
        let none = RecordPart {
            records: Vec::new(),
            through: None,
        };
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(none);
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = "FROM statements s WHERE s.org = $1 AND s.seq > $2 ORDER BY s.seq LIMIT $3";
        let mut bounds = Sql::new("SELECT ");
        bounds
            .push(Bounds::COLUMNS)
            .push(" FROM (SELECT s.seq ")
            .push(rows)
            .push(") f");
        let bounds: Option<Bounds> = self
            .db()
            .fetch_row(bounds.with(org).with(after).with(limit))
            .await?;
        let Some((last, count)) = bounds.and_then(|bounds| Some((bounds.last?, bounds.count))) else {
            return Ok(none);
        };
        let select = Sql::new(&format!("SELECT {} {rows}", PageRow::COLUMNS));
        let limits = PageLimits {
            rows: usize::try_from(count).unwrap_or(usize::MAX),
            bytes,
        };
        let page: Page<PageRow> = self
            .db()
            .fetch_first(select.with(org).with(after).with(count), limits)
            .await?;
        let page = page.within(bytes, PageRow::bytes);
        let through = match page.items.last() {
            Some(row) if page.more => row.seq,
            _ => last,
        };
        let page = self.read_page(organisation, page).await?;
        Ok(RecordPart {
            records: page.items,
            through: Some(through),
        })
    }
}
