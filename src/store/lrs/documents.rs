//! The documents of xAPI: states, agent profiles and Activity profiles (xAPI 1.0.3, Communication 2.2;
//! product text, section 10).
//!
//! A document is a row here and its content a blob. Reading one takes a [`DocumentReach`]; there is no other way.
//! Writing takes a [`Precondition`], which is judged within the transaction that writes: an organisation's
//! writes follow each other, so what was judged is what is there at the commit, and of two that both mean to
//! replace the same document one is refused.
//!
//! An agent is the identifier that was asked with. A user's other identifiers lead to other documents, even where
//! the directory knows that they are one person: content asks again with what it wrote with, and binding an
//! identifier must not make two documents of one name into one.

use bytes::Bytes;
use futures_util::Stream;
use uuid::Uuid;

use crate::access::{Agents, DocumentReach};
use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;
use crate::record::Identifier;
use crate::record::document::{self, MergeFault};

use crate::store::db::blobs::{Blob, BlobKey, Spool, SpoolError};
use crate::store::db::database::{Row, Sql};
use crate::store::db::ledger::OrgTx;
use crate::store::db::{Store, StoreError, digest};
use crate::store::ingest::persons::digest_of;

/// Whose document it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentSet {
    /// What content keeps of an agent's attempt at an Activity (xAPI 1.0.3, Communication 2.3).
    State {
        /// The Activity's IRI.
        activity: String,
        /// The agent.
        agent: Identifier,
        /// The attempt, where it has a name; the nil UUID is none.
        registration: Option<Uuid>,
    },
    /// What is kept of an agent (Communication 2.6).
    AgentProfile {
        /// The agent.
        agent: Identifier,
    },
    /// What is kept of an Activity (Communication 2.7).
    ActivityProfile {
        /// The Activity's IRI.
        activity: String,
    },
}

/// A document as it is given back. [`Store::document_content`] gives its bytes.
#[derive(Debug, Clone)]
pub struct StoredDocument {
    /// Its media type, as it was sent.
    pub content_type: String,
    /// SHA-1 of its content in hexadecimal digits, without quotation marks.
    pub etag: String,
    /// When it was last written; each writing is at least a millisecond later than the one before.
    pub updated_at: Timestamp,
    /// Bytes of its content.
    pub length: u64,
    key: BlobKey,
    /// The content's first part: of nearly all documents the whole.
    first: Bytes,
    last: i64,
}

/// What must be true of the document that is there, for it to be changed (xAPI 1.0.3, Communication 3.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Precondition {
    /// There must be one, with one of these tags.
    pub if_match: Option<ETags>,
    /// There must be none with one of these tags.
    pub if_none_match: Option<ETags>,
    /// What holds where neither is said.
    pub unsaid: DefaultPrecondition,
}

/// Tags that a client names, without quotation marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ETags {
    /// `*`: whatever document is there.
    Any,
    /// Any of these.
    Listed(Vec<String>),
}

/// What holds for a change that says no precondition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DefaultPrecondition {
    /// It is made.
    #[default]
    Allowed,
    /// It is made where no document is there yet.
    OnlyNew,
    /// It is refused.
    Refused,
}

/// A document on its way in.
#[derive(Debug, Clone)]
pub struct NewDocument {
    /// Its media type.
    pub content_type: String,
    /// Its content.
    pub content: Blob,
    /// Whether it is merged into the document that is there, and within which limits; else it replaces it.
    pub merging: Option<MergeLimits>,
}

/// The limits of a merge, which is done in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergeLimits {
    /// Bytes that both documents may have together.
    pub both_bytes: u64,
    /// Bytes that what becomes of them may have.
    pub merged_bytes: u64,
    /// Levels of objects and arrays.
    pub depth: usize,
}

/// Why a document is not changed; what is there stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// No document is there that has one of the tags of `if_match`.
    #[error("the document has changed, or there is none")]
    NoMatch,
    /// A document is there that `if_none_match` rules out.
    #[error("there is a document already")]
    Match,
    /// A document is there, and nothing was said of it.
    #[error("there is a document already, and the request doesn't say that it knows it")]
    Unaware,
    /// Nothing was said of what is there, and it must be.
    #[error("the request doesn't say what it expects to be there")]
    NothingSaid,
    /// Only documents of the media type `application/json` are merged.
    #[error("a document that is not `application/json` can't be merged")]
    NotJson,
    /// One of the two can't be merged.
    #[error(transparent)]
    Merge(#[from] MergeFault),
    /// The documents have together more bytes than can be merged, or what becomes of them has.
    #[error("the documents are too large to be merged")]
    TooLarge,
    /// It could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ETags {
    /// Whether a document with that tag is among them. Digits may be in either case: some clients take the
    /// SHA-1 themselves.
    pub fn name(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(tags) => tags.iter().any(|tag| tag.eq_ignore_ascii_case(etag)),
        }
    }
}

impl Precondition {
    /// Judges it by the tag of the document that is there, if there is one.
    fn judge(&self, kept: Option<&str>) -> Result<(), DocumentError> {
        let among = |tags: &ETags| kept.is_some_and(|kept| tags.name(kept));
        if self.if_match.as_ref().is_some_and(|tags| !among(tags)) {
            return Err(DocumentError::NoMatch);
        }
        if self.if_none_match.as_ref().is_some_and(among) {
            return Err(DocumentError::Match);
        }
        let said = self.if_match.is_some() || self.if_none_match.is_some();
        match (self.unsaid, kept) {
            _ if said => Ok(()),
            (DefaultPrecondition::Allowed, _) | (DefaultPrecondition::OnlyNew, None) => Ok(()),
            (DefaultPrecondition::OnlyNew | DefaultPrecondition::Refused, Some(_)) => {
                Err(DocumentError::Unaware)
            }
            (DefaultPrecondition::Refused, None) => Err(DocumentError::NothingSaid),
        }
    }
}

/// Where a document stands in its table, but for its name.
struct Place {
    kind: i16,
    activity: Vec<u8>,
    agent: Vec<u8>,
    registration: Option<Uuid>,
}

impl Place {
    fn of(of: &DocumentSet) -> Self {
        let (kind, activity, agent, registration) = match of {
            DocumentSet::State {
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

    /// The condition on `documents d` for all documents there; of every registration where none is named.
    fn push_all(&self, sql: &mut Sql, org: i64) {
        sql.push(" d.org = ").bind(org);
        sql.push(" AND d.kind = ").bind(self.kind);
        sql.push(" AND d.activity = ").bind(self.activity.clone());
        sql.push(" AND d.agent = ").bind(self.agent.clone());
        if let Some(registration) = self.registration {
            sql.push(" AND d.registration = ").bind(registration);
        }
    }

    /// The condition for the one of that name.
    fn push_one(&self, sql: &mut Sql, org: i64, name: &str) {
        self.push_all(sql, org);
        if self.registration.is_none() {
            sql.push(" AND d.registration = ").bind(Uuid::nil());
        }
        sql.push(" AND d.name_digest = ").bind(digest(name));
    }
}

/// What a transaction must know of the document that is there.
struct Standing {
    content_type: String,
    etag: String,
    updated_at: i64,
    blob: i64,
    length: i64,
}

fn read_standing(row: &Row) -> Result<Standing, StoreError> {
    Ok(Standing {
        content_type: row.get(0)?,
        etag: row.get(1)?,
        updated_at: row.get(2)?,
        blob: row.get(3)?,
        length: row.get(4)?,
    })
}

fn read_kept(row: &Row, org: i64) -> Result<StoredDocument, StoreError> {
    let standing = read_standing(row)?;
    let gone = || StoreError::corrupt("document", "its content is gone");
    Ok(StoredDocument {
        content_type: standing.content_type,
        etag: standing.etag,
        updated_at: Timestamp::from_micros(standing.updated_at),
        length: u64::try_from(standing.length).map_err(|error| StoreError::corrupt("document", error))?,
        key: BlobKey::new(org, standing.blob),
        first: row.get::<Option<Vec<u8>>>(5)?.ok_or_else(gone)?.into(),
        last: row.get::<Option<i64>>(6)?.ok_or_else(gone)?,
    })
}

impl Store {
    /// The document of that name, if the caller may read it.
    pub async fn document(
        &self,
        reach: &DocumentReach,
        of: &DocumentSet,
        name: &str,
    ) -> Result<Option<StoredDocument>, StoreError> {
        let Some(org) = self.organisation_key(reach.org()).await? else {
            return Ok(None);
        };
        if !self.may_read_document(reach, of, org).await? {
            return Ok(None);
        }
        // The row and the beginning of its content in one question: another one could find it replaced.
        let mut sql = Sql::new(
            "SELECT d.content_type, d.etag, d.updated_at, d.blob, d.length, b.bytes, \
             (SELECT MAX(l.part) FROM blobs l WHERE l.org = d.org AND l.blob = d.blob) \
             FROM documents d LEFT JOIN blobs b ON b.org = d.org AND b.blob = d.blob AND b.part = 0 WHERE",
        );
        Place::of(of).push_one(&mut sql, org, name);
        let row = self.db().fetch_optional(sql).await?;
        row.as_ref().map(|row| read_kept(row, org)).transpose()
    }

    /// A document's content, as fast as it is taken; see [`Store::blob`]. Only a large document that is
    /// replaced meanwhile ends in an error.
    pub fn document_content(
        &self,
        document: StoredDocument,
    ) -> impl Stream<Item = Result<Bytes, StoreError>> + Send + use<> + 'static {
        self.blob_after(document.key, document.first, document.last)
    }

    /// The names of the documents there, each once, in their order as text: of every registration where a state's
    /// owner names none, and only those written after `since`.
    pub async fn list_document_names(
        &self,
        reach: &DocumentReach,
        of: &DocumentSet,
        since: Option<Timestamp>,
    ) -> Result<Vec<String>, StoreError> {
        let Some(org) = self.organisation_key(reach.org()).await? else {
            return Ok(Vec::new());
        };
        if !self.may_read_document(reach, of, org).await? {
            return Ok(Vec::new());
        }
        let mut sql = Sql::new("SELECT d.name FROM documents d WHERE");
        Place::of(of).push_all(&mut sql, org);
        if let Some(since) = since {
            sql.push(" AND d.updated_at > ").bind(since.micros());
        }
        let rows = self.db().fetch_all(sql).await?;
        let mut names: Vec<String> = rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
        // Sorted here, since the databases have orders of their own for text.
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// Whether the reach goes as far as these documents.
    async fn may_read_document(
        &self,
        reach: &DocumentReach,
        of: &DocumentSet,
        org: i64,
    ) -> Result<bool, StoreError> {
        let (agents, agent) = match of {
            DocumentSet::State { agent, .. } => (reach.states(), agent),
            DocumentSet::AgentProfile { agent } => (reach.profiles(), agent),
            DocumentSet::ActivityProfile { .. } => return Ok(reach.profiles().is_some()),
        };
        let (user, account_home_page) = match agents {
            None => return Ok(false),
            Some(Agents::All) => return Ok(true),
            Some(Agents::Only {
                user,
                account_home_page,
            }) => (user, account_home_page),
        };
        let owner = Sql::new(
            "SELECT u.id FROM persons p JOIN users u ON u.org = p.org AND u.key = p.user_key \
             WHERE p.org = $1 AND p.digest = $2",
        );
        let owner = owner.with(org).with(digest_of(agent));
        Ok(match self.db().fetch_optional(owner).await? {
            Some(row) => row.get::<String>(0)? == user.as_str(),
            // The directory needn't know a user for their account to be theirs.
            None => matches!(agent, Identifier::Account { home_page, name }
                if home_page == account_home_page && name == user.as_str()),
        })
    }

    /// Keeps a document under that name, instead of the one that is there or merged into it.
    ///
    /// # Errors
    ///
    /// [`DocumentError`]; nothing is changed then.
    pub async fn write_document(
        &self,
        organisation: &OrgId,
        of: &DocumentSet,
        name: &str,
        precondition: &Precondition,
        document: NewDocument,
    ) -> Result<(), DocumentError> {
        let place = Place::of(of);
        let mut tx = self.write(organisation).await?;
        let standing = tx.standing_document(&place, name).await?;
        precondition.judge(standing.as_ref().map(|standing| standing.etag.as_str()))?;
        let content = match (&standing, document.merging) {
            (Some(standing), Some(limits)) => tx.merged(standing, &document, limits).await?,
            _ => document.content,
        };
        let blob = tx.insert_blob(&content).await?;
        if let Some(standing) = &standing {
            tx.delete_blob(standing.blob).await?;
        }
        let before = standing.map_or(i64::MIN, |standing| standing.updated_at);
        let updated_at = tx.stored_now().micros().max(before.saturating_add(1_000));
        let upsert = Sql::new(
            "INSERT INTO documents (org, kind, activity, agent, registration, name_digest, name, content_type, \
             etag, updated_at, blob, length) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
             ON CONFLICT (org, kind, activity, agent, registration, name_digest) DO UPDATE SET \
             content_type = excluded.content_type, etag = excluded.etag, updated_at = excluded.updated_at, \
             blob = excluded.blob, length = excluded.length",
        );
        let length = i64::try_from(content.length).map_err(|_| DocumentError::TooLarge)?;
        let upsert = upsert
            .with(tx.org)
            .with(place.kind)
            .with(place.activity)
            .with(place.agent)
            .with(place.registration.unwrap_or_default())
            .with(digest(name))
            .with(name)
            .with(document.content_type)
            .with(etag(&content))
            .with(updated_at)
            .with(blob)
            .with(length);
        tx.execute(upsert).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Deletes the document of that name; content where there is none.
    ///
    /// # Errors
    ///
    /// [`DocumentError`]; nothing is changed then.
    pub async fn delete_document(
        &self,
        organisation: &OrgId,
        of: &DocumentSet,
        name: &str,
        precondition: &Precondition,
    ) -> Result<(), DocumentError> {
        if self.organisation_key(organisation).await?.is_none() {
            return precondition.judge(None);
        }
        let place = Place::of(of);
        let mut tx = self.write(organisation).await?;
        let standing = tx.standing_document(&place, name).await?;
        precondition.judge(standing.as_ref().map(|standing| standing.etag.as_str()))?;
        if let Some(standing) = standing {
            let mut delete = Sql::new("DELETE FROM documents AS d WHERE");
            place.push_one(&mut delete, tx.org, name);
            tx.execute(delete).await?;
            tx.delete_blob(standing.blob).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Deletes all documents there: of every registration where a state's owner names none.
    pub async fn delete_documents(&self, organisation: &OrgId, of: &DocumentSet) -> Result<(), StoreError> {
        if self.organisation_key(organisation).await?.is_none() {
            return Ok(());
        }
        let place = Place::of(of);
        let mut tx = self.write(organisation).await?;
        let mut blobs = Sql::new("DELETE FROM blobs WHERE org = ");
        blobs.bind(tx.org);
        blobs.push(" AND blob IN (SELECT d.blob FROM documents d WHERE");
        place.push_all(&mut blobs, tx.org);
        blobs.push(")");
        tx.execute(blobs).await?;
        let mut rows = Sql::new("DELETE FROM documents AS d WHERE");
        place.push_all(&mut rows, tx.org);
        tx.execute(rows).await?;
        tx.commit().await
    }
}

impl OrgTx {
    async fn standing_document(&mut self, place: &Place, name: &str) -> Result<Option<Standing>, StoreError> {
        let mut sql =
            Sql::new("SELECT d.content_type, d.etag, d.updated_at, d.blob, d.length FROM documents d WHERE");
        place.push_one(&mut sql, self.org, name);
        let row = self.fetch_optional(sql).await?;
        row.as_ref().map(read_standing).transpose()
    }

    /// What becomes of the document that is there when the new one is merged into it.
    async fn merged(
        &mut self,
        standing: &Standing,
        new: &NewDocument,
        limits: MergeLimits,
    ) -> Result<Blob, DocumentError> {
        if !document::is_json(&standing.content_type) || !document::is_json(&new.content_type) {
            return Err(DocumentError::NotJson);
        }
        let length = u64::try_from(standing.length).unwrap_or(u64::MAX);
        if length.saturating_add(new.content.length) > limits.both_bytes {
            return Err(DocumentError::TooLarge);
        }
        let posted = new.content.bytes().await.map_err(StoreError::File)?;
        let kept = self.read_blob(standing.blob).await?;
        // Megabytes take their time, and others wait for this thread.
        let merging = tokio::task::spawn_blocking(move || document::merge(&kept, &posted, limits.depth));
        let merged = merging.await.map_err(|_| StoreError::Closed)??;
        let mut spool = Spool::new(limits.merged_bytes);
        let taken = spool.push(merged).await;
        let blob = match taken {
            Ok(()) => spool.finish().await,
            Err(error) => Err(error),
        };
        blob.map_err(|error| match error {
            SpoolError::TooLarge => DocumentError::TooLarge,
            SpoolError::Io(error) => StoreError::File(error).into(),
        })
    }
}

/// The tag of a content: its SHA-1 in hexadecimal digits (xAPI 1.0.3, Communication 3.1).
fn etag(content: &Blob) -> String {
    content.sha1.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn these(tags: &[&str]) -> Option<ETags> {
        Some(ETags::Listed(tags.iter().map(|&tag| tag.to_owned()).collect()))
    }

    fn judged(
        if_match: Option<ETags>,
        if_none_match: Option<ETags>,
        unsaid: DefaultPrecondition,
        kept: Option<&str>,
    ) -> &'static str {
        let precondition = Precondition {
            if_match,
            if_none_match,
            unsaid,
        };
        match precondition.judge(kept) {
            Ok(()) => "ok",
            Err(DocumentError::NoMatch) => "no match",
            Err(DocumentError::Match) => "match",
            Err(DocumentError::Unaware) => "unaware",
            Err(DocumentError::NothingSaid) => "nothing said",
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_precondition_is_judged_by_what_is_there() {
        let any = || Some(ETags::Any);
        let table = [
            (these(&["a"]), None, None, "no match"),
            (these(&["a"]), None, Some("a"), "ok"),
            (these(&["b", "A"]), None, Some("a"), "ok"),
            (these(&["b"]), None, Some("a"), "no match"),
            (any(), None, Some("a"), "ok"),
            (any(), None, None, "no match"),
            (None, any(), None, "ok"),
            (None, any(), Some("a"), "match"),
            (None, these(&["a"]), Some("a"), "match"),
            (None, these(&["b"]), Some("a"), "ok"),
            (None, these(&["a"]), None, "ok"),
            (these(&["a"]), these(&["a"]), Some("a"), "match"),
            (these(&["a"]), these(&["b"]), Some("a"), "ok"),
            (these(&["b"]), any(), Some("a"), "no match"),
        ];
        for (if_match, if_none_match, kept, expected) in table {
            // What was said counts alone, whatever holds where nothing is said.
            for unsaid in [
                DefaultPrecondition::Allowed,
                DefaultPrecondition::OnlyNew,
                DefaultPrecondition::Refused,
            ] {
                let judged = judged(if_match.clone(), if_none_match.clone(), unsaid, kept);
                assert_eq!(judged, expected, "{if_match:?} {if_none_match:?} {kept:?}");
            }
        }
    }

    #[test]
    fn where_nothing_is_said_it_depends() {
        let table = [
            (DefaultPrecondition::Allowed, None, "ok"),
            (DefaultPrecondition::Allowed, Some("a"), "ok"),
            (DefaultPrecondition::OnlyNew, None, "ok"),
            (DefaultPrecondition::OnlyNew, Some("a"), "unaware"),
            (DefaultPrecondition::Refused, None, "nothing said"),
            (DefaultPrecondition::Refused, Some("a"), "unaware"),
        ];
        for (unsaid, kept, expected) in table {
            assert_eq!(judged(None, None, unsaid, kept), expected, "{unsaid:?} {kept:?}");
        }
    }
}
