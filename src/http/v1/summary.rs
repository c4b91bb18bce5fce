//! `/v1/activities/summary`: the log counted in groups (contract sections 3, 7 and 13).
//!
//! Filters and scope are those of the log, and so is what a caller sees: a summary counts the rows that the same question
//! to `/v1/activities` lists, and no other.

use actix_web::HttpResponse;
use utoipa::IntoParams;

use crate::access::permit::ReadActivities;
use crate::http::auth::Caller;
use crate::http::problem::{Answer, Code, Problem, ProblemError};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::log::summary::{Dimension, Summary};
use crate::log::{ParseContext, Query};

use super::activities::context;
use super::log_parameters::{LogFilter, LogScope};

/// The parameter of the summary alone.
const BY: &str = "by";

routes! {
    "/v1/activities/summary" => { get: summarise_activities },
}

/// What is counted by (contract section 3).
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by `Dimension::read`; this describes it")]
struct SummaryParameters {
    /// One or two different dimensions. May be comma-separated.
    #[param(required, inline, example = json!(["team", "month"]))]
    by: Vec<Dimension>,
}

/// Count the log within the caller's reach in groups.
///
/// By team a row counts in each of the person's teams, so groups may add up to more than the total; with `team` only the
/// teams asked for are groups, and with `primary_team_only` a row counts in the primary team alone. Weeks are named by
/// their Monday. At most 10,000 groups are shown, those with the most rows.
#[utoipa::path(
    get,
    path = "/v1/activities/summary",
    tag = "activities",
    operation_id = "summarise_activities",
    params(SummaryParameters, LogScope, LogFilter),
    responses((status = 200, description = "The groups and their total.", body = Summary))
)]
async fn summarise_activities(caller: Caller<ReadActivities>, pairs: QueryPairs) -> Answer {
    let (by, query) = read(&caller, &pairs)?;
    let question = caller.scoped(query.asked_scope, &query.filter)?;
    let _turn = caller.app_state().concurrency().counts.acquire().await?;
    match caller.store().summary(&question, &by, query.now).await? {
        Ok(summary) => Ok(HttpResponse::Ok().json(summary)),
        Err(too_much) => {
            let fault = ProblemError::in_parameter(BY, too_much.to_string());
            Err(Problem::with_errors(Code::BadParameter, vec![fault]))
        }
    }
}

/// What is counted by, and the log's parameters without those of order and pages; everything that is wrong at once.
fn read(caller: &Caller<ReadActivities>, pairs: &QueryPairs) -> Result<(Vec<Dimension>, Query), Problem> {
    let (own, others): (Vec<_>, Vec<_>) = pairs.as_slice().iter().cloned().partition(|(name, _)| name == BY);
    let context = ParseContext {
        sort: false,
        paging: false,
        extra: &[BY],
        ..context(caller, "")
    };
    let by = Dimension::read(own.iter().map(|(_, value)| value.as_str()));
    match (by, Query::parse(&others, &context)) {
        (Ok(by), Ok(query)) => Ok((by, query)),
        (Err(fault), Ok(_)) => Err(vec![fault].into()),
        (Ok(_), Err(faults)) => Err(faults.into()),
        (Err(fault), Err(mut faults)) => {
            faults.insert(0, fault);
            Err(faults.into())
        }
    }
}
