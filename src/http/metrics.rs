//! Metrics in Prometheus' text format.
//!
//! The labels are the template of the route, the method and the status, so their number is bounded. No label names an
//! organisation, a user or an id.

mod process;

use std::sync::OnceLock;
use std::time::Duration;

use actix_web::http::{Method, StatusCode, header};
use actix_web::web::Data;
use actix_web::{HttpResponse, web};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::AppState;
use super::problem::{Answer, Code, Problem};
use super::routes::routes;
use crate::access::jwks::KEY_SETS;
use crate::export::metrics as exports;
use crate::store::{
    BACKLOG, BATCH_RECORDS, CONNECTIONS, COUNTS, LOST, MAX_CONNECTIONS, QUEUE_SECONDS, RECORDS,
    REPLICA_READS, UNREADABLE, WAIT_SECONDS, WAITING, WRITE_SECONDS,
};

/// The number of answered requests, by `method`, `route` and `status`.
pub const REQUESTS: &str = "rollbook_http_requests_total";
/// The seconds until the head of the answer was ready, by `method` and `route`.
pub const DURATION: &str = "rollbook_http_request_duration_seconds";
/// The number of open connections.
pub const OPEN_CONNECTIONS: &str = "rollbook_open_connections";
/// The number of open live streams.
pub const OPEN_STREAMS: &str = "rollbook_open_streams";
/// The requests of which the head of the answer is not ready.
pub const IN_FLIGHT: &str = "rollbook_http_requests_in_flight";
/// The number of requests that were answered with a problem document, by its `code`.
pub const PROBLEMS: &str = "rollbook_problems_total";
/// Always 1, with the version of the program as a label.
pub const BUILD: &str = "rollbook_build_info";

/// The upper bounds of the histogram's buckets, in seconds: from a cached lookup to the first byte of an export.
const BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// The upper bounds of the buckets of batches, in records.
const BATCH_BUCKETS: [f64; 8] = [1.0, 2.0, 5.0, 20.0, 100.0, 500.0, 2_000.0, 10_000.0];

/// The upper bounds of the buckets of exports, in seconds.
const EXPORT_BUCKETS: [f64; 8] = [0.1, 0.5, 2.0, 10.0, 30.0, 120.0, 600.0, 3_600.0];

/// The interval at which the samples of the histograms are merged, so that their memory does not grow if `/metrics` is
/// never read.
pub const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// The time between two counts of the work that waits in the database.
pub const BACKLOG_EVERY: Duration = Duration::from_secs(15);

static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Returns the recorder of the process and installs it at the first call. Returns `None` if another library installed a
/// recorder before. The `metrics` crate has one recorder for each process, so this is static.
pub fn recorder() -> Option<&'static PrometheusHandle> {
    let install = || {
        // Only an empty list of buckets is refused.
        let recorder = PrometheusBuilder::new()
            .set_buckets(&BUCKETS)
            .ok()?
            .set_buckets_for_metric(Matcher::Full(BATCH_RECORDS.to_owned()), &BATCH_BUCKETS)
            .ok()?
            .set_buckets_for_metric(Matcher::Full(exports::SECONDS.to_owned()), &EXPORT_BUCKETS)
            .ok()?
            .build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).ok()?;
        metrics::describe_counter!(REQUESTS, "The number of answered requests.");
        metrics::describe_histogram!(
            DURATION,
            metrics::Unit::Seconds,
            "The seconds until the head of the answer was ready."
        );
        describe_stores();
        process::describe();
        metrics::describe_gauge!(
            IN_FLIGHT,
            "Requests of which the head of the answer is not ready."
        );
        metrics::describe_counter!(PROBLEMS, "Requests that were answered with a problem document.");
        metrics::describe_gauge!(OPEN_CONNECTIONS, "The number of open connections.");
        metrics::describe_gauge!(OPEN_STREAMS, "The number of open live streams.");
        metrics::describe_counter!(
            UNREADABLE,
            "Reads that skipped a stored row which cannot be read. The log names it."
        );
        metrics::describe_gauge!(BUILD, "The version of the program.");
        metrics::gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Some(handle)
    };
    RECORDER.get_or_init(install).as_ref()
}

/// Describes the metrics of the layers below.
fn describe_stores() {
    for (name, text) in [
        (RECORDS, "Records that were sent, by what became of them."),
        (LOST, "Connections to the database that were lost or given up."),
        (
            REPLICA_READS,
            "Reads that may go to the replica, by where they went.",
        ),
        (
            COUNTS,
            "Totals, summaries and facets, by what they were counted from.",
        ),
        (KEY_SETS, "Key sets that were read again."),
        (exports::EXPORTS, "Exports that have ended."),
        (exports::ROWS, "Rows that exports have written."),
    ] {
        metrics::describe_counter!(name, text);
    }
    for (name, text) in [
        (WAITING, "Submissions that wait for a transaction."),
        (CONNECTIONS, "Connections to the database."),
        (MAX_CONNECTIONS, "The most connections to the database."),
        (BACKLOG, "What is due and waits for a worker."),
    ] {
        metrics::describe_gauge!(name, text);
    }
    metrics::describe_histogram!(BATCH_RECORDS, "Records in a transaction.");
    for (name, text) in [
        (
            QUEUE_SECONDS,
            "Seconds that a submission waits for its transaction.",
        ),
        (WRITE_SECONDS, "Seconds that a transaction takes."),
        (
            WAIT_SECONDS,
            "Seconds of waiting for a connection that was not at hand.",
        ),
        (
            exports::SECONDS,
            "Seconds from the start of an export to its end.",
        ),
    ] {
        metrics::describe_histogram!(name, metrics::Unit::Seconds, text);
    }
}

/// A request of which the head of the answer is not ready, until it is dropped.
pub struct RequestInFlight(());

impl RequestInFlight {
    /// Counts a request.
    pub fn begin() -> Self {
        metrics::gauge!(IN_FLIGHT).increment(1.0);
        Self(())
    }
}

impl Drop for RequestInFlight {
    fn drop(&mut self) {
        metrics::gauge!(IN_FLIGHT).decrement(1.0);
    }
}

/// Counts a problem document. There is a bounded number of codes.
pub fn count_problem(code: Code) {
    metrics::counter!(PROBLEMS, "code" => code.slug()).increment(1);
}

/// Counts one answered request.
pub fn count_answer(method: &Method, route: Option<String>, status: StatusCode, elapsed: Duration) {
    // Clients can send any method and address. A label for each of them would fill the memory.
    let method = match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    };
    let route = route.unwrap_or_else(|| "none".to_owned());
    let status = status.as_u16().to_string();
    metrics::counter!(REQUESTS, "method" => method, "route" => route.clone(), "status" => status)
        .increment(1);
    metrics::histogram!(DURATION, "method" => method, "route" => route).record(elapsed.as_secs_f64());
}

routes! {
    "/metrics" => { get: read_metrics },
}

/// Read the metrics. The API serves them only with `ROLLBOOK_METRICS_ON_API`.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operation",
    operation_id = "read_metrics",
    security(()),
    responses((status = 200, description = "The metrics in Prometheus' text format.", body = String,
        content_type = "text/plain"))
)]
async fn read_metrics(app_state: Data<AppState>) -> Answer {
    let recorder =
        recorder().ok_or_else(|| Problem::internal("the recorder of the metrics is not installed"))?;
    app_state.store().measure_pools();
    let text = web::block(|| {
        process::measure();
        recorder.render() + &process::render_processor_seconds()
    })
    .await
    .map_err(Problem::internal)?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"))
        .body(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_methods_and_addresses_share_one_label() {
        let recorder = recorder().expect("installed");
        let unknown = Method::from_bytes(b"BREW").expect("a token");
        count_answer(&unknown, None, StatusCode::NOT_FOUND, Duration::from_millis(3));
        let text = recorder.render();
        assert!(
            text.contains(r#"method="other""#) && text.contains(r#"route="none""#),
            "{text}"
        );
        assert!(!text.contains("BREW"));
        assert!(
            text.contains("rollbook_http_request_duration_seconds_bucket"),
            "{text}"
        );
        assert!(text.contains("rollbook_build_info"));
    }
}
