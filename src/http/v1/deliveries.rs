//! `/v1/reports/{id}/deliveries`: how the runs of a report's schedules ended. See `docs/specification.md#deliveries`.
//!
//! A caller sees the deliveries of its own schedules. An owner or admin of the organisation sees all.

use std::collections::HashSet;

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::permit::ManageReports;
use crate::http::auth::Caller;
use crate::http::keyed::Listing;
use crate::http::pages::{NoOthers, PageWriter};
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::reports::delivery::Delivery;
use crate::reports::rights::find_disclosed;
use crate::store::{DeliveryWithRecipients, skip_unreadable};

use super::report_resource::parse_id;

routes! {
    "/v1/reports/{id}/deliveries" => { get: list_deliveries },
}

/// A page of deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryList {
    /// Runs that have ended, the newest first.
    pub deliveries: Vec<Delivery>,
    /// The path of the next page. Null on the last page.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
}

/// List the deliveries of the caller's schedules of a report, or of all schedules for an owner or admin of the organisation.
///
/// A run is listed after it has ended. Before that it is `pending` on its schedule. A failed attempt is followed by another
/// one after 1, 5, 15, 60 and 240 minutes, for the recipients that have no message yet.
#[utoipa::path(
    get,
    path = "/v1/reports/{id}/deliveries",
    tag = "reports",
    operation_id = "list_deliveries",
    params(
        ("id" = Uuid, Path, description = "The report's id."),
        ("schedule" = Option<Vec<Uuid>>, Query, description = "Deliveries of these schedules only."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "The number of deliveries of a page. Default: 50."),
        ("cursor" = Option<String>, Query, description = "From `next` of the page before."),
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
    let listing = Listing::new(&caller, request.path(), &pairs, &query).await?;
    let schedules = query.values::<Uuid>("schedule");
    query.finish()?;
    let mut before: Option<i64> = listing.after_key()?;
    let (reports, report) = (caller.reports()?, parse_id(&id)?);
    let mut writer = PageWriter::new("deliveries", caller.app_state().limits());
    let mut more = true;
    while more && !writer.is_full() && writer.len() < listing.limit {
        let limits = listing.piece_after(writer.len());
        let page = caller
            .store()
            .find_deliveries(&reports, report, &schedules, before, limits)
            .await?
            .ok_or_else(Problem::not_found)?;
        more = page.more;
        let disclosed = find_disclosed_recipients(&caller, &page.items).await?;
        for stored in page.items {
            let (id, key) = (stored.delivery.id, stored.delivery.key);
            let delivery = Delivery::new(stored, disclosed.as_ref());
            if let Some(delivery) = skip_unreadable("delivery", || id, delivery)?
                && !writer.push(&delivery)?
            {
                break;
            }
            before = Some(key);
        }
    }
    let last = before.map(|key| key.to_string());
    let next = listing.next(more || writer.is_full(), last.as_deref())?;
    writer.respond(next.as_deref(), &NoOthers {})
}

/// The recipients of the deliveries about which the caller may know how the run ended for them; `None` if about all.
async fn find_disclosed_recipients(
    caller: &Caller<ManageReports>,
    deliveries: &[DeliveryWithRecipients],
) -> Result<Option<HashSet<String>>, Problem> {
    let recipients = deliveries.iter().flat_map(|delivery| &delivery.recipients);
    let recipients: HashSet<String> = recipients.map(|one| one.recipient.clone()).collect();
    let recipients: Vec<String> = recipients.into_iter().collect();
    let rules = caller.reach_rules();
    Ok(find_disclosed(caller.store(), caller.principal(), &rules, &recipients).await?)
}
