//! `/v1/facets`: what a filter bar can offer (contract section 7).

use actix_web::HttpResponse;

use crate::access::permit::ReadActivities;
use crate::http::auth::Caller;
use crate::http::problem::Answer;
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::log::facets::{Facets, population};
use crate::log::{ParseContext, Query};

use super::activities::context;
use super::log_parameters::{LogFilter, LogScope};

routes! {
    "/v1/facets" => { get: list_facets },
}

/// List every filter's values, with how many rows have each.
///
/// They count the log as the caller sees it without filters. The log's parameters are read and checked as there, so
/// that a filter bar can send what it has; only `scope`, with the team or group that belongs to it, and
/// `include_deactivated` change what is counted. Over many rows an answer may be a minute old: see `as_of`.
#[utoipa::path(
    get,
    path = "/v1/facets",
    tag = "activities",
    operation_id = "list_facets",
    params(LogScope, LogFilter),
    responses((status = 200, description = "One facet for each filter.", body = Facets))
)]
async fn list_facets(caller: Caller<ReadActivities>, pairs: QueryPairs) -> Answer {
    let context = ParseContext {
        sort: false,
        paging: false,
        ..context(&caller, "")
    };
    let query = Query::parse(pairs.as_slice(), &context)?;
    let population = population(&query.filter, query.asked_scope);
    let cache = caller.app_state().facets();
    let question = caller.scoped(query.asked_scope, &population)?;
    if let Some(kept) = cache.get(&question, caller.now()) {
        return Ok(HttpResponse::Ok().json(kept.as_ref()));
    }
    let _turn = caller.app_state().concurrency().counts.acquire().await?;
    let facets = caller.store().facets(cache, &question, query.now).await?;
    Ok(HttpResponse::Ok().json(facets.as_ref()))
}
