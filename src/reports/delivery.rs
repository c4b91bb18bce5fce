//! A delivery: how clients read a run that has ended. See `docs/specification.md#deliveries`.

use std::collections::HashSet;

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::store::{
    DeliveryWithRecipients, RecipientStatus as StoredRecipientStatus, RunStatus, StoreError, StoredRecipient,
};

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// Each recipient has the message.
    Sent,
    /// A recipient will not get the message: see the recipients.
    Failed,
    /// The schedule's maker may not open the report any more. The schedule does not run until it is resumed.
    Suspended,
    /// It has recipients outside the reach of the caller, and no other recipient failed. How it ended would tell whether
    /// they are users.
    Undisclosed,
}

/// How the message of a recipient ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecipientStatus {
    /// The mail server accepted the message.
    Sent,
    /// The message will not be sent.
    Failed,
    /// The recipient is outside the reach of the caller. How it ended would tell whether it is a user.
    Undisclosed,
}

/// A run of a schedule that has ended.
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
    /// The id. The `Message-ID` of its messages contains it.
    pub id: Uuid,
    /// The id of its schedule.
    pub schedule: Uuid,
    /// The time that the run was for. `period` and other relative parameters of the report were resolved for it.
    #[schema(value_type = String, format = DateTime)]
    pub run_at: Timestamp,
    /// How it ended.
    pub status: DeliveryStatus,
    /// Why it was not sent to all recipients.
    #[schema(required)]
    pub reason: Option<String>,
    /// The duration of all attempts, without the time between them. `null` with a recipient that is not disclosed.
    #[schema(required)]
    pub seconds: Option<f64>,
    /// The number of attempts. `null` with a recipient that is not disclosed.
    #[schema(required)]
    pub attempts: Option<i64>,
    /// When it ended.
    #[schema(value_type = String, format = DateTime)]
    pub finished_at: Timestamp,
    /// The recipients, in the order of the schedule.
    pub recipients: Vec<DeliveryRecipient>,
}

/// One recipient of a run.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DeliveryRecipient {
    /// The id of a user, or an address, as the schedule had it.
    pub recipient: String,
    /// Whether the recipient has the message.
    pub status: RecipientStatus,
    /// The number of rows of the CSV, without the headings.
    #[schema(required, minimum = 0)]
    pub rows: Option<i64>,
    /// The size of the uncompressed CSV, in bytes.
    #[schema(required, minimum = 0)]
    pub bytes: Option<i64>,
    /// Whether the message has a link instead of the file, because the file is too large.
    pub linked: bool,
    /// When the mail server accepted the message.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub sent_at: Option<Timestamp>,
    /// Why the message will not be sent.
    #[schema(required)]
    pub reason: Option<String>,
}

impl Delivery {
    /// The representation of a stored delivery. With `disclosed`, it tells nothing about other recipients.
    ///
    /// # Errors
    ///
    /// A stored run that is under way and has ended.
    pub fn new(
        stored: DeliveryWithRecipients,
        disclosed: Option<&HashSet<String>>,
    ) -> Result<Self, StoreError> {
        let DeliveryWithRecipients { delivery, recipients } = stored;
        let recipients = recipients.into_iter().map(DeliveryRecipient::new);
        let exact = Self {
            id: delivery.id,
            schedule: delivery.schedule,
            run_at: delivery.run_at,
            status: match delivery.status {
                RunStatus::Sent => DeliveryStatus::Sent,
                RunStatus::Failed => DeliveryStatus::Failed,
                RunStatus::Suspended => DeliveryStatus::Suspended,
                RunStatus::UnderWay => {
                    return Err(StoreError::corrupt(
                        "delivery's status",
                        "a finished run is under way",
                    ));
                }
            },
            reason: delivery.reason,
            seconds: Some(to_seconds(delivery.worked_micros)),
            attempts: Some(delivery.attempts),
            finished_at: delivery.finished_at,
            recipients: recipients.collect(),
        };
        Ok(match disclosed {
            Some(disclosed) => exact.limited_to(disclosed),
            None => exact,
        })
    }

    /// The delivery without what it tells about the recipients that are not in `disclosed`.
    fn limited_to(mut self, disclosed: &HashSet<String>) -> Self {
        let is_hidden = |one: &DeliveryRecipient| !disclosed.contains(&one.recipient);
        if !self.recipients.iter().any(is_hidden) {
            return self;
        }
        for hidden in self.recipients.iter_mut().filter(|one| is_hidden(one)) {
            *hidden = DeliveryRecipient {
                recipient: std::mem::take(&mut hidden.recipient),
                status: RecipientStatus::Undisclosed,
                rows: None,
                bytes: None,
                linked: false,
                sent_at: None,
                reason: None,
            };
        }
        (self.seconds, self.attempts) = (None, None);
        if self.status != DeliveryStatus::Suspended {
            let failed = self
                .recipients
                .iter()
                .find(|one| one.status == RecipientStatus::Failed);
            let reason = |one: &DeliveryRecipient| {
                let reason = one.reason.as_deref().unwrap_or("the message was not sent");
                format!("{}: {reason}", one.recipient)
            };
            (self.status, self.reason) = match failed {
                Some(failed) => (DeliveryStatus::Failed, Some(reason(failed))),
                None => (DeliveryStatus::Undisclosed, None),
            };
        }
        self
    }
}

impl DeliveryRecipient {
    fn new(stored: StoredRecipient) -> Self {
        let status = match stored.status {
            StoredRecipientStatus::Sent => RecipientStatus::Sent,
            StoredRecipientStatus::Waiting | StoredRecipientStatus::Failed => RecipientStatus::Failed,
        };
        Self {
            recipient: stored.recipient,
            status,
            rows: stored.rows,
            bytes: stored.bytes,
            linked: stored.linked,
            sent_at: stored.sent_at,
            reason: stored.reason,
        }
    }
}

/// Seconds with milliseconds, at most about 49 days. A single division keeps JSON short: 2.139, not 2.1390000000000002.
fn to_seconds(micros: i64) -> f64 {
    f64::from(u32::try_from(micros / 1_000).unwrap_or(u32::MAX)) / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microseconds_become_seconds_with_milliseconds() {
        for (micros, json) in [
            (0, "0.0"),
            (999, "0.0"),
            (1_204_999, "1.204"),
            (2_139_000, "2.139"),
            (61_000_000, "61.0"),
        ] {
            assert_eq!(serde_json::json!(to_seconds(micros)).to_string(), json);
        }
    }
}
