//! Finds the contents of attachments (xAPI 1.0.3, Data 2.4.11).

use std::collections::{HashMap, HashSet};

use crate::base::ids::OrgId;
use crate::record::attachment::hex_to_bytes;
use crate::store::db::blobs::BlobKey;
use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::unreadable::{report_unreadable, skip_unreadable};
use crate::store::db::{Store, StoreError};
use crate::store::ingest::stored_statement::read_statement;

use super::statements::StoredRecord;

/// An attachment with a stored content, as a statement declares it.
#[derive(Debug, Clone)]
pub struct StoredAttachment {
    /// The SHA-2, as the statement writes it.
    pub sha2: String,
    /// The media type.
    pub content_type: String,
    /// The number of bytes that are stored.
    pub length: u64,
    /// The key of the content.
    pub blob: BlobKey,
}

columns! {
    /// A stored content.
    struct ContentRow {
        sha2: Vec<u8> = "sha2",
        blob: i64 = "blob",
        length: i64 = "length",
        stored_length: Option<i64> = "(SELECT SUM(octet_length(b.bytes)) FROM blobs b \
             WHERE b.org = $1 AND b.blob = attachments.blob)",
    }
}

impl Store {
    /// Finds the contents that arrived with these records, in the order of the declarations. The result has a list for
    /// each record. A content that several records declare is in the list of the first one only.
    pub async fn find_attachments(
        &self,
        organisation: &OrgId,
        records: &[StoredRecord],
    ) -> Result<Vec<Vec<StoredAttachment>>, StoreError> {
        let mut attachments: Vec<Vec<StoredAttachment>> = records.iter().map(|_| Vec::new()).collect();
        let declarations = collect_declarations(records)?;
        let org = match self.organisation_key(organisation).await? {
            Some(org) if !declarations.is_empty() => org,
            _ => return Ok(attachments),
        };
        let digests: Vec<Vec<u8>> = declarations
            .iter()
            .map(|declaration| declaration.digest.clone())
            .collect();
        let select = Sql::new(&format!(
            "SELECT {} FROM attachments WHERE org = $1 AND sha2 IN LIST($2)",
            ContentRow::COLUMNS
        ));
        let rows: Vec<ContentRow> = self.db().fetch_rows(select.with(org).with(digests)).await?;
        let mut contents: HashMap<Vec<u8>, ContentRow> =
            rows.into_iter().map(|row| (row.sha2.clone(), row)).collect();
        for declaration in declarations {
            let content = contents.remove(&declaration.digest);
            let (Some(content), Some(list)) = (content, attachments.get_mut(declaration.record)) else {
                continue;
            };
            // The answer would break off within this content.
            if content.stored_length.unwrap_or(0) != content.length {
                report_unreadable("attachment", &declaration.sha2, &"its content is incomplete");
                continue;
            }
            list.push(StoredAttachment {
                sha2: declaration.sha2,
                content_type: declaration.content_type,
                length: u64::try_from(content.length).unwrap_or(0), // a length is never negative
                blob: BlobKey::new(org, content.blob),
            });
        }
        Ok(attachments)
    }
}

/// An attachment as a statement declares it.
struct Declaration {
    /// The index of the record.
    record: usize,
    digest: Vec<u8>,
    sha2: String,
    content_type: String,
}

/// Collects the declarations of the contents that arrived with these records, each content once.
fn collect_declarations(records: &[StoredRecord]) -> Result<Vec<Declaration>, StoreError> {
    let mut digests = HashSet::new();
    let mut declarations = Vec::new();
    // Most statements have no attachments; they are not parsed.
    for (index, record) in records
        .iter()
        .enumerate()
        .filter(|(_, record)| record.text.contains("\"attachments\""))
    {
        let read = read_statement(record.text.as_bytes());
        let Some(statement) = skip_unreadable("statement", || record.id, read)? else {
            continue;
        };
        for (_, attachment) in statement.declared_attachments() {
            let digest = hex_to_bytes(&attachment.sha2);
            let is_missing = record
                .envelope
                .without_content
                .iter()
                .any(|sha2| sha2.eq_ignore_ascii_case(&attachment.sha2));
            if !is_missing && digests.insert(digest.clone()) {
                declarations.push(Declaration {
                    record: index,
                    digest,
                    sha2: attachment.sha2.clone(),
                    content_type: attachment.content_type.clone(),
                });
            }
        }
    }
    Ok(declarations)
}
