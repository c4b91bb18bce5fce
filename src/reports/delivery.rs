//! A delivery: what a client reads of a run that has ended (product text, sections 9 and 13).

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::store::{Ending, KeptDelivery, KeptRecipient};

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// Every recipient has it.
    Sent,
    /// Somebody will not get it; see the recipients.
    Failed,
    /// Whoever made the schedule may not open the report any more: the schedule stands still until it is resumed.
    Suspended,
}

/// What became of one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecipientStatus {
    /// The mail server took the message.
    Sent,
    /// There will be no message.
    Failed,
}

/// What became of a run of a schedule.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0190a000-0000-7000-8000-00000000000d", "schedule": "0190a000-0000-7000-8000-00000000000c",
    "run_at": "2026-03-16T08:00:00.000Z", "status": "failed",
    "reason": "audit@partner.example: the mail server said 550 5.1.1 no such mailbox", "seconds": 1.204, "attempts": 1,
    "finished_at": "2026-03-16T08:00:02.317Z",
    "recipients": [
        {"recipient": "ada", "status": "sent", "rows": 214, "bytes": 48210, "linked": false,
            "sent_at": "2026-03-16T08:00:01.940Z", "reason": null},
        {"recipient": "audit@partner.example", "status": "failed", "rows": null, "bytes": null, "linked": false,
            "sent_at": null, "reason": "the mail server said 550 5.1.1 no such mailbox"}
    ]
}))]
pub struct Delivery {
    /// Names it; messages of it have it in their `Message-ID`.
    pub id: Uuid,
    /// The id of its schedule.
    pub schedule: Uuid,
    /// The moment that the run was for: `period` and whatever else is relative in the report's filter was resolved at it.
    #[schema(value_type = String, format = DateTime)]
    pub run_at: Timestamp,
    /// How it ended.
    pub status: DeliveryStatus,
    /// Why it ended otherwise than well.
    #[schema(required)]
    pub reason: Option<String>,
    /// How long the work on it took, all attempts together, without the time between them.
    pub seconds: f64,
    /// How often it was tried.
    pub attempts: i64,
    /// When it ended.
    #[schema(value_type = String, format = DateTime)]
    pub finished_at: Timestamp,
    /// What became of each recipient, in the schedule's order.
    pub recipients: Vec<DeliveryRecipient>,
}

/// What became of one recipient of a run.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DeliveryRecipient {
    /// The id of a user, or an address, as the schedule had it.
    pub recipient: String,
    /// Whether they have the message.
    pub status: RecipientStatus,
    /// Rows of their CSV, headings not counted.
    #[schema(required, minimum = 0)]
    pub rows: Option<i64>,
    /// Bytes of their CSV, unpacked.
    #[schema(required, minimum = 0)]
    pub bytes: Option<i64>,
    /// Whether the message has a link to the file, which is too large to be attached.
    pub linked: bool,
    /// When the mail server took the message.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub sent_at: Option<Timestamp>,
    /// Why there will be no message.
    #[schema(required)]
    pub reason: Option<String>,
}

impl From<KeptDelivery> for Delivery {
    fn from(kept: KeptDelivery) -> Self {
        Self {
            id: kept.id,
            schedule: kept.schedule,
            run_at: kept.run_at,
            status: match kept.ending {
                Ending::Sent => DeliveryStatus::Sent,
                Ending::Failed => DeliveryStatus::Failed,
                Ending::Suspended => DeliveryStatus::Suspended,
            },
            reason: kept.reason,
            seconds: seconds(kept.worked_micros),
            attempts: kept.attempts,
            finished_at: kept.finished_at,
            recipients: kept.recipients.into_iter().map(DeliveryRecipient::from).collect(),
        }
    }
}

impl From<KeptRecipient> for DeliveryRecipient {
    fn from(kept: KeptRecipient) -> Self {
        let status = if kept.sent {
            RecipientStatus::Sent
        } else {
            RecipientStatus::Failed
        };
        Self {
            recipient: kept.recipient,
            status,
            rows: kept.rows,
            bytes: kept.bytes,
            linked: kept.linked,
            sent_at: kept.sent_at,
            reason: kept.reason,
        }
    }
}

/// Seconds to the millisecond, as JSON writes them: at most some 49 days. One division, so that 2.139 is not shown as
/// 2.1390000000000002.
fn seconds(micros: i64) -> f64 {
    f64::from(u32::try_from(micros / 1_000).unwrap_or(u32::MAX)) / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_is_told_in_seconds() {
        for (micros, told) in [
            (0, "0.0"),
            (999, "0.0"),
            (1_204_999, "1.204"),
            (2_139_000, "2.139"),
            (61_000_000, "61.0"),
        ] {
            assert_eq!(serde_json::json!(seconds(micros)).to_string(), told);
        }
    }
}
