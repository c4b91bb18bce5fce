//! `/v1/scorm/{content}`: the commits of a SCORM 1.2 or 2004 player, and the data with which a learner goes on.
//!
//! A commit changes the state of an attempt and creates the records that it means, in one transaction. The player expects
//! `result` and `errorCode` in the answer, so their names are those of `scorm-again`.

use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::HeaderName;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use futures_util::future::LocalBoxFuture;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::access::permit::CommitScorm;
use crate::access::{LaunchMode, Principal};
use crate::base::ids::{ContentId, OrgId, StatementId, UserId};
use crate::catalogue::{ContentFormat, LearningType};
use crate::directory::identity::account_of_id;
use crate::http::auth::{Caller, LAUNCH_TOKEN_PARAMETER};
use crate::http::body::read_body;
use crate::http::json::media_type;
use crate::http::limits::Limits;
use crate::http::problem::{Answer, Code, Problem};
use crate::http::query::{QueryPairs, QueryReader};
use crate::http::routes::routes;
use crate::record::{Envelope, Origin};
use crate::scorm::resume::{Opening, Tree, elements, last_commit};
use crate::scorm::{AttemptCommit, AttemptState, Commit, CommitFault, MAX_ELEMENTS, Notice, Version};
use crate::store::{ScormPackage, Submission};

use super::activities::records::submission;

/// The header of an answer that names the attempt.
const REGISTRATION: HeaderName = HeaderName::from_static("rollbook-registration");

/// The media types of a commit. `navigator.sendBeacon` sends a text.
const MEDIA_TYPES: [&str; 3] = [
    "application/json",
    "text/plain",
    "application/x-www-form-urlencoded",
];

/// The forms of the answer to GET.
const FORMATS: [&str; 3] = ["json", "flattened", "commit"];

/// The bytes that the state of an attempt may have for the name of each element.
const BYTES_PER_NAME: usize = 64;

/// The longest id of a session, in characters.
const MAX_SESSION_CHARS: usize = 255;

routes! {
    "/v1/scorm/{content}" => { get: read_scorm_attempt, post: commit_scorm_attempt },
}

/// The answer to a commit, as the player expects it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "result": true, "errorCode": 0, "registration": "0190a000-0000-4000-8000-00000000000b",
    "activities": ["0190a000-0000-7000-8000-00000000000c"],
    "notices": [{"element": "cmi.core.score.raw", "value": "-5", "detail": "it must be from 0 to 100"}]
}))]
pub struct CommitAnswer {
    /// Whether the commit is stored. A commit that is not stored is answered with a problem document.
    result: bool,
    /// The error code of the player: 0, no error.
    #[serde(rename = "errorCode")]
    error_code: u32,
    /// The attempt to which the commit belongs.
    registration: Uuid,
    /// The ids of the activities that the commit has created. A repeated commit creates none.
    #[schema(value_type = Vec<Uuid>)]
    activities: Vec<StatementId>,
    /// The values that the data model of SCORM does not allow. They are stored, and the learner goes on with them. At most 100.
    notices: Vec<CommitNotice>,
}

/// A value of a commit that the data model of SCORM does not allow.
#[derive(Debug, Serialize, ToSchema)]
pub struct CommitNotice {
    /// The element.
    #[schema(example = "cmi.core.score.raw")]
    element: String,
    /// The value, at most its first 100 characters.
    #[schema(example = "-5")]
    value: String,
    /// What is wrong with it.
    #[schema(example = "it must be from 0 to 100")]
    detail: String,
}

/// A commit in the format `json` or `flattened` of `scorm-again`, also within `runtimeData`.
#[derive(ToSchema)]
#[allow(dead_code, reason = "`Commit` reads the members; this struct documents them")]
#[schema(example = json!({"cmi": {"suspend_data": "page=3", "core": {"lesson_status": "incomplete",
    "session_time": "0000:05:00", "score": {"raw": "80", "min": "0", "max": "100"}, "exit": "suspend"}}}))]
pub struct ScormCommit {
    /// The elements of the data model as a tree. Lists are objects with numbers as keys, or arrays.
    cmi: Option<serde_json::Map<String, serde_json::Value>>,
    /// The elements within a commit that has common fields (`renderCommonCommitFields`).
    #[schema(rename = "runtimeData")]
    runtime_data: Option<serde_json::Map<String, serde_json::Value>>,
    /// Whether this is the last commit of its session (`terminateCommitPayloadField: "final"`).
    #[schema(rename = "final")]
    is_final: Option<bool>,
    /// The number of the commit within its session (`includeCommitSequence`).
    #[schema(rename = "commitSequence")]
    commit_sequence: Option<u64>,
}

/// The data for the next session of an attempt, in the form that `loadFromJSON` takes. With `format=flattened`, each element
/// is a member of its own, for example `cmi.core.entry`.
#[derive(ToSchema)]
#[allow(dead_code, reason = "`Tree` writes the members; this struct documents them")]
#[schema(example = json!({"cmi": {"suspend_data": "page=3", "core": {"student_id": "bo", "entry": "resume",
    "lesson_status": "incomplete", "lesson_mode": "normal", "credit": "credit", "total_time": "0000:05:00.00"}}}))]
pub struct ScormData {
    /// The elements of the data model. Empty if there is no attempt and no parameter `version`.
    #[schema(nullable = false)]
    cmi: Option<serde_json::Map<String, serde_json::Value>>,
}

/// The body of a commit with its media type.
pub struct CommitBody {
    bytes: Bytes,
    /// Whether the body came as plain text, which players send by `navigator.sendBeacon` at the end of a session.
    is_plain_text: bool,
    limits: Limits,
}

impl FromRequest for CommitBody {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let media_type = media_type(&request, &MEDIA_TYPES)?;
            let limits = crate::http::json::limits(&request)?;
            Ok(Self {
                bytes: read_body(payload, request.headers(), &limits).await?,
                is_plain_text: media_type == "text/plain",
                limits,
            })
        })
    }
}

impl CommitBody {
    /// The most bytes of the state of an attempt: enough for a commit of the permitted size, whose names are longer in the
    /// state than in a tree.
    fn max_state_bytes(&self) -> usize {
        let names = MAX_ELEMENTS.saturating_mul(BYTES_PER_NAME);
        self.limits
            .scorm_commit_bytes
            .saturating_mul(2)
            .saturating_add(names)
    }

    fn parse(&self) -> Result<Commit, Problem> {
        let longest = self.limits.scorm_commit_bytes;
        if self.bytes.len() > longest {
            let detail = format!("a commit has at most {longest} bytes; see ROLLBOOK_MAX_SCORM_COMMIT_BYTES");
            return Err(Problem::new(Code::BodyTooLarge, detail));
        }
        let text = std::str::from_utf8(&self.bytes)
            .map_err(|error| Problem::bad_request("the body must be UTF-8").caused_by(error))?;
        let mut commit = Commit::parse(text, self.limits.json_depth).map_err(|fault| match fault {
            CommitFault::Body(fault) => Problem::from(fault),
            CommitFault::TooManyElements => {
                let detail = format!("a commit has at most {MAX_ELEMENTS} elements");
                Problem::new(Code::BodyTooLarge, detail)
            }
        })?;
        commit.is_final |= self.is_plain_text && commit.has_total_time();
        Ok(commit)
    }
}

/// The parameters of both methods.
struct Target {
    user: Option<UserId>,
    registration: Option<Uuid>,
}

impl Target {
    fn from_query(query: &QueryReader<'_>) -> Self {
        // The authentication has read it.
        query.text(LAUNCH_TOKEN_PARAMETER);
        Self {
            user: query.value("user"),
            registration: query.value("registration"),
        }
    }
}

/// The learner and the package of a request.
struct Subject {
    user: UserId,
    name: Option<String>,
    package: ScormPackage,
    target: Target,
}

impl Subject {
    /// Finds the learner and the package.
    ///
    /// # Errors
    ///
    /// 403 for another person than the caller and for what is not the launch's, 400 for a credential that names no user of
    /// the directory, 404 for an unknown content.
    async fn find(caller: &Caller<CommitScorm>, content: &str, target: Target) -> Result<Self, Problem> {
        let (user, target) = find_target(caller.principal(), content, target)?;
        let learner = caller.store().find_scorm_learner(caller.org(), &user).await?;
        if learner.is_none() && caller.principal().credential().is_some() {
            let detail = format!("the user `{user}` does not exist; add the user to the directory first");
            return Err(Problem::bad_parameter("user", detail));
        }
        let id = ContentId::new(content).map_err(|_| Problem::not_found())?;
        let package = caller.store().find_scorm_package(caller.org(), &id).await?;
        Ok(Self {
            user,
            name: learner.and_then(|learner| learner.name),
            package: package.ok_or_else(Problem::not_found)?,
            target,
        })
    }

    /// Checks that a person may send commits about the content with their own token. Launches and credentials belong to the
    /// platform, which has decided it.
    ///
    /// # Errors
    ///
    /// 403 if the content is no package, unless the platform has let the person begin it.
    async fn check_commits(&self, caller: &Caller<CommitScorm>) -> Result<(), Problem> {
        let (Principal::Person(_), Some(fault)) = (caller.principal(), find_package_fault(&self.package))
        else {
            return Ok(());
        };
        let (store, org) = (caller.store(), caller.org());
        if store
            .has_scorm_attempt_or_launch(org, &self.user, &self.package)
            .await?
        {
            return Ok(());
        }
        Err(Problem::forbidden(format!(
            "{fault}; commits about it need a launch by `scorm` or a credential"
        )))
    }

    /// The attempt that the request names, or else the one that began last, with its registration.
    async fn attempt(&self, caller: &Caller<CommitScorm>) -> Result<(Uuid, AttemptState), Problem> {
        let named = self.target.registration;
        let found = caller
            .store()
            .find_scorm_attempt(caller.org(), &self.user, &self.package, named)
            .await?;
        Ok(match found {
            Some(attempt) => (attempt.registration, attempt.state),
            None => {
                let first = || first_registration(caller.org(), &self.user, &self.package);
                (named.unwrap_or_else(first), AttemptState::default())
            }
        })
    }
}

/// Why a content takes no commits from a person's own token: a learner could complete anything with them.
fn find_package_fault(package: &ScormPackage) -> Option<&'static str> {
    use ContentFormat::{Course, Other, Scorm};
    if !package.is_registered {
        return Some("the content is not registered in the catalogue");
    }
    if package.archived_at.is_some() {
        return Some("the content is archived");
    }
    if package.course.is_some() {
        return Some("the content belongs to a course of cmi5");
    }
    let is_package = matches!(package.content_type, None | Some(Scorm | Course | Other))
        && matches!(
            package.learning_type,
            None | Some(LearningType::Item | LearningType::Quiz)
        );
    (!is_package).then_some("the content is no SCORM package by its type")
}

/// The user of a request, and the attempt that it names. Those of a launch are fixed.
fn find_target(principal: &Principal, content: &str, target: Target) -> Result<(UserId, Target), Problem> {
    let own = match principal {
        Principal::Person(person) => &person.user,
        Principal::Launch(launch) => {
            let is_other = target
                .registration
                .is_some_and(|named| named != launch.registration);
            if content != launch.content.as_str() || is_other {
                let detail = "the token of a launch is for its own content and registration only";
                return Err(Problem::forbidden(detail));
            }
            &launch.user
        }
        Principal::Credential(_) | Principal::ReportKey(_) => {
            let unnamed = || Problem::bad_parameter("user", "name the learner: `user=` with the user's id");
            return Ok((target.user.clone().ok_or_else(unnamed)?, target));
        }
    };
    if target.user.as_ref().is_some_and(|named| named != own) {
        return Err(Problem::forbidden("you may send and read only your own commits"));
    }
    let registration = principal.launch().map(|launch| launch.registration);
    let registration = registration.or(target.registration);
    Ok((
        own.clone(),
        Target {
            registration,
            ..target
        },
    ))
}

/// The registration of a learner's first attempt, if no request names one. Two commits at the same time need the same.
fn first_registration(org: &OrgId, user: &UserId, package: &ScormPackage) -> Uuid {
    let mut hasher = Sha256::new();
    for text in [
        "rollbook SCORM attempt",
        org.as_str(),
        user.as_str(),
        &package.iri,
    ] {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text);
    }
    let mut bytes = [0; 16];
    for (byte, digest_byte) in bytes.iter_mut().zip(hasher.finalize()) {
        *byte = digest_byte;
    }
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// The parameters that name an attempt and its caller.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "`Target` reads them; this struct documents them")]
struct AttemptParameters {
    /// The attempt. Default: the attempt that began last.
    registration: Option<Uuid>,
    /// The token of a launch, for `navigator.sendBeacon`, which sends no headers.
    access_token: Option<String>,
    /// The learner; required from a credential.
    #[param(example = "bo")]
    user: Option<String>,
}

/// Send a commit of a SCORM 1.2 or 2004 player, in each format of `scorm-again`.
///
/// The commit belongs to the attempt that `registration` names, or else to the learner's attempt that began last. A new
/// registration begins a new attempt. The commit is stored together with the activities that it means: `started` with the
/// first commit; `completed`, `passed` and `failed` when the status becomes so for the first time; `answered` for each
/// interaction; and the end of a session if it has more time or another score. A repeated commit changes nothing. A commit
/// in the mode `browse` or `review` is answered and not stored.
#[utoipa::path(
    post,
    path = "/v1/scorm/{content}",
    tag = "scorm",
    operation_id = "commit_scorm_attempt",
    params(
        ("content" = String, Path, description = "The content's id.", example = "fire-safety"),
        AttemptParameters,
        ("session" = Option<String>, Query, max_length = 255,
            description = "An id that the player gives each of its sessions. Without it, sessions are told apart by their times."),
        ("final" = Option<bool>, Query,
            description = "Whether this is the last commit of its session (`terminateCommitParam: \"final\"`)."),
    ),
    request_body(content(
        (ScormCommit = "application/json"),
        (String = "text/plain", example = "cmi.core.lesson_status=incomplete&cmi.core.session_time=0000:05:00"),
        (String = "application/x-www-form-urlencoded",
            example = "cmi.core.lesson_status=incomplete&cmi.core.session_time=0000:05:00"),
    ), description = "The commit. The body decides about the format, not its media type. In the format `params`, values are \
        not percent-encoded, as the player sends them."),
    responses((status = 200, description = "The commit is stored, or was stored before.", body = CommitAnswer))
)]
async fn commit_scorm_attempt(
    caller: Caller<CommitScorm>,
    content: web::Path<String>,
    pairs: QueryPairs,
    body: CommitBody,
) -> Answer {
    let query = pairs.reader();
    let target = Target::from_query(&query);
    let session = query.text("session");
    if session.is_some_and(|session| session.is_empty() || session.chars().count() > MAX_SESSION_CHARS) {
        query.add_fault(
            "session",
            format!("must have 1 to {MAX_SESSION_CHARS} characters"),
        );
    }
    let is_final = query.flag("final").unwrap_or(false);
    query.finish()?;
    let subject = Subject::find(&caller, &content, target).await?;
    subject.check_commits(&caller).await?;
    let mut commit = body.parse()?;
    commit.is_final |= is_final;
    let (registration, state) = subject.attempt(&caller).await?;
    let version = commit.version().or(state.version).unwrap_or(Version::V2004);
    let mut notices = commit.find_notices(version);
    let mut activities = Vec::new();
    match commit.unrecorded_mode(version, launch_mode(caller.principal())) {
        Some(notice) => notices.insert(0, notice),
        None => {
            let mut attempt = to_attempt(&caller, subject, registration, commit);
            attempt.session = session.map(str::to_owned);
            attempt.max_state_bytes = body.max_state_bytes();
            let submission = Submission {
                // Packages describe their questions, and must not change what the catalogue knows.
                adds_definitions: true,
                attempt: Some(Arc::new(attempt)),
                ..submission(&caller, Vec::new())
            };
            let recorded = caller.app_state().recorder().record(submission).await;
            let recorded = recorded.map_err(|error| Problem::from_record_error(error, false))?;
            activities.extend(recorded.into_iter().map(|record| record.id()));
        }
    }
    let answer = CommitAnswer {
        result: true,
        error_code: 0,
        registration,
        activities,
        notices: notices.into_iter().map(CommitNotice::from).collect(),
    };
    Ok(HttpResponse::Ok()
        .insert_header((REGISTRATION, registration.to_string()))
        .json(answer))
}

/// The mode of a launch. `None` for other callers: the commit says it.
fn launch_mode(principal: &Principal) -> Option<&'static str> {
    principal.launch().map(|launch| launch.mode.key())
}

fn to_attempt(
    caller: &Caller<CommitScorm>,
    subject: Subject,
    registration: Uuid,
    commit: Commit,
) -> AttemptCommit {
    let is_credential = caller.principal().credential().is_some();
    AttemptCommit {
        actor: account_of_id(&caller.organisation().account_home_page, &subject.user),
        actor_name: subject.name,
        user: subject.user,
        content: subject.package.key,
        iri: subject.package.iri,
        registration,
        commit: Some(commit),
        session: None,
        max_state_bytes: usize::MAX,
        now: caller.now().whole_millisecond(),
        envelope: Arc::new(Envelope {
            origin: Origin::Scorm,
            device_type: is_credential.then(|| "api".to_owned()),
            ..Envelope::default()
        }),
    }
}

impl From<Notice> for CommitNotice {
    fn from(notice: Notice) -> Self {
        let Notice {
            element,
            value,
            detail,
        } = notice;
        Self {
            element,
            value,
            detail,
        }
    }
}

/// Read the data with which a learner goes on: the last commit, in the form that `loadFromJSON` of `scorm-again` takes.
///
/// `entry` and `total_time` are those of the next session; `exit`, `session_time` and values that the player refuses to load are
/// left out. Without an attempt the
/// answer has the learner and `ab-initio` if `version` is given, else nothing. The header `Rollbook-Registration` names the
/// attempt.
#[utoipa::path(
    get,
    path = "/v1/scorm/{content}",
    tag = "scorm",
    operation_id = "read_scorm_attempt",
    params(
        ("content" = String, Path, description = "The content's id.", example = "fire-safety"),
        AttemptParameters,
        ("version" = Option<String>, Query, description = "The version of SCORM, where there is no attempt yet.",
            example = "1.2"),
        ("format" = Option<String>, Query, example = "flattened",
            description = "`json` (default), `flattened` for `loadFromFlattenedJSON`, or `commit`: the last commit as it is stored, \
                with odd values and with the members beside the elements."),
    ),
    responses((status = 200, description = "The data for the next session.", body = ScormData,
        headers(("Rollbook-Registration" = String, description = "The registration of the attempt."))))
)]
async fn read_scorm_attempt(
    caller: Caller<CommitScorm>,
    content: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    let query = pairs.reader();
    let target = Target::from_query(&query);
    let version = query.text("version").and_then(|text| {
        let version = text.parse().ok();
        if version.is_none() {
            query.add_fault("version", "must be `1.2` or `2004`");
        }
        version
    });
    let format = query.text("format").unwrap_or("json");
    if !FORMATS.contains(&format) {
        query.add_fault("format", format!("must be one of {}", FORMATS.join(", ")));
    }
    query.finish()?;
    let subject = Subject::find(&caller, &content, target).await?;
    let (registration, state) = subject.attempt(&caller).await?;
    let opening = Opening {
        learner_id: subject.user.as_str(),
        learner_name: subject.name.as_deref(),
        mode: launch_mode(caller.principal()),
    };
    let mut answer = HttpResponse::Ok();
    answer.insert_header((REGISTRATION, registration.to_string()));
    Ok(match format {
        "commit" => answer.json(last_commit(&state).map_err(Problem::internal)?),
        "flattened" => answer.json(elements(&state, version, opening)),
        _ => answer.json(Tree::new(&elements(&state, version, opening))),
    })
}

/// Loads the data with which a user goes on in a registration, for the answer to a launch.
pub(super) async fn load_resume_data<A>(
    caller: &Caller<A>,
    (user, content): (UserId, ContentId),
    registration: Uuid,
    mode: LaunchMode,
) -> Result<Tree, Problem> {
    let (store, org) = (caller.store(), caller.org());
    let package = store.find_scorm_package(org, &content).await?;
    let package = package.ok_or_else(Problem::not_found)?;
    let learner = store.find_scorm_learner(org, &user).await?;
    let attempt = store
        .find_scorm_attempt(org, &user, &package, Some(registration))
        .await?;
    let state = attempt.map(|attempt| attempt.state).unwrap_or_default();
    let opening = Opening {
        learner_id: user.as_str(),
        learner_name: learner.as_ref().and_then(|learner| learner.name.as_deref()),
        mode: Some(mode.key()),
    };
    Ok(Tree::new(&elements(&state, None, opening)))
}
