//! Reading the Activity Log: rows, summaries, facets, progress, timelines, notes, completions,
//! answers, attempts.
//!
//! It uses `db`, `ingest`, `directory` and `lrs`.

pub(crate) mod answers;
mod arrival;
pub(crate) mod attempts;
pub(crate) mod changes;
pub(crate) mod completions;
pub(crate) mod conditions;
pub(crate) mod content_records;
pub(crate) mod counting;
pub(crate) mod export_links;
pub(crate) mod facets;
pub(crate) mod log;
pub(crate) mod new_rows;
pub(crate) mod notes;
mod pages;
pub(crate) mod progress;
pub(crate) mod rows;
pub(crate) mod scorm;
mod sources;
pub(crate) mod summary;
pub(crate) mod timeline;
pub(crate) mod views;
