//! `/v1/activities`: the log, and activities in by the short form (contract sections 6 and 7).

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::permit::{ReadActivities, VoidActivities, WriteActivities};
use crate::access::{AskedScope, Principal, Scoped};
use crate::http::auth::Caller;
use crate::http::json::{Batch, JsonBytes};
use crate::http::pages;
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::http::xapi::statements::authority;
use crate::base::ids::{StatementId, UserId};
use crate::log::activity::ActivityInFull;
use crate::log::short_form::ShortFormRules;
use crate::log::{Activity, Filter, ParseContext, Position, Query, ShortForm};
use crate::record::{Actor, Envelope, Identifier, Origin, StatementBuilder};
use crate::store::{Lookups, Incoming, Page, Recorded, Sameness, Submission};

use super::log_parameters::{LogFilter, LogPage, LogScope};

/// The longest reason of a voiding, in characters.
const MAX_REASON: usize = 1_000;

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
    /// The rows, in the order asked for.
    pub activities: Vec<Activity>,
    /// The relative address of the next page; null on the last one.
    #[schema(example = "/v1/activities?limit=50&cursor=AbC")]
    pub next: Option<String>,
    /// How many rows there are over all pages; only with `count=exact`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// The ids of a batch, in its order.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActivityIds {
    /// One for each element.
    #[schema(value_type = Vec<Uuid>)]
    pub ids: Vec<StatementId>,
}

/// A new activity: in full where the caller may read it, else its id.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum CreatedActivity {
    /// The activity.
    Full(Box<ActivityInFull>),
    /// The id alone: the caller may not read activities, or a voiding statement has removed the activity.
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

/// Read the log within the caller's reach, filtered and paged.
#[utoipa::path(
    get,
    path = "/v1/activities",
    tag = "activities",
    operation_id = "list_activities",
    params(LogScope, LogFilter, LogPage),
    responses((status = 200, description = "A page of the log.", body = ActivityList))
)]
async fn list_activities(caller: Caller<ReadActivities>, request: HttpRequest, pairs: QueryPairs) -> Answer {
    let binding = binding(&caller, &request);
    let query = Query::parse(pairs.as_slice(), &context(&caller, &binding))?;
    let asked = query.asked_scope;
    list(&caller, &request, asked, query).await
}

/// Read the caller's own log: everything, whatever their role.
#[utoipa::path(
    get,
    path = "/v1/me/activities",
    tag = "activities",
    operation_id = "list_my_activities",
    params(LogFilter, LogPage),
    responses((status = 200, description = "A page of the caller's own log.", body = ActivityList))
)]
async fn list_my_activities(caller: Caller<ReadActivities>, request: HttpRequest, pairs: QueryPairs) -> Answer {
    let binding = binding(&caller, &request);
    let context = ParseContext {
        scope: false,
        ..context(&caller, &binding)
    };
    let mut query = Query::parse(pairs.as_slice(), &context)?;
    query.filter.include_deactivated = true;
    list(&caller, &request, Some(AskedScope::Me), query).await
}

/// Read one person's log. A user outside the caller's reach is not there.
#[utoipa::path(
    get,
    path = "/v1/users/{id}/activities",
    tag = "activities",
    operation_id = "list_user_activities",
    params(("id" = String, Path, description = "The user's id.", example = "u1"), LogFilter, LogPage),
    responses((status = 200, description = "A page of the user's log.", body = ActivityList))
)]
async fn list_user_activities(
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
    let context = ParseContext {
        scope: false,
        ..context(&caller, &binding)
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
    list(&caller, &request, None, query).await
}

async fn list(
    caller: &Caller<ReadActivities>,
    request: &HttpRequest,
    asked: Option<AskedScope>,
    query: Query,
) -> Answer {
    let question = caller.scoped(asked, &query.filter)?;
    page_of_log(caller, request, &question, &query).await
}

/// The page that `query` asks for, of the rows of a question that was bound to its caller.
pub(super) async fn page_of_log<A>(
    caller: &Caller<A>,
    request: &HttpRequest,
    question: &Scoped<&Filter>,
    query: &Query,
) -> Answer {
    let page = Page {
        sort: query.sort,
        after: query.after,
        limit: query.limit.saturating_add(1),
        now: query.now,
    };
    let mut rows = caller.store().page(question, page).await?;
    let more = rows.len() > query.limit as usize;
    rows.truncate(query.limit as usize);
    let total = match query.count_exact {
        true => Some(caller.store().count(question, query.now).await?),
        false => None,
    };
    let mut cards = Lookups::new(caller.store(), caller.org());
    cards.load(&rows).await?;
    let activities = rows
        .iter()
        .map(|row| cards.activity(row, query.now))
        .collect::<Result<Vec<_>, _>>()?;
    let last = rows.last().filter(|_| more);
    let next = last.map(|row| {
        let cursor = query.cursor_after(Position {
            happened_at: row.projected.happened_at,
            seq: row.seq,
        });
        pages::next_page_address(
            request.path(),
            &QueryPairs::parse(request.query_string()).unwrap_or_default(),
            &cursor,
        )
    });
    let body = ActivityList {
        activities,
        next,
        total,
    };
    Ok(pages::list_response(&body, body.next.as_deref()))
}

/// Read one activity in full.
#[utoipa::path(
    get,
    path = "/v1/activities/{id}",
    tag = "activities",
    operation_id = "read_activity",
    params(("id" = Uuid, Path, description = "The activity's id, which is its statement's.")),
    responses((status = 200, description = "The activity.", body = ActivityInFull))
)]
async fn read_activity(caller: Caller<ReadActivities>, id: web::Path<Uuid>, pairs: QueryPairs) -> Answer {
    pairs.refuse_any()?;
    let activity = in_full(&caller, StatementId(*id)).await?;
    Ok(HttpResponse::Ok().json(activity.ok_or_else(Problem::not_found)?))
}

async fn in_full<A>(caller: &Caller<A>, id: StatementId) -> Result<Option<ActivityInFull>, Problem> {
    let Some(row) = caller.store().activity(&caller.scoped(None, id)?).await? else {
        return Ok(None);
    };
    let Some(kept) = caller.store().find_record(caller.org(), id).await? else {
        return Ok(None);
    };
    let mut cards = Lookups::new(caller.store(), caller.org());
    cards.load(std::slice::from_ref(&row)).await?;
    Ok(Some(
        cards
            .activity(&row, caller.now())?
            .in_full(&kept.envelope.responses),
    ))
}

/// Keep one activity.
#[utoipa::path(
    post,
    path = "/v1/activities",
    tag = "activities",
    operation_id = "create_activity",
    request_body = super::log_parameters::NewActivity,
    responses(
        (status = 201, description = "Stored.", body = CreatedActivity,
            headers(("Location" = String, description = "The activity's address."))),
        (status = 200, description = "The same record was stored before.", body = CreatedActivity)
    )
)]
async fn create_activity(caller: Caller<WriteActivities>, pairs: QueryPairs, body: JsonBytes) -> Answer {
    pairs.refuse_any()?;
    let form = ShortForm::parse(body.text()?, &rules(&caller))?;
    let recorded = keep(&caller, vec![form], false).await?;
    let outcome = recorded
        .first()
        .ok_or_else(|| Problem::internal("a record without an outcome"))?;
    let mut answer = match outcome {
        Recorded::New(_) => HttpResponse::Created(),
        Recorded::Already(_) | Recorded::AlreadyCompleted(_) => HttpResponse::Ok(),
    };
    let id = outcome.id();
    answer.insert_header((header::LOCATION, format!("/v1/activities/{id}")));
    let may_read = caller.principal().reach(&caller.reach_rules()).is_some();
    let activity = if may_read { in_full(&caller, id).await? } else { None };
    // A voiding statement that came earlier keeps the activity out of the log.
    let created = activity.map_or(CreatedActivity::Id(ActivityId { id }), |activity| CreatedActivity::Full(Box::new(activity)));
    Ok(answer.json(created))
}

/// Keep up to 1,000 activities: all of them or none.
#[utoipa::path(
    post,
    path = "/v1/activities/batch",
    tag = "activities",
    operation_id = "create_activities",
    request_body(content = Vec<super::log_parameters::NewActivity>,
        description = "An array, or NDJSON as `application/x-ndjson`: one activity a line."),
    responses(
        (status = 201, description = "Kept.", body = ActivityIds),
        (status = 200, description = "All of them were kept before.", body = ActivityIds)
    )
)]
async fn create_activities(caller: Caller<WriteActivities>, pairs: QueryPairs, batch: Batch) -> Answer {
    pairs.refuse_any()?;
    let forms = ShortForm::parse_batch(&batch.elements()?, &rules(&caller))?;
    let recorded = keep(&caller, forms, true).await?;
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

async fn keep(
    caller: &Caller<WriteActivities>,
    forms: Vec<ShortForm>,
    batch: bool,
) -> Result<Vec<Recorded>, Problem> {
    let home_page = &caller.organisation().account_home_page;
    let resolutions = caller
        .store()
        .resolve(caller.org(), home_page, &forms, batch)
        .await??;
    let base = envelope(caller.principal());
    let mut records = Vec::with_capacity(forms.len());
    for (form, resolution) in forms.into_iter().zip(&resolutions) {
        let statement = form
            .to_statement(&resolution.resolved())
            .map_err(Problem::internal)?;
        records.push(Incoming {
            id: resolution.id,
            id_was_given: form.id.is_some(),
            statement: Arc::new(statement),
            envelope: Arc::new(form.envelope(base.clone())),
            sameness: Sameness::ShortForm(Box::new(form)),
            mark: None,
        });
    }
    let recorded = caller.app_state().recorder().record(submission(caller, records)).await;
    recorded.map_err(|error| Problem::from_record_error(error, batch))
}

/// Records as this caller sends them, with what they act by as authority.
pub(super) fn submission<A>(caller: &Caller<A>, records: Vec<Incoming>) -> Submission {
    Submission {
        org: caller.org().clone(),
        records,
        authority: authority(caller.principal(), &caller.organisation().account_home_page),
        version: "1.0.0",
        sender: caller.principal().caller_id(),
        attachments: Vec::new(),
    }
}

/// What Rollbook knows of an activity besides what is sent (contract section 4): a person's is recorded by
/// them and `manual`, a credential's is `api`, and so is its device.
pub(super) fn envelope(principal: &Principal) -> Envelope {
    match principal {
        Principal::Person(person) => Envelope {
            origin: Origin::Manual,
            recorded_by: Some(person.user.clone()),
            defines: true,
            ..Envelope::default()
        },
        // The permit refuses a report's key before it comes here.
        Principal::Credential(_) | Principal::ReportKey(_) => Envelope {
            origin: Origin::Api,
            device_type: Some("api".to_owned()),
            defines: true,
            ..Envelope::default()
        },
    }
}

fn rules(caller: &Caller<WriteActivities>) -> ShortFormRules {
    let recorder = caller.principal().credential().is_some();
    ShortFormRules {
        recorder,
        depth: caller.app_state().limits().json_depth,
    }
}

/// Void an activity: it leaves the log for good, and a voiding statement says who took it out.
#[utoipa::path(
    delete,
    path = "/v1/activities/{id}",
    tag = "activities",
    operation_id = "void_activity",
    params(
        ("id" = Uuid, Path, description = "The activity's id."),
        ("reason" = Option<String>, Query, description = "Why; kept with the voiding statement.",
            example = "Recorded for the wrong person")
    ),
    responses((status = 204, description = "Voided."))
)]
async fn void_activity(caller: Caller<VoidActivities>, id: web::Path<Uuid>, pairs: QueryPairs) -> Answer {
    let query = pairs.reader();
    let reason = query.text("reason").map(str::to_owned);
    if reason
        .as_ref()
        .is_some_and(|reason| reason.chars().count() > MAX_REASON)
    {
        query.add_fault("reason", format!("has at most {MAX_REASON} characters"));
    }
    query.finish()?;
    let target = StatementId(*id);
    if caller
        .store()
        .activity(&caller.scoped(None, target)?)
        .await?
        .is_none()
    {
        return Err(Problem::not_found());
    }
    let kept = caller
        .store()
        .find_record(caller.org(), target)
        .await?
        .ok_or_else(Problem::not_found)?;
    let voids = crate::record::Statement::parse_stored(&kept.text)
        .map_err(Problem::internal)?
        .voids();
    if voids.is_some() {
        return Err(Problem::conflict(
            "this activity is a voiding itself, and a voiding can't be voided",
        ));
    }
    let statement = voiding(&caller, target)?;
    let record = Incoming {
        id: caller.app_state().clock().new_statement_id(),
        id_was_given: false,
        statement: Arc::new(statement),
        envelope: Arc::new(Envelope {
            comment: reason,
            ..envelope(caller.principal())
        }),
        sameness: Sameness::Statement,
        mark: None,
    };
    let recorded = caller.app_state().recorder().record(submission(&caller, vec![record])).await;
    recorded.map_err(|error| Problem::from_record_error(error, false))?;
    Ok(HttpResponse::NoContent().finish())
}

fn voiding(
    caller: &Caller<VoidActivities>,
    target: StatementId,
) -> Result<crate::record::Statement, Problem> {
    let user = caller
        .principal()
        .user()
        .ok_or_else(|| Problem::forbidden("only a person voids here"))?;
    let home_page = caller.organisation().account_home_page.clone();
    let actor = Identifier::Account {
        home_page,
        name: user.to_string(),
    };
    Ok(StatementBuilder::voiding(Actor::agent(actor, None), target).build())
}

/// What cursors of this resource are bound to: who asks, and where.
pub(super) fn binding<A>(caller: &Caller<A>, request: &HttpRequest) -> String {
    format!(
        "{} {} {}",
        caller.org(),
        caller.principal().caller_id(),
        request.path()
    )
}

/// How the log's parameters are read for this caller.
pub(super) fn context<'a, A>(caller: &Caller<A>, binding: &'a str) -> ParseContext<'a> {
    let limits = caller.app_state().limits();
    let size = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
    ParseContext {
        default_limit: size(limits.page_default),
        max_limit: size(limits.page_max),
        ..ParseContext::list(caller.now(), caller.organisation().zone(), binding)
    }
}
