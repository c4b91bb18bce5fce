//! `/v1/subscriptions/{id}/deliveries`: what a subscription sent, each attempt, and the deliveries that were given up. See
//! `docs/specification.md#deliveries-of-a-subscription`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::permit::ManageSubscriptions;
use crate::http::auth::Caller;
use crate::http::keyed::{self, Listing};
use crate::http::pages::{NoOthers, PageWriter};
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::store::DeliveryStatus;
use crate::subscriptions::delivery::{DeliveryView, SubscriptionDeliveryStatus};

use super::report_resource::parse_id;
use super::subscriptions::find;

routes! {
    "/v1/subscriptions/{id}/deliveries" => { get: list_subscription_deliveries },
    "/v1/subscriptions/{id}/deliveries/{delivery}" => { get: read_subscription_delivery },
    "/v1/subscriptions/{id}/deliveries/{delivery}/retry" => { post: retry_subscription_delivery },
}

/// A page of the deliveries of a subscription.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubscriptionDeliveryList {
    /// The deliveries, the newest first.
    pub deliveries: Vec<DeliveryView>,
    /// The path of the next page. Null on the last page.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
}

/// List what a subscription sent, the newest first. `status=dead` lists the deliveries that were given up.
///
/// A delivery is listed when its first attempt has ended. The newest ones are kept, by default 1,000; dead ones are counted
/// for themselves.
#[utoipa::path(
    get,
    path = "/v1/subscriptions/{id}/deliveries",
    tag = "subscriptions",
    operation_id = "list_subscription_deliveries",
    params(
        ("id" = Uuid, Path, description = "The subscription's id."),
        ("status" = Option<Vec<SubscriptionDeliveryStatus>>, Query, description = "Deliveries with one of these statuses only. May be comma-separated."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "The number of deliveries of a page. Default: 50."),
        ("cursor" = Option<String>, Query, description = "From `next` of the page before."),
    ),
    responses((status = 200, description = "A page.", body = SubscriptionDeliveryList))
)]
async fn list_subscription_deliveries(
    caller: Caller<ManageSubscriptions>,
    request: HttpRequest,
    id: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    let query = pairs.reader();
    let listing = Listing::new(&caller, request.path(), &pairs, &query).await?;
    let all = SubscriptionDeliveryStatus::ALL;
    let statuses = keyed::choices(&query, "status", all, SubscriptionDeliveryStatus::key);
    query.finish()?;
    let statuses: Vec<DeliveryStatus> = statuses
        .into_iter()
        .map(SubscriptionDeliveryStatus::to_stored)
        .collect();
    let mut before = listing.after_key::<i64>()?;
    let subscription = find(&caller, &id).await?;
    let mut writer = PageWriter::new("deliveries", caller.app_state().limits());
    let limits = listing.limits();
    let page = caller
        .store()
        .find_subscription_deliveries(caller.org(), &subscription, &statuses, before, limits)
        .await?;
    for stored in page.items {
        let number = stored.number;
        if !writer.push(&DeliveryView::from(stored))? {
            break;
        }
        before = Some(number);
    }
    let last = before.map(|number| number.to_string());
    let next = listing.next(page.more || writer.is_full(), last.as_deref())?;
    writer.respond(next.as_deref(), &NoOthers {})
}

/// Read one delivery.
///
/// The answer has the attempts of the delivery with their results.
#[utoipa::path(
    get,
    path = "/v1/subscriptions/{id}/deliveries/{delivery}",
    tag = "subscriptions",
    operation_id = "read_subscription_delivery",
    params(
        ("id" = Uuid, Path, description = "The subscription's id."),
        ("delivery" = Uuid, Path, description = "The delivery's id."),
    ),
    responses((status = 200, description = "The delivery.", body = DeliveryView))
)]
async fn read_subscription_delivery(
    caller: Caller<ManageSubscriptions>,
    path: web::Path<(String, String)>,
    pairs: QueryPairs,
) -> Answer {
    pairs.refuse_any()?;
    let subscription = find(&caller, &path.0).await?;
    let id = parse_id(&path.1)?;
    let delivery = caller
        .store()
        .find_subscription_delivery(caller.org(), &subscription, id)
        .await?;
    let delivery = delivery.ok_or_else(Problem::not_found)?;
    Ok(HttpResponse::Ok().json(DeliveryView::from(delivery)))
}

/// Try a delivery again that was given up. It gets one attempt, beside the order of the others, with the activity or the
/// statements as they are now. If that fails, it is dead again.
#[utoipa::path(
    post,
    path = "/v1/subscriptions/{id}/deliveries/{delivery}/retry",
    tag = "subscriptions",
    operation_id = "retry_subscription_delivery",
    params(
        ("id" = Uuid, Path, description = "The subscription's id."),
        ("delivery" = Uuid, Path, description = "The delivery's id."),
    ),
    responses((status = 202, description = "The attempt is made while the subscription is active.", body = DeliveryView))
)]
async fn retry_subscription_delivery(
    caller: Caller<ManageSubscriptions>,
    path: web::Path<(String, String)>,
    pairs: QueryPairs,
) -> Answer {
    pairs.refuse_any()?;
    let subscription = find(&caller, &path.0).await?;
    let id = parse_id(&path.1)?;
    let queued = caller
        .store()
        .queue_dead_delivery(caller.org(), &subscription, id)
        .await??;
    Ok(HttpResponse::Accepted().json(DeliveryView::from(queued)))
}
