//! The content of attachments: each once in an organisation, by its SHA-2 (xAPI 1.0.3, Data 2.4.11).
//!
//! It comes in with the statements that declare it, in their transaction ([`Submission::attachments`]), and goes out
//! with statements alone: [`Store::attachments_of`] takes those that a caller has read, so nobody gets a content whose
//! statement is beyond their reach.
//!
//! [`Submission::attachments`]: super::Submission::attachments

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::ids::OrgId;
use crate::record::attachment::digest_bytes;

use super::blobs::{Blob, BlobKey};
use super::db::Sql;
use super::ledger::OrgTx;
use super::recorder::Submission;
use super::statements::{KeptStatement, read_statement};
use super::{Store, StoreError};

/// An attachment's content on its way in.
#[derive(Debug, Clone)]
pub struct NewAttachment {
    /// The SHA-2 that it was declared by and has: 28, 32, 48 or 64 bytes.
    pub sha2: Vec<u8>,
    /// The content.
    pub blob: Blob,
}

/// An attachment whose content is kept, as a statement declares it.
#[derive(Debug, Clone)]
pub struct KeptAttachment {
    /// The SHA-2 as the statement writes it.
    pub sha2: String,
    /// The media type.
    pub content_type: String,
    /// How many bytes there really are.
    pub length: u64,
    /// Where they are.
    pub blob: BlobKey,
}

impl OrgTx {
    /// Keeps the contents that came with these submissions and are not there yet. The ledger is locked, so nobody else
    /// adds one meanwhile.
    pub(super) async fn insert_attachments<'s>(
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

impl Store {
    /// The contents that these statements came with, each once, in the order in which they are declared.
    pub async fn attachments_of(
        &self,
        organisation: &OrgId,
        statements: &[KeptStatement],
    ) -> Result<Vec<KeptAttachment>, StoreError> {
        let declared = declared(statements)?;
        let org = match self.organisation_key(organisation).await? {
            Some(org) if !declared.is_empty() => org,
            _ => return Ok(Vec::new()),
        };
        let asked: Vec<Vec<u8>> = declared.iter().map(|one| one.digest.clone()).collect();
        let select =
            Sql::new("SELECT sha2, blob, length FROM attachments WHERE org = $1 AND sha2 IN LIST($2)");
        let mut kept: HashMap<Vec<u8>, (i64, i64)> = HashMap::new();
        for row in self.db().fetch_all(select.with(org).with(asked)).await? {
            kept.insert(row.get(0)?, (row.get(1)?, row.get(2)?));
        }
        let found = declared.into_iter().filter_map(|one| {
            let (blob, length) = *kept.get(&one.digest)?;
            Some(KeptAttachment {
                sha2: one.sha2,
                content_type: one.content_type,
                length: u64::try_from(length).unwrap_or(0), // it was one when it was written
                blob: BlobKey::new(org, blob),
            })
        });
        Ok(found.collect())
    }
}

/// What statements declare of a content.
struct Declared {
    digest: Vec<u8>,
    sha2: String,
    content_type: String,
}

/// What the statements declare of the contents that came with them.
fn declared(statements: &[KeptStatement]) -> Result<Vec<Declared>, StoreError> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    // Most statements have none, and need not be read for that.
    for kept in statements
        .iter()
        .filter(|kept| kept.text.contains("\"attachments\""))
    {
        let statement = read_statement(kept.text.as_bytes())?;
        for (_, attachment) in statement.declared() {
            let digest = digest_bytes(&attachment.sha2);
            let without = |sha2: &String| sha2.eq_ignore_ascii_case(&attachment.sha2);
            if !kept.envelope.without_content.iter().any(without) && seen.insert(digest.clone()) {
                all.push(Declared {
                    digest,
                    sha2: attachment.sha2.clone(),
                    content_type: attachment.content_type.clone(),
                });
            }
        }
    }
    Ok(all)
}
