//! `/v1/users/{id}/timeline`: the log of a person and the notes about the person, the newest entry first.
//!
//! A caller that may read the person's log gets its rows. A caller that may also read notes about the person gets them
//! between the rows. The person and credentials may never read these notes. For callers without this right, neither the
//! entries nor the total contain notes.

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Subjects;
use crate::access::permit::{Notes, ReadActivities};
use crate::base::clock::Timestamp;
use crate::base::ids::UserId;
use crate::http::auth::Caller;
use crate::http::language::{LanguageParameter, LocalQuery};
use crate::http::pages::{self, PIECE, PageWriter};
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::log::filter::{CountMode, ParameterFault};
use crate::log::timeline::{Entry, EntryKind, Kinds, TimelineEntry, merge};
use crate::log::{ParseContext, Query};
use crate::store::{Lookups, Page, TimelineRequest};
use crate::texts::Language;

use super::activities::{CursorBinding, Total, parse_context};
use super::log_parameters::LogFilter;

routes! {
    "/v1/users/{id}/timeline" => { get: read_timeline },
}

/// A page of a timeline.
#[derive(Debug, Serialize, ToSchema)]
pub struct Timeline {
    /// The entries, the newest first. Entries with the same time are in the order in which they were recorded.
    pub entries: Vec<TimelineEntry>,
    /// The relative address of the next page; null on the last page.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
    /// The number of entries on all pages; only with `count=exact`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// Read the timeline of a person: the rows of the log, and the notes if the caller may read them. The filters are the
/// filters of the log. A note has only a time, so any filter other than the time excludes all notes.
#[utoipa::path(
    get,
    path = "/v1/users/{id}/timeline",
    tag = "timelines",
    operation_id = "read_timeline",
    params(
        ("id" = String, Path, description = "The user's id.", example = "bo"),
        ("kind" = Option<Vec<EntryKind>>, Query, description = "`system`: rows of the log; `manual`: notes. \
            Default: both. May be comma-separated.", example = json!(["manual"])),
        LogFilter,
        LanguageParameter,
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "The number of entries on a page. Default: 50."),
        ("cursor" = Option<String>, Query, description = "The cursor in `next` of the previous page. It is valid for the same filter and caller."),
        ("count" = inline(Option<CountMode>), Query, description = "`exact`: return the total.", example = "exact"),
    ),
    responses((status = 200, description = "A page of the timeline.", body = Timeline))
)]
async fn read_timeline(
    caller: Caller<ReadActivities>,
    request: HttpRequest,
    id: web::Path<UserId>,
    LocalQuery { language, pairs }: LocalQuery,
) -> Answer {
    let caller = caller.on_replica().await;
    let id = id.into_inner();
    let reach = caller
        .principal()
        .reach(&caller.reach_rules())
        .ok_or_else(Problem::not_found)?;
    if !caller.store().reaches(caller.org(), &reach, &id).await? {
        return Err(Problem::not_found());
    }
    let binding = CursorBinding::new(&caller, &request).await?;
    let (mut query, mut kinds) = parse_query(&pairs, &parse_context(&caller, Some(binding.paging())))?;
    if !query.filter.users.is_empty() && !query.filter.users.contains(&id) {
        kinds = Kinds::NEITHER;
    }
    query.filter.users = vec![id.clone()];
    query.filter.include_deactivated = true;
    let subjects = Subjects::<Notes>::for_caller(caller.principal(), &caller.reach_rules());
    let timeline = TimelineRequest {
        filter: &caller.scoped(None, &query.filter)?,
        notes: subjects.as_ref(),
        about: &id,
        kinds,
    };
    respond_with_page(&caller, &request, &query, timeline, language).await
}

/// Parses the parameters of the log without scope and order, and `kind`. The errors of both are returned together.
fn parse_query(pairs: &QueryPairs, context: &ParseContext<'_>) -> Result<(Query, Kinds), Problem> {
    let context = ParseContext {
        scope: false,
        sort: false,
        lists: &["kind"],
        ..*context
    };
    let values = pairs.as_slice().iter().filter(|(name, _)| name == "kind");
    let kinds = Kinds::parse(values.map(|(_, value)| value.as_str()));
    let query = Query::parse(pairs.as_slice(), &context);
    match (query, kinds) {
        (Ok(query), Ok(kinds)) => Ok((query, kinds)),
        (query, kinds) => {
            let mut faults = query.err().unwrap_or_default();
            if let Err(detail) = kinds
                && faults.iter().all(|fault| fault.parameter != "kind")
            {
                faults.push(ParameterFault {
                    parameter: "kind".to_owned(),
                    detail,
                });
            }
            Err(faults.into())
        }
    }
}

/// Loads one page of the timeline.
async fn respond_with_page(
    caller: &Caller<ReadActivities>,
    request: &HttpRequest,
    query: &Query,
    timeline: TimelineRequest<'_>,
    language: Language,
) -> Answer {
    let page = Page {
        sort: query.sort,
        after: query.after,
        limit: query.limit,
        now: query.now,
    };
    let limits = caller.app_state().limits();
    let (rows, notes) = caller
        .store()
        .find_timeline(timeline, page, limits.page_bytes)
        .await?;
    let total = match query.count_exact {
        true => Some(caller.store().count_timeline(timeline, query.now).await?),
        false => None,
    };
    let lookups = Lookups::new(caller.store(), caller.org()).in_language(language);
    let mut writer = PageWriter::new("entries", limits);
    let page = merge(rows, notes, query.limit as usize);
    let last = write_entries(&page.items, lookups, query.now, &mut writer).await?;
    let next = match last {
        Some(last) if page.more || writer.is_full() => {
            let cursor = query.cursor_after(last.position())?;
            let pairs = QueryPairs::parse(request.query_string())?;
            Some(pages::next_address(request, &pairs, &cursor))
        }
        _ => None,
    };
    writer.respond(next.as_deref(), &Total { total })
}

/// Adds the entries to the page until it is full. Returns the last one that has space.
async fn write_entries<'e>(
    entries: &'e [Entry],
    mut lookups: Lookups,
    now: Timestamp,
    writer: &mut PageWriter,
) -> Result<Option<&'e Entry>, Problem> {
    let mut last = None;
    for piece in entries.chunks(PIECE) {
        let rows = piece.iter().filter_map(|entry| match entry {
            Entry::System(row) => Some(row.as_ref()),
            Entry::Manual(_) => None,
        });
        lookups.load(rows).await?;
        for entry in piece {
            let shown: TimelineEntry = match entry {
                Entry::System(row) => lookups.activity(row, now)?.into(),
                Entry::Manual(note) => note.as_ref().clone().into(),
            };
            if !writer.push(&shown)? {
                return Ok(last);
            }
            last = Some(entry);
        }
        if writer.is_full() {
            break;
        }
    }
    Ok(last)
}
