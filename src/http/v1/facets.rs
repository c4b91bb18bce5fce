//! `/v1/facets`: the values of each filter, for a filter bar.

use actix_web::HttpResponse;

use crate::access::permit::ReadActivities;
use crate::http::auth::Caller;
use crate::http::language::{LanguageParameter, LocalQuery};
use crate::http::problem::Answer;
use crate::http::routes::routes;
use crate::log::facets::{Facets, facet_filter};
use crate::log::{ParseContext, Query};

use super::activities::parse_context;
use super::log_parameters::{LogFilter, LogScope};

routes! {
    "/v1/facets" => { get: list_facets },
}

/// List the values of each filter with the number of rows.
///
/// The counts include all rows that the caller may read, without filters. A filter bar can send its current parameters:
/// they are checked, but only `scope`, the team or group of the scope, and `include_deactivated` change the counts. A
/// response about many rows may be up to one minute old; see `as_of`.
#[utoipa::path(
    get,
    path = "/v1/facets",
    tag = "activities",
    operation_id = "list_facets",
    params(LogScope, LogFilter, LanguageParameter),
    responses((status = 200, description = "One facet for each filter.", body = Facets))
)]
async fn list_facets(caller: Caller<ReadActivities>, LocalQuery { language, pairs }: LocalQuery) -> Answer {
    let caller = caller.on_replica().await;
    let context = ParseContext {
        sort: false,
        paging: None,
        ..parse_context(&caller, None)
    };
    let query = Query::parse(pairs.as_slice(), &context)?;
    let filter = facet_filter(&query.filter, query.asked_scope);
    let cache = caller.app_state().facets();
    let scoped = caller.scoped(query.asked_scope, &filter)?;
    let cached = caller
        .store()
        .find_cached_facets(cache, &scoped, caller.now(), language);
    if let Some(facets) = cached.await? {
        return Ok(HttpResponse::Ok().json(facets.as_ref()));
    }
    let _permit = caller
        .app_state()
        .concurrency()
        .counts
        .acquire(&caller.sharer())
        .await?;
    let facets = caller
        .store()
        .count_facets(cache, &scoped, query.now, language)
        .await?;
    Ok(HttpResponse::Ok().json(facets.as_ref()))
}
