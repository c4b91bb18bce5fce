//! A test by hand: one request to the receiver, at once, and what came of it.

use std::time::Instant;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;
use crate::store::{
    DeliveryKind, DeliveryNote, DeliveryStatus, Store, StoreError, StoredSubscription, SubscriptionDelivery,
    SubscriptionFormat, Try,
};

use super::auth::Auth;
use super::egress::{Answer, Egress, NoAnswer, header};
use super::event::{EventData, Webhook};

/// Why a test could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The request can't be written.
    #[error("the request can't be written: {0}")]
    Json(#[from] serde_json::Error),
}

/// Sends a test and notes it among the deliveries. A webhook has the type `test`. Another record store gets an empty list of
/// statements, which changes nothing there. `None` if the subscription was deleted meanwhile.
///
/// # Errors
///
/// The store fails.
pub async fn test(
    store: &Store,
    egress: &Egress,
    org: &OrgId,
    subscription: &StoredSubscription,
    kept: i64,
) -> Result<Option<SubscriptionDelivery>, TrialError> {
    let (now, id) = (store.clock().now(), store.clock().new_uuid());
    let start = Instant::now();
    let answer = match subscription.format {
        SubscriptionFormat::Activity => {
            let data = EventData::Test {
                name: subscription.name.clone(),
            };
            let webhook = Webhook::new(subscription, id, 0, &data, now)?;
            egress
                .send(Method::POST, &subscription.url, webhook.headers, webhook.body)
                .await
        }
        SubscriptionFormat::Statement => {
            let mut headers = statement_headers(subscription)?;
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            egress
                .send(Method::POST, &statements_url(&subscription.url), headers, "[]")
                .await
        }
    };
    let attempt = attempt_of(&answer, now, start);
    let note = DeliveryNote {
        before: None,
        id: store.clock().new_uuid(),
        webhook_id: id,
        kind: DeliveryKind::Test,
        changes: (0, 0),
        record: None,
        records: 0,
        status: match attempt.reason {
            None => DeliveryStatus::Delivered,
            Some(_) => DeliveryStatus::Failed,
        },
        attempt: Some(attempt),
        now: store.clock().now(),
    };
    Ok(store.note_test(org, subscription, note, kept).await?)
}

/// The stored form of an attempt that began at `at`.
pub fn attempt_of(answer: &Result<Answer, NoAnswer>, at: Timestamp, start: Instant) -> Try {
    let micros = i64::try_from(start.elapsed().as_micros()).unwrap_or(i64::MAX);
    let (status, reason) = match answer {
        Ok(answer) if answer.is_success() => (Some(answer.status), None),
        Ok(answer) => (Some(answer.status), Some(answer.describe())),
        Err(error) => (None, Some(error.to_string())),
    };
    Try {
        at: at.micros(),
        micros,
        status,
        reason,
    }
}

/// The address of the statements below an endpoint of xAPI.
pub fn statements_url(endpoint: &str) -> String {
    let (path, query) = match endpoint.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (endpoint, None),
    };
    let path = path.trim_end_matches('/');
    let path = match path.ends_with("/statements") {
        true => path.to_owned(),
        false => format!("{path}/statements"),
    };
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    }
}

/// The headers of each request to another record store.
///
/// # Errors
///
/// The stored authorization can't be read.
pub fn statement_headers(subscription: &StoredSubscription) -> Result<HeaderMap, StoreError> {
    let auth = subscription.auth.as_ref().map(Auth::from_stored).transpose()?;
    let auth = auth.and_then(|auth| {
        let (name, mut value) = header("authorization", &auth.header_value())?;
        value.set_sensitive(true);
        Some((name, value))
    });
    let version = subscription.xapi_version.as_deref().unwrap_or("1.0.3");
    Ok(auth
        .into_iter()
        .chain(header("x-experience-api-version", version))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_below_the_endpoint() {
        for endpoint in [
            "https://a.example/xapi",
            "https://a.example/xapi/",
            "https://a.example/xapi/statements",
        ] {
            assert_eq!(statements_url(endpoint), "https://a.example/xapi/statements");
        }
        assert_eq!(
            statements_url("https://a.example/x?a=b/"),
            "https://a.example/x/statements?a=b/"
        );
    }
}
