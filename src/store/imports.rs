//! Bulk imports: what was sent, their progress, and which worker has them.
//!
//! | file | content |
//! | --- | --- |
//! | `uploads` | the bytes of an import, in parts |
//! | `claims` | leases: one worker at a time works on an import |
//!
//! The step of an import is stored with its records, see `ingest::import_steps`.

pub(crate) mod claims;
pub(crate) mod uploads;

use strum::FromRepr;
use uuid::Uuid;

use crate::base::Page;
use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;

use crate::store::db::columns::columns;
use crate::store::db::conversions::converted;
use crate::store::db::database::Sql;
use crate::store::db::page_rows::PageLimits;
use crate::store::db::{Store, StoreError};

/// `imports.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRepr)]
#[repr(i16)]
pub enum ImportStatus {
    /// Its bytes are being received. Nobody sees it.
    Receiving = 0,
    /// It waits for a worker.
    Queued = 1,
    /// A worker has begun.
    Running = 2,
    /// Every row was read.
    Done = 3,
    /// It cannot be continued.
    Failed = 4,
    /// A caller has cancelled it.
    Cancelled = 5,
}

converted!(
    ImportStatus as i16,
    read |code| ImportStatus::from_repr(code).ok_or_else(|| StoreError::corrupt("status of an import", code)),
    write |status: ImportStatus| status as i16
);

columns! {
    /// An import.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct StoredImport {
        /// The key. Later imports have greater keys.
        pub key: i64 = "i.key",
        /// The id.
        pub id: Uuid = "i.id",
        /// How far it is.
        pub status: ImportStatus = "i.status",
        /// The format of the file, as JSON.
        pub options: String = "i.options",
        /// The number of bytes that were sent.
        pub bytes: i64 = "i.bytes",
        /// The number of rows that are done.
        pub rows_read: i64 = "i.rows_read",
        /// The number of new records.
        pub created: i64 = "i.created",
        /// The number of records that were stored before.
        pub duplicates: i64 = "i.duplicates",
        /// The number of rejected rows.
        pub rejected: i64 = "i.rejected",
        /// The bytes of the rejected rows; 0 after they were deleted.
        pub rejected_bytes: i64 = "i.rejected_bytes",
        /// The headings of a CSV as JSON, when they are read.
        pub headings: Option<String> = "i.headings",
        /// Why it failed.
        pub reason: Option<String> = "i.reason",
        /// When it was sent.
        pub created_at: Timestamp = "i.created_at",
        /// When a worker began.
        pub started_at: Option<Timestamp> = "i.started_at",
        /// When it ended.
        pub finished_at: Option<Timestamp> = "i.finished_at",
    }
}

columns! {
    /// A rejected row of an import.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct StoredRejection {
        /// Its number among the rejected rows, from 1.
        pub number: i64 = "e.number",
        /// The line on which the row begins.
        pub line: i64 = "e.line",
        /// The heading of the column with the fault, or its JSON pointer.
        pub place: String = "e.place",
        /// Why the row was rejected.
        pub reason: String = "e.reason",
        /// The cells of a CSV row as JSON, or the line of NDJSON.
        pub content: Vec<u8> = "e.content",
    }
}

impl StoredImport {
    /// Whether there are rejected rows that can be read.
    pub fn has_rejections(&self) -> bool {
        self.rejected > 0 && self.rejected_bytes > 0
    }
}

impl Store {
    /// A page of the imports of an organisation, the newest first. With `sender`, only those that it has sent. `before` is the
    /// key of the last import of the page before.
    pub async fn find_imports(
        &self,
        organisation: &OrgId,
        sender: Option<&str>,
        before: Option<i64>,
        limits: PageLimits,
    ) -> Result<Page<StoredImport>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(Page::empty());
        };
        let mut sql = visible_imports(org, sender);
        if let Some(before) = before {
            sql.push(" AND i.key < ").bind(before);
        }
        sql.push(" ORDER BY i.key DESC");
        self.db().fetch_page(sql, limits).await
    }

    /// An import of an organisation. With `sender`, only if it has sent it.
    pub async fn find_import(
        &self,
        organisation: &OrgId,
        sender: Option<&str>,
        id: Uuid,
    ) -> Result<Option<StoredImport>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(None);
        };
        let mut sql = visible_imports(org, sender);
        sql.push(" AND i.id = ").bind(id);
        self.db().fetch_row(sql).await
    }

    /// A page of the rejected rows of an import after `after`, in the order of the file.
    pub async fn find_rejections(
        &self,
        organisation: &OrgId,
        import: i64,
        after: i64,
        limits: PageLimits,
    ) -> Result<Page<StoredRejection>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(Page::empty());
        };
        let mut sql = Sql::new("SELECT ");
        sql.push(StoredRejection::COLUMNS)
            .push(" FROM import_errors e WHERE e.org = ")
            .bind(org);
        sql.push(" AND e.import = ").bind(import);
        sql.push(" AND e.number > ").bind(after);
        sql.push(" ORDER BY e.number");
        self.db().fetch_page(sql, limits).await
    }

    /// Cancels an import that has not ended. The records that it has stored stay.
    pub async fn cancel_import(&self, organisation: &OrgId, import: i64) -> Result<(), StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(());
        };
        let now = self.clock().now();
        let update = Sql::new(
            "UPDATE imports SET status = $3, finished_at = $4, due = NULL, cleanup_at = $4, lease_token = NULL, \
             lease_until = NULL WHERE org = $1 AND key = $2 AND due IS NOT NULL",
        );
        let update = update
            .with(org)
            .with(import)
            .with(ImportStatus::Cancelled)
            .with(now);
        let mut tx = self.db().begin().await?;
        tx.execute(update).await?;
        tx.commit().await?;
        self.importing().notify_one();
        Ok(())
    }
}

fn visible_imports(org: i64, sender: Option<&str>) -> Sql {
    let mut sql = Sql::new("SELECT ");
    sql.push(StoredImport::COLUMNS)
        .push(" FROM imports i WHERE i.org = ")
        .bind(org);
    sql.push(" AND i.status <> ").bind(ImportStatus::Receiving);
    if let Some(sender) = sender {
        sql.push(" AND i.sender = ").bind(sender);
    }
    sql
}
