//! `/v1/reports/{id}/deliveries`: what became of a report's sendings (contract sections 9 and 13).
//!
//! Those of one's own schedules, or all for an owner or admin of the organisation: as with the schedules themselves.

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::permit::ManageReports;
use crate::http::auth::Caller;
use crate::http::keyed::Listing;
use crate::http::pages;
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::reports::delivery::Delivery;

use super::reports::report_id;

routes! {
    "/v1/reports/{id}/deliveries" => { get: list_deliveries },
}

/// A page of deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryList {
    /// Runs that have ended, the one made last first.
    pub deliveries: Vec<Delivery>,
    /// The next page; null on the last one.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
}

/// List what became of a report's schedules, the newest first: of one's own, or of all for an owner or admin of the
/// organisation.
///
/// A run is listed once it has ended. One that is under way or tried again is `pending` on its schedule until then: a failed
/// attempt is followed by another after 1, 5, 15, 60 and 240 minutes, for those who have not got it yet.
#[utoipa::path(
    get,
    path = "/v1/reports/{id}/deliveries",
    tag = "reports",
    operation_id = "list_deliveries",
    params(
        ("id" = Uuid, Path, description = "The report's id."),
        ("schedule" = Option<Vec<Uuid>>, Query, description = "Of any of these schedules."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Deliveries of a page: 50 unless given."),
        ("cursor" = Option<String>, Query, description = "From the last page's `next`."),
    ),
    responses((status = 200, description = "A page.", body = DeliveryList))
)]
async fn list_deliveries(
    caller: Caller<ManageReports>,
    request: HttpRequest,
    id: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    let query = pairs.reader();
    let listing = Listing::new(&caller, request.path(), &pairs, &query);
    let schedules = query.values::<Uuid>("schedule");
    query.finish()?;
    let before = listing.after_key()?;
    let page = caller
        .store()
        .deliveries(
            &caller.reports()?,
            report_id(&id)?,
            &schedules,
            before,
            listing.limit,
        )
        .await?
        .ok_or_else(Problem::not_found)?;
    let last = page.items.last().map(|delivery| delivery.key.to_string());
    let next = listing.next(page.more, last.as_deref());
    let deliveries = page.items.into_iter().map(Delivery::from).collect();
    let body = DeliveryList { deliveries, next };
    Ok(pages::list_response(&body, body.next.as_deref()))
}
