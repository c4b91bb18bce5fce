//! The metrics of subscriptions. No label contains an organisation.

use std::time::Duration;

use crate::store::{DeliveryStatus, SubscriptionFormat};
use crate::subscriptions::delivery::SubscriptionDeliveryStatus;

/// The deliveries that ended, by `format` and `status`.
pub const DELIVERIES: &str = "rollbook_subscription_deliveries_total";
/// The duration of attempts, in seconds, by `format`.
pub const SECONDS: &str = "rollbook_subscription_attempt_seconds";

pub(super) fn describe() {
    metrics::describe_counter!(
        DELIVERIES,
        "Attempts at deliveries of subscriptions, by what came of them."
    );
    metrics::describe_histogram!(
        SECONDS,
        metrics::Unit::Seconds,
        "Seconds that an attempt at a delivery of a subscription took."
    );
}

/// Notes an attempt.
pub(super) fn attempt(format: SubscriptionFormat, status: DeliveryStatus, took: Duration) {
    let format = match format {
        SubscriptionFormat::Activity => "activity",
        SubscriptionFormat::Statement => "statement",
    };
    let status = SubscriptionDeliveryStatus::from(status).key();
    metrics::counter!(DELIVERIES, "format" => format, "status" => status).increment(1);
    metrics::histogram!(SECONDS, "format" => format).record(took.as_secs_f64());
}
