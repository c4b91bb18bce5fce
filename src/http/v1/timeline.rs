//! `/v1/users/{id}/timeline`: one person's log and the notes about them, the newest first (contract section 13).
//!
//! Whoever may read the person's log reads its rows here. Whoever may also read notes about them, which is never the
//! person themselves nor a credential, finds these between the rows; for everybody else there are none, in the
//! entries as in the total.

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Subjects;
use crate::access::permit::{Notes, ReadActivities};
use crate::http::auth::Caller;
use crate::http::pages;
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::base::ids::UserId;
use crate::log::filter::ParameterFault;
use crate::log::timeline::{Entry, EntryKind, Kinds, TimelineEntry, merge};
use crate::log::{ParseContext, Query};
use crate::store::{Lookups, Page, Timeline as Question};

use super::activities::{binding, context};
use super::log_parameters::LogFilter;

routes! {
    "/v1/users/{id}/timeline" => { get: read_timeline },
}

/// A page of a timeline.
#[derive(Debug, Serialize, ToSchema)]
pub struct Timeline {
    /// The entries, the newest first; what happened at one moment by the order of recording.
    pub entries: Vec<TimelineEntry>,
    /// The next page; null on the last one.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
    /// How many entries there are over all pages; only with `count=exact`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// Read one person's timeline: their log, and the notes about them where the caller may read these. The filters are
/// the log's; a note has a time and nothing else, so any other filter leaves notes out.
#[utoipa::path(
    get,
    path = "/v1/users/{id}/timeline",
    tag = "timelines",
    operation_id = "read_timeline",
    params(
        ("id" = String, Path, description = "The user's id.", example = "bo"),
        ("kind" = Option<Vec<EntryKind>>, Query, description = "`system`: rows of the log; `manual`: notes. \
            Both when left out. May be comma-separated.", example = json!(["manual"])),
        LogFilter,
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Entries of a page: 50 unless given."),
        ("cursor" = Option<String>, Query, description = "From the last page's `next`; bound to its filter and caller."),
        ("count" = Option<String>, Query, description = "`exact`: give the total.", example = "exact"),
    ),
    responses((status = 200, description = "A page of the timeline.", body = Timeline))
)]
async fn read_timeline(
    caller: Caller<ReadActivities>,
    request: HttpRequest,
    id: web::Path<UserId>,
    pairs: QueryPairs,
) -> Answer {
    let id = id.into_inner();
    let reach = caller
        .principal()
        .reach(&caller.reach_rules())
        .ok_or_else(Problem::not_found)?;
    if !caller.store().reaches(caller.org(), &reach, &id).await? {
        return Err(Problem::not_found());
    }
    let binding = binding(&caller, &request);
    let (mut query, mut kinds) = read(&pairs, &context(&caller, &binding))?;
    if !query.filter.users.is_empty() && !query.filter.users.contains(&id) {
        kinds = Kinds::NEITHER;
    }
    query.filter.users = vec![id.clone()];
    query.filter.include_deactivated = true;
    let subjects = Subjects::<Notes>::for_caller(caller.principal(), &caller.reach_rules());
    let asked = Question {
        question: &caller.scoped(None, &query.filter)?,
        notes: subjects.as_ref(),
        about: &id,
        kinds,
    };
    let body = page(&caller, &request, &pairs, &query, asked).await?;
    Ok(pages::list_response(&body, body.next.as_deref()))
}

/// The log's parameters without scope and order, and `kind`; everything that is wrong with either.
fn read(pairs: &QueryPairs, context: &ParseContext<'_>) -> Result<(Query, Kinds), Problem> {
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

async fn page(
    caller: &Caller<ReadActivities>,
    request: &HttpRequest,
    pairs: &QueryPairs,
    query: &Query,
    asked: Question<'_>,
) -> Result<Timeline, Problem> {
    let page = Page {
        sort: query.sort,
        after: query.after,
        limit: query.limit.saturating_add(1),
        now: query.now,
    };
    let (rows, notes) = caller.store().timeline(asked, page).await?;
    let total = match query.count_exact {
        true => Some(caller.store().count_timeline(asked, query.now).await?),
        false => None,
    };
    let mut cards = Lookups::new(caller.store(), caller.org());
    cards.load(&rows).await?;
    let (entries, more) = merge(rows, notes, query.limit as usize);
    let next = entries.last().filter(|_| more).map(|last| {
        let cursor = query.cursor_after(last.position());
        pages::next_page_address(request.path(), pairs, &cursor)
    });
    let entries = entries.into_iter().map(|entry| {
        Ok(match entry {
            Entry::System(row) => cards.activity(&row, query.now)?.into(),
            Entry::Manual(note) => (*note).into(),
        })
    });
    Ok(Timeline {
        entries: entries.collect::<Result<_, Problem>>()?,
        next,
        total,
    })
}
