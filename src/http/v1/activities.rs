//! `/v1/activities`: reading the log, creating activities in the short form, and voiding them.

pub(super) mod records;

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::permit::{ReadActivities, VoidActivities, WriteActivities};
use crate::access::{AskedScope, Scoped};
use crate::base::CursorKey;
use crate::base::fault::Faults;
use crate::base::ids::{StatementId, UserId};
use crate::http::auth::Caller;
use crate::http::json::{Batch, JsonBody};
use crate::http::language::{LanguageParameter, LocalQuery};
use crate::http::pages::{self, PIECE, PageWriter};
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::log::activity::ActivityInFull;
use crate::log::{Activity, Filter, Paging, ParseContext, Position, Query, ShortForm};
use crate::record::{Actor, Envelope, Identifier, StatementBuilder};
use crate::store::{Incoming, Lookups, Page, Recorded, Sameness};
use crate::texts::Language;

use super::log_parameters::{LogFilter, LogPage, LogScope};
use records::{batch_records, envelope, record_all, short_form_rules, submission, to_records};

/// The maximum length of the reason of a voiding, in characters.
const MAX_REASON_CHARS: usize = 1_000;

routes! {
    "/v1/activities" => { get: list_activities, post: create_activity },
    "/v1/activities/batch" => { post: create_activities },
    "/v1/activities/{id}" => { get: read_activity, delete: void_activity },
    "/v1/me/activities" => { get: list_my_activities },
    "/v1/users/{id}/activities" => { get: list_user_activities },
}

/// A page of the log.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActivityList {
    /// The rows in the requested order.
    pub activities: Vec<Activity>,
    /// The relative address of the next page; null on the last page.
    #[schema(example = "/v1/activities?limit=50&cursor=AbC")]
    pub next: Option<String>,
    /// The number of rows on all pages; only with `count=exact`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// The members of a page of the log besides the rows.
#[derive(Serialize)]
pub(super) struct Total {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) total: Option<u64>,
}

/// The ids of the activities of a batch, in the same order.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActivityIds {
    /// One id for each element of the batch.
    #[schema(value_type = Vec<Uuid>)]
    pub ids: Vec<StatementId>,
}

/// A new activity. The response contains only its id if the caller may not read it.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum CreatedActivity {
    /// The activity.
    Full(Box<ActivityInFull>),
    /// Only the id. The caller may not read activities, or a voiding statement has removed the activity.
    Id(ActivityId),
}

/// The id of an activity.
#[derive(Serialize, ToSchema)]
// An activity in full has an id too. Without other members, a body fits only one of the two.
#[serde(deny_unknown_fields)]
pub struct ActivityId {
    /// The activity's id.
    #[schema(value_type = Uuid)]
    id: StatementId,
}

/// Read a page of the log within the caller's reach.
///
/// All filters combine with AND, the values of one filter with OR. `next` is the address of the next page.
#[utoipa::path(
    get,
    path = "/v1/activities",
    tag = "activities",
    operation_id = "list_activities",
    params(LogScope, LogFilter, LogPage, LanguageParameter),
    responses((status = 200, description = "A page of the log.", body = ActivityList))
)]
async fn list_activities(
    caller: Caller<ReadActivities>,
    request: HttpRequest,
    LocalQuery { language, pairs }: LocalQuery,
) -> Answer {
    let caller = caller.on_replica().await;
    let binding = CursorBinding::new(&caller, &request).await?;
    let query = Query::parse(pairs.as_slice(), &parse_context(&caller, Some(binding.paging())))?;
    let scope = query.asked_scope;
    load_list(&caller, &request, scope, query, language).await
}

/// Read the caller's own log. Every role may read all of its own activities.
#[utoipa::path(
    get,
    path = "/v1/me/activities",
    tag = "activities",
    operation_id = "list_my_activities",
    params(LogFilter, LogPage, LanguageParameter),
    responses((status = 200, description = "A page of the caller's own log.", body = ActivityList))
)]
async fn list_my_activities(
    caller: Caller<ReadActivities>,
    request: HttpRequest,
    LocalQuery { language, pairs }: LocalQuery,
) -> Answer {
    let caller = caller.on_replica().await;
    let binding = CursorBinding::new(&caller, &request).await?;
    let context = ParseContext {
        scope: false,
        ..parse_context(&caller, Some(binding.paging()))
    };
    let mut query = Query::parse(pairs.as_slice(), &context)?;
    query.filter.include_deactivated = true;
    load_list(&caller, &request, Some(AskedScope::Me), query, language).await
}

/// Read the log of a user. A user outside the caller's reach is not found.
#[utoipa::path(
    get,
    path = "/v1/users/{id}/activities",
    tag = "activities",
    operation_id = "list_user_activities",
    params(("id" = String, Path, description = "The user's id.", example = "u1"), LogFilter, LogPage,
        LanguageParameter),
    responses((status = 200, description = "A page of the user's log.", body = ActivityList))
)]
async fn list_user_activities(
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
    let context = ParseContext {
        scope: false,
        ..parse_context(&caller, Some(binding.paging()))
    };
    let mut query = Query::parse(pairs.as_slice(), &context)?;
    query.filter.include_deactivated = true;
    if !query.filter.users.is_empty() && !query.filter.users.contains(&id) {
        let total = query.count_exact.then_some(0);
        return Ok(pages::list_response(
            &ActivityList {
                activities: Vec::new(),
                next: None,
                total,
            },
            None,
        ));
    }
    query.filter.users = vec![id];
    load_list(&caller, &request, None, query, language).await
}

/// Loads the page of the log in a scope.
async fn load_list(
    caller: &Caller<ReadActivities>,
    request: &HttpRequest,
    scope: Option<AskedScope>,
    query: Query,
    language: Language,
) -> Answer {
    let filter = caller.scoped(scope, &query.filter)?;
    page_of_log(caller, request, &filter, &query, language).await
}

/// Loads the page of the rows that match `filter`. `query` contains the parameters of the page.
pub(super) async fn page_of_log<A>(
    caller: &Caller<A>,
    request: &HttpRequest,
    filter: &Scoped<&Filter>,
    query: &Query,
    language: Language,
) -> Answer {
    let page = Page {
        sort: query.sort,
        after: query.after,
        limit: query.limit,
        now: query.now,
    };
    let limits = caller.app_state().limits();
    let page = caller.store().find_rows(filter, page, limits.page_bytes).await?;
    let total = match query.count_exact {
        true => Some(caller.store().count_rows(filter, query.now).await?),
        false => None,
    };
    let mut lookups = Lookups::new(caller.store(), caller.org()).in_language(language);
    let mut writer = PageWriter::new("activities", limits);
    for piece in page.items.chunks(PIECE) {
        lookups.load(piece).await?;
        for row in piece {
            if !writer.push(&lookups.activity(row, query.now)?)? {
                break;
            }
        }
        if writer.is_full() {
            break;
        }
    }
    let last = page.items[..writer.len()].last();
    let next = match last {
        Some(row) if page.more || writer.is_full() => {
            let cursor = query.cursor_after(Position {
                happened_at: row.projected.happened_at,
                seq: row.seq,
            })?;
            let pairs = QueryPairs::parse(request.query_string()).unwrap_or_default();
            Some(pages::next_address(request, &pairs, &cursor))
        }
        _ => None,
    };
    writer.respond(next.as_deref(), &Total { total })
}

/// Read one activity in full.
///
/// Besides the row of the log, the answer has the answers to questions and the statement.
#[utoipa::path(
    get,
    path = "/v1/activities/{id}",
    tag = "activities",
    operation_id = "read_activity",
    params(
        ("id" = Uuid, Path, description = "The activity's id, which is the id of its statement."),
        LanguageParameter
    ),
    responses((status = 200, description = "The activity.", body = ActivityInFull))
)]
async fn read_activity(
    caller: Caller<ReadActivities>,
    id: web::Path<Uuid>,
    LocalQuery { language, pairs }: LocalQuery,
) -> Answer {
    pairs.refuse_any()?;
    let activity = load_in_full(&caller, StatementId(*id), language).await?;
    Ok(HttpResponse::Ok().json(activity.ok_or_else(Problem::not_found)?))
}

/// Loads an activity with its responses, if it is in the log and within the reach.
async fn load_in_full<A>(
    caller: &Caller<A>,
    id: StatementId,
    language: Language,
) -> Result<Option<ActivityInFull>, Problem> {
    let Some(row) = caller.store().find_row(&caller.scoped(None, id)?).await? else {
        return Ok(None);
    };
    let Some(record) = caller.store().find_record(caller.org(), id).await? else {
        return Ok(None);
    };
    let mut lookups = Lookups::new(caller.store(), caller.org()).in_language(language);
    lookups.load(std::slice::from_ref(&row)).await?;
    Ok(Some(lookups.activity(&row, caller.now())?.in_full(
        caller.app_state().base_path(),
        &record.envelope.responses,
    )))
}

/// Create one activity.
///
/// A record that is sent again with the same `id` is stored once, and the answer is 200 instead of 201.
#[utoipa::path(
    post,
    path = "/v1/activities",
    tag = "activities",
    operation_id = "create_activity",
    params(LanguageParameter),
    request_body = super::log_parameters::NewActivity,
    responses(
        (status = 201, description = "The activity was created.", body = CreatedActivity,
            headers(("Location" = String, description = "The activity's address."))),
        (status = 200, description = "The same activity already exists.", body = CreatedActivity)
    )
)]
async fn create_activity(
    caller: Caller<WriteActivities>,
    LocalQuery { language, pairs }: LocalQuery,
    body: JsonBody,
) -> Answer {
    pairs.refuse_any()?;
    let form = body.read(|text, depth| ShortForm::parse(text, &short_form_rules(&caller, depth)))?;
    let (mut records, faults) = to_records(&caller, vec![form]).await?;
    let Some((_, record)) = records.pop() else {
        let faults: Faults = faults.into_iter().map(|(_, fault)| fault).collect();
        return Err(faults.into());
    };
    let recorded = record_all(&caller, vec![record], false).await?;
    let outcome = recorded
        .first()
        .ok_or_else(|| Problem::internal("a record without an outcome"))?;
    let mut answer = match outcome {
        Recorded::New(_) => HttpResponse::Created(),
        Recorded::Already(_) | Recorded::AlreadyCompleted(_) | Recorded::AlreadyVoided(_) => {
            HttpResponse::Ok()
        }
    };
    let id = outcome.id();
    answer.insert_header((header::LOCATION, format!("/v1/activities/{id}")));
    let may_read = caller.principal().reach(&caller.reach_rules()).is_some();
    let activity = if may_read {
        load_in_full(&caller, id, language).await?
    } else {
        None
    };
    // A voiding statement that came earlier keeps the activity out of the log.
    let created = activity.map_or(CreatedActivity::Id(ActivityId { id }), |activity| {
        CreatedActivity::Full(Box::new(activity))
    });
    Ok(answer.json(created))
}

/// Create up to 1,000 activities. Either all are created, or none.
#[utoipa::path(
    post,
    path = "/v1/activities/batch",
    tag = "activities",
    operation_id = "create_activities",
    request_body(content = Vec<super::log_parameters::NewActivity>,
        description = "An array, or NDJSON as `application/x-ndjson` with one activity in each line."),
    responses(
        (status = 201, description = "The activities were created.", body = ActivityIds),
        (status = 200, description = "All activities already exist.", body = ActivityIds)
    )
)]
async fn create_activities(caller: Caller<WriteActivities>, pairs: QueryPairs, batch: Batch) -> Answer {
    pairs.refuse_any()?;
    let parsed =
        batch.read(|texts, depth| ShortForm::parse_batch(texts, &short_form_rules(&caller, depth)))?;
    let records = batch_records(&caller, parsed).await?;
    let recorded = record_all(&caller, records, true).await?;
    let new = recorded.iter().any(|record| matches!(record, Recorded::New(_)));
    let ids = ActivityIds {
        ids: recorded.into_iter().map(Recorded::id).collect(),
    };
    Ok(if new || ids.ids.is_empty() {
        HttpResponse::Created()
    } else {
        HttpResponse::Ok()
    }
    .json(ids))
}

/// Void an activity. It is removed from the log permanently. A voiding statement records the user that removed it.
#[utoipa::path(
    delete,
    path = "/v1/activities/{id}",
    tag = "activities",
    operation_id = "void_activity",
    params(
        ("id" = Uuid, Path, description = "The activity's id."),
        ("reason" = Option<String>, Query, description = "The reason. It is stored with the voiding statement.",
            example = "Recorded for the wrong person")
    ),
    responses((status = 204, description = "Voided."))
)]
async fn void_activity(caller: Caller<VoidActivities>, id: web::Path<Uuid>, pairs: QueryPairs) -> Answer {
    let query = pairs.reader();
    let reason = query.text("reason").map(str::to_owned);
    if reason
        .as_ref()
        .is_some_and(|reason| reason.chars().count() > MAX_REASON_CHARS)
    {
        query.add_fault(
            "reason",
            format!("must have at most {MAX_REASON_CHARS} characters"),
        );
    }
    query.finish()?;
    let target = StatementId(*id);
    check_voidable(&caller, target).await?;
    let statement = voiding_statement(&caller, target)?;
    let voiding = Incoming {
        id: caller.app_state().clock().new_statement_id(),
        id_was_given: false,
        statement: Arc::new(statement),
        envelope: Arc::new(Envelope {
            comment: reason,
            ..envelope(caller.principal())
        }),
        sameness: Sameness::Statement,
        mark: None,
        voids_first: true,
    };
    let recorded = caller
        .app_state()
        .recorder()
        .record(submission(&caller, vec![voiding]))
        .await;
    let recorded = recorded.map_err(|error| Problem::from_record_error(error, false))?;
    // Another request has voided the activity since it was found.
    if recorded
        .iter()
        .any(|record| matches!(record, Recorded::AlreadyVoided(_)))
    {
        return Err(Problem::not_found());
    }
    Ok(HttpResponse::NoContent().finish())
}

/// Refuses to void an activity that does not exist for the caller, or that is a voiding.
async fn check_voidable(caller: &Caller<VoidActivities>, target: StatementId) -> Result<(), Problem> {
    let store = caller.store();
    if !store.has_row(&caller.scoped(None, target)?).await? {
        return Err(Problem::not_found());
    }
    match store.is_voiding(caller.org(), target).await? {
        Some(true) => Err(Problem::conflict(
            "this activity is a voiding, and a voiding cannot be voided",
        )),
        Some(false) => Ok(()),
        None => Err(Problem::not_found()),
    }
}

/// The voiding statement with the caller as its actor.
fn voiding_statement(
    caller: &Caller<VoidActivities>,
    target: StatementId,
) -> Result<crate::record::Statement, Problem> {
    let user = caller
        .principal()
        .user()
        .ok_or_else(|| Problem::forbidden("only a person can void an activity"))?;
    let home_page = caller.organisation().account_home_page.clone();
    let actor = Identifier::Account {
        home_page,
        name: user.to_string(),
    };
    Ok(StatementBuilder::voiding(Actor::agent(actor, None), target).build())
}

/// What the cursors of a list of the log are encrypted with.
pub(super) struct CursorBinding {
    key: CursorKey,
    /// The organisation, the caller and the path.
    text: String,
}

impl CursorBinding {
    /// The binding of the caller's request.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub(super) async fn new<A>(caller: &Caller<A>, request: &HttpRequest) -> Result<Self, Problem> {
        let (org, caller_id) = (caller.org(), caller.principal().caller_id());
        Ok(Self {
            key: caller.cursor_key().await?.clone(),
            text: format!("{org} {caller_id} {}", request.path()),
        })
    }

    /// The part of the context for parsing the parameters.
    pub(super) fn paging(&self) -> Paging<'_> {
        Paging {
            key: &self.key,
            binding: &self.text,
        }
    }
}

/// The context for parsing the parameters of the log for this caller.
pub(super) fn parse_context<'a, A>(caller: &Caller<A>, paging: Option<Paging<'a>>) -> ParseContext<'a> {
    let limits = caller.app_state().limits();
    let size = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
    ParseContext {
        default_limit: size(limits.page_default),
        max_limit: size(limits.page_max),
        ..ParseContext::list(caller.now(), caller.organisation().zone(), paging)
    }
}
