//! Writing and deleting documents.

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;
use crate::record::document::{self, MergeFault};
use crate::store::db::blobs::{Blob, Spool, SpoolError};
use crate::store::db::columns::{columns, table_row};
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::{Store, StoreError, digest};

use super::{DocumentSet, Precondition, SetKey};

/// A document to write.
#[derive(Debug, Clone)]
pub struct NewDocument {
    /// The media type.
    pub content_type: String,
    /// The content.
    pub content: Blob,
    /// The limits of a merge into an existing document. `None` replaces the existing document.
    pub merge: Option<MergeLimits>,
}

/// The limits of a merge, which is done in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergeLimits {
    /// Bytes of both documents together.
    pub both_bytes: u64,
    /// Bytes of the merged document.
    pub merged_bytes: u64,
    /// Levels of objects and arrays.
    pub depth: usize,
}

/// Why a document is not changed. The stored document stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// No document with one of the ETags of `If-Match` exists.
    #[error("no document with an ETag of If-Match exists")]
    IfMatchFailed,
    /// A document with one of the ETags of `If-None-Match` exists.
    #[error("a document with an ETag of If-None-Match exists")]
    IfNoneMatchFailed,
    /// The document exists, and the request has no `If-Match`.
    #[error("the document exists, and the request has no If-Match")]
    IfMatchMissing,
    /// The request has neither `If-Match` nor `If-None-Match` and needs one of them.
    #[error("the request has neither If-Match nor If-None-Match")]
    ConditionMissing,
    /// Only documents of the media type `application/json` are merged.
    #[error("a document that is not `application/json` cannot be merged")]
    NotJson,
    /// One of the two documents cannot be merged.
    #[error(transparent)]
    Merge(#[from] MergeFault),
    /// Both documents together, or the merged document, have too many bytes.
    #[error("the documents are too large to be merged")]
    TooLarge,
    /// The document could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

columns! {
    /// The document that a write replaces.
    struct ExistingDocument {
        content_type: String = "d.content_type",
        etag: String = "d.etag",
        updated_at: Timestamp = "d.updated_at",
        blob: i64 = "d.blob",
        length: i64 = "d.length",
    }
}

/// The columns of a document that a write changes, besides its time.
struct DocumentContent {
    content_type: String,
    etag: String,
    blob: i64,
    length: i64,
}

table_row! {
    /// A document to insert.
    struct DocumentInsert in "documents" {
        org: i64 = "org",
        kind: i16 = "kind",
        activity: Vec<u8> = "activity",
        agent: Vec<u8> = "agent",
        registration: Uuid = "registration",
        id_digest: Vec<u8> = "name_digest",
        id: String = "name",
        content_type: String = "content_type",
        etag: String = "etag",
        updated_at: Timestamp = "updated_at",
        blob: i64 = "blob",
        length: i64 = "length",
    }
}

impl Store {
    /// Writes a document: a new one, or one that replaces the existing document or is merged into it.
    ///
    /// # Errors
    ///
    /// [`DocumentError`]; then nothing is changed.
    pub async fn write_document(
        &self,
        organisation: &OrgId,
        set: &DocumentSet,
        id: &str,
        precondition: &Precondition,
        document: NewDocument,
    ) -> Result<(), DocumentError> {
        let key = SetKey::from_set(set);
        let mut tx = self.write(organisation).await?;
        let existing = tx.find_existing_document(&key, id).await?;
        precondition.check(existing.as_ref().map(|existing| existing.etag.as_str()))?;
        let content = match (&existing, document.merge) {
            (Some(existing), Some(limits)) => tx.merge_document(existing, &document, limits).await?,
            _ => document.content,
        };
        let row = DocumentContent {
            blob: tx.insert_blob(&content).await?,
            etag: format_etag(&content),
            length: i64::try_from(content.length).map_err(|_| DocumentError::TooLarge)?,
            content_type: document.content_type,
        };
        match existing {
            Some(existing) => tx.replace_document(&key, id, existing, row).await?,
            None => tx.insert_document(key, id, row).await?,
        }
        tx.commit().await?;
        Ok(())
    }

    /// Deletes the document with this id. Succeeds if it does not exist and the precondition allows that.
    ///
    /// # Errors
    ///
    /// [`DocumentError`]; then nothing is changed.
    pub async fn delete_document(
        &self,
        organisation: &OrgId,
        set: &DocumentSet,
        id: &str,
        precondition: &Precondition,
    ) -> Result<(), DocumentError> {
        if self.organisation_key(organisation).await?.is_none() {
            return precondition.check(None);
        }
        let key = SetKey::from_set(set);
        let mut tx = self.write(organisation).await?;
        let existing = tx.find_existing_document(&key, id).await?;
        precondition.check(existing.as_ref().map(|existing| existing.etag.as_str()))?;
        if let Some(existing) = existing {
            tx.delete_document(&key, id, existing.blob).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Deletes all documents of the set. Without a registration, these are the documents of every registration.
    pub async fn delete_documents(&self, organisation: &OrgId, set: &DocumentSet) -> Result<(), StoreError> {
        if self.organisation_key(organisation).await?.is_none() {
            return Ok(());
        }
        let key = SetKey::from_set(set);
        let mut tx = self.write(organisation).await?;
        let mut blobs = Sql::new("DELETE FROM blobs WHERE org = ");
        blobs.bind(tx.org);
        blobs.push(" AND blob IN (SELECT d.blob FROM documents d WHERE");
        key.push_set_condition(&mut blobs, tx.org);
        blobs.push(")");
        tx.execute(blobs).await?;
        let mut rows = Sql::new("DELETE FROM documents AS d WHERE");
        key.push_set_condition(&mut rows, tx.org);
        tx.execute(rows).await?;
        tx.commit().await
    }
}

impl OrgTx {
    /// Writes a JSON document of Rollbook's own. `replaces`: whether it replaces an existing document.
    pub(crate) async fn put_document(
        &mut self,
        set: &DocumentSet,
        id: &str,
        content: Blob,
        replaces: bool,
    ) -> Result<(), StoreError> {
        let key = SetKey::from_set(set);
        let existing = self.find_existing_document(&key, id).await?;
        if existing.is_some() && !replaces {
            return Ok(());
        }
        let row = DocumentContent {
            blob: self.insert_blob(&content).await?,
            etag: format_etag(&content),
            length: i64::try_from(content.length)
                .map_err(|_| StoreError::Invariant("a document of the server is too large"))?,
            content_type: "application/json".to_owned(),
        };
        match existing {
            Some(existing) => self.replace_document(&key, id, existing, row).await,
            None => self.insert_document(key, id, row).await,
        }
    }

    async fn find_existing_document(
        &mut self,
        key: &SetKey,
        id: &str,
    ) -> Result<Option<ExistingDocument>, StoreError> {
        let mut sql = Sql::new(&format!(
            "SELECT {} FROM documents d WHERE",
            ExistingDocument::COLUMNS
        ));
        key.push_document_condition(&mut sql, self.org, id);
        self.fetch_row(sql).await
    }

    async fn insert_document(
        &mut self,
        key: SetKey,
        id: &str,
        content: DocumentContent,
    ) -> Result<(), StoreError> {
        let row = DocumentInsert {
            org: self.org,
            kind: key.kind,
            activity: key.activity,
            agent: key.agent,
            registration: key.registration.unwrap_or_default(),
            id_digest: digest(id),
            id: id.to_owned(),
            content_type: content.content_type,
            etag: content.etag,
            updated_at: self.stored_now(),
            blob: content.blob,
            length: content.length,
        };
        self.insert_rows(vec![row]).await
    }

    /// Gives the existing document a new content, at a time at least a millisecond after its last write.
    async fn replace_document(
        &mut self,
        key: &SetKey,
        id: &str,
        existing: ExistingDocument,
        content: DocumentContent,
    ) -> Result<(), StoreError> {
        self.delete_blob(existing.blob).await?;
        let earliest = existing.updated_at.micros().saturating_add(1_000);
        let updated_at = self.stored_now().micros().max(earliest);
        let mut update = Sql::new("UPDATE documents AS d SET content_type = ");
        update.bind(content.content_type);
        update.push(", etag = ").bind(content.etag);
        update.push(", updated_at = ").bind(updated_at);
        update.push(", blob = ").bind(content.blob);
        update.push(", length = ").bind(content.length);
        update.push(" WHERE");
        key.push_document_condition(&mut update, self.org, id);
        self.execute(update).await?;
        Ok(())
    }

    async fn delete_document(&mut self, key: &SetKey, id: &str, blob: i64) -> Result<(), StoreError> {
        let mut delete = Sql::new("DELETE FROM documents AS d WHERE");
        key.push_document_condition(&mut delete, self.org, id);
        self.execute(delete).await?;
        self.delete_blob(blob).await
    }

    /// Merges the new document into the existing one.
    async fn merge_document(
        &mut self,
        existing: &ExistingDocument,
        new: &NewDocument,
        limits: MergeLimits,
    ) -> Result<Blob, DocumentError> {
        if !document::is_json(&existing.content_type) || !document::is_json(&new.content_type) {
            return Err(DocumentError::NotJson);
        }
        let length = u64::try_from(existing.length).unwrap_or(u64::MAX);
        if length.saturating_add(new.content.length) > limits.both_bytes {
            return Err(DocumentError::TooLarge);
        }
        let new_content = new.content.bytes().await.map_err(StoreError::File)?;
        let existing_content = self.read_blob(existing.blob).await?;
        // MergeLimits megabytes takes time, and other tasks wait for this thread.
        let merge = move || document::merge(&existing_content, &new_content, limits.depth);
        let merged = tokio::task::spawn_blocking(merge)
            .await
            .map_err(|_| StoreError::Closed)??;
        let spool_error = |error| match error {
            SpoolError::TooLarge => DocumentError::TooLarge,
            SpoolError::Io(error) => StoreError::File(error).into(),
        };
        let mut spool = Spool::new(limits.merged_bytes);
        spool.push(merged).await.map_err(spool_error)?;
        spool.finish().await.map_err(spool_error)
    }
}

/// Formats the ETag of a document: the SHA-1 of its content in hexadecimal digits (xAPI 1.0.3, Communication 3.1).
fn format_etag(content: &Blob) -> String {
    content.sha1.iter().map(|byte| format!("{byte:02x}")).collect()
}
