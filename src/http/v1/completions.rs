//! `/v1/completions`: marking content as complete for people that completed it outside the platform.
//!
//! A repeated request has no further effect: a person with a completion that holds at least as long as the new one would
//! is `already_completed`. The transaction that writes the records decides this. A user outside the caller's reach is
//! `not_found`. For a team or group, the response contains only the members that the caller may mark.

use std::sync::Arc;

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::permit::MarkComplete;
use crate::base::ids::{StatementId, UserId};
use crate::http::auth::Caller;
use crate::http::json::JsonBody;
use crate::http::problem::{Answer, Code, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::log::completion::{MAX_PEOPLE, MarkForm, MarkedCompletion, Outcome};
use crate::record::{Envelope, Identifier};
use crate::store::{
    CompletionMark, Incoming, MarkingNote, MarkingPlan, MarkingRefusal, MarkingRequest, MarkingTarget,
    PendingMark, PlannedOutcome, Recorded, Sameness,
};

use super::activities::records::{envelope, submission};

/// The maximum number of people in one transaction. Small transactions keep the waiting time of other writers short.
const PEOPLE_PER_TRANSACTION: usize = 500;

routes! {
    "/v1/completions" => { post: mark_complete },
}

/// The content to mark as complete, and the people. At least one of `users`, `teams` and `groups` is required.
#[derive(ToSchema)]
#[allow(
    dead_code,
    reason = "`MarkForm` reads the members; this struct documents them"
)]
#[schema(example = json!({
    "content": "fire-safety", "users": ["bo", "cy"], "teams": ["sales"], "include_sub_teams": true,
    "groups": ["first-aiders"], "happened_at": "2026-02-14T09:00:00Z", "note": "Was at the live session",
    "dry_run": false
}))]
pub struct NewCompletion {
    /// The content's id, or its IRI if the content is not registered. The content may be archived.
    content: String,
    /// Ids of users. Together with the members of teams and groups, at most 10,000 people.
    users: Option<Vec<String>>,
    /// Ids of teams. Selects all members that the caller may mark.
    #[schema(max_items = 1000)]
    teams: Option<Vec<String>>,
    /// Whether the members of the teams below are selected too.
    include_sub_teams: Option<bool>,
    /// Ids of groups. Selects all members that the caller may mark.
    #[schema(max_items = 1000)]
    groups: Option<Vec<String>>,
    /// The time of the completion, RFC 3339. It must not be in the future. Default: now.
    #[schema(format = DateTime)]
    happened_at: Option<String>,
    /// A note about each person that the caller may mark, with every outcome but `not_found`. The person cannot read it.
    #[schema(max_length = 10_000)]
    note: Option<String>,
    /// Whether to return the outcomes without marking anyone.
    dry_run: Option<bool>,
}

/// The outcome for each person.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CompletionReport, example = json!({"results": [
    {"user": "bo", "outcome": "created", "activity": "0190a000-0000-7000-8000-00000000000b"},
    {"user": "cy", "outcome": "already_completed", "activity": null}
]}))]
pub struct Report {
    /// The users in the order of the request, then the members of teams and groups in the order of their ids, without
    /// duplicates.
    pub results: Vec<CompletionResult>,
}

/// The outcome for one person.
#[derive(Debug, Serialize, ToSchema)]
pub struct CompletionResult {
    /// The user's id.
    #[schema(value_type = String)]
    pub user: UserId,
    /// The outcome. `not_found` means that the user does not exist or is outside the caller's reach.
    pub outcome: Outcome,
    /// The created activity, which can be voided to undo the marking. Null for all other outcomes and in a dry run.
    #[schema(value_type = Option<Uuid>, required = true)]
    pub activity: Option<StatementId>,
}

/// Mark content as complete for users, and for the members of teams and groups.
///
/// The response contains the outcome for each person. A person is marked unless a completion up to the given time holds
/// at least as long as the new one would, with its certificate. So a refresher before the expiry moves the expiry, and an
/// older completion can be added. Without `happened_at`, a completion of the last 24 hours counts as the same one.
/// Therefore a client can repeat an interrupted request: it only marks the remaining people.
#[utoipa::path(
    post,
    path = "/v1/completions",
    tag = "completions",
    operation_id = "mark_complete",
    request_body = NewCompletion,
    responses((status = 200, description = "The outcome for each person. In a dry run, the expected outcome.",
        body = Report))
)]
async fn mark_complete(caller: Caller<MarkComplete>, pairs: QueryPairs, body: JsonBody) -> Answer {
    pairs.refuse_any()?;
    let form = body.read(|text, depth| MarkForm::parse(text, caller.now(), depth))?;
    let request = MarkingRequest {
        content: &form.content,
        users: &form.users,
        teams: &form.teams,
        sub_teams: form.include_sub_teams,
        groups: &form.groups,
        at: form.happened_at,
        time_was_given: form.time_was_given,
        home_page: &caller.organisation().account_home_page,
    };
    let plan = caller.store().plan_marking(&caller.subjects()?, &request).await?;
    let plan = plan.map_err(to_problem)?;
    let mut results: Vec<CompletionResult> = plan.targets.iter().map(planned_result).collect();
    if !form.dry_run {
        record_completions(&caller, &form, &plan, &mut results).await?;
        write_remaining_notes(&caller, &form, &plan.targets, &results).await?;
    }
    Ok(HttpResponse::Ok().json(Report { results }))
}

/// The problem for a refused request.
fn to_problem(refusal: MarkingRefusal) -> Problem {
    match refusal {
        MarkingRefusal::UnknownContent => Problem::invalid_body("/content", "the content does not exist"),
        MarkingRefusal::TooManyPeople => {
            let detail =
                format!("a request can mark at most {MAX_PEOPLE} people; split it into several requests");
            Problem::new(Code::BatchTooLong, detail)
        }
    }
}

/// The planned outcome as a result.
fn planned_result(target: &MarkingTarget) -> CompletionResult {
    let outcome = match target.outcome {
        PlannedOutcome::Create(_) => Outcome::Created,
        PlannedOutcome::AlreadyCompleted(_) => Outcome::AlreadyCompleted,
        PlannedOutcome::Deactivated(_) => Outcome::Deactivated,
        PlannedOutcome::NotFound => Outcome::NotFound,
    };
    CompletionResult {
        user: target.user.clone(),
        outcome,
        activity: None,
    }
}

/// Records the planned completions. Corrects the results of people that were marked by another request in the meantime.
async fn record_completions(
    caller: &Caller<MarkComplete>,
    form: &MarkForm,
    plan: &MarkingPlan,
    results: &mut [CompletionResult],
) -> Result<(), Problem> {
    let marker = Marker::from_caller(caller).await?;
    let mut planned: Vec<(&PendingMark, &mut CompletionResult)> = plan
        .targets
        .iter()
        .zip(results)
        .filter_map(|(target, result)| match &target.outcome {
            PlannedOutcome::Create(mark) => Some((mark, result)),
            PlannedOutcome::AlreadyCompleted(_)
            | PlannedOutcome::Deactivated(_)
            | PlannedOutcome::NotFound => None,
        })
        .collect();
    for part in planned.chunks_mut(PEOPLE_PER_TRANSACTION) {
        let records = part
            .iter()
            .map(|(mark, _)| marker.completion_record(caller, form, &plan.iri, mark));
        let records = records.collect::<Result<Vec<_>, _>>()?;
        let recorded = caller
            .app_state()
            .recorder()
            .record(submission(caller, records))
            .await;
        let recorded = recorded.map_err(|error| Problem::from_record_error(error, false))?;
        for ((_, result), recorded) in part.iter_mut().zip(recorded) {
            (result.outcome, result.activity) = match recorded {
                Recorded::New(id) | Recorded::Already(id) => (Outcome::Created, Some(id)),
                Recorded::AlreadyCompleted(_) | Recorded::AlreadyVoided(_) => {
                    (Outcome::AlreadyCompleted, None)
                }
            };
        }
    }
    Ok(())
}

/// Writes the note about the people without a new record. The records contain the note about the others.
async fn write_remaining_notes(
    caller: &Caller<MarkComplete>,
    form: &MarkForm,
    targets: &[MarkingTarget],
    results: &[CompletionResult],
) -> Result<(), Problem> {
    let (Some(text), Some(user)) = (&form.note, caller.principal().user()) else {
        return Ok(());
    };
    let note = MarkingNote {
        text,
        happened_at: form.happened_at,
        time_was_given: form.time_was_given,
        created_by: user,
    };
    let without_record = targets
        .iter()
        .zip(results)
        .filter(|(_, result)| matches!(result.outcome, Outcome::AlreadyCompleted | Outcome::Deactivated));
    let subjects: Vec<_> = without_record
        .filter_map(|(target, _)| target.outcome.note_subject())
        .collect();
    for subjects in subjects.chunks(PEOPLE_PER_TRANSACTION) {
        caller
            .store()
            .write_marking_notes(caller.org(), note, subjects)
            .await?;
    }
    Ok(())
}

/// The user that marks, as it occurs in the records.
struct Marker {
    user: UserId,
    identifier: Identifier,
    name: Option<String>,
    envelope: Arc<Envelope>,
}

impl Marker {
    async fn from_caller(caller: &Caller<MarkComplete>) -> Result<Self, Problem> {
        let forbidden = || Problem::forbidden("only a person can mark content as complete");
        let user = caller.principal().user().cloned().ok_or_else(forbidden)?;
        let mut recorders = caller
            .store()
            .recorders(caller.org(), std::slice::from_ref(&user))
            .await?;
        Ok(Self {
            identifier: Identifier::Account {
                home_page: caller.organisation().account_home_page.clone(),
                name: user.to_string(),
            },
            name: recorders.remove(&user).and_then(|recorder| recorder.name),
            envelope: Arc::new(envelope(caller.principal())),
            user,
        })
    }

    /// The record that marks one person.
    fn completion_record(
        &self,
        caller: &Caller<MarkComplete>,
        form: &MarkForm,
        iri: &str,
        mark: &PendingMark,
    ) -> Result<Incoming, Problem> {
        let id = caller.app_state().clock().new_statement_id();
        let completion = MarkedCompletion {
            id,
            actor: &mark.actor,
            actor_name: mark.name.as_deref(),
            iri,
            marker: &self.identifier,
            marker_name: self.name.as_deref(),
            happened_at: form.happened_at,
        };
        let statement = completion.to_statement().map_err(Problem::internal)?;
        Ok(Incoming {
            id,
            id_was_given: false,
            statement: Arc::new(statement),
            envelope: Arc::clone(&self.envelope),
            sameness: Sameness::Statement,
            mark: Some(CompletionMark {
                check: mark.check,
                by: self.user.clone(),
                note: form.note.clone(),
            }),
            voids_first: false,
        })
    }
}
