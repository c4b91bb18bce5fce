//! The bytes of an import.
//!
//! They are stored in parts while they arrive, each in a transaction of its own. So an upload of any size needs little memory
//! and no temporary file, and any replica can work on it. The last transaction makes the import visible. An upload that is
//! broken off is deleted after an hour.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;

use crate::store::db::columns::table_row;
use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError};
use crate::store::imports::{ImportStatus, StoredImport};

/// The size of each part but the last, in bytes.
pub(crate) const PART_BYTES: usize = 1024 * 1024;

/// The time after which an upload without a new part is deleted, in microseconds.
const ABANDONED_AFTER: i64 = 60 * 60 * 1_000_000;

/// The parts that one transaction deletes.
const PARTS_AT_ONCE: i64 = 16;

/// A new import.
#[derive(Debug, Clone)]
pub struct NewImport {
    /// The caller that sends it.
    pub sender: String,
    /// The rights of the sender, as JSON.
    pub terms: String,
    /// The format of the file, as JSON.
    pub options: String,
}

/// What became of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upload {
    /// The import waits for a worker.
    New(StoredImport),
    /// The same file was sent before. That import is not repeated.
    Existing(StoredImport),
    /// The organisation has too many imports that have not ended. Nothing is stored.
    TooMany,
}

table_row! {
    struct ImportRow in "imports" {
        org: i64 = "org",
        key: i64 = "key",
        id: Uuid = "id",
        status: ImportStatus = "status",
        sender: String = "sender",
        terms: String = "terms",
        options: String = "options",
        bytes: i64 = "bytes",
        rows_read: i64 = "rows_read",
        created: i64 = "created",
        duplicates: i64 = "duplicates",
        rejected: i64 = "rejected",
        rejected_bytes: i64 = "rejected_bytes",
        place: String = "place",
        created_at: Timestamp = "created_at",
        cleanup_at: Option<Timestamp> = "cleanup_at",
    }
}

/// Receives the bytes of an import.
pub struct ImportUpload {
    store: Store,
    organisation: OrgId,
    org: i64,
    key: i64,
    import: NewImport,
    digest: Sha256,
    waiting: Vec<u8>,
    parts: i64,
    bytes: i64,
}

impl Store {
    /// Begins an import.
    pub async fn begin_import(
        &self,
        organisation: &OrgId,
        import: NewImport,
    ) -> Result<ImportUpload, StoreError> {
        let now = self.clock().now();
        let mut tx = self.write(organisation).await?;
        let (org, key) = (tx.org, tx.next_key());
        let row = ImportRow {
            org,
            key,
            id: self.clock().new_uuid(),
            status: ImportStatus::Receiving,
            sender: import.sender.clone(),
            terms: import.terms.clone(),
            options: import.options.clone(),
            bytes: 0,
            rows_read: 0,
            created: 0,
            duplicates: 0,
            rejected: 0,
            rejected_bytes: 0,
            place: "{}".to_owned(),
            created_at: now,
            cleanup_at: Some(abandoned_at(now)),
        };
        tx.insert_rows(vec![row]).await?;
        tx.commit().await?;
        Ok(ImportUpload {
            store: self.clone(),
            organisation: organisation.clone(),
            org,
            key,
            import,
            digest: Sha256::new(),
            waiting: Vec::new(),
            parts: 0,
            bytes: 0,
        })
    }
}

impl ImportUpload {
    /// The number of bytes that were pushed.
    pub fn bytes(&self) -> u64 {
        self.bytes.unsigned_abs()
    }

    /// Adds a piece.
    pub async fn push(&mut self, piece: &[u8]) -> Result<(), StoreError> {
        self.digest.update(piece);
        self.bytes += i64::try_from(piece.len()).unwrap_or(i64::MAX);
        let mut rest = piece;
        while !rest.is_empty() {
            let free = PART_BYTES - self.waiting.len();
            let (now, later) = rest.split_at(free.min(rest.len()));
            self.waiting.extend_from_slice(now);
            rest = later;
            if self.waiting.len() == PART_BYTES {
                self.store_part().await?;
            }
        }
        Ok(())
    }

    async fn store_part(&mut self) -> Result<(), StoreError> {
        let bytes = std::mem::take(&mut self.waiting);
        let mut tx = self.store.db().begin().await?;
        // An upload that was taken for an abandoned one is gone.
        let update =
            Sql::new("UPDATE imports SET cleanup_at = $3 WHERE org = $1 AND key = $2 AND status = $4");
        let update = update
            .with(self.org)
            .with(self.key)
            .with(abandoned_at(self.store.clock().now()));
        if tx.execute(update.with(ImportStatus::Receiving)).await? == 0 {
            return Err(StoreError::Unavailable("the upload took too long".to_owned()));
        }
        let insert = Sql::new("INSERT INTO import_parts (org, import, part, bytes) VALUES ($1, $2, $3, $4)");
        let insert = insert.with(self.org).with(self.key).with(self.parts).with(bytes);
        tx.execute(insert).await?;
        tx.commit().await?;
        self.parts += 1;
        Ok(())
    }

    /// Makes the import visible and wakes the workers. Afterwards it survives the end of this process.
    ///
    /// An import of the same sender with the same bytes and options is not repeated while it waits or runs, and not after it
    /// has taken every row. `max_waiting` is the number of imports of an organisation that may wait or run.
    pub async fn finish(mut self, max_waiting: usize) -> Result<Upload, StoreError> {
        if !self.waiting.is_empty() {
            self.store_part().await?;
        }
        let mut digest = std::mem::take(&mut self.digest);
        for text in [&self.import.options, &self.import.sender] {
            digest.update([0]);
            digest.update(text);
        }
        let fingerprint = digest.finalize().to_vec();
        let now = self.store.clock().now();
        let mut tx = self.store.write(&self.organisation).await?;
        let select = Sql::new(&format!(
            "SELECT {} FROM imports i WHERE i.org = $1 AND i.fingerprint = $2 \
             AND (i.due IS NOT NULL OR (i.status = $3 AND i.rejected = 0)) ORDER BY i.key LIMIT 1",
            StoredImport::COLUMNS
        ));
        let select = select.with(self.org).with(fingerprint.clone());
        if let Some(existing) = tx.fetch_row(select.with(ImportStatus::Done)).await? {
            drop(tx);
            self.discard().await?;
            return Ok(Upload::Existing(existing));
        }
        let count = Sql::new("SELECT count(*) FROM imports WHERE org = $1 AND due IS NOT NULL");
        if tx.count(count.with(self.org)).await? >= i64::try_from(max_waiting).unwrap_or(i64::MAX) {
            drop(tx);
            self.discard().await?;
            return Ok(Upload::TooMany);
        }
        let update = Sql::new(
            "UPDATE imports SET status = $3, fingerprint = $4, bytes = $5, due = $6, cleanup_at = NULL \
             WHERE org = $1 AND key = $2 AND status = $7",
        );
        let update = update.with(self.org).with(self.key).with(ImportStatus::Queued);
        let update = update.with(fingerprint).with(self.bytes).with(now);
        if tx.execute(update.with(ImportStatus::Receiving)).await? == 0 {
            return Err(StoreError::Unavailable("the upload took too long".to_owned()));
        }
        let select = Sql::new(&format!(
            "SELECT {} FROM imports i WHERE i.org = $1 AND i.key = $2",
            StoredImport::COLUMNS
        ));
        let stored = tx.fetch_row(select.with(self.org).with(self.key)).await?;
        tx.commit().await?;
        self.store.importing().notify_one();
        Ok(Upload::New(stored.ok_or(StoreError::Invariant(
            "an import disappeared within a transaction",
        ))?))
    }

    /// Gives the upload up. Its parts are deleted in the background.
    pub async fn discard(self) -> Result<(), StoreError> {
        let update =
            Sql::new("UPDATE imports SET cleanup_at = $3 WHERE org = $1 AND key = $2 AND status = $4");
        let update = update
            .with(self.org)
            .with(self.key)
            .with(self.store.clock().now());
        let mut tx = self.store.db().begin().await?;
        tx.execute(update.with(ImportStatus::Receiving)).await?;
        tx.commit().await?;
        self.store.importing().notify_one();
        Ok(())
    }
}

fn abandoned_at(now: Timestamp) -> Timestamp {
    Timestamp::from_micros(now.micros() + ABANDONED_AFTER)
}

impl Store {
    /// A part of the bytes of an import, from 0. `None` after the last one.
    pub(crate) async fn import_part(
        &self,
        org: i64,
        import: i64,
        part: i64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let select = Sql::new("SELECT bytes FROM import_parts WHERE org = $1 AND import = $2 AND part = $3");
        let row: Option<(Vec<u8>,)> = self
            .db()
            .fetch_row(select.with(org).with(import).with(part))
            .await?;
        Ok(row.map(|(bytes,)| bytes))
    }

    /// Deletes some parts of an import that has ended, or of an upload that was broken off. Returns whether there may be
    /// more to delete.
    pub async fn clean_up_imports(&self) -> Result<bool, StoreError> {
        let now = self.clock().now();
        let mut tx = self.db().begin().await?;
        let select = Sql::new(
            "SELECT org, key, status FROM imports WHERE cleanup_at <= $1 \
             AND EXISTS (SELECT 1 FROM organisations o WHERE o.key = imports.org) \
             ORDER BY cleanup_at LIMIT 1 FOR UPDATE",
        );
        let Some((org, key, status)) = tx.fetch_row::<(i64, i64, i16)>(select.with(now)).await? else {
            return Ok(false);
        };
        let delete = Sql::new(
            "DELETE FROM import_parts WHERE org = $1 AND import = $2 AND part IN \
             (SELECT p.part FROM import_parts p WHERE p.org = $1 AND p.import = $2 ORDER BY p.part LIMIT $3)",
        );
        let deleted = tx.execute(delete.with(org).with(key).with(PARTS_AT_ONCE)).await?;
        if deleted < PARTS_AT_ONCE.unsigned_abs() {
            let end = if status == ImportStatus::Receiving as i16 {
                "DELETE FROM imports WHERE org = $1 AND key = $2"
            } else {
                "UPDATE imports SET cleanup_at = NULL WHERE org = $1 AND key = $2"
            };
            tx.execute(Sql::new(end).with(org).with(key)).await?;
        }
        tx.commit().await?;
        Ok(true)
    }
}
