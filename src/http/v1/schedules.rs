//! `/v1/reports/{id}/schedules`, `/v1/schedules/{id}`: when a report is sent, and to whom (contract section 9).
//!
//! Whoever may open a report may schedule it. A schedule runs under its maker's rights, as the directory has them when it
//! runs; its maker sees and changes it, and so does an owner or admin of the organisation who may open its report. For
//! everybody else it is not there (404). A maker who may not open the report any more still reads, pauses and deletes it.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::permit::ManageReports;
use crate::base::clock::Timestamp;
use crate::base::ids::UserId;
use crate::http::auth::Caller;
use crate::http::conditions;
use crate::http::json::{JsonBody, MergePatch};
use crate::http::pages;
use crate::http::problem::{Answer, Code, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::reports::schedule::{NewScheduleBody, Schedule, ScheduleForm, SchedulePatch, settle};
use crate::store::{KeptSchedule, ScheduleRefusal, StoreError};

use super::reports::{OfUser, created, found, report_id, shown, told};

routes! {
    "/v1/reports/{id}/schedules" => { get: list_schedules, post: create_schedule },
    "/v1/schedules/{id}" => { get: read_schedule, put: put_schedule, patch: patch_schedule, delete: delete_schedule },
    "/v1/schedules/{id}/run" => { post: run_schedule },
}

/// The schedules of a report.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScheduleList {
    /// Those that the caller made, or all for an owner or admin of the organisation; the one made first first.
    pub schedules: Vec<Schedule>,
    /// Always null: a report's schedules fit on one page.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
}

/// A run that was asked for by hand.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"delivery": "0190a000-0000-7000-8000-00000000000d", "run_at": "2026-03-18T10:17:23.000Z"}))]
pub struct QueuedRun {
    /// The id that its delivery will have in `/v1/reports/{id}/deliveries`, once it has ended.
    pub delivery: Uuid,
    /// The moment that it is for.
    #[schema(value_type = String, format = DateTime)]
    pub run_at: Timestamp,
}

/// List the schedules of a report: one's own, or all for an owner or admin of the organisation.
#[utoipa::path(
    get,
    path = "/v1/reports/{id}/schedules",
    tag = "reports",
    operation_id = "list_schedules",
    params(("id" = Uuid, Path, description = "The report's id.")),
    responses((status = 200, description = "All of them.", body = ScheduleList))
)]
async fn list_schedules(caller: Caller<ManageReports>, id: web::Path<String>, pairs: QueryPairs) -> Answer {
    pairs.refuse_any()?;
    let kept = caller
        .store()
        .schedules(&caller.reports()?, report_id(&id)?)
        .await?
        .ok_or_else(Problem::not_found)?;
    let schedules = shown(&caller, kept).await?;
    Ok(pages::list_response(
        &ScheduleList {
            schedules,
            next: None,
        },
        None,
    ))
}

/// Schedule a report. It runs under the caller's rights, as the directory has them whenever it runs.
///
/// **When.** The time of day is what clocks of the time zone show, on either side of daylight saving: `08:00` in
/// `Europe/London` is 08:00Z in winter and 07:00Z in summer. A time that clocks leave out on a day is the first moment after the
/// gap, one that they show twice is the first of the two: each day has one. The 31st of a shorter month is its last
/// day. Moments that no server was running for are made up, each for its own moment.
///
/// **Who gets what.** A user of the directory gets the rows that both they and the maker may see, and an address outside it the
/// rows that the maker may see. All of that is judged anew at each run. Where the maker was deactivated, has no reporting
/// access any more or may not open the report any more, nobody gets anything and the schedule is suspended.
#[utoipa::path(
    post,
    path = "/v1/reports/{id}/schedules",
    tag = "reports",
    operation_id = "create_schedule",
    params(("id" = Uuid, Path, description = "The report's id.")),
    request_body = NewScheduleBody,
    responses((status = 201, description = "Scheduled.", body = Schedule, headers(
        ("Location" = String, description = "The schedule's address."),
        ("ETag" = String, description = "Names what it says now, for `If-Match`."),
    )))
)]
async fn create_schedule(
    caller: Caller<ManageReports>,
    id: web::Path<String>,
    pairs: QueryPairs,
    body: JsonBody,
) -> Answer {
    pairs.refuse_any()?;
    let report = found(&caller, &id).await?;
    let zone = caller.organisation().zone();
    let form = body.read(|text, depth| ScheduleForm::parse(text, depth, zone))?;
    let new = form.made(settled(&caller, &form).await?, caller.now());
    let kept = caller
        .store()
        .add_schedule(&caller.reports()?, report.id, new)
        .await??;
    created(&caller, "/v1/schedules", kept).await
}

/// Read one schedule: when it runs next, and how a run stands that is still tried.
///
/// The ETag names what was written; that it runs changes `next_run_at` and `pending`, and not the ETag.
#[utoipa::path(
    get,
    path = "/v1/schedules/{id}",
    tag = "reports",
    operation_id = "read_schedule",
    params(("id" = Uuid, Path, description = "The schedule's id.")),
    responses((status = 200, description = "The schedule.", body = Schedule,
        headers(("ETag" = String, description = "Names what was written, for `If-Match`."))))
)]
async fn read_schedule(caller: Caller<ManageReports>, id: web::Path<String>, pairs: QueryPairs) -> Answer {
    pairs.refuse_any()?;
    written(&caller, report_id(&id)?).await
}

/// Replace a schedule. What is left out is as in a new one; it stays its maker's.
///
/// Where its times change or it is resumed, it runs next at the first moment after now. Whoever made it and may not open its
/// report any more can't leave it active: 404.
#[utoipa::path(
    put,
    path = "/v1/schedules/{id}",
    tag = "reports",
    operation_id = "put_schedule",
    params(
        ("id" = Uuid, Path, description = "The schedule's id. Nothing is made at an id that names no schedule."),
        ("If-Match" = Option<String>, Header, description = "The ETag of what it replaces: 412 where something else was written by now."),
    ),
    request_body = NewScheduleBody,
    responses((status = 200, description = "The schedule as it is now.", body = Schedule,
        headers(("ETag" = String, description = "Names what was written, for `If-Match`."))))
)]
async fn put_schedule(
    caller: Caller<ManageReports>,
    request: HttpRequest,
    id: web::Path<String>,
    pairs: QueryPairs,
    body: JsonBody,
) -> Answer {
    pairs.refuse_any()?;
    let id = found_schedule(&caller, report_id(&id)?).await?.id;
    let expected = conditions::parse_if_match(&request)?;
    let zone = caller.organisation().zone();
    let form = body.read(|text, depth| ScheduleForm::parse(text, depth, zone))?;
    let recipients = settled(&caller, &form).await?;
    let now = caller.now();
    caller
        .store()
        .change_schedule(&caller.reports()?, id, expected.as_ref(), |kept| {
            Ok(form.changed(kept, recipients, now))
        })
        .await??;
    written(&caller, id).await
}

/// Change members of a schedule by a merge patch (RFC 7396): `{"active": false}` pauses it, `{"active": true}` resumes
/// one that was paused or suspended.
///
/// Where its times change or it is resumed, it runs next at the first moment after now: runs missed while it stood still
/// are not made up. Whoever made it and may not open its report any more can only pause it: anything that leaves it
/// active is 404.
#[utoipa::path(
    patch,
    path = "/v1/schedules/{id}",
    tag = "reports",
    operation_id = "patch_schedule",
    params(
        ("id" = Uuid, Path, description = "The schedule's id."),
        ("If-Match" = Option<String>, Header, description = "The ETag of what it changes: 412 where something else was written by now."),
    ),
    request_body(content = SchedulePatch, content_type = "application/merge-patch+json",
        description = "The members to change. Sent as application/json it means the same."),
    responses((status = 200, description = "The schedule as it is now.", body = Schedule,
        headers(("ETag" = String, description = "Names what was written, for `If-Match`."))))
)]
async fn patch_schedule(
    caller: Caller<ManageReports>,
    request: HttpRequest,
    id: web::Path<String>,
    pairs: QueryPairs,
    patch: MergePatch,
) -> Answer {
    pairs.refuse_any()?;
    let before = found_schedule(&caller, report_id(&id)?).await?;
    let expected = conditions::parse_if_match(&request)?;
    let (zone, now) = (caller.organisation().zone(), caller.now());
    let form = ScheduleForm::patched(&before, patch.value(), patch.depth(), zone)?;
    // Whom the patch doesn't name stays, whatever became of them: that is judged when it runs.
    let recipients = match patch.value().get("recipients") {
        Some(_) => Some(settled(&caller, &form).await?),
        None => None,
    };
    let change = |kept: &KeptSchedule| {
        let form = ScheduleForm::patched(kept, patch.value(), patch.depth(), zone)?;
        let recipients = recipients.unwrap_or_else(|| kept.recipients.clone());
        Ok(form.changed(kept, recipients, now))
    };
    caller
        .store()
        .change_schedule(&caller.reports()?, before.id, expected.as_ref(), change)
        .await??;
    written(&caller, before.id).await
}

/// Delete a schedule, with what became of its runs. A message that is being sent at that moment may still go out.
#[utoipa::path(
    delete,
    path = "/v1/schedules/{id}",
    tag = "reports",
    operation_id = "delete_schedule",
    params(
        ("id" = Uuid, Path, description = "The schedule's id."),
        ("If-Match" = Option<String>, Header, description = "The ETag of what is deleted: 412 where something else was written by now."),
    ),
    responses((status = 204, description = "Deleted: nothing more is sent."))
)]
async fn delete_schedule(
    caller: Caller<ManageReports>,
    request: HttpRequest,
    id: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    pairs.refuse_any()?;
    let id = report_id(&id)?;
    let expected = conditions::parse_if_match(&request)?;
    caller
        .store()
        .delete_schedule(&caller.reports()?, id, expected.as_ref())
        .await??;
    Ok(HttpResponse::NoContent().finish())
}

/// Run a schedule now, beside its own moments: also one that is paused or suspended, which it stays.
///
/// It runs under its maker's rights, whoever asks, and is 404 for whoever may not open the report. It is done in the
/// background: the delivery is listed once it has ended.
#[utoipa::path(
    post,
    path = "/v1/schedules/{id}/run",
    tag = "reports",
    operation_id = "run_schedule",
    params(("id" = Uuid, Path, description = "The schedule's id.")),
    responses((status = 202, description = "It is about to run.", body = QueuedRun))
)]
async fn run_schedule(caller: Caller<ManageReports>, id: web::Path<String>, pairs: QueryPairs) -> Answer {
    pairs.refuse_any()?;
    let (delivery, run_at) = caller
        .store()
        .queue_now(&caller.reports()?, report_id(&id)?)
        .await??;
    Ok(HttpResponse::Accepted().json(QueuedRun { delivery, run_at }))
}

/// The schedule that is asked for.
///
/// # Errors
///
/// 404 where there is none, or none that is there for the caller.
async fn found_schedule(caller: &Caller<ManageReports>, id: Uuid) -> Result<KeptSchedule, Problem> {
    let kept = caller.store().schedule(&caller.reports()?, id).await?;
    kept.ok_or_else(Problem::not_found)
}

/// The recipients that the form names, as the directory and the operator have them now.
async fn settled(caller: &Caller<ManageReports>, form: &ScheduleForm) -> Result<Vec<String>, Problem> {
    let rules = &caller.app_state().options().recipients;
    Ok(settle(caller.store(), caller.org(), form.recipients(), rules).await??)
}

/// 200 with what a schedule says now.
async fn written(caller: &Caller<ManageReports>, id: Uuid) -> Answer {
    told(caller, found_schedule(caller, id).await?).await
}

impl OfUser for KeptSchedule {
    type Shown = Schedule;

    fn id(&self) -> Uuid {
        self.id
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn user(&self) -> &UserId {
        &self.maker
    }

    fn shown(self, name: Option<String>) -> Result<Schedule, StoreError> {
        Schedule::new(self, name)
    }
}

impl From<ScheduleRefusal> for Problem {
    fn from(refusal: ScheduleRefusal) -> Self {
        match refusal {
            ScheduleRefusal::NotFound => Problem::not_found(),
            ScheduleRefusal::Stale => Problem::new(Code::PreconditionFailed, refusal.to_string()),
            ScheduleRefusal::TooMany | ScheduleRefusal::TooManyRuns => Problem::conflict(refusal.to_string()),
            ScheduleRefusal::Faults(faults) => faults.into(),
        }
    }
}
