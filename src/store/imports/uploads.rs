//! The bytes of an import.
//!
//! They are stored in parts while they arrive, each in a transaction of its own. So an upload of any size needs little memory
//! and no temporary file, and any replica can work on it. The last transaction makes the import visible. An upload that is
//! broken off is deleted after an hour.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;

use crate::store::db::columns::{columns, table_row};
use crate::store::db::database::Sql;
use crate::store::db::transaction::Tx;
use crate::store::db::{Store, StoreError};
use crate::store::imports::{ImportStatus, StoredImport};

/// The size of each part but the last, in bytes.
pub(crate) const PART_BYTES: usize = 1024 * 1024;

/// The time after which an upload without a new part is deleted, in microseconds.
const ABANDONED_AFTER: i64 = 60 * 60 * 1_000_000;

/// The parts that one transaction deletes.
const PARTS_AT_ONCE: i64 = 16;

/// The rejected rows that one transaction deletes.
const REJECTIONS_AT_ONCE: i64 = 200;

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

/// How much of an organisation may arrive, wait or run at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingLimits {
    /// The number of imports.
    pub imports: usize,
    /// The bytes of their files.
    pub bytes: u64,
}

/// What became of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upload {
    /// The import waits for a worker.
    New(StoredImport),
    /// The same file was sent before. That import is not repeated.
    Existing(StoredImport),
}

columns! {
    /// What a transaction deletes of an import.
    struct Leftover {
        org: i64 = "org",
        key: i64 = "key",
        // Not decoded further, so that no import stops the deletions.
        status: i16 = "status",
        rejected: i64 = "rejected",
        finished_at: Option<i64> = "finished_at",
    }
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
    limits: WaitingLimits,
    digest: Sha256,
    waiting: Vec<u8>,
    parts: i64,
    bytes: i64,
}

impl Store {
    /// Begins an import. `None` if too much of the organisation arrives, waits or runs already.
    pub async fn begin_import(
        &self,
        organisation: &OrgId,
        import: NewImport,
        limits: WaitingLimits,
    ) -> Result<Option<ImportUpload>, StoreError> {
        let now = self.clock().now();
        let mut tx = self.write(organisation).await?;
        let org = tx.org;
        let (imports, bytes) = tx.fetch_row(waiting_files(org, now)).await?.unwrap_or((0, 0));
        if to_unsigned(imports) >= limits.imports as u64 || to_unsigned(bytes) >= limits.bytes {
            return Ok(None);
        }
        let key = tx.next_key();
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
        Ok(Some(ImportUpload {
            store: self.clone(),
            organisation: organisation.clone(),
            org,
            key,
            import,
            limits,
            digest: Sha256::new(),
            waiting: Vec::new(),
            parts: 0,
            bytes: 0,
        }))
    }
}

impl ImportUpload {
    /// The number of bytes that were pushed.
    pub fn bytes(&self) -> u64 {
        self.bytes.unsigned_abs()
    }

    /// Adds a piece. False if the organisation has too many bytes of files; then the upload is to be given up.
    pub async fn push(&mut self, piece: &[u8]) -> Result<bool, StoreError> {
        self.digest.update(piece);
        self.bytes += i64::try_from(piece.len()).unwrap_or(i64::MAX);
        let mut rest = piece;
        while !rest.is_empty() {
            let free = PART_BYTES - self.waiting.len();
            let (now, later) = rest.split_at(free.min(rest.len()));
            self.waiting.extend_from_slice(now);
            rest = later;
            if self.waiting.len() == PART_BYTES && !self.store_part().await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Stores a part. False if the organisation has too many bytes of files; then nothing is stored.
    async fn store_part(&mut self) -> Result<bool, StoreError> {
        let bytes = std::mem::take(&mut self.waiting);
        let now = self.store.clock().now();
        let mut tx = self.store.db().begin().await?;
        // An upload that was taken for an abandoned one is gone.
        let update = Sql::new(
            "UPDATE imports SET cleanup_at = $3, bytes = bytes + $5 WHERE org = $1 AND key = $2 AND status = $4",
        );
        let update = update
            .with(self.org)
            .with(self.key)
            .with(abandoned_at(now))
            .with(ImportStatus::Receiving)
            .with(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        if tx.execute(update).await? == 0 {
            return Err(StoreError::Unavailable("the upload took too long".to_owned()));
        }
        let (_, waiting): (i64, i64) = tx
            .fetch_row(waiting_files(self.org, now))
            .await?
            .unwrap_or((0, 0));
        if to_unsigned(waiting) > self.limits.bytes {
            return Ok(false);
        }
        let insert = Sql::new("INSERT INTO import_parts (org, import, part, bytes) VALUES ($1, $2, $3, $4)");
        let insert = insert.with(self.org).with(self.key).with(self.parts).with(bytes);
        tx.execute(insert).await?;
        tx.commit().await?;
        self.parts += 1;
        Ok(true)
    }

    /// Makes the import visible and wakes the workers. Afterwards it survives the end of this process. `None` if the
    /// organisation has too many bytes of files; then the upload is given up.
    ///
    /// An import of the same sender with the same bytes and options is not repeated while it waits or runs, and not after it
    /// has taken every row.
    pub async fn finish(mut self) -> Result<Option<Upload>, StoreError> {
        if !self.waiting.is_empty() && !self.store_part().await? {
            self.discard().await?;
            return Ok(None);
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
            return Ok(Some(Upload::Existing(existing)));
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
        Ok(Some(Upload::New(stored.ok_or(StoreError::Invariant(
            "an import disappeared within a transaction",
        ))?)))
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

/// The number and the bytes of the files of an organisation that arrive, wait or are worked on. Each half is served by an index
/// of its own.
fn waiting_files(org: i64, now: Timestamp) -> Sql {
    let select = Sql::new(
        "SELECT count(*), CAST(coalesce(sum(w.bytes), 0) AS BIGINT) FROM \
         (SELECT bytes FROM imports WHERE org = $1 AND due IS NOT NULL UNION ALL \
         SELECT bytes FROM imports WHERE org = $1 AND status = 0 AND cleanup_at > $2) w",
    );
    select.with(org).with(now)
}

fn to_unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
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

    /// Deletes some parts of an import that has ended, or of an upload that was broken off, or some rejected rows of an import
    /// that ended before the time `keep_rejected`. Returns whether there may be more to delete.
    pub async fn clean_up_imports(&self, keep_rejected: Duration) -> Result<bool, StoreError> {
        let now = self.clock().now();
        let find = Sql::new(
            "SELECT i.org, i.key FROM imports i JOIN organisations o ON o.key = i.org WHERE i.cleanup_at <= $1 \
             ORDER BY i.cleanup_at LIMIT 1",
        );
        let Some((org, key)) = self.db().fetch_row::<(i64, i64)>(find.with(now)).await? else {
            return Ok(false);
        };
        let mut tx = self.db().begin().await?;
        let lock = Sql::new(&format!(
            "SELECT {} FROM imports WHERE org = $1 AND key = $2 AND cleanup_at <= $3 FOR UPDATE",
            Leftover::COLUMNS
        ));
        let lock = lock.with(org).with(key).with(now);
        let Some(leftover) = tx.fetch_row::<Leftover>(lock).await? else {
            return Ok(true); // another process has just cleaned it up
        };
        let delete = Sql::new(
            "DELETE FROM import_parts WHERE org = $1 AND import = $2 AND part IN \
             (SELECT p.part FROM import_parts p WHERE p.org = $1 AND p.import = $2 ORDER BY p.part LIMIT $3)",
        );
        let delete = delete.with(leftover.org).with(leftover.key);
        if tx.execute(delete.with(PARTS_AT_ONCE)).await? < PARTS_AT_ONCE.unsigned_abs() {
            if leftover.status == ImportStatus::Receiving as i16 {
                let delete = Sql::new("DELETE FROM imports WHERE org = $1 AND key = $2");
                tx.execute(delete.with(leftover.org).with(leftover.key)).await?;
            } else {
                clean_up_rejections(&mut tx, &leftover, now, keep_rejected).await?;
            }
        }
        tx.commit().await?;
        Ok(true)
    }
}

/// Deletes some rejected rows of an import if their time has come, and notes when to go on.
async fn clean_up_rejections(
    tx: &mut Tx,
    leftover: &Leftover,
    now: Timestamp,
    keep: Duration,
) -> Result<(), StoreError> {
    let keep = i64::try_from(keep.as_micros()).unwrap_or(i64::MAX);
    let finished_at = leftover.finished_at.unwrap_or(now.micros());
    let end = Timestamp::from_micros(finished_at.saturating_add(keep));
    let mut next = None;
    if leftover.rejected > 0 && end > now {
        next = Some(end);
    } else if leftover.rejected > 0 {
        let delete = Sql::new(
            "DELETE FROM import_errors WHERE org = $1 AND import = $2 AND number IN \
             (SELECT e.number FROM import_errors e WHERE e.org = $1 AND e.import = $2 ORDER BY e.number LIMIT $3)",
        );
        let delete = delete.with(leftover.org).with(leftover.key);
        let deleted = tx.execute(delete.with(REJECTIONS_AT_ONCE)).await?;
        next = (deleted == REJECTIONS_AT_ONCE.unsigned_abs()).then_some(now);
        // From the first deletion on, nobody reads the rest.
        let update = Sql::new("UPDATE imports SET rejected_bytes = 0 WHERE org = $1 AND key = $2");
        tx.execute(update.with(leftover.org).with(leftover.key)).await?;
    }
    let update = Sql::new("UPDATE imports SET cleanup_at = $3 WHERE org = $1 AND key = $2");
    tx.execute(update.with(leftover.org).with(leftover.key).with(next))
        .await?;
    Ok(())
}
