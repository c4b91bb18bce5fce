//! All SQL: everything that is stored, on SQLite and on PostgreSQL.
//!
//! [`Store`] is the handle, cheap to clone. Each folder holds one subject and uses only the folders above it in this
//! table:
//!
//! | folder | holds |
//! | --- | --- |
//! | `db` | connections, SQL texts, the dialects, migrations, the writing transaction of an organisation |
//! | `ingest` | the recorder, the writer of a batch, persons, names, sessions, references, reprojection, rebuild |
//! | `directory` | users, teams, groups, contents, organisations, credentials; the persons that a reach covers |
//! | `lrs` | statements, documents, definitions, agents, attachments |
//! | `cmi5` | launches, waivers and abandoned sessions of cmi5 |
//! | `activity_log` | the log, summary, facets, progress, timeline, notes, completions, answers, attempts, views for BI tools |
//! | `reports` | saved reports, schedules, runs, deliveries, keys |
//! | `imports` | bulk imports: their bytes, progress, rejected rows and workers |
//! | `archive` | all rows of an organisation, to move it to another database |
//!
//! Nothing is read or written across organisations. A writing transaction commits as a whole or changes nothing. The
//! order of `seq` is the order of commit.

mod activity_log;
pub(crate) mod archive;
mod cmi5;
mod db;
mod directory;
mod imports;
mod ingest;
mod lrs;
mod reports;
mod subscriptions;

pub(crate) use directory::contents::Contents;
pub(crate) use directory::groups::Groups;
pub(crate) use directory::keyed::Collection;
pub(crate) use directory::teams::Teams;
pub(crate) use directory::users::Users;

pub use activity_log::answers::{AnswerReader, AnswerRecord, AttemptReader};
pub use activity_log::attempts::{AttemptRecord, StoredFile, SubmissionReader, SubmissionRecord};
pub use activity_log::changes::LogChange;
pub use activity_log::completions::{
    MarkingNote, MarkingPlan, MarkingRefusal, MarkingRequest, MarkingTarget, NoteSubject, PendingMark,
    PlannedOutcome,
};
pub use activity_log::content_records::{ContentRecords, RecordKind};
pub use activity_log::counting::COUNTS;
pub use activity_log::export_links::{ExportLink, NewExportLink};
pub use activity_log::facets::FacetCache;
pub use activity_log::log::Page;
pub(crate) use activity_log::new_rows::{LogHead, NewRow, Owner, VisibleRows};
pub use activity_log::notes::{NewNote, NoteRefusal};
pub use activity_log::progress::{ContentProgress, PeopleCounts, PersonStatus, ProgressPage, StateSurvey};
pub use activity_log::rows::{BriefRow, Detail, FileRow};
pub use activity_log::scorm::{IdleAttempt, ScormLearner, ScormPackage, StoredAttempt};
pub use activity_log::timeline::TimelineRequest;
pub use activity_log::views::{ViewSchema, ViewSet, ViewsError};
pub use cmi5::{Cmi5Launch, Fetched, LaunchWaiveRefusal};
pub use db::blobs::{Blob, BlobKey, Spool, SpoolError};
pub use db::changes::ChangePage;
pub use db::column_cache::DEFAULT_COUNTING_MEMORY_BYTES;
pub use db::commits::CommitReceiver;
pub(crate) use db::commits::Committed;
pub use db::dialect::observe_sql;
pub use db::distribution::{Cluster, ClusterNode, DistributionError, REFERENCE_TABLES};
pub use db::migrations::SchemaState;
pub use db::opening::DatabaseSettings;
pub use db::organisations::{CallerFacts, Organisation};
pub use db::page_rows::PageLimits;
pub use db::pool_metrics::{CONNECTIONS, LOST, MAX_CONNECTIONS, WAIT_SECONDS};
pub use db::replica::REPLICA_READS;
pub use db::row_stream::SkippedRows;
pub use db::sqlite_file::ServingLock;
pub use db::sqlite_file::file_of;
pub use db::sqlite_upkeep::DEFAULT_SQLITE_CACHE_BYTES;
pub(crate) use db::unreadable::skip_unreadable;
pub use db::unreadable::{UNREADABLE, report_unreadable};
pub use db::{Store, StoreError, WriteFault};
pub use directory::changes::{ChangedResource, Resource, ResourceChange, ResourceEffect, VisibleResources};
pub use directory::contacts::Contact;
pub use directory::courses::{
    CourseProgress, ElementProgress, ImportedCourse, StoredCourse, StoredElement, StoredKind,
    StoredObjective, Texts,
};
pub use directory::credentials::StoredCredential;

pub use directory::details::UserKey;
pub use directory::keyed::{ListPart, WriteError};
pub use directory::launches::{
    CreatedLaunch, LaunchFilter, LaunchRefusal, NewLaunch, OpenedLaunch, StoredLaunch,
};
pub use directory::lookups::Lookups;
pub use directory::organisations::OrganisationChange;
pub use directory::resolve::Resolution;
pub use imports::claims::{ClaimScope, ImportClaim, ImportEnd};
pub(crate) use imports::uploads::PART_BYTES;
pub use imports::uploads::{ImportUpload, NewImport, Upload, WaitingLimits};
pub use imports::{ImportStatus, StoredImport, StoredRejection};
pub use ingest::attachments::NewAttachment;
pub use ingest::cmi5::WaiveRefusal;
pub use ingest::completion_check::CompletionCheck;
pub use ingest::recorder::{
    BATCH_RECORDS, QUEUE_SECONDS, RECORDS, Recorder, RecorderOptions, WAITING, WRITE_SECONDS,
};
pub use ingest::submission::{
    CompletionMark, IdConflict, ImportStep, Incoming, RecordError, Recorded, Rejection, Sameness, Submission,
};
pub use lrs::agents::KnownAgent;
pub use lrs::attachments::StoredAttachment;
pub use lrs::documents::{
    DefaultPrecondition, DocumentError, DocumentSet, ETags, MergeLimits, NewDocument, Precondition,
    StoredDocument,
};
pub use lrs::statements::forwarding::RecordPart;
pub use lrs::statements::{StatementQuery, StoredRecord, Voidedness};
pub use reports::backlog::BACKLOG;
pub use reports::deliveries::{DeliveryWithRecipients, StoredDelivery, StoredRecipient};
pub use reports::link_keys::LinkedRun;
pub use reports::report_keys::{MAX_REPORT_KEYS, OpenedByKey, StoredReportKey};
pub use reports::resource::ReportRefusal;
pub(crate) use reports::resource::ReportResource;
pub use reports::runs::{
    Claim, ClaimedRecipient, DueBatch, DueOrganisation, DuePosition, DueSchedule, RecipientState,
    RecipientStatus, RunEnd, RunStatus, RunTerms, SentMessage,
};
pub use reports::saved_reports::{
    Handover, MAX_REPORTS, NewReport, ReportChange, ReportFilter, StoredReport, Widening,
};
pub use reports::schedules::{
    MAX_SCHEDULES, NewSchedule, PendingRun, ScheduleFilter, StoredSchedule, StoredTiming,
};
pub use reports::suspensions::SuspendedSchedule;
pub use subscriptions::claims::{Noted, Progress, SubscriptionClaim, Tenure};
pub use subscriptions::deliveries::{DeliveryKind, DeliveryNote, DeliveryStatus, SubscriptionDelivery, Try};
pub use subscriptions::resource::{
    MAX_SUBSCRIPTIONS, StoredSecret, StoredSubscription, SubscriptionContent, SubscriptionFormat,
    SubscriptionRefusal,
};
