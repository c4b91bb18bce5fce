//! The content of attachments: each once in an organisation, by its SHA-2 (xAPI 1.0.3, Data 2.4.11).
//!
//! It comes in with the statements that declare it, in their transaction ([`Submission::attachments`]), and goes out
//! with statements alone: [`Store::attachments_of`] takes those that a caller has read, so nobody gets a content whose
//! statement is beyond their reach.
//!
//! [`Submission::attachments`]: super::Submission::attachments

use std::collections::BTreeMap;

use crate::store::db::StoreError;
use crate::store::db::blobs::Blob;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::ingest::submission::Submission;

/// An attachment's content on its way in.
#[derive(Debug, Clone)]
pub struct NewAttachment {
    /// The SHA-2 that it was declared by and has: 28, 32, 48 or 64 bytes.
    pub sha2: Vec<u8>,
    /// The content.
    pub blob: Blob,
}

impl OrgTx {
    /// Keeps the contents that came with these submissions and are not there yet. The ledger is locked, so nobody else
    /// adds one meanwhile.
    pub(crate) async fn insert_attachments<'s>(
        &mut self,
        submissions: impl Iterator<Item = &'s Submission>,
    ) -> Result<(), StoreError> {
        let mut new: BTreeMap<&[u8], &Blob> = BTreeMap::new();
        let mut last: Option<&Submission> = None;
        for submission in submissions {
            // The same comes once for each of its records.
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
        let asked: Vec<Vec<u8>> = new.keys().map(|sha2| sha2.to_vec()).collect();
        let select = Sql::new("SELECT sha2 FROM attachments WHERE org = $1 AND sha2 IN LIST($2)");
        for row in self.fetch_all(select.with(self.org).with(asked)).await? {
            new.remove(row.get::<Vec<u8>>(0)?.as_slice());
        }
        let mut rows = Vec::with_capacity(new.len());
        for (sha2, blob) in new {
            let key = self.insert_blob(blob).await?;
            let length = i64::try_from(blob.length).map_err(|error| StoreError::corrupt("length", error))?;
            rows.push(vec![
                self.org.into(),
                sha2.to_vec().into(),
                key.into(),
                length.into(),
            ]);
        }
        self.insert("attachments", &["org", "sha2", "blob", "length"], rows)
            .await
    }
}
