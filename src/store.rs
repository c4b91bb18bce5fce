//! The only room with SQL: everything that is kept, on SQLite and on PostgreSQL.
//!
//! One handle, [`Store`], cheap to clone. A file for each thing that is kept:
//!
//! | file | keeps |
//! | --- | --- |
//! | `recorder` | takes records in, batched by what is waiting; `writer` is one batch's transaction |
//! | `persons`, `seen`, `said` | who and what records name, what has been seen of it, and what they say of it |
//! | `sessions` | which login is a visit |
//! | `reproject` | rows whose content changed what it is or demands; `rebuild` replays everything |
//! | `statements` | reads records as statements |
//! | `definitions`, `agents` | what Activities are, and who agents are, as all records together say it |
//! | `blobs` | bytes that clients send; `attachments` and `documents` are such |
//! | `log` | reads the log: the only way to it is a `Scoped` question; `reach` turns scopes into persons |
//! | `summary`, `facets`, `progress` | count the log, and say where everybody stands with a content |
//! | `notes`, `timeline` | notes about users, and their timeline with the log |
//! | `completions` | who is to be marked as complete |
//! | `runs`, `link_keys` | what is being sent, and by which replica; what download links are signed with |
//! | `reports`, `report_keys` | saved reports, and the keys that open one |
//! | `schedules`, `deliveries` | when reports are sent, and what became of each sending |
//! | `contacts` | one user, for whoever writes to them or acts in their name |
//! | `cards` | names, titles and tags that rows are joined with |
//! | `organisations`, `credentials`, `users`, `teams`, `groups`, `contents` | the rest |
//!
//! Underneath: `db` (connections, statements, transactions), `dialect` (where the two databases
//! differ), `ledger` (a writing transaction in an organisation's name), `migrations`.
//!
//! What it promises: nothing is read or written across organisations; a writing transaction commits as a
//! whole or changes nothing; the order of `seq` is the order of commit.

mod agents;
mod attachments;
mod blobs;
mod cards;
mod completions;
mod contacts;
mod contents;
mod credentials;
mod db;
mod definitions;
mod deliveries;
mod dialect;
mod directory;
mod documents;
mod faces;
mod facets;
mod groups;
mod ledger;
mod link_keys;
mod log;
mod migrations;
mod notes;
mod organisations;
mod persons;
mod progress;
mod promises;
mod reach;
mod rebuild;
mod recorder;
mod report_keys;
mod reports;
mod reproject;
mod resolve;
mod runs;
mod said;
mod schedules;
mod sealed;
mod seen;
mod sessions;
mod statements;
mod summary;
mod teams;
mod timeline;
mod users;
mod writer;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;

pub use agents::KnownAgent;
pub use attachments::{KeptAttachment, NewAttachment};
pub use blobs::{Blob, BlobKey, Spool, SpoolError};
pub use cards::Cards;
pub use completions::{Asked, Foreseen, Marking, MarkingRefusal, Needed, Target, ToMark};
pub use contacts::Contact;
pub use credentials::StoredCredential;
pub use db::DatabaseSettings;
pub use deliveries::{Ending, KeptDelivery, KeptRecipient};
pub use directory::WriteError;
pub use documents::{
    DocumentError, DocumentOf, ETags, KeptDocument, Merging, NewDocument, Precondition, Unsaid,
};
pub use link_keys::LinkedRun;
pub use log::{Detail, Page};
pub use migrations::SchemaState;
pub use notes::{NewNote, NoteRefusal};
pub use organisations::{CallerFacts, Organisation, OrganisationChange};
pub use persons::ClaimConflict;
pub use progress::{PersonStanding, Progress, ProgressPage, Survey};
pub use recorder::{Incoming, Mark, RecordError, Recorded, Sameness, Submission};
pub use report_keys::{KeptReportKey, KeyRefusal, MAX_REPORT_KEYS, OpenedByKey};
pub use reports::{KeptReport, MAX_REPORTS, NewReport, ReportFilter, ReportRefusal};
pub use resolve::Resolution;
pub use runs::{
    Claim, ClaimedRecipient, DueBatch, DuePlace, DueSchedule, RecipientState, RunEnd, SentMessage,
};
pub use schedules::{KeptSchedule, KeptTiming, MAX_SCHEDULES, NewSchedule, PendingRun, ScheduleRefusal};
pub use statements::{KeptStatement, StatementQuery, Voidedness};
pub use timeline::Timeline;

use crate::clock::Clock;
use crate::ids::OrgId;
use crate::log::VerbTable;
use db::Db;
use promises::Promises;
use recorder::Recorder;

/// What goes wrong beneath: never the client's doing, and never told to it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The setting names no database that Rollbook speaks to.
    #[error("the database must be given as `sqlite:PATH` or `postgres://user:password@host/name`")]
    UnknownDatabase,
    /// No connection could be made.
    #[error("can't connect to the database: {0}")]
    Connect(#[source] sqlx::Error),
    /// The database refused or failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the schema could not be migrated: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A statement of ours is wrong.
    #[error("a query is wrong: {0}")]
    Query(&'static str),
    /// What is kept can't be read back as what it was.
    #[error("a kept {what} can't be read: {detail}")]
    Corrupt {
        /// What it is.
        what: &'static str,
        /// Why it can't be read.
        detail: String,
    },
    /// The writer's thread could not be started.
    #[error("the writer's thread can't be started: {0}")]
    Thread(#[source] std::io::Error),
    /// What was received can't be read from its temporary file.
    #[error("a temporary file can't be read: {0}")]
    File(#[source] std::io::Error),
    /// The store is closing and takes nothing more.
    #[error("the store is closing")]
    Closed,
}

impl StoreError {
    /// Whether trying again later may help: no connection was free, or the store is closing.
    pub fn is_busy(&self) -> bool {
        matches!(
            self,
            Self::Closed | Self::Database(sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed)
        )
    }

    pub(crate) fn corrupt(what: &'static str, detail: impl ToString) -> Self {
        Self::Corrupt {
            what,
            detail: detail.to_string(),
        }
    }
}

/// The store, cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    /// The way in for records; the writer's own handle has none.
    recorder: Option<Recorder>,
}

struct Inner {
    db: Db,
    clock: Clock,
    verbs: VerbTable,
    runtime: Handle,
    /// Organisations that are there for sure, by id: they are never removed.
    organisations: Mutex<HashMap<OrgId, i64>>,
    promises: Promises,
    /// Facets that took long to count.
    facets: facets::KeptFacets,
    /// Told when contents are marked for projecting again.
    reprojection: tokio::sync::Notify,
    /// Told when a run was made by hand.
    sending: tokio::sync::Notify,
}

/// Organisations remembered at most; past it the memory is emptied and fills again.
const REMEMBERED_ORGANISATIONS: usize = 100_000;

impl Store {
    /// Connects, without touching the schema. Called within a Tokio runtime that outlives the store: its
    /// writer and its streams run there.
    pub async fn open(
        settings: &DatabaseSettings,
        clock: Clock,
        verbs: VerbTable,
    ) -> Result<Self, StoreError> {
        let db = Db::open(settings).await?;
        let (recorder, work) = Recorder::new();
        let inner = Inner {
            db,
            clock,
            verbs,
            runtime: Handle::current(),
            organisations: Mutex::default(),
            promises: Promises::default(),
            facets: facets::KeptFacets::default(),
            reprojection: tokio::sync::Notify::new(),
            sending: tokio::sync::Notify::new(),
        };
        let store = Self {
            inner: Arc::new(inner),
            recorder: Some(recorder),
        };
        store.start_writer(work)?;
        Ok(store)
    }

    /// Brings the schema up to this binary's version.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.inner.db.migrate().await
    }

    /// Compares the database's schema with this binary's; fails where the database doesn't answer.
    pub async fn schema_state(&self) -> Result<SchemaState, StoreError> {
        self.inner.db.schema_state().await
    }

    /// Whether this store migrates by itself when it serves: SQLite does.
    pub fn migrates_itself(&self) -> bool {
        self.db().engine() == db::Engine::Sqlite
    }

    /// Waits until everything taken in is committed, then closes all connections.
    pub async fn close(&self) {
        if let Some(recorder) = &self.recorder {
            recorder.finish().await;
        }
        self.inner.db.close().await;
    }

    /// The clock everything here asks.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// The verb table that the projection reads.
    pub fn verbs(&self) -> &VerbTable {
        &self.inner.verbs
    }

    fn without_recorder(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            recorder: None,
        }
    }

    fn promises(&self) -> &Promises {
        &self.inner.promises
    }

    fn db(&self) -> &Db {
        &self.inner.db
    }

    fn remembered(&self, organisation: &OrgId) -> Option<i64> {
        let known = self
            .inner
            .organisations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known.get(organisation).copied()
    }

    fn remember(&self, organisation: &OrgId, key: i64) {
        let mut known = self
            .inner
            .organisations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED_ORGANISATIONS {
            known.clear();
        }
        known.insert(organisation.clone(), key);
    }
}

/// SHA-256 of a text: what freely chosen texts are unique by.
fn digest(text: &str) -> Vec<u8> {
    Sha256::digest(text.as_bytes()).to_vec()
}
