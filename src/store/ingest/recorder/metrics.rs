//! The metrics of the recorder. No label names an organisation.

use std::time::Duration;

use crate::store::ingest::submission::{Outcome, RecordError, Recorded};

/// The number of records in a transaction.
pub const BATCH_RECORDS: &str = "rollbook_ingest_batch_records";
/// The seconds that a submission waits for its transaction.
pub const QUEUE_SECONDS: &str = "rollbook_ingest_queue_seconds";
/// The seconds that a transaction takes.
pub const WRITE_SECONDS: &str = "rollbook_ingest_write_seconds";
/// The number of submissions that wait for a transaction.
pub const WAITING: &str = "rollbook_ingest_waiting_submissions";
/// The number of records, by `outcome`: `new`, `existing`, `unchanged` (nothing was to be done), `refused` (with their
/// submission), `failed` (the database).
pub const RECORDS: &str = "rollbook_records_total";

pub(super) fn note_waiting(count: usize) {
    metrics::gauge!(WAITING).set(count as f64);
}

pub(super) fn note_wait(waited: Duration) {
    metrics::histogram!(QUEUE_SECONDS).record(waited.as_secs_f64());
}

pub(super) fn note_batch(records: usize, took: Duration) {
    metrics::histogram!(BATCH_RECORDS).record(records as f64);
    metrics::histogram!(WRITE_SECONDS).record(took.as_secs_f64());
}

/// Counts the records of a submission by what became of them.
pub(super) fn note_outcome(records: usize, outcome: &Outcome) {
    let count = |outcome: &'static str, records: usize| {
        if records > 0 {
            metrics::counter!(RECORDS, "outcome" => outcome).increment(records as u64);
        }
    };
    match outcome {
        Ok(recorded) => {
            let (mut new, mut existing, mut unchanged) = (0, 0, 0);
            for one in recorded {
                match one {
                    Recorded::New(_) => new += 1,
                    Recorded::Already(_) => existing += 1,
                    Recorded::AlreadyCompleted(_) | Recorded::AlreadyVoided(_) => unchanged += 1,
                }
            }
            count("new", new);
            count("existing", existing);
            count("unchanged", unchanged);
        }
        Err(RecordError::Store(_) | RecordError::Unconfirmed { .. }) => count("failed", records),
        Err(_) => count("refused", records),
    }
}
