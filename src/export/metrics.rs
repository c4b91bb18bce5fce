//! The metrics of exports.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The number of exports that have ended, by `outcome`: `complete` (sent to its end), `failed`, `abandoned` (by its client).
pub const EXPORTS: &str = "rollbook_exports_total";
/// The seconds from the start of an export to its end, by `outcome`.
pub const SECONDS: &str = "rollbook_export_seconds";
/// The number of rows that exports have written.
pub const ROWS: &str = "rollbook_exported_rows_total";

/// Counts an export when it is dropped.
pub(super) struct EndOfExport {
    begin: Instant,
    outcome: &'static str,
    rows: Arc<AtomicU64>,
}

impl EndOfExport {
    pub(super) fn new(rows: Arc<AtomicU64>) -> Self {
        Self {
            begin: Instant::now(),
            outcome: "abandoned",
            rows,
        }
    }

    /// Notes the next item of the export.
    pub(super) fn note<T, E>(&mut self, item: Option<&Result<T, E>>) {
        match item {
            Some(Ok(_)) => {}
            Some(Err(_)) => self.outcome = "failed",
            None if self.outcome == "failed" => {}
            None => self.outcome = "complete",
        }
    }
}

impl Drop for EndOfExport {
    fn drop(&mut self) {
        metrics::counter!(EXPORTS, "outcome" => self.outcome).increment(1);
        metrics::histogram!(SECONDS, "outcome" => self.outcome).record(self.begin.elapsed().as_secs_f64());
        metrics::counter!(ROWS).increment(self.rows.load(Ordering::Acquire));
    }
}
