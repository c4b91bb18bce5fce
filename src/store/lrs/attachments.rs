//! Reading the contents of attachments (xAPI 1.0.3, Data 2.4.11).

use std::collections::{HashMap, HashSet};

use crate::base::ids::OrgId;
use crate::record::attachment::hex_to_bytes;
use crate::store::db::blobs::BlobKey;
use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError};
use crate::store::ingest::stored_statement::read_statement;

use super::statements::StoredRecord;

/// An attachment whose content is kept, as a statement declares it.
#[derive(Debug, Clone)]
pub struct StoredAttachment {
    /// The SHA-2 as the statement writes it.
    pub sha2: String,
    /// The media type.
    pub content_type: String,
    /// How many bytes there really are.
    pub length: u64,
    /// Where they are.
    pub blob: BlobKey,
}

impl Store {
    /// The contents that these statements came with, each once, in the order in which they are declared.
    pub async fn find_attachments(
        &self,
        organisation: &OrgId,
        statements: &[StoredRecord],
    ) -> Result<Vec<StoredAttachment>, StoreError> {
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
            Some(StoredAttachment {
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
fn declared(statements: &[StoredRecord]) -> Result<Vec<Declared>, StoreError> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    // Most statements have none, and need not be read for that.
    for kept in statements
        .iter()
        .filter(|kept| kept.text.contains("\"attachments\""))
    {
        let statement = read_statement(kept.text.as_bytes())?;
        for (_, attachment) in statement.declared_attachments() {
            let digest = hex_to_bytes(&attachment.sha2);
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
