//! Storing the contents of attachments: each once in an organisation, by its SHA-2 (xAPI 1.0.3, Data 2.4.11).
//!
//! A content comes in with the statements that declare it, in their transaction. It goes out with statements only: see
//! [`Store::attachments_of`](crate::store::Store::attachments_of).

use std::collections::BTreeMap;

use crate::store::db::StoreError;
use crate::store::db::blobs::Blob;
use crate::store::db::columns::table_row;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::ingest::submission::Submission;

/// The content of an attachment on its way in.
#[derive(Debug, Clone)]
pub struct NewAttachment {
    /// The SHA-2 in the statement, which the content has: 28, 32, 48 or 64 bytes.
    pub sha2: Vec<u8>,
    /// The content.
    pub blob: Blob,
}

table_row! {
    struct AttachmentRow in "attachments" {
        org: i64 = "org",
        sha2: Vec<u8> = "sha2",
        blob: i64 = "blob",
        length: i64 = "length",
    }
}

impl OrgTx {
    /// Stores the contents in these submissions that are not stored yet. The lock of the ledger prevents that another
    /// writer stores one of them at the same time.
    pub(crate) async fn insert_attachments<'s>(
        &mut self,
        submissions: impl Iterator<Item = &'s Submission>,
    ) -> Result<(), StoreError> {
        let mut new: BTreeMap<&[u8], &Blob> = BTreeMap::new();
        let mut last: Option<&Submission> = None;
        for submission in submissions {
            // A submission is repeated for each of its records.
            if last.is_some_and(|last| std::ptr::eq(last, submission)) {
                continue;
            }
            last = Some(submission);
            for attachment in &submission.attachments {
                new.insert(&attachment.sha2, &attachment.blob);
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let digests: Vec<Vec<u8>> = new.keys().map(|sha2| sha2.to_vec()).collect();
        let select = Sql::new("SELECT sha2 FROM attachments WHERE org = $1 AND sha2 IN LIST($2)");
        let stored: Vec<(Vec<u8>,)> = self.fetch_rows(select.with(self.org).with(digests)).await?;
        for (sha2,) in stored {
            new.remove(sha2.as_slice());
        }
        let mut rows = Vec::with_capacity(new.len());
        for (sha2, blob) in new {
            rows.push(AttachmentRow {
                org: self.org,
                sha2: sha2.to_vec(),
                blob: self.insert_blob(blob).await?,
                length: i64::try_from(blob.length).map_err(|error| StoreError::corrupt("length", error))?,
            });
        }
        self.insert_rows(rows).await
    }
}
