//! The documents of xAPI: states, agent profiles and activity profiles (xAPI 1.0.3, Communication 2.2;
//! `docs/specification.md#documents`).
//!
//! A document is one row of `documents`, and its content is a blob. Every read takes a [`DocumentReach`]. A write takes
//! a [`Precondition`], which the writing transaction checks: an organisation's writes follow each other, so the checked
//! document is the one that the commit replaces. Of two requests that replace the same document, one is refused.
//!
//! A document belongs to the identifier that the request names, not to all identifiers of a user. Content requests a
//! document with the identifier that it wrote with, and binding an identifier to a user must not merge two documents
//! with the same id.

mod precondition;
mod write;

use bytes::Bytes;
use futures_util::Stream;
use uuid::Uuid;

use crate::access::{Agents, Attempt, DocumentReach};
use crate::base::Page;
use crate::base::clock::Timestamp;
use crate::base::ids::UserId;
use crate::record::Identifier;
use crate::store::db::blobs::BlobKey;
use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::page_rows::PageLimits;
use crate::store::db::{Store, StoreError, digest};
use crate::store::ingest::persons::digest_of;

pub use precondition::{DefaultPrecondition, ETags, Precondition};
pub use write::{DocumentError, MergeLimits, NewDocument};

/// The documents that one agent, one Activity or both together have. The id of a document is unique in its set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentSet {
    /// The states of an agent at an Activity (xAPI 1.0.3, Communication 2.3).
    States {
        /// The Activity's IRI.
        activity: String,
        /// The agent.
        agent: Identifier,
        /// The registration of the attempt. The nil UUID is the same as none.
        registration: Option<Uuid>,
    },
    /// The profile of an agent (Communication 2.6).
    AgentProfile {
        /// The agent.
        agent: Identifier,
    },
    /// The profile of an Activity (Communication 2.7).
    ActivityProfile {
        /// The Activity's IRI.
        activity: String,
    },
}

impl DocumentSet {
    /// Whether the documents are about this Activity, and states about this registration. The profile of an agent is about
    /// neither.
    pub fn is_of_attempt(&self, attempt: &Attempt) -> bool {
        match self {
            Self::States {
                activity,
                registration,
                ..
            } => *activity == attempt.activity && *registration == Some(attempt.registration),
            Self::AgentProfile { .. } => true,
            Self::ActivityProfile { activity } => *activity == attempt.activity,
        }
    }
}

/// A stored document. [`Store::stream_document`] reads its bytes.
#[derive(Debug, Clone)]
pub struct StoredDocument {
    /// The media type, as the client sent it.
    pub content_type: String,
    /// The SHA-1 of the content in hexadecimal digits, without quotation marks.
    pub etag: String,
    /// The time of the last write. Each write is at least a millisecond later than the one before.
    pub updated_at: Timestamp,
    /// The number of bytes.
    pub length: u64,
    key: BlobKey,
    /// The first part of the content, which is the whole content of nearly every document.
    first_part: Bytes,
    /// The number of the last part.
    last_part: i64,
}

columns! {
    /// A row of `documents`, with the first part of its content.
    struct DocumentRow {
        content_type: String = "d.content_type",
        etag: String = "d.etag",
        updated_at: Timestamp = "d.updated_at",
        blob: i64 = "d.blob",
        length: i64 = "d.length",
        first_part: Option<Vec<u8>> = "b.bytes",
        last_part: Option<i64> = "(SELECT MAX(l.part) FROM blobs l WHERE l.org = $1 AND l.blob = d.blob)",
    }
}

impl DocumentRow {
    fn into_document(self, org: i64) -> Result<StoredDocument, StoreError> {
        let no_content = || StoreError::corrupt("document", "its content is missing");
        let length = u64::try_from(self.length).map_err(|error| StoreError::corrupt("document", error))?;
        Ok(StoredDocument {
            content_type: self.content_type,
            etag: self.etag,
            updated_at: self.updated_at,
            length,
            key: BlobKey::new(org, self.blob),
            first_part: self.first_part.ok_or_else(no_content)?.into(),
            last_part: self.last_part.ok_or_else(no_content)?,
        })
    }
}

/// The key columns of a [`DocumentSet`].
struct SetKey {
    kind: i16,
    activity: Vec<u8>,
    agent: Vec<u8>,
    registration: Option<Uuid>,
}

impl SetKey {
    fn from_set(set: &DocumentSet) -> Self {
        let (kind, activity, agent, registration) = match set {
            DocumentSet::States {
                activity,
                agent,
                registration,
            } => (1, Some(activity), Some(agent), *registration),
            DocumentSet::AgentProfile { agent } => (2, None, Some(agent), None),
            DocumentSet::ActivityProfile { activity } => (3, Some(activity), None, None),
        };
        Self {
            kind,
            activity: activity.map(|activity| digest(activity)).unwrap_or_default(),
            agent: agent.map(digest_of).unwrap_or_default(),
            registration,
        }
    }

    /// Appends the condition on `documents d` for all documents of the set. Without a registration, these are the
    /// documents of every registration.
    fn push_set_condition(&self, sql: &mut Sql, org: i64) {
        sql.push(" d.org = ").bind(org);
        sql.push(" AND d.kind = ").bind(self.kind);
        sql.push(" AND d.activity = ").bind(self.activity.clone());
        sql.push(" AND d.agent = ").bind(self.agent.clone());
        if let Some(registration) = self.registration {
            sql.push(" AND d.registration = ").bind(registration);
        }
    }

    /// Appends the condition on `documents d` for the document with this id.
    fn push_document_condition(&self, sql: &mut Sql, org: i64, id: &str) {
        self.push_set_condition(sql, org);
        if self.registration.is_none() {
            sql.push(" AND d.registration = ").bind(Uuid::nil());
        }
        sql.push(" AND d.name_digest = ").bind(digest(id));
    }
}

impl Store {
    /// Finds the document with this id, if the caller may read it.
    pub async fn find_document(
        &self,
        reach: &DocumentReach,
        set: &DocumentSet,
        id: &str,
    ) -> Result<Option<StoredDocument>, StoreError> {
        let Some(org) = self.organisation_key(reach.org()).await? else {
            return Ok(None);
        };
        if !self.may_read_documents(reach, set, org).await? {
            return Ok(None);
        }
        // One query reads the row and the first part of its content: before a second one, a write could replace both.
        let mut sql = Sql::new(&format!(
            "SELECT {} FROM documents d LEFT JOIN blobs b ON b.org = d.org AND b.blob = d.blob AND b.part = 0 WHERE",
            DocumentRow::COLUMNS
        ));
        SetKey::from_set(set).push_document_condition(&mut sql, org, id);
        let row: Option<DocumentRow> = self.db().fetch_row(sql).await?;
        row.map(|row| row.into_document(org)).transpose()
    }

    /// Streams the content of a document, as fast as the caller takes it; see [`Store::blob`]. The stream ends with an
    /// error if the document has several parts and is replaced meanwhile.
    pub fn stream_document(
        &self,
        document: StoredDocument,
    ) -> impl Stream<Item = Result<Bytes, StoreError>> + Send + use<> + 'static {
        self.blob_after(document.key, document.first_part, document.last_part)
    }

    /// Lists the ids of the set's documents in alphabetical order, each id once. With `since`, only documents that were
    /// written after that moment are listed. The ids have at most `bytes` bytes together; a page with more has not all of
    /// them.
    pub async fn list_document_ids(
        &self,
        reach: &DocumentReach,
        set: &DocumentSet,
        since: Option<Timestamp>,
        bytes: usize,
    ) -> Result<Page<String>, StoreError> {
        let Some(org) = self.organisation_key(reach.org()).await? else {
            return Ok(Page::empty());
        };
        if !self.may_read_documents(reach, set, org).await? {
            return Ok(Page::empty());
        }
        let mut sql = Sql::new("SELECT d.name FROM documents d WHERE");
        SetKey::from_set(set).push_set_condition(&mut sql, org);
        if let Some(since) = since {
            sql.push(" AND d.updated_at > ").bind(since.micros());
        }
        let limits = PageLimits {
            rows: usize::MAX,
            bytes,
        };
        let rows: Page<(String,)> = self.db().fetch_page(sql, limits).await?;
        let mut ids = rows.map(|(id,)| id);
        // Sorted here, because the two databases sort text in different ways.
        ids.items.sort_unstable();
        ids.items.dedup();
        Ok(ids)
    }

    /// Whether the caller may read the documents of the set.
    async fn may_read_documents(
        &self,
        reach: &DocumentReach,
        set: &DocumentSet,
        org: i64,
    ) -> Result<bool, StoreError> {
        if reach.attempt().is_some_and(|attempt| !set.is_of_attempt(attempt)) {
            return Ok(false);
        }
        let (agents, agent) = match set {
            DocumentSet::States { agent, .. } => (reach.states(), agent),
            DocumentSet::AgentProfile { agent } => (reach.profiles(), agent),
            DocumentSet::ActivityProfile { .. } => return Ok(reach.profiles().is_some()),
        };
        match agents {
            None => Ok(false),
            Some(Agents::All) => Ok(true),
            Some(Agents::Only {
                user,
                account_home_page,
            }) => self.is_agent_of_user(org, agent, user, account_home_page).await,
        }
    }

    /// Whether the agent is this user now.
    async fn is_agent_of_user(
        &self,
        org: i64,
        agent: &Identifier,
        user: &UserId,
        account_home_page: &str,
    ) -> Result<bool, StoreError> {
        let select = Sql::new(
            "SELECT u.id FROM persons p JOIN users u ON u.org = p.org AND u.key = p.user_key \
             WHERE p.org = $1 AND p.digest = $2 AND p.valid_until IS NULL",
        );
        let owner: Option<(UserId,)> = self
            .db()
            .fetch_row(select.with(org).with(digest_of(agent)))
            .await?;
        Ok(match owner {
            Some((owner,)) => owner == *user,
            // An account belongs to its user even if the directory does not have the user.
            None => matches!(agent, Identifier::Account { home_page, name }
                if home_page == account_home_page && name == user.as_str()),
        })
    }
}
