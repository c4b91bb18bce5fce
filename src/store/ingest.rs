//! Taking records in: the recorder and its queues, the writer of a batch, and what records name.
//!
//! It uses `db`.

pub(crate) mod activity_rows;
pub(crate) mod attachments;
pub(crate) mod claims;
pub(crate) mod cmi5;
pub(crate) mod completion_check;
pub(crate) mod definitions;
pub(crate) mod demands;
pub(crate) mod identifier_cache;
pub(crate) mod import_steps;
pub(crate) mod latest_completions;
pub(crate) mod latest_names;
mod marked_work;
pub(crate) mod new_records;
pub(crate) mod notes;
pub(crate) mod periods;
pub(crate) mod persons;
pub(crate) mod rebuild;
pub(crate) mod rebuilt_names;
mod record_names;
pub(crate) mod recorder;
pub(crate) mod references;
pub(crate) mod reprojection;
pub(crate) mod scorm_attempts;
pub(crate) mod sessions;
pub(crate) mod stored_statement;
pub(crate) mod submission;
pub(crate) mod transfers;
pub(crate) mod writer;
