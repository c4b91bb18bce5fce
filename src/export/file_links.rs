//! Links to attached files, for one caller. See `docs/specification.md#attached-files`.

use aws_lc_rs::rand;

use crate::access::file_link::FileLink;
use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, StatementId};
use crate::log::attempts::AttachedFile;
use crate::store::{AttemptRecord, Store, StoreError, SubmissionRecord};

/// The path of a link, before the token.
pub const FILES_PATH: &str = "/files";

/// Makes links to the attached files of statements for one caller.
#[derive(Debug, Clone)]
pub struct FileLinks {
    organisation: OrgId,
    caller: String,
    expires_at: Timestamp,
    /// What comes before the path: nothing, or the public address of the server.
    base: String,
    /// The organisation's key and secret, if a link was made.
    secret: Option<(i64, Vec<u8>)>,
}

impl FileLinks {
    /// Links for this caller, until `expires_at`. An address begins with `base`.
    pub fn new(organisation: &OrgId, caller: String, expires_at: Timestamp, base: &str) -> Self {
        Self {
            organisation: organisation.clone(),
            caller,
            expires_at,
            base: base.trim_end_matches('/').to_owned(),
            secret: None,
        }
    }

    /// Reads the secret, if one of the attempts has a stored file.
    pub async fn prepare(&mut self, store: &Store, attempts: &[AttemptRecord]) -> Result<(), StoreError> {
        let records = attempts
            .iter()
            .flat_map(|attempt| attempt.submitted.iter().chain(&attempt.graded));
        let has_file = |record: &SubmissionRecord| record.files.iter().any(|(_, is_stored)| *is_stored);
        if self.secret.is_none() && records.into_iter().any(has_file) {
            let mut fresh = [0; 32];
            rand::fill(&mut fresh).map_err(|_| StoreError::Invariant("the system gives no random bytes"))?;
            self.secret = Some(store.ensure_link_key(&self.organisation, fresh).await?);
        }
        Ok(())
    }

    /// The attached files of a record with their addresses.
    pub fn files(&self, record: &SubmissionRecord) -> Vec<AttachedFile> {
        let to_file = |(index, (attachment, is_stored)): (usize, &(crate::record::Attachment, bool))| {
            let address = || self.address(record.row.id, u16::try_from(index).ok()?);
            let url = match is_stored {
                true => address(),
                false => attachment.file_url.as_ref().map(|url| url.as_str().to_owned()),
            };
            AttachedFile {
                title: attachment.display.pick_english_first().map(str::to_owned),
                content_type: attachment.content_type.clone(),
                length: attachment.length,
                sha2: attachment.sha2.clone(),
                url,
            }
        };
        record.files.iter().enumerate().map(to_file).collect()
    }

    fn address(&self, statement: StatementId, index: u16) -> Option<String> {
        let (org, secret) = self.secret.as_ref()?;
        let link = FileLink {
            org: *org,
            statement,
            index,
            expires_at: self.expires_at,
            caller: self.caller.clone(),
        };
        Some(format!("{}{FILES_PATH}/{}", self.base, link.sign(secret)))
    }
}
