//! `/v1/contents/{id}/progress` and `.csv`: where everybody stands with a content (contract section 3).
//!
//! Everybody within the caller's reach and scope is in the list, those too who never started: people are chosen first,
//! and then looked at. So the parameters ask who ([`PeopleFilter`]) and not what; the rule of the states is in
//! [`crate::log::progress`]. A page costs the same however large the organisation and the log are; what asks for single
//! `state`s or for totals passes over all of the content's rows, within a concurrency limit.

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::access::permit::ReadActivities;
use crate::base::clock::Timestamp;
use crate::base::{Fingerprint, ListCursor};
use crate::export::{self, ProgressOptions};
use crate::http::auth::Caller;
use crate::http::pages;
use crate::http::problem::{Answer, Code, Problem, ProblemError};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::log::activity::ActivityContent;
use crate::log::filter::FilterSet;
use crate::log::progress::{PersonProgress, ProgressCursor, State, StateCounts};
use crate::log::{ParseContext, Query};
use crate::store::Progress;

use super::activities::context;
use super::exports::{self, CSV};
use super::log_parameters::{LogScope, PeopleFilter};

routes! {
    "/v1/contents/{id}/progress" => { get: list_progress },
    "/v1/contents/{id}/progress.csv" => { get: export_progress },
}

const CURSOR: &str = "cursor";

/// A page of people and where they stand with a content.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "content": {"id": "fire-safety", "iri": "https://example.org/fire-safety", "title": "Fire Safety",
        "type": "quiz", "content_type": null, "archived": false, "tags": ["safety"], "url": null},
    "progress": [
        {"user": {"id": "bo", "first_name": "Bo", "last_name": "Ek", "name": "Bo Ek", "email": "bo@example.org", "active": true},
            "state": "completed", "since": "2026-03-01T09:00:00.000Z", "expires_at": "2027-03-01T09:00:00.000Z", "score": 92.5,
            "certificate": {"name": "Fire warden", "awarded_at": "2026-03-01T09:00:00.000Z", "expires_at": "2028-03-01T09:00:00.000Z"},
            "activity": "0190a000-0000-7000-8000-000000000001"},
        {"user": {"id": "cy", "first_name": "Cy", "last_name": "Roe", "name": "Cy Roe", "email": null, "active": true},
            "state": "not_started", "since": null, "expires_at": null, "score": null, "certificate": null, "activity": null}
    ],
    "next": "/v1/contents/fire-safety/progress?limit=2&count=exact&cursor=AbC",
    "total": 214,
    "states": {"not_started": 120, "in_progress": 31, "failed": 3, "completed": 55, "expired": 5}
}))]
pub struct ProgressList {
    /// The content.
    pub content: ActivityContent,
    /// The people: users by id, then the persons whom no user claims.
    pub progress: Vec<PersonProgress>,
    /// The relative address of the next page; null on the last one.
    #[schema(required, example = json!(null))]
    pub next: Option<String>,
    /// How many people there are over all pages; only with `count=exact`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub total: Option<u64>,
    /// How many of those in scope stand where, whichever `state` is asked for; only with `count=exact`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub states: Option<StateCounts>,
}

/// Where they stand.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by `states`; this describes it")]
struct StateParameter {
    /// Only those who stand in any of these states. May be comma-separated.
    #[param(example = json!(["not_started", "in_progress"]))]
    state: Option<Vec<State>>,
}

/// Which page.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by `list_progress`; this describes them")]
struct ProgressPaging {
    /// People of a page, 1 to 1000; default 50.
    #[param(example = 50)]
    limit: Option<u32>,
    /// From the last page's `next`; bound to its question and caller.
    cursor: Option<String>,
    /// `exact`: give `total` and `states`.
    #[param(example = "exact")]
    count: Option<String>,
}

/// How the CSV looks (contract section 8).
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by `export_progress`; this describes them")]
struct ProgressCsv {
    /// A byte order mark at the beginning, for Excel.
    bom: Option<bool>,
    /// Leave cells as they are that a spreadsheet would run as a formula; without it they get a leading `'`.
    raw: Option<bool>,
}

/// Read where everybody in scope stands with a content, those who never started included.
///
/// `completed` is a completion that has not expired; a later failure doesn't undo it. Being assigned or enrolled is
/// not yet a start. Persons whom no user claims are listed last, for those who see the whole organisation and ask for
/// nobody in particular.
#[utoipa::path(
    get,
    path = "/v1/contents/{id}/progress",
    tag = "completions",
    operation_id = "list_progress",
    params(
        ("id" = String, Path, description = "The content's id, or its IRI while nobody has registered it.",
            example = "fire-safety"),
        LogScope, PeopleFilter, StateParameter, ProgressPaging
    ),
    responses((status = 200, description = "A page of people.", body = ProgressList))
)]
async fn list_progress(
    caller: Caller<ReadActivities>,
    request: HttpRequest,
    id: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    let query = read(&caller, &pairs, true, &[])?;
    let mut faults = Faults::default();
    let states = faults.states(&query);
    faults.finish()?;
    let binding = format!("/v1/contents/{id}/progress");
    let fingerprint = ListCursor::fingerprint(&binding, &caller.principal().caller_id(), pairs.as_slice());
    let cursor = cursor(&pairs, fingerprint)?;
    let (limit, counted) = (query.limit as usize, query.count_exact);
    let now = cursor.as_ref().map_or(query.now, |cursor| cursor.now);
    let after = cursor.map(|cursor| cursor.after);

    let progress = question(&caller, query, &id, now).await?;
    let (page, counts) = if counted || !states.is_empty() {
        let _turn = caller.app_state().concurrency().counts.acquire().await?;
        let survey = progress.survey().await?;
        let counts = match counted {
            true => Some(progress.counts(&survey).await?),
            false => None,
        };
        let only = (!states.is_empty()).then_some((&survey, states.as_slice()));
        (progress.page(only, after.as_ref(), limit).await?, counts)
    } else {
        (progress.page(None, after.as_ref(), limit).await?, None)
    };
    let next = page.next.map(|after| {
        let after = ProgressCursor { now, after }.to_string();
        pages::next_page_address(request.path(), &pairs, &ListCursor { after }.encode(fingerprint))
    });
    let people = page.people.into_iter();
    let body = ProgressList {
        content: ActivityContent::new(progress.content()),
        progress: people
            .map(|one| PersonProgress::new(&one.person, one.standing))
            .collect(),
        next,
        total: counts.map(|counts| counts.total(&states)),
        states: counts,
    };
    Ok(pages::list_response(&body, body.next.as_deref()))
}

/// Export where everybody in scope stands with a content as CSV.
///
/// RFC 4180, UTF-8, a heading row even when empty; times in UTC; the organisation's own user fields come last. An
/// answer that breaks off failed, and must not be used.
#[utoipa::path(
    get,
    path = "/v1/contents/{id}/progress.csv",
    tag = "completions",
    operation_id = "export_progress",
    params(
        ("id" = String, Path, description = "The content's id, or its IRI while nobody has registered it.",
            example = "fire-safety"),
        LogScope, PeopleFilter, StateParameter, ProgressCsv
    ),
    responses((status = 200, description = "Everybody in scope.", body = String, content_type = "text/csv",
        headers(("Content-Disposition" = String, description = "A file name with today's date in UTC.")),
        example = "First name,Last name,Email address,Role,Job title,Language,Location,Join date,Manager name,\
            Primary team,Secondary teams,Status (at time of export),Deactivated,Title,Type,Content Type,Unique ID,\
            Progress,Since,Expires at,E-learning / Quiz score,Certificate name,Certificate awarded at,\
            Certificate expires at,User ID,Cost centre\r\n\
            Ada,Obi,ada.obi@example.org,Manager,Head of Safety,en,Leeds,2021-04-01,Eve Lund,Sales North,Safety,\
            Active,,Fire Safety,Quiz,,fire-safety,Completed,2026-03-01T09:00:00.000Z,2027-03-01T09:00:00.000Z,92%,\
            Fire warden,2026-03-01T09:00:00.000Z,2028-03-01T09:00:00.000Z,ada,4711\r\n"))
)]
async fn export_progress(caller: Caller<ReadActivities>, id: web::Path<String>, pairs: QueryPairs) -> Answer {
    let query = read(&caller, &pairs, false, &["bom", "raw"])?;
    let mut faults = Faults::default();
    let states = faults.states(&query);
    let options = ProgressOptions {
        bom: faults.flag(&query, "bom"),
        raw: faults.flag(&query, "raw"),
    };
    faults.finish()?;
    let now = query.now;
    let progress = question(&caller, query, &id, now).await?;
    let turn = caller.app_state().concurrency().exports.acquire().await?;
    let blocks = export::progress_csv(caller.store(), progress, states, options, turn).await?;
    Ok(exports::answer(blocks, "progress", CSV, "csv", caller.now()))
}

/// The parameters that say who, `state`, those of pages where there are some, and `own` ones with one value each.
fn read(
    caller: &Caller<ReadActivities>,
    pairs: &QueryPairs,
    paging: bool,
    own: &[&str],
) -> Result<Query, Problem> {
    let context = ParseContext {
        filters: FilterSet::Persons,
        sort: false,
        paging,
        lists: &["state"],
        extra: own,
        ..context(caller, "")
    };
    // A cursor of this list is not the log's.
    let foreign = |name: &str| paging && name == CURSOR;
    let pairs = pairs.as_slice().iter().filter(|(name, _)| !foreign(name));
    Ok(Query::parse(&pairs.cloned().collect::<Vec<_>>(), &context)?)
}

/// The question about a content that is there.
async fn question(
    caller: &Caller<ReadActivities>,
    query: Query,
    content: &str,
    now: Timestamp,
) -> Result<Progress, Problem> {
    let asked = caller.scoped(query.asked_scope, query.filter)?;
    let progress = caller.store().progress(asked, content, now).await?;
    progress.ok_or_else(Problem::not_found)
}

/// Where the page begins, where it is not the first.
fn cursor(pairs: &QueryPairs, fingerprint: Fingerprint) -> Result<Option<ProgressCursor>, Problem> {
    let bad = |error: &dyn std::fmt::Display| Problem::new(Code::BadCursor, error.to_string());
    let mut cursors = pairs.as_slice().iter().filter(|(name, _)| name == CURSOR);
    let Some((_, text)) = cursors.next() else {
        return Ok(None);
    };
    if cursors.next().is_some() {
        return Err(Problem::bad_parameter(CURSOR, "has one value; send it once"));
    }
    let cursor = ListCursor::decode(text, fingerprint).map_err(|error| bad(&error))?;
    cursor.after.parse().map(Some).map_err(|error| bad(&error))
}

/// What is wrong with the parameters of these resources' own.
#[derive(Default)]
struct Faults(Vec<ProblemError>);

impl Faults {
    /// The value among those of a closed list.
    fn chosen<T: Copy>(&mut self, name: &str, text: &str, all: &[(&str, T)]) -> Option<T> {
        let found = all.iter().find(|(key, _)| *key == text);
        let named = |fault: &ProblemError| fault.parameter.as_deref() == Some(name);
        if found.is_none() && !self.0.iter().any(named) {
            let keys: Vec<&str> = all.iter().map(|(key, _)| *key).collect();
            let detail = format!("is one of `{}`", keys.join("`, `"));
            self.0.push(ProblemError::in_parameter(name, detail));
        }
        found.map(|(_, value)| *value)
    }

    fn flag(&mut self, query: &Query, name: &str) -> bool {
        let text = query.extra(name).unwrap_or("false");
        self.chosen(name, text, &[("false", false), ("true", true)])
            .unwrap_or(false)
    }

    fn states(&mut self, query: &Query) -> Vec<State> {
        let all: Vec<(&str, State)> = State::ALL.iter().map(|state| (state.key(), *state)).collect();
        let texts = query.extras("state").flat_map(|text| text.split(','));
        let mut states: Vec<State> = texts
            .filter_map(|text| self.chosen("state", text, &all))
            .collect();
        states.sort_unstable();
        states.dedup();
        states
    }

    fn finish(self) -> Result<(), Problem> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(Problem::with_errors(Code::BadParameter, self.0)),
        }
    }
}
