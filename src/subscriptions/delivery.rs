//! A delivery of a subscription, as clients read it. See `docs/specification.md#deliveries-of-a-subscription`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::store::{DeliveryKind, DeliveryStatus, SubscriptionDelivery, Try};

/// What a delivery has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SubscriptionEventType)]
pub enum EventType {
    /// An activity that is new or changed.
    #[serde(rename = "activity.upserted")]
    Upserted,
    /// An activity that was sent before and is not among the rows of the filter any more.
    #[serde(rename = "activity.deleted")]
    Deleted,
    /// Statements for another record store.
    #[serde(rename = "statements")]
    Statements,
    /// A test by hand.
    #[serde(rename = "test")]
    Test,
}

impl From<DeliveryKind> for EventType {
    fn from(kind: DeliveryKind) -> Self {
        match kind {
            DeliveryKind::Upserted => Self::Upserted,
            DeliveryKind::Deleted => Self::Deleted,
            DeliveryKind::Statements => Self::Statements,
            DeliveryKind::Test => Self::Test,
        }
    }
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionDeliveryStatus {
    /// The last attempt failed, and it is tried again. The deliveries after it wait.
    Retrying,
    /// The receiver acknowledged it with a 2xx.
    Delivered,
    /// It was given up after the last attempt. The deliveries after it went on.
    Dead,
    /// It was given up and waits for an attempt by hand.
    Queued,
    /// A later delivery has what it had: the activity changed again, or the subscription was moved to another place.
    Superseded,
    /// A test that was not acknowledged.
    Failed,
}

impl SubscriptionDeliveryStatus {
    /// All values.
    pub const ALL: &'static [Self] = &[
        Self::Retrying,
        Self::Delivered,
        Self::Dead,
        Self::Queued,
        Self::Superseded,
        Self::Failed,
    ];

    /// The value of the member.
    pub fn key(self) -> &'static str {
        match self {
            Self::Retrying => "retrying",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Queued => "queued",
            Self::Superseded => "superseded",
            Self::Failed => "failed",
        }
    }

    /// The stored form.
    pub fn to_stored(self) -> DeliveryStatus {
        match self {
            Self::Retrying => DeliveryStatus::Retried,
            Self::Delivered => DeliveryStatus::Delivered,
            Self::Dead => DeliveryStatus::Dead,
            Self::Queued => DeliveryStatus::Queued,
            Self::Superseded => DeliveryStatus::Superseded,
            Self::Failed => DeliveryStatus::Failed,
        }
    }
}

impl From<DeliveryStatus> for SubscriptionDeliveryStatus {
    fn from(stored: DeliveryStatus) -> Self {
        match stored {
            DeliveryStatus::Retried => Self::Retrying,
            DeliveryStatus::Delivered => Self::Delivered,
            DeliveryStatus::Dead => Self::Dead,
            DeliveryStatus::Queued => Self::Queued,
            DeliveryStatus::Superseded => Self::Superseded,
            DeliveryStatus::Failed => Self::Failed,
        }
    }
}

/// One attempt at a delivery.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DeliveryAttempt {
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Its duration.
    pub seconds: f64,
    /// The status of the receiver's answer. Null if none came.
    #[schema(required = true)]
    pub status: Option<u16>,
    /// Why it failed. Null if the receiver acknowledged it.
    #[schema(required = true)]
    pub reason: Option<String>,
}

impl From<Try> for DeliveryAttempt {
    fn from(stored: Try) -> Self {
        // A duration of many years is rounded.
        #[allow(clippy::cast_precision_loss)]
        let seconds = (stored.micros / 1_000) as f64 / 1_000.0;
        Self {
            at: Timestamp::from_micros(stored.at),
            seconds,
            status: stored.status,
            reason: stored.reason,
        }
    }
}

/// A delivery of a subscription.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = SubscriptionDelivery, example = json!({
    "id": "0190a000-0000-7000-8000-000000000021", "webhook_id": "5d0a4a0e-8f1e-8c57-9d0e-6a1f2f3c4b5d",
    "type": "activity.upserted", "first_change": 1234, "last_change": 1234,
    "record": "0190a000-0000-7000-8000-00000000000a", "records": 1, "status": "delivered", "attempt_count": 2,
    "attempts": [
        {"at": "2026-03-16T08:00:00.000Z", "seconds": 0.021, "status": 503, "reason": "the receiver answered 503: busy"},
        {"at": "2026-03-16T08:00:05.400Z", "seconds": 0.018, "status": 204, "reason": null}
    ],
    "created_at": "2026-03-16T08:00:00.000Z", "finished_at": "2026-03-16T08:00:05.418Z"
}))]
pub struct DeliveryView {
    /// The id.
    pub id: Uuid,
    /// The id that the receiver gets in `webhook-id`. It is the same whenever the same change is sent.
    pub webhook_id: Uuid,
    /// What it has.
    #[serde(rename = "type")]
    pub event: EventType,
    /// The number of the first change that it has. 0 for a test.
    pub first_change: i64,
    /// The number of the last change that it has. 0 for a test.
    pub last_change: i64,
    /// The id of the activity or statement, if it has one.
    #[schema(required = true)]
    pub record: Option<Uuid>,
    /// The number of activities or statements.
    pub records: i64,
    /// How it stands.
    pub status: SubscriptionDeliveryStatus,
    /// The number of attempts.
    pub attempt_count: i64,
    /// The last 20 attempts, the oldest first.
    pub attempts: Vec<DeliveryAttempt>,
    /// When the first attempt began.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it ended. Null while it is tried again.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub finished_at: Option<Timestamp>,
}

impl From<SubscriptionDelivery> for DeliveryView {
    fn from(stored: SubscriptionDelivery) -> Self {
        Self {
            id: stored.id,
            webhook_id: stored.webhook_id,
            event: stored.kind.into(),
            first_change: stored.change_from,
            last_change: stored.change_through,
            record: stored.record.map(|record| record.0),
            records: stored.records,
            status: stored.status.into(),
            attempt_count: stored.attempts,
            attempts: stored.tries.into_iter().map(DeliveryAttempt::from).collect(),
            created_at: stored.created_at,
            finished_at: stored.finished_at,
        }
    }
}
