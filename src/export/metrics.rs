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

/// Counts an export when it is dropped. An export that was only begun, to see whether it is refused, is not counted.
pub(super) struct EndOfExport {
    begin: Instant,
    is_read: bool,
    outcome: &'static str,
    rows: Arc<AtomicU64>,
}

impl EndOfExport {
    pub(super) fn new(rows: Arc<AtomicU64>) -> Self {
        Self {
            begin: Instant::now(),
            is_read: false,
            outcome: "abandoned",
            rows,
        }
    }

    /// Notes the next item of the export.
    pub(super) fn note<T, E>(&mut self, item: Option<&Result<T, E>>) {
        self.is_read = true;
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
        if !self.is_read {
            return;
        }
        metrics::counter!(EXPORTS, "outcome" => self.outcome).increment(1);
        metrics::histogram!(SECONDS, "outcome" => self.outcome).record(self.begin.elapsed().as_secs_f64());
        metrics::counter!(ROWS).increment(self.rows.load(Ordering::Acquire));
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    /// The metrics after an export of 7 rows whose reader got these items before it went away.
    fn render_after(items: &[Option<Result<(), ()>>]) -> String {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            let mut end = EndOfExport::new(Arc::new(AtomicU64::new(7)));
            items.iter().for_each(|item| end.note(item.as_ref()));
        });
        recorder.handle().render()
    }

    #[test]
    fn export_that_nobody_reads_is_not_counted() {
        assert_eq!(render_after(&[]), "");
        for (items, outcome) in [
            (vec![Some(Ok(()))], "abandoned"),
            (vec![Some(Ok(())), None], "complete"),
            (vec![None], "complete"),
            (vec![Some(Ok(())), Some(Err(())), None], "failed"),
        ] {
            let rendered = render_after(&items);
            let expected = format!("{EXPORTS}{{outcome=\"{outcome}\"}} 1\n");
            assert!(rendered.contains(&expected), "{items:?}: {rendered}");
            assert!(rendered.contains(&format!("{ROWS} 7\n")), "{rendered}");
        }
    }
}
