//! `/v1/reports/{id}/schedules`, `/v1/schedules`, `/v1/schedules/{id}`: when a report is sent, and to which recipients. See
//! `docs/specification.md#schedules`.
//!
//! A user that may open a report may schedule it. A schedule runs under its maker's rights, as the directory has them at the
//! run. It exists for its maker, and for an owner or admin of the organisation that may open its report. A maker that may not
//! open the report any more still reads, pauses and deletes it.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::permit::ManageReports;
use crate::base::clock::Timestamp;
use crate::base::ids::UserId;
use crate::http::auth::Caller;
use crate::http::json::{JsonBody, MergePatch};
use crate::http::keyed::{self, Listing};
use crate::http::pages;
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::reports::rights::find_disclosed;
use crate::reports::schedule::{
    NewScheduleBody, Schedule, ScheduleForm, SchedulePatch, ScheduleStatus, resolve_recipients,
};
use crate::store::{ScheduleFilter, StoreError, StoredSchedule};

use super::report_resource::{self as resource, Change, ReportApi};
use super::reports::find_report;

routes! {
    "/v1/schedules" => { get: list_all_schedules },
    "/v1/reports/{id}/schedules" => { get: list_schedules, post: create_schedule },
    "/v1/schedules/{id}" => { get: read_schedule, put: put_schedule, patch: patch_schedule, delete: delete_schedule },
    "/v1/schedules/{id}/run" => { post: run_schedule },
}

/// The schedules of a report.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScheduleList {
    /// The schedules that the caller made, or all for an owner or admin of the organisation. The oldest comes first.
    pub schedules: Vec<Schedule>,
    /// Always null: the list has one page.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
}

/// A page of schedules.
#[derive(Debug, Serialize, ToSchema)]
pub struct SchedulePage {
    /// The schedules, the newest first.
    pub schedules: Vec<Schedule>,
    /// The path of the next page. Null on the last page.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
}

/// A run that a client started.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"delivery": "0190a000-0000-7000-8000-00000000000d", "run_at": "2026-03-18T10:17:23.000Z"}))]
pub struct QueuedRun {
    /// The id of its delivery in `/v1/reports/{id}/deliveries`. The delivery is listed after the run has ended.
    pub delivery: Uuid,
    /// The time that the run is for.
    #[schema(value_type = String, format = DateTime)]
    pub run_at: Timestamp,
}

/// List the schedules of a report: the caller's own, or all for an owner or admin of the organisation.
///
/// The next page is at `next`.
#[utoipa::path(
    get,
    path = "/v1/reports/{id}/schedules",
    tag = "reports",
    operation_id = "list_schedules",
    params(("id" = Uuid, Path, description = "The report's id.")),
    responses((status = 200, description = "All schedules.", body = ScheduleList))
)]
async fn list_schedules(caller: Caller<ManageReports>, id: web::Path<String>, pairs: QueryPairs) -> Answer {
    pairs.refuse_any()?;
    let access = caller.reports()?;
    let stored = caller
        .store()
        .find_schedules(&access, resource::parse_id(&id)?)
        .await?;
    let stored = stored.ok_or_else(Problem::not_found)?;
    let schedules = resource::represent_readable(&caller, stored).await?;
    let schedules = schedules.into_iter().map(|(_, schedule)| schedule).collect();
    let next = None;
    Ok(pages::list_response(&ScheduleList { schedules, next }, None))
}

/// List schedules of all reports, the newest first: the caller's own, and for an owner or admin of the organisation all of
/// reports that the administrator may open.
///
/// `status=suspended` lists those that do not run until they are resumed. Each says why in `suspended`.
#[utoipa::path(
    get,
    path = "/v1/schedules",
    tag = "reports",
    operation_id = "list_all_schedules",
    params(
        ("status" = Option<Vec<ScheduleStatus>>, Query, description = "Schedules with one of these statuses only. May be comma-separated."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "The number of schedules of a page. Default: 50."),
        ("cursor" = Option<String>, Query, description = "From `next` of the page before."),
    ),
    responses((status = 200, description = "A page.", body = SchedulePage))
)]
async fn list_all_schedules(caller: Caller<ManageReports>, pairs: QueryPairs) -> Answer {
    let query = pairs.reader();
    let listing = Listing::new(&caller, StoredSchedule::PATH, &pairs, &query).await?;
    let statuses = keyed::choices(&query, "status", ScheduleStatus::ALL, ScheduleStatus::key);
    query.finish()?;
    let filter = ScheduleFilter {
        active: statuses.contains(&ScheduleStatus::Active),
        paused: statuses.contains(&ScheduleStatus::Paused),
        suspended: statuses.contains(&ScheduleStatus::Suspended),
    };
    let after = listing.after_key()?;
    let page = caller
        .store()
        .list_schedules(&caller.reports()?, &filter, after, listing.limits())
        .await?;
    resource::page_response(&caller, &listing, "schedules", page).await
}

/// Schedule a report. It runs under the caller's rights, as the directory has them at each run.
///
/// **When.** The time of day is the local time of the time zone, with daylight saving: `08:00` in `Europe/London` is 08:00Z
/// in winter and 07:00Z in summer. A time that does not exist on a day becomes the first moment after the gap. A time that
/// occurs twice is the first of the two. Each day has one run. The 31st of a shorter month is its last day. Runs that were
/// missed because no server ran are made up, each for its own time.
///
/// **Recipients.** A user of the directory gets the rows that both the user and the maker may see. An address outside the
/// directory gets the rows that the maker may see. Rights are checked at each run. If the maker is deactivated, has no
/// reporting access any more or may not open the report any more, nothing is sent and the schedule is suspended.
#[utoipa::path(
    post,
    path = "/v1/reports/{id}/schedules",
    tag = "reports",
    operation_id = "create_schedule",
    params(("id" = Uuid, Path, description = "The report's id.")),
    request_body = NewScheduleBody,
    responses((status = 201, description = "Scheduled.", body = Schedule, headers(
        ("Location" = String, description = "The schedule's address."),
        ("ETag" = String, description = "The version, for `If-Match`."),
    )))
)]
async fn create_schedule(
    caller: Caller<ManageReports>,
    id: web::Path<String>,
    pairs: QueryPairs,
    body: JsonBody,
) -> Answer {
    pairs.refuse_any()?;
    let report = find_report(&caller, &id).await?;
    let zone = caller.organisation().zone();
    let form = body.read(|text, depth| ScheduleForm::parse(text, depth, zone))?;
    let new = form.to_new(recipients_of(&caller, &form, &[]).await?, caller.now());
    let access = caller.reports()?;
    let schedule = caller.store().add_schedule(&access, report.id, new);
    resource::created_response(&caller, schedule.await??).await
}

/// Read one schedule, with its next run and its pending run.
///
/// The ETag changes when the schedule is written. A run changes `next_run_at` and `pending`, but not the ETag.
#[utoipa::path(
    get,
    path = "/v1/schedules/{id}",
    tag = "reports",
    operation_id = "read_schedule",
    params(("id" = Uuid, Path, description = "The schedule's id.")),
    responses((status = 200, description = "The schedule.", body = Schedule,
        headers(("ETag" = String, description = "The version, for `If-Match`."))))
)]
async fn read_schedule(caller: Caller<ManageReports>, id: web::Path<String>, pairs: QueryPairs) -> Answer {
    resource::get::<StoredSchedule, _>(&caller, &id, &pairs).await
}

/// Replace a schedule. Members that are left out get their defaults. The maker stays.
///
/// The body may be the schedule as it was read: read-only members are ignored.
///
/// If its times change or it is resumed, its next run is at the first time after now. A maker that may not open the report
/// any more can't leave it active: 404.
#[utoipa::path(
    put,
    path = "/v1/schedules/{id}",
    tag = "reports",
    operation_id = "put_schedule",
    params(
        ("id" = Uuid, Path, description = "The schedule's id. PUT does not create schedules."),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version to replace. 412 if the schedule was changed since."),
    ),
    request_body = NewScheduleBody,
    responses((status = 200, description = "The changed schedule.", body = Schedule,
        headers(("ETag" = String, description = "The version, for `If-Match`."))))
)]
async fn put_schedule(
    caller: Caller<ManageReports>,
    request: HttpRequest,
    id: web::Path<String>,
    pairs: QueryPairs,
    body: JsonBody,
) -> Answer {
    resource::put::<StoredSchedule>(&caller, &request, &id, &pairs, &body).await
}

/// Change members of a schedule by a merge patch (RFC 7396): `{"active": false}` pauses it, `{"active": true}` resumes
/// one that was paused or suspended.
///
/// If its times change or it is resumed, its next run is at the first time after now. Runs that were missed while it was
/// paused are not made up. A maker that may not open the report any more can only pause it: a patch that leaves it active
/// is 404.
#[utoipa::path(
    patch,
    path = "/v1/schedules/{id}",
    tag = "reports",
    operation_id = "patch_schedule",
    params(
        ("id" = Uuid, Path, description = "The schedule's id."),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version to change. 412 if the schedule was changed since."),
    ),
    request_body(content = SchedulePatch, content_type = "application/merge-patch+json",
        description = "The members to change. Sent as application/json it means the same."),
    responses((status = 200, description = "The changed schedule.", body = Schedule,
        headers(("ETag" = String, description = "The version, for `If-Match`."))))
)]
async fn patch_schedule(
    caller: Caller<ManageReports>,
    request: HttpRequest,
    id: web::Path<String>,
    pairs: QueryPairs,
    patch: MergePatch,
) -> Answer {
    resource::patch::<StoredSchedule>(&caller, &request, &id, &pairs, patch).await
}

/// Delete a schedule with its deliveries. A message that is being sent at that time may still be sent.
#[utoipa::path(
    delete,
    path = "/v1/schedules/{id}",
    tag = "reports",
    operation_id = "delete_schedule",
    params(
        ("id" = Uuid, Path, description = "The schedule's id."),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version to delete. 412 if the schedule was changed since."),
    ),
    responses((status = 204, description = "Deleted. Nothing more is sent."))
)]
async fn delete_schedule(
    caller: Caller<ManageReports>,
    request: HttpRequest,
    id: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    resource::delete::<StoredSchedule>(&caller, &request, &id, &pairs).await
}

/// Run a schedule now, in addition to its times. A paused or suspended schedule runs too, and stays paused or suspended.
///
/// It runs under its maker's rights. A caller that may not open the report gets 404. The run happens in the background: its
/// delivery is listed after it has ended.
#[utoipa::path(
    post,
    path = "/v1/schedules/{id}/run",
    tag = "reports",
    operation_id = "run_schedule",
    params(("id" = Uuid, Path, description = "The schedule's id.")),
    responses((status = 202, description = "The run is queued.", body = QueuedRun))
)]
async fn run_schedule(caller: Caller<ManageReports>, id: web::Path<String>, pairs: QueryPairs) -> Answer {
    pairs.refuse_any()?;
    let access = caller.reports()?;
    let queued = caller.store().queue_run_now(&access, resource::parse_id(&id)?);
    let (delivery, run_at) = queued.await??;
    Ok(HttpResponse::Accepted().json(QueuedRun { delivery, run_at }))
}

/// The recipients of the form, checked with the directory and the settings. Those that the schedule has already are not
/// refused: each run checks them.
async fn recipients_of(
    caller: &Caller<ManageReports>,
    form: &ScheduleForm,
    existing: &[String],
) -> Result<Vec<String>, Problem> {
    let rules = &caller.app_state().options().recipients;
    let (store, recipients) = (caller.store(), form.recipients());
    let disclosed = find_disclosed(store, caller.principal(), &caller.reach_rules(), recipients).await?;
    let resolved = resolve_recipients(
        store,
        caller.org(),
        recipients,
        existing,
        disclosed.as_ref(),
        rules,
    );
    Ok(resolved.await??)
}

impl ReportApi for StoredSchedule {
    type Representation = Schedule;

    const PATH: &'static str = "/v1/schedules";

    const KIND: &'static str = "schedule";

    fn id(&self) -> Uuid {
        self.id
    }

    fn position(&self) -> String {
        self.key.to_string()
    }

    fn user(&self) -> &UserId {
        &self.maker
    }

    fn represent(self, user_name: Option<String>) -> Result<Schedule, StoreError> {
        Schedule::new(self, user_name)
    }

    async fn parse_put(
        caller: &Caller<ManageReports>,
        id: Uuid,
        body: &JsonBody,
    ) -> Result<Change<Self>, Problem> {
        // A caller for which the schedule does not exist learns nothing about recipients.
        let before = resource::find::<Self, _>(caller, id).await?;
        let zone = caller.organisation().zone();
        let form = body.read(|text, depth| ScheduleForm::parse_put(text, depth, zone))?;
        let recipients = recipients_of(caller, &form, &before.recipients).await?;
        let now = caller.now();
        Ok(Box::new(move |stored| {
            Ok(form.to_changed(stored, recipients, now))
        }))
    }

    async fn parse_patch(
        caller: &Caller<ManageReports>,
        id: Uuid,
        patch: MergePatch,
    ) -> Result<Change<Self>, Problem> {
        let before = resource::find::<Self, _>(caller, id).await?;
        let zone = caller.organisation().zone();
        let form = ScheduleForm::patched(&before, patch.value(), patch.depth(), zone)?;
        let recipients = match patch.value().get("recipients") {
            Some(_) => Some(recipients_of(caller, &form, &before.recipients).await?),
            None => None,
        };
        let now = caller.now();
        Ok(Box::new(move |stored| {
            let form = ScheduleForm::patched(stored, patch.value(), patch.depth(), zone)?;
            let recipients = recipients.unwrap_or_else(|| stored.recipients.clone());
            Ok(form.to_changed(stored, recipients, now))
        }))
    }
}
