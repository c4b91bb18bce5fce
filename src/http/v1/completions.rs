//! `/v1/completions`: marking content as complete for people who did it elsewhere (contract sections 4 and 13).
//!
//! Marking twice is marking once: whoever stands completed, now or at the moment given, is `already_completed`, and
//! that is decided where the record is written. What a caller can't see is `not_found`, and of a team or group only the
//! members are named whom they may mark.

use std::sync::Arc;

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::permit::MarkComplete;
use crate::http::auth::Caller;
use crate::http::json::JsonBytes;
use crate::http::problem::{Answer, Code, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::base::ids::{StatementId, UserId};
use crate::log::completion::{MAX_PEOPLE, MarkForm, MarkedCompletion, Outcome};
use crate::record::{Envelope, Identifier};
use crate::store::{Asked, PlannedOutcome, Incoming, CompletionMark, MarkingRefusal, Recorded, Sameness, Target, ToMark};

use super::activities::{envelope, submission};

/// People who are marked by one transaction: so that others, whose records wait meanwhile, have their turn.
const AT_ONCE: usize = 500;

routes! {
    "/v1/completions" => { post: mark_complete },
}

/// What is to be marked as complete, and for whom: at least one of `users`, `teams` and `groups`.
#[derive(ToSchema)]
#[allow(dead_code, reason = "read member by member; this describes them")]
#[schema(example = json!({
    "content": "fire-safety", "users": ["bo", "cy"], "teams": ["sales"], "include_sub_teams": true,
    "groups": ["first-aiders"], "happened_at": "2026-02-14T09:00:00Z", "note": "Was at the live session",
    "dry_run": false
}))]
pub struct NewCompletion {
    /// The content's id, or its IRI while nobody has registered it. Archived content may be marked, too.
    content: String,
    /// Ids of users. With the members of teams and groups, 10,000 people at most.
    users: Option<Vec<String>>,
    /// Ids of teams: all members whom the caller may mark.
    #[schema(max_items = 1000)]
    teams: Option<Vec<String>>,
    /// The members of the teams below those count as well.
    include_sub_teams: Option<bool>,
    /// Ids of groups: all members whom the caller may mark.
    #[schema(max_items = 1000)]
    groups: Option<Vec<String>>,
    /// When they completed it, RFC 3339; default: now. It doesn't lie ahead.
    #[schema(format = DateTime)]
    happened_at: Option<String>,
    /// A manual note about each person whose completion is recorded. They never see it themselves.
    #[schema(max_length = 10_000)]
    note: Option<String>,
    /// Only say what would happen.
    dry_run: Option<bool>,
}

/// What became of each person.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CompletionReport, example = json!({"results": [
    {"user": "bo", "outcome": "created", "activity": "0190a000-0000-7000-8000-00000000000b"},
    {"user": "cy", "outcome": "already_completed", "activity": null}
]}))]
pub struct Report {
    /// The users in the order in which they were sent, then the members of teams and groups by id; each once.
    pub results: Vec<CompletionResult>,
}

/// What became of one person.
#[derive(Debug, Serialize, ToSchema)]
pub struct CompletionResult {
    /// The user's id.
    #[schema(value_type = String)]
    pub user: UserId,
    /// What became of them. `not_found`: unknown, or outside the caller's reach.
    pub outcome: Outcome,
    /// The activity that was made: what to void if it was a mistake. Null for any other outcome, and in a dry run.
    #[schema(value_type = Option<Uuid>, required = true)]
    pub activity: Option<StatementId>,
}

/// Mark content as complete for users, and for the members of teams and groups.
///
/// The answer tells what became of each person. Who stands completed already, now or at the moment given, is left as
/// they are; who has expired or failed is marked. So the same request again changes nothing, and finishes what was cut
/// off midway.
#[utoipa::path(
    post,
    path = "/v1/completions",
    tag = "completions",
    operation_id = "mark_complete",
    request_body = NewCompletion,
    responses((status = 200, description = "What became of each person, or in a dry run what would become of them.",
        body = Report))
)]
async fn mark_complete(caller: Caller<MarkComplete>, pairs: QueryPairs, body: JsonBytes) -> Answer {
    pairs.refuse_any()?;
    let form = MarkForm::parse(body.text()?, caller.now(), caller.app_state().limits().json_depth)?;
    let asked = Asked {
        content: &form.content,
        users: &form.users,
        teams: &form.teams,
        sub_teams: form.include_sub_teams,
        groups: &form.groups,
        at: form.happened_at,
        home_page: &caller.organisation().account_home_page,
    };
    let marking = caller.store().marking(&caller.subjects()?, &asked).await?;
    let marking = marking.map_err(refused)?;
    let mut results: Vec<CompletionResult> = marking.targets.iter().map(foreseen).collect();
    if !form.dry_run {
        mark(&caller, &form, &marking.iri, &marking.targets, &mut results).await?;
    }
    Ok(HttpResponse::Ok().json(Report { results }))
}

fn refused(refusal: MarkingRefusal) -> Problem {
    match refusal {
        MarkingRefusal::UnknownContent => Problem::invalid_body("/content", "the catalogue has no such content"),
        MarkingRefusal::TooManyPeople => {
            let detail = format!("at most {MAX_PEOPLE} people are marked at once; send them in parts");
            Problem::new(Code::BatchTooLong, detail)
        }
    }
}

fn foreseen(target: &Target) -> CompletionResult {
    let outcome = match target.foreseen {
        PlannedOutcome::Create(_) => Outcome::Created,
        PlannedOutcome::AlreadyCompleted => Outcome::AlreadyCompleted,
        PlannedOutcome::Deactivated => Outcome::Deactivated,
        PlannedOutcome::NotFound => Outcome::NotFound,
    };
    CompletionResult {
        user: target.user.clone(),
        outcome,
        activity: None,
    }
}

/// Records the completions that are needed, and corrects in the results what has changed since it was foreseen.
async fn mark(
    caller: &Caller<MarkComplete>,
    form: &MarkForm,
    iri: &str,
    targets: &[Target],
    results: &mut [CompletionResult],
) -> Result<(), Problem> {
    let marker = Marker::of(caller).await?;
    let mut open: Vec<(&ToMark, &mut CompletionResult)> = targets
        .iter()
        .zip(results)
        .filter_map(|(target, result)| match &target.foreseen {
            PlannedOutcome::Create(to_mark) => Some((to_mark, result)),
            PlannedOutcome::AlreadyCompleted | PlannedOutcome::Deactivated | PlannedOutcome::NotFound => None,
        })
        .collect();
    for part in open.chunks_mut(AT_ONCE) {
        let records = part
            .iter()
            .map(|(to_mark, _)| marker.record(caller, form, iri, to_mark));
        let records = records.collect::<Result<Vec<_>, _>>()?;
        let recorded = caller.app_state().recorder().record(submission(caller, records)).await;
        let recorded = recorded.map_err(|error| Problem::from_record_error(error, false))?;
        for ((_, result), recorded) in part.iter_mut().zip(recorded) {
            (result.outcome, result.activity) = match recorded {
                Recorded::New(id) | Recorded::Already(id) => (Outcome::Created, Some(id)),
                Recorded::AlreadyCompleted(_) => (Outcome::AlreadyCompleted, None),
            };
        }
    }
    Ok(())
}

/// Who marks, as records name them.
struct Marker {
    user: UserId,
    identifier: Identifier,
    name: Option<String>,
    envelope: Arc<Envelope>,
}

impl Marker {
    async fn of(caller: &Caller<MarkComplete>) -> Result<Self, Problem> {
        let nobody = || Problem::forbidden("only a person marks content as complete");
        let user = caller.principal().user().cloned().ok_or_else(nobody)?;
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

    fn record(
        &self,
        caller: &Caller<MarkComplete>,
        form: &MarkForm,
        iri: &str,
        to_mark: &ToMark,
    ) -> Result<Incoming, Problem> {
        let id = caller.app_state().clock().new_statement_id();
        let completion = MarkedCompletion {
            id,
            actor: &to_mark.actor,
            actor_name: to_mark.name.as_deref(),
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
                needed: to_mark.needed,
                by: self.user.clone(),
                note: form.note.clone(),
            }),
        })
    }
}
