//! What the sender counts, for whoever watches the server. No label names an organisation.

use std::time::Duration;

/// Runs that ended, by `status`: `sent`, `failed`, `suspended`.
pub const DELIVERIES: &str = "rollbook_deliveries_total";
/// Attempts at runs that have to be made again.
pub const RETRIES: &str = "rollbook_delivery_retries_total";
/// Messages, by `status`: `sent`, `refused` for good, `failed` this time.
pub const MESSAGES: &str = "rollbook_messages_total";
/// Seconds that an attempt at a run took.
pub const SECONDS: &str = "rollbook_delivery_attempt_seconds";

pub(super) fn describe() {
    metrics::describe_counter!(DELIVERIES, "Runs of schedules that ended.");
    metrics::describe_counter!(RETRIES, "Attempts at runs that are made again.");
    metrics::describe_counter!(MESSAGES, "Messages of runs.");
    metrics::describe_histogram!(
        SECONDS,
        metrics::Unit::Seconds,
        "Seconds that an attempt at a run took."
    );
}

pub(super) fn delivery(status: &'static str) {
    metrics::counter!(DELIVERIES, "status" => status).increment(1);
}

pub(super) fn retry() {
    metrics::counter!(RETRIES).increment(1);
}

pub(super) fn message(status: &'static str) {
    metrics::counter!(MESSAGES, "status" => status).increment(1);
}

pub(super) fn attempt(worked: Duration) {
    metrics::histogram!(SECONDS).record(worked.as_secs_f64());
}
