//! `/v1/activities/summary`: the log counted in groups.
//!
//! The filters, the scope and the reach are the same as in the log: a summary counts exactly the rows that
//! `/v1/activities` lists for the same parameters.

use actix_web::HttpResponse;
use utoipa::IntoParams;

use crate::access::permit::ReadActivities;
use crate::base::fault::Faults;
use crate::http::auth::Caller;
use crate::http::language::{LanguageParameter, LocalQuery};
use crate::http::problem::{Answer, Code, Problem, ProblemError};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::log::summary::{Dimension, Summary};
use crate::log::{ParseContext, Query};

use super::activities::parse_context;
use super::log_parameters::{LogFilter, LogScope};

/// The parameter with the dimensions.
const BY: &str = "by";

routes! {
    "/v1/activities/summary" => { get: summarise_activities },
}

/// The dimensions of the groups.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "`Dimension` reads it; this struct documents it")]
struct SummaryParameters {
    /// One or two different dimensions. May be comma-separated.
    #[param(required, inline, example = json!(["team", "month"]))]
    by: Vec<Dimension>,
}

/// Count the log within the caller's reach in groups.
///
/// By team, a row counts in each team of the person, so the sum of the groups may exceed the total. With the filter
/// `team`, only these teams are groups. With `primary_team_only`, a row counts only in the primary team. A week has the
/// date of its Monday. The response has at most 10,000 groups, those with the most rows.
#[utoipa::path(
    get,
    path = "/v1/activities/summary",
    tag = "activities",
    operation_id = "summarise_activities",
    params(SummaryParameters, LogScope, LogFilter, LanguageParameter),
    responses((status = 200, description = "The groups and the total.", body = Summary))
)]
async fn summarise_activities(
    caller: Caller<ReadActivities>,
    LocalQuery { language, pairs }: LocalQuery,
) -> Answer {
    let caller = caller.on_replica().await;
    let (by, query) = parse_query(&caller, &pairs)?;
    let scoped = caller.scoped(query.asked_scope, &query.filter)?;
    let _permit = caller
        .app_state()
        .concurrency()
        .counts
        .acquire(&caller.sharer())
        .await?;
    match caller
        .store()
        .summarise(&scoped, &by, query.now, language)
        .await?
    {
        Ok(summary) => Ok(HttpResponse::Ok().json(summary)),
        Err(too_much) => {
            let fault = ProblemError::in_parameter(BY, too_much.to_string());
            Err(Problem::with_errors(Code::BadParameter, fault.into()))
        }
    }
}

/// Parses the dimensions and the parameters of the log, without order and pages. The errors of both are returned together.
fn parse_query(
    caller: &Caller<ReadActivities>,
    pairs: &QueryPairs,
) -> Result<(Vec<Dimension>, Query), Problem> {
    let (own, others): (Vec<_>, Vec<_>) = pairs.as_slice().iter().cloned().partition(|(name, _)| name == BY);
    let by = Dimension::parse(own.iter().map(|(_, value)| value.as_str()));
    let context = ParseContext {
        sort: false,
        paging: None,
        primary_team_alone: by.as_ref().is_ok_and(|by| by.contains(&Dimension::Team)),
        extra: &[BY],
        ..parse_context(caller, None)
    };
    match (by, Query::parse(&others, &context)) {
        (Ok(by), Ok(query)) => Ok((by, query)),
        (Err(fault), Ok(_)) => Err(Faults::from(fault).into()),
        (Ok(_), Err(faults)) => Err(faults.into()),
        (Err(fault), Err(others)) => {
            let mut faults = Faults::from(fault);
            faults.append(others);
            Err(faults.into())
        }
    }
}
