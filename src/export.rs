//! Exports of the log: CSV for people, NDJSON for programs and Parquet for analysis.
//!
//! [`csv()`] and [`ndjson()`] take a [`Scoped`] filter and return [`Blocks`], a stream of blocks of about 64 KiB.
//! [`progress_csv`] does the same for the progress of people with one content.
//!
//! | file | content |
//! | --- | --- |
//! | [`columns`] | the columns of the CSV, as a table |
//! | `headings` | the headings of custom fields, which are unique |
//! | `blocks` | the blocks of an export, and the task that writes them |
//! | [`cell`] | writing and escaping one cell |
//! | `rendered` | the cells of the persons, contents and verbs of previous rows |
//! | [`mod@csv`] | lines of CSV; the cells of a person, a content and a verb are rendered once and then copied |
//! | [`mod@ndjson`] | lines of NDJSON |
//! | `parquet` | row groups of Parquet, with typed columns |
//! | [`multipart`] | statements with the contents of their attachments |
//! | [`people`] | the columns of people and of one content, for the files below |
//! | [`progress`] | lines of CSV for people and their progress |
//! | [`answers`] | lines of CSV for answers to questions, and for attempts with a column for each question |
//! | [`attempts`] | lines of CSV for attempts at an exercise |
//! | [`file_links`] | links to attached files |
//! | [`transfer`] | what an export holds until it has ended, and the rules for slow readers |
//! | `queue`, [`spool`] | the blocks that wait for the reader, in memory and in a temporary file |
//!
//! All exports have these properties:
//! - The memory does not grow with the number of rows. If a client reads slowly, the blocks go to a temporary file.
//! - The database is read at full speed, so that a slow client holds neither a connection nor a snapshot.
//! - An error before the first block is returned instead of a stream. A later error is an item of the stream, also if
//!   the task that writes the export panics. A stream that ends without an error is complete,
//!   except for rows that cannot be read. These are counted ([`Blocks::skipped_rows`]).
//! - An export is stopped if the client reads too little or for too long ([`transfer::ReadingRules`]).

pub mod answers;
pub mod attempts;
mod blocks;
pub mod cell;
pub mod columns;
pub mod csv;
pub mod file_links;
mod headings;
pub mod metrics;
pub mod multipart;
pub mod ndjson;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod people;
pub mod progress;
mod queue;
mod rendered;
pub mod spool;
pub mod transfer;

use std::io;
use std::time::Duration;

use futures_util::TryStreamExt as _;

pub use blocks::Blocks;
pub use columns::ColumnSet;
pub use csv::CsvOptions;
pub use file_links::FileLinks;
pub use people::FileOptions;
pub use transfer::Transfer;

use crate::access::Scoped;
use crate::base::clock::Timestamp;
use crate::log::answers::statistics::QuestionCounter;
use crate::log::progress::StatusFilter;
use crate::log::{Filter, ResultFilter, Sort};
use crate::store::{
    AnswerRecord, ContentProgress, ContentRecords, Detail, FileRow, SkippedRows, Store, StoreError,
};
use crate::texts::Language;
use blocks::WriteLines;
use people::SharedColumns;

/// The reason why an export failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The database returned an error.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An activity could not be written as JSON.
    #[error("an activity could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Rows could not be written as Parquet.
    #[error("rows could not be written as Parquet: {0}")]
    Parquet(String),
    /// The client read too little in a window of this duration.
    #[error("the client read too little in {} seconds", .0.as_secs())]
    Stalled(Duration),
    /// The export took longer than this deadline.
    #[error("the export was not complete after {} seconds", .0.as_secs())]
    TooLong(Duration),
    /// The spool had no space for the rest, and the database waited for the client for this duration.
    #[error("the client read too slowly, and there was no space for the rest for {} seconds", .0.as_secs())]
    NoSpace(Duration),
    /// The spool file could not be read.
    #[error("the spool file of a slow export failed: {0}")]
    Spool(io::Error),
    /// The task that writes the export ended before the export was complete.
    #[error("the export was interrupted")]
    Interrupted,
}

/// Exports the rows as CSV. The file always has a heading row.
///
/// `now` is the time that relative dates refer to. The function must run in a Tokio runtime, because a task writes the
/// lines.
///
/// # Errors
///
/// Any error before the first block is complete.
pub async fn csv(
    store: &Store,
    filter: &Scoped<&Filter>,
    sort: Sort,
    now: Timestamp,
    options: CsvOptions,
    transfer: Transfer,
) -> Result<Blocks, ExportError> {
    let store = store.at_one_moment().await?;
    let fields = store.custom_fields(filter.org()).await?;
    let lines = csv::Lines::new(&store, filter.org(), options, fields);
    start_rows(
        &store,
        filter,
        sort,
        now,
        options.columns.detail(),
        lines,
        transfer,
    )
    .await
}

/// Exports the rows as NDJSON. Each line is an activity in the JSON format of the log. See [`csv()`].
///
/// # Errors
///
/// Any error before the first block is complete.
pub async fn ndjson(
    store: &Store,
    filter: &Scoped<&Filter>,
    sort: Sort,
    now: Timestamp,
    language: Language,
    transfer: Transfer,
) -> Result<Blocks, ExportError> {
    let store = store.at_one_moment().await?;
    let lines = ndjson::Lines::new(&store, filter.org(), now, language);
    let skipped = SkippedRows::default();
    let rows = store.stream_rows(filter, sort, now, &skipped).await?;
    Blocks::start(rows, lines, transfer, skipped).await
}

/// Exports the rows as Parquet, with the columns of the CSV. See [`csv()`].
///
/// # Errors
///
/// Any error before the first rows are read.
#[cfg(feature = "parquet")]
pub async fn parquet(
    store: &Store,
    filter: &Scoped<&Filter>,
    sort: Sort,
    now: Timestamp,
    columns: ColumnSet,
    language: Language,
    transfer: Transfer,
) -> Result<Blocks, ExportError> {
    let store = store.at_one_moment().await?;
    let fields = store.custom_fields(filter.org()).await?;
    let lines = parquet::Rows::new(&store, filter.org(), columns, language, fields)?;
    start_rows(&store, filter, sort, now, columns.detail(), lines, transfer).await
}

/// Starts an export of rows of the log, which need this detail. The store reads at one moment, so that names are those of
/// the start, too.
async fn start_rows(
    store: &Store,
    filter: &Scoped<&Filter>,
    sort: Sort,
    now: Timestamp,
    detail: Detail,
    lines: impl WriteLines<Item = FileRow> + 'static,
    transfer: Transfer,
) -> Result<Blocks, ExportError> {
    let skipped = SkippedRows::default();
    let rows = store
        .stream_file_rows(filter, sort, now, detail, &skipped)
        .await?;
    Blocks::start(rows, lines, transfer, skipped).await
}

/// Exports the progress of the people that `filter` selects as CSV. See [`csv()`].
///
/// # Errors
///
/// Any error before the first block is complete.
pub async fn progress_csv(
    store: &Store,
    progress: ContentProgress,
    filter: StatusFilter,
    options: FileOptions,
    transfer: Transfer,
) -> Result<Blocks, ExportError> {
    let fields = store.custom_fields(progress.org()).await?;
    let lines = progress::Lines::new(progress.content(), options, fields);
    let rows = progress.stream_people(filter);
    Blocks::start(rows, lines, transfer, SkippedRows::default()).await
}

/// Exports the answers to the questions of a content as CSV, those with one of the results. See [`csv()`].
///
/// # Errors
///
/// Any error before the first block is complete.
pub async fn answers_csv(
    store: &Store,
    records: ContentRecords,
    sort: Sort,
    results: Vec<ResultFilter>,
    options: FileOptions,
    transfer: Transfer,
) -> Result<Blocks, ExportError> {
    let columns = shared_columns(store, &records, options).await?;
    let lines = answers::AnswerLines::new(store, records.org(), columns);
    let skipped = SkippedRows::default();
    let rows = records.read_answers(sort, &skipped).into_stream();
    let rows = rows.map_ok(move |mut piece: Vec<AnswerRecord>| {
        piece.iter_mut().for_each(|record| record.keep(&results));
        piece
    });
    Blocks::start(rows, lines, transfer, skipped).await
}

/// Exports the answers as CSV with one line for each attempt, and with a column for each of these questions. See
/// [`csv()`].
///
/// # Errors
///
/// Any error before the first block is complete.
pub async fn wide_answers_csv(
    store: &Store,
    records: ContentRecords,
    questions: &QuestionCounter,
    results: Vec<ResultFilter>,
    options: FileOptions,
    transfer: Transfer,
) -> Result<Blocks, ExportError> {
    let columns = shared_columns(store, &records, options).await?;
    let lines = answers::WideLines::new(store, records.org(), columns, questions);
    let rows = records.read_attempts(i64::MIN, results).into_stream();
    Blocks::start(rows, lines, transfer, SkippedRows::default()).await
}

/// Exports the attempts at an exercise as CSV. See [`csv()`].
///
/// # Errors
///
/// Any error before the first block is complete.
pub async fn attempts_csv(
    store: &Store,
    records: ContentRecords,
    sort: Sort,
    results: Vec<ResultFilter>,
    links: FileLinks,
    options: FileOptions,
    transfer: Transfer,
) -> Result<Blocks, ExportError> {
    let columns = shared_columns(store, &records, options).await?;
    let lines = attempts::AttemptLines::new(store, records.org(), columns, links);
    let rows = records.read_submissions(sort, None, results).into_stream();
    Blocks::start(rows, lines, transfer, SkippedRows::default()).await
}

async fn shared_columns(
    store: &Store,
    records: &ContentRecords,
    options: FileOptions,
) -> Result<SharedColumns, StoreError> {
    let fields = store.custom_fields(records.org()).await?;
    Ok(SharedColumns::new(records.content(), options, fields))
}

#[cfg(test)]
pub(crate) mod testing;
