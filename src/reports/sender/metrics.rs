//! The metrics of the sender. No label contains an organisation.

use std::time::Duration;

/// The runs that ended, by `status`: `sent`, `failed`, `suspended`.
pub const DELIVERIES: &str = "rollbook_deliveries_total";
/// The failed attempts after which a run is tried again.
pub const RETRIES: &str = "rollbook_delivery_retries_total";
/// The messages, by `status`: `sent`, `refused` (permanently), `failed` (temporarily).
pub const MESSAGES: &str = "rollbook_messages_total";
/// The duration of attempts, in seconds.
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
