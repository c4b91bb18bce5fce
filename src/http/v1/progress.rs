//! `/v1/contents/{id}/progress` and `.csv`: the progress of people with a content.
//!
//! The list contains all people within the caller's reach and scope, also people without any activity. Therefore the
//! parameters select people ([`PeopleFilter`]) and not activities. [`crate::log::progress`] has the rule of the states.
//! The cost of a page does not depend on the size of the organisation or of the log. Only a request with `state`,
//! `expires_within` or totals reads all rows of the content, and a concurrency limit applies to it.

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::access::permit::ReadActivities;
use crate::base::clock::Timestamp;
use crate::base::fault::Faults;
use crate::base::{CursorCipher, CursorError};
use crate::export;
use crate::http::auth::Caller;
use crate::http::language::{FileLanguage, FileQuery};
use crate::http::pages::{self, PIECE, PageWriter};
use crate::http::problem::{Answer, Code, Problem, ProblemError};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::log::activity::ActivityContent;
use crate::log::filter::{CountMode, FilterSet};
use crate::log::period::local_date;
use crate::log::progress::{ListPosition, PersonProgress, ProgressCursor, State, StateCounts, StatusFilter};
use crate::log::{Paging, ParseContext, Query, Window};
use crate::record::CalendarDuration;
use crate::store::{ContentProgress, StateSurvey};

use super::activities::parse_context;
use super::exports::{self, CSV};
use super::log_parameters::{LogScope, PeopleFilter};

routes! {
    "/v1/contents/{id}/progress" => { get: list_progress },
    "/v1/contents/{id}/progress.csv" => { get: export_progress },
}

const CURSOR: &str = "cursor";

/// A page of people with their progress.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "content": {"id": "fire-safety", "iri": "https://example.org/fire-safety", "title": "Fire Safety",
        "type": "quiz", "content_type": null, "archived": false, "tags": ["safety"], "url": null},
    "progress": [
        {"user": {"id": "bo", "first_name": "Bo", "last_name": "Ek", "name": "Bo Ek", "email": "bo@example.org", "active": true, "identifier": null},
            "state": "completed", "since": "2026-03-01T09:00:00.000Z", "expires_at": "2027-03-01T09:00:00.000Z", "score": 92.5,
            "certificate": {"name": "Fire warden", "awarded_at": "2026-03-01T09:00:00.000Z", "expires_at": "2028-03-01T09:00:00.000Z"},
            "activity": "0190a000-0000-7000-8000-000000000001"},
        {"user": {"id": "cy", "first_name": "Cy", "last_name": "Roe", "name": "Cy Roe", "email": null, "active": true, "identifier": null},
            "state": "not_started", "since": null, "expires_at": null, "score": null, "certificate": null, "activity": null}
    ],
    "next": "/v1/contents/fire-safety/progress?limit=2&count=exact&cursor=AbC",
    "total": 214,
    "states": {"not_started": 120, "in_progress": 31, "failed": 3, "completed": 55, "expired": 5}
}))]
pub struct ProgressList {
    /// The content.
    pub content: ActivityContent,
    /// The users in the order of their ids, then the persons without a user.
    pub progress: Vec<PersonProgress>,
    /// The relative address of the next page; null on the last page.
    #[schema(required, example = json!(null))]
    pub next: Option<String>,
    /// The number of people on all pages; only with `count=exact`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub total: Option<u64>,
    /// The number of people in scope by state, independent of `state` and `expires_within`; only with `count=exact`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub states: Option<StateCounts>,
}

/// The members of a page besides the people.
#[derive(Serialize)]
struct OtherMembers {
    content: ActivityContent,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    states: Option<StateCounts>,
}

/// The parameters that select people by their progress.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(
    dead_code,
    reason = "`ParameterErrors::parse_status_filter` reads them; this struct documents them"
)]
struct StatusParameters {
    /// Only people in one of these states. May be repeated or comma-separated.
    #[param(example = json!(["not_started", "in_progress"]))]
    state: Option<Vec<State>>,
    /// An ISO 8601 duration: only people with a completion that expires between now and then. A person that has renewed
    /// is left out.
    #[param(example = "P30D")]
    expires_within: Option<String>,
}

/// The parameter that is not a filter of people or of states.
const EXPIRES_WITHIN: &str = "expires_within";

/// The parameters of pages.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "`list_progress` reads them; this struct documents them")]
struct ProgressPaging {
    /// The number of people on a page, 1 to 1000. Default: 50.
    #[param(example = 50, minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The cursor in `next` of the previous page. It is valid for the same parameters and caller.
    cursor: Option<String>,
    /// `exact`: return `total` and `states`.
    #[param(example = "exact", inline)]
    count: Option<CountMode>,
}

/// The format of the CSV.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(
    dead_code,
    reason = "`export_progress` reads them; this struct documents them"
)]
struct ProgressCsv {
    /// Begin the file with a byte order mark, for Excel.
    bom: Option<bool>,
    /// Do not escape texts that a spreadsheet would run as a formula. Otherwise they get a `'` before the sign of the formula.
    raw: Option<bool>,
}

/// Read the progress of all people in scope with a content, including people that have not started.
///
/// A person has the state `completed` if a completion has not expired. A later failure does not change this. A person
/// that was only assigned or enrolled has not started. Persons without a user come last. They are listed only if the
/// caller may read the whole organisation and the parameters do not select people.
#[utoipa::path(
    get,
    path = "/v1/contents/{id}/progress",
    tag = "completions",
    operation_id = "list_progress",
    params(
        ("id" = String, Path, description = "The content's id, or its IRI if the content is not registered.",
            example = "fire-safety"),
        LogScope, PeopleFilter, StatusParameters, ProgressPaging
    ),
    responses((status = 200, description = "A page of people.", body = ProgressList))
)]
async fn list_progress(
    caller: Caller<ReadActivities>,
    request: HttpRequest,
    id: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    let caller = caller.on_replica().await;
    let key = caller.cursor_key().await?;
    let query = parse_query(
        &caller,
        &pairs,
        Some(Paging { key, binding: "" }),
        &[EXPIRES_WITHIN],
    )?;
    let binding = format!("/v1/contents/{id}/progress");
    let cipher = pages::cursor_cipher(&caller, &binding, &pairs).await?;
    let cursor = parse_cursor(&pairs, &cipher)?;
    let (limit, with_counts) = (query.limit as usize, query.count_exact);
    let now = cursor.as_ref().map_or(query.now, |cursor| cursor.now);
    let mut errors = ParameterErrors::default();
    let filter = errors.parse_status_filter(&query, now);
    errors.finish()?;
    let after = cursor.map(|cursor| cursor.after);

    let progress = find_progress(&caller, query, &id, now).await?;
    let mut writer = PageWriter::new("progress", caller.app_state().limits());
    let (next, counts) = if with_counts || !filter.is_empty() {
        let _permit = caller
            .app_state()
            .concurrency()
            .counts
            .acquire(&caller.sharer())
            .await?;
        let survey = progress.survey_states().await?;
        let counts = match with_counts {
            true => Some(progress.count_people(&survey, &filter).await?),
            false => None,
        };
        let only = (!filter.is_empty()).then_some((&survey, &filter));
        let next = write_people(&progress, only, after, limit, &mut writer).await?;
        (next, counts)
    } else {
        let next = write_people(&progress, None, after, limit, &mut writer).await?;
        (next, None)
    };
    let next = next.map(|after| {
        let cursor = cipher.encrypt_text(&ProgressCursor { now, after }.to_string())?;
        Ok::<_, Problem>(pages::next_address(&request, &pairs, &cursor))
    });
    let next = next.transpose()?;
    let others = OtherMembers {
        content: ActivityContent::new(progress.content()),
        total: counts.as_ref().map(|counts| counts.total),
        states: counts.map(|counts| counts.states),
    };
    writer.respond(next.as_deref(), &others)
}

/// Adds up to `limit` people after a place to the page. Returns the place of the next page, if there is one.
async fn write_people(
    progress: &ContentProgress,
    only: Option<(&StateSurvey, &StatusFilter)>,
    mut after: Option<ListPosition>,
    limit: usize,
    writer: &mut PageWriter,
) -> Result<Option<ListPosition>, Problem> {
    loop {
        let piece = limit.saturating_sub(writer.len()).min(PIECE);
        let page = progress.find_page(only, after.as_ref(), piece).await?;
        for row in page.people {
            if !writer.push(&PersonProgress::new(&row.person, row.status))? {
                return Ok(after);
            }
            after = Some(ListPosition::from_person(&row.person));
        }
        if page.next.is_none() || writer.len() >= limit {
            return Ok(page.next);
        }
        after = page.next;
    }
}

/// Export the progress of all people in scope with a content as CSV.
///
/// The format is RFC 4180 in UTF-8 with times in UTC. The file always has a heading row. The custom fields are the last
/// columns. If the transfer is interrupted, the file is incomplete and must not be used.
#[utoipa::path(
    get,
    path = "/v1/contents/{id}/progress.csv",
    tag = "completions",
    operation_id = "export_progress_csv",
    params(
        ("id" = String, Path, description = "The content's id, or its IRI if the content is not registered.",
            example = "fire-safety"),
        LogScope, PeopleFilter, StatusParameters, ProgressCsv, FileLanguage
    ),
    responses((status = 200, description = "All people in scope.", body = crate::http::openapi::Binary, content_type = "text/csv",
        headers(("Content-Disposition" = String, description = "A file name with today's date in the organisation's time zone.")),
        example = "First name,Last name,Email address,Role,Job title,Language,Location,Join date,Manager name,\
            Primary team,Secondary teams,Status (at time of export),Deactivated,Title,Type,Content Type,Unique ID,\
            Progress,Since,Expires at,E-learning / Quiz score,Certificate name,Certificate awarded at,\
            Certificate expires at,User ID,Cost centre\r\n\
            Ada,Obi,ada.obi@example.org,Manager,Head of Safety,en,Leeds,2021-04-01,Eve Lund,Sales North,Safety,\
            Active,,Fire Safety,Quiz,,fire-safety,Completed,2026-03-01T09:00:00.000Z,2027-03-01T09:00:00.000Z,92%,\
            Fire warden,2026-03-01T09:00:00.000Z,2028-03-01T09:00:00.000Z,ada,4711\r\n"))
)]
pub(super) async fn export_progress(
    caller: Caller<ReadActivities>,
    id: web::Path<String>,
    FileQuery { language, pairs }: FileQuery,
) -> Answer {
    let caller = caller.on_replica().await;
    let query = parse_query(&caller, &pairs, None, &["bom", "raw", EXPIRES_WITHIN])?;
    let now = query.now;
    let mut errors = ParameterErrors::default();
    let filter = errors.parse_status_filter(&query, now);
    let options = exports::file_options(&query, language, &mut errors.0);
    errors.finish()?;
    let progress = find_progress(&caller, query, &id, now).await?;
    let transfer = exports::begin_transfer(&caller).await?;
    let blocks = export::progress_csv(caller.store(), progress, filter, options, transfer).await?;
    let date = local_date(now, caller.organisation().zone());
    Ok(exports::file_response(blocks, "progress", CSV, "csv", date))
}

/// Parses the parameters that select people, `state`, and the parameters of pages if `paging` is given. `extra` names
/// further parameters, each with one value.
fn parse_query(
    caller: &Caller<ReadActivities>,
    pairs: &QueryPairs,
    paging: Option<Paging<'_>>,
    extra: &[&str],
) -> Result<Query, Problem> {
    let context = ParseContext {
        filters: FilterSet::Persons,
        sort: false,
        paging,
        lists: &["state"],
        extra,
        ..parse_context(caller, None)
    };
    // The cursor of this list has another format than the cursor of the log.
    let is_own_cursor = |name: &str| paging.is_some() && name == CURSOR;
    let pairs = pairs.as_slice().iter().filter(|(name, _)| !is_own_cursor(name));
    Ok(Query::parse(&pairs.cloned().collect::<Vec<_>>(), &context)?)
}

/// Creates the request for progress. The content must exist.
async fn find_progress(
    caller: &Caller<ReadActivities>,
    query: Query,
    content: &str,
    now: Timestamp,
) -> Result<ContentProgress, Problem> {
    let filter = caller.scoped(query.asked_scope, query.filter)?;
    let progress = caller.store().content_progress(filter, content, now).await?;
    progress.ok_or_else(Problem::not_found)
}

/// Parses the cursor. The first page has none.
fn parse_cursor(pairs: &QueryPairs, cipher: &CursorCipher) -> Result<Option<ProgressCursor>, Problem> {
    let mut cursors = pairs.as_slice().iter().filter(|(name, _)| name == CURSOR);
    let Some((_, text)) = cursors.next() else {
        return Ok(None);
    };
    if cursors.next().is_some() {
        return Err(Problem::bad_parameter(CURSOR, "must be sent once"));
    }
    let cursor = cipher.decrypt_text(text)?;
    Ok(Some(cursor.parse().map_err(|_| CursorError)?))
}

/// The errors in the parameters that only these resources have.
#[derive(Default)]
struct ParameterErrors(Faults<ProblemError>);

impl ParameterErrors {
    /// Parses one of the listed keys. An unknown key adds one error for the parameter.
    fn parse_key<T: Copy>(&mut self, name: &str, text: &str, all: &[(&str, T)]) -> Option<T> {
        let value = all.iter().find(|(key, _)| *key == text);
        let is_reported = |error: &ProblemError| error.parameter.as_deref() == Some(name);
        if value.is_none() && !self.0.iter().any(is_reported) {
            let keys: Vec<&str> = all.iter().map(|(key, _)| *key).collect();
            let detail = format!("must be one of `{}`", keys.join("`, `"));
            self.0.push(ProblemError::in_parameter(name, detail));
        }
        value.map(|(_, value)| *value)
    }

    fn parse_states(&mut self, query: &Query) -> Vec<State> {
        let all: Vec<(&str, State)> = State::ALL.iter().map(|state| (state.key(), *state)).collect();
        let texts = query.extras("state").flat_map(|text| text.split(','));
        let mut states: Vec<State> = texts
            .filter_map(|text| self.parse_key("state", text, &all))
            .collect();
        states.sort_unstable();
        states.dedup();
        states
    }

    /// Parses the parameters of [`StatusParameters`] for the moment `now`.
    fn parse_status_filter(&mut self, query: &Query, now: Timestamp) -> StatusFilter {
        let expires = query
            .extra(EXPIRES_WITHIN)
            .and_then(|text| match CalendarDuration::parse(text) {
                Ok(duration) => Some(Window::until(now, duration.add_to(now))),
                Err(error) => {
                    let error = ProblemError::in_parameter(EXPIRES_WITHIN, error.to_string());
                    self.0.push(error);
                    None
                }
            });
        StatusFilter {
            states: self.parse_states(query),
            expires,
        }
    }

    fn finish(self) -> Result<(), Problem> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(Problem::with_errors(Code::BadParameter, self.0)),
        }
    }
}
