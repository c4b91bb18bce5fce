//! The bodies of webhooks: `type`, `timestamp` and `data`, as Standard Webhooks recommends.

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::StatementId;
use crate::log::Activity;
use crate::store::{DeliveryKind, StoredSubscription};

use super::delivery::EventType;
use super::egress::header;
use super::signature::{self, ID, SIGNATURE, TIMESTAMP};

/// What a webhook has.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum EventData {
    /// The activity as it is now.
    Activity(Box<Activity>),
    /// The id of an activity that is gone.
    Gone {
        /// The id.
        id: StatementId,
    },
    /// A test.
    Test {
        /// The subscription's name.
        name: String,
    },
}

impl EventData {
    /// What the delivery has.
    pub fn kind(&self) -> DeliveryKind {
        match self {
            Self::Activity(_) => DeliveryKind::Upserted,
            Self::Gone { .. } => DeliveryKind::Deleted,
            Self::Test { .. } => DeliveryKind::Test,
        }
    }

    /// The id of the activity.
    pub fn record(&self) -> Option<StatementId> {
        match self {
            Self::Activity(activity) => Some(activity.id),
            Self::Gone { id } => Some(*id),
            Self::Test { .. } => None,
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    event: EventType,
    timestamp: Timestamp,
    subscription: Uuid,
    change: i64,
    data: &'a EventData,
}

/// The headers and the body of a webhook.
pub struct Webhook {
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl Webhook {
    /// A signed webhook at this time.
    ///
    /// # Errors
    ///
    /// The data can't be written as JSON.
    pub fn new(
        subscription: &StoredSubscription,
        id: Uuid,
        change: i64,
        data: &EventData,
        now: Timestamp,
    ) -> Result<Self, serde_json::Error> {
        let body = serde_json::to_string(&Body {
            event: data.kind().into(),
            timestamp: now,
            subscription: subscription.id,
            change,
            data,
        })?;
        let id = id.to_string();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let signed = [
            (ID, id.clone()),
            (TIMESTAMP, signature::seconds(now).to_string()),
            (SIGNATURE, signature::sign(subscription, &id, now, &body)),
        ];
        headers.extend(signed.iter().filter_map(|(name, value)| header(name, value)));
        Ok(Self { headers, body })
    }
}

/// The id of the webhook for a change. It is the same whenever the subscription sends the change, also after a crash or from
/// another replica.
pub fn webhook_id(subscription: Uuid, change: i64) -> Uuid {
    let mut digest = Sha256::new();
    digest.update(subscription.as_bytes());
    digest.update(change.to_be_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.finalize()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_depends_on_subscription_and_change() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(webhook_id(one, 7), webhook_id(one, 7));
        assert_ne!(webhook_id(one, 7), webhook_id(one, 8));
        assert_ne!(webhook_id(one, 7), webhook_id(other, 7));
        assert_eq!(webhook_id(one, 7).get_version_num(), 8);
    }
}
