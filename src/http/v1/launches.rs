//! `/v1/launches`: starting content for a user (`docs/specification.md#launches`).
//!
//! An LMS launches content for a user and opens the address of the answer in the user's browser. The token in it is bound
//! to the user, the content and one registration. The answer that creates a launch is the only one with the token: only
//! its hash is stored.

mod views;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::{ExposeSecret, SecretString};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::launch::{new_fetch_secret, new_launch_token};
use crate::access::permit::ManageLaunches;
use crate::access::{LaunchMode, LaunchStandard, SecretHash};
use crate::base::body::parse_body;
use crate::base::fault::Faults;
use crate::base::form::Form;
use crate::http::auth::{Caller, LAUNCH_TOKEN_PARAMETER};
use crate::http::json::JsonBody;
use crate::http::keyed::{Listing, path_segment};
use crate::http::pages::{NoOthers, PageWriter};
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::launches::LaunchForm;
use crate::launches::address::{self, Cmi5Query, XapiQuery};
use crate::scorm::resume::Tree;
use crate::store::{
    Cmi5Launch, CreatedLaunch, LaunchFilter, LaunchRefusal, LaunchWaiveRefusal, NewLaunch, WaiveRefusal,
};

use super::scorm::load_resume_data;
pub use views::{
    Cmi5Parameters, LaunchList, LaunchStatus, LaunchView, NewLaunchView, ScormHeaders, ScormPlayer,
    ScormSettings, Waiver, XapiParameters,
};

/// The longest reason of a waiver, in characters.
const MAX_REASON: usize = 255;

routes! {
    "/v1/launches" => { get: list_launches, post: create_launch },
    "/v1/launches/{id}" => { get: read_launch, delete: revoke_launch },
    "/v1/launches/{id}/waive" => { post: waive_launch },
}

/// The parameter of the address of a SCORM content with the address that takes the commits.
const SCORM_PARAMETER: &str = "lms_commit_url";

/// The content to launch, and the user.
#[derive(ToSchema)]
#[allow(
    dead_code,
    reason = "`LaunchForm` reads the members; this struct documents them"
)]
#[schema(as = NewLaunch, example = json!({
    "user": "bo", "content": "fire-safety", "standard": "xapi", "return_url": "https://lms.example.org/courses/7",
    "language": "de-CH", "expires_in": 3600
}))]
pub struct LaunchBody {
    /// The user's id in the directory. The user must be active.
    user: String,
    /// The content's id. The content must be registered and not archived. For `xapi` it needs a `url`; for `cmi5` it is
    /// an assignable unit of an imported course.
    content: String,
    /// The standard of the content.
    standard: LaunchStandard,
    /// The registration of an earlier launch, to continue the attempt. Default: a new one; for `cmi5` the user's newest
    /// one for the course.
    registration: Option<Uuid>,
    /// What the launch is for. Default: `normal`.
    mode: Option<LaunchMode>,
    /// The http or https address to which the content sends the user when it ends.
    #[schema(max_length = 2000, format = "uri")]
    return_url: Option<String>,
    /// The language that the user prefers, as in RFC 5646.
    language: Option<String>,
    /// How long the token is valid, in seconds. The server's settings have the default and the maximum.
    #[schema(minimum = 1, maximum = 86400)]
    expires_in: Option<u32>,
}

/// List launches, the newest first, without their tokens.
///
/// With `user`, `content` and `registration` the list has the launches that match all of them.
#[utoipa::path(
    get,
    path = "/v1/launches",
    tag = "launches",
    operation_id = "list_launches",
    params(
        ("user" = Option<String>, Query, description = "Launches for this user only."),
        ("content" = Option<String>, Query, description = "Launches of this content only."),
        ("registration" = Option<Uuid>, Query, description = "Launches of this registration only."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "The number of launches of a page. Default: 50."),
        ("cursor" = Option<String>, Query, description = "From `next` of the page before."),
    ),
    responses((status = 200, description = "A page.", body = LaunchList))
)]
async fn list_launches(caller: Caller<ManageLaunches>, request: HttpRequest, pairs: QueryPairs) -> Answer {
    let query = pairs.reader();
    let listing = Listing::new(&caller, request.path(), &pairs, &query).await?;
    let filter = LaunchFilter {
        user: query.value("user"),
        content: query.value("content"),
        registration: query.value("registration"),
    };
    query.finish()?;
    let before: Option<i64> = listing.after_key()?;
    let page = caller
        .store()
        .list_launches(caller.org(), &filter, before, listing.limits())
        .await?;
    let mut writer = PageWriter::new("launches", caller.app_state().limits());
    let mut last = None;
    for stored in page.items {
        let key = stored.key;
        if !writer.push(&LaunchView::new(stored, caller.now()))? {
            break;
        }
        last = Some(key.to_string());
    }
    let next = listing.next(page.more || writer.is_full(), last.as_deref())?;
    writer.respond(next.as_deref(), &NoOthers {})
}

/// Launch content for a user. Only this response contains the token.
///
/// The token writes statements and states of the user, the content and the registration, and reads its own. It opens
/// nothing else.
#[utoipa::path(
    post,
    path = "/v1/launches",
    tag = "launches",
    operation_id = "create_launch",
    request_body = LaunchBody,
    responses((status = 201, description = "Launched. Open `url` in the user's browser.", body = NewLaunchView,
        headers(("Location" = String, description = "The launch's address."))))
)]
async fn create_launch(
    caller: Caller<ManageLaunches>,
    request: HttpRequest,
    pairs: QueryPairs,
    body: JsonBody,
) -> Answer {
    pairs.refuse_any()?;
    let lifetime = caller.app_state().options().launch_lifetime;
    let form = body.read(|text, depth| LaunchForm::parse(text, depth, lifetime))?;
    let token = new_launch_token()?;
    let (user, content, mode) = (form.user.clone(), form.content.clone(), form.mode);
    let new = NewLaunch {
        user: form.user,
        content: form.content,
        registration: form.registration,
        standard: form.standard,
        mode: form.mode,
        return_url: form.return_url,
        language: form.language,
        created_by: caller.principal().caller_id(),
        lifetime_seconds: form.lifetime_seconds,
        secret_hash: *SecretHash::from_secret(&token).as_bytes(),
    };
    let server = caller.app_state().public_address(&request);
    let mut view = match new.standard {
        LaunchStandard::Cmi5 => launch_cmi5(&caller, &server, new).await?,
        LaunchStandard::Xapi | LaunchStandard::Scorm => {
            let created = caller.store().add_launch(caller.org(), new).await?;
            represent_new(&caller, &server, created.map_err(to_problem)?, &token)?
        }
    };
    let location = format!("/v1/launches/{}", view.launch.id);
    if let Some(player) = &mut view.scorm {
        let registration = view.launch.registration;
        player.data = load_resume_data(&caller, (user, content), registration, mode).await?;
    }
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, location))
        // No cache may store the token.
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(view))
}

/// Launches a unit of cmi5. Nobody gets the token of the new launch: the unit exchanges the secret in the address for
/// another one.
async fn launch_cmi5(
    caller: &Caller<ManageLaunches>,
    server: &str,
    new: NewLaunch,
) -> Result<NewLaunchView, Problem> {
    let secret = new_fetch_secret()?;
    let fetch_hash = *SecretHash::from_secret(&secret).as_bytes();
    let launched = caller
        .store()
        .add_cmi5_launch(caller.org(), new, fetch_hash)
        .await?;
    let Cmi5Launch {
        created,
        url,
        launch_method,
    } = launched.map_err(to_problem)?;
    let launch = created.launch.to_principal();
    let actor = address::actor_json(&launch, None);
    let endpoint = format!("{server}/xapi/");
    let fetch = format!("{server}/cmi5/fetch/{}", secret.expose_secret());
    let query = Cmi5Query {
        endpoint: &endpoint,
        fetch: &fetch,
        actor: &actor,
        registration: launch.registration,
        activity_id: &launch.activity,
    };
    Ok(NewLaunchView {
        url: Some(query.address(&url)),
        token: None,
        xapi: None,
        scorm: None,
        cmi5: Some(Cmi5Parameters {
            endpoint,
            fetch,
            actor: RawValue::from_string(actor).map_err(Problem::internal)?,
            registration: launch.registration,
            activity_id: launch.activity,
            session: launch.id,
            launch_method,
        }),
        launch: LaunchView::new(created.launch, caller.now()),
    })
}

/// Returns a new launch with what its standard needs.
fn represent_new<A>(
    caller: &Caller<A>,
    server: &str,
    created: CreatedLaunch,
    token: &SecretString,
) -> Result<NewLaunchView, Problem> {
    let CreatedLaunch {
        launch: stored,
        url,
        user_name,
    } = created;
    let launch = stored.to_principal();
    let mut view = NewLaunchView {
        url,
        token: Some(token.expose_secret().to_owned()),
        xapi: None,
        cmi5: None,
        scorm: None,
        launch: LaunchView::new(stored, caller.now()),
    };
    match launch.standard {
        LaunchStandard::Xapi => {
            let endpoint = format!("{server}/xapi/");
            let auth = address::authorization(&launch, token);
            let actor = address::actor_json(&launch, user_name.as_deref());
            let query = XapiQuery {
                launch: &launch,
                endpoint: &endpoint,
                authorization: &auth,
                actor: &actor,
                return_url: view.launch.return_url.as_deref(),
                language: view.launch.language.as_deref(),
            };
            view.url = view.url.map(|url| query.address(&url));
            view.xapi = Some(XapiParameters {
                endpoint,
                auth,
                actor: RawValue::from_string(actor).map_err(Problem::internal)?,
                registration: launch.registration,
                activity_id: launch.activity,
            });
        }
        LaunchStandard::Scorm => {
            let content = path_segment(launch.content.as_str());
            view.scorm = Some(ScormPlayer {
                data: Tree::default(),
                settings: ScormSettings {
                    // `navigator.sendBeacon`, by which the player ends a session, sends no headers.
                    lms_commit_url: format!(
                        "{server}/v1/scorm/{content}?{LAUNCH_TOKEN_PARAMETER}={}",
                        token.expose_secret()
                    ),
                    data_commit_format: "json",
                    include_commit_sequence: true,
                    xhr_headers: ScormHeaders {
                        authorization: format!("Bearer {}", token.expose_secret()),
                    },
                },
            });
        }
        LaunchStandard::Cmi5 => {}
    }
    if let (Some(url), Some(scorm)) = (&view.url, &view.scorm) {
        let parameters = [(SCORM_PARAMETER, scorm.settings.lms_commit_url.as_str())];
        view.url = Some(address::with_parameters(url, &parameters));
    }
    Ok(view)
}

/// Returns the problem for content that is not launched.
fn to_problem(refusal: LaunchRefusal) -> Problem {
    let (pointer, detail) = match refusal {
        LaunchRefusal::UnknownUser => ("/user", "the user does not exist"),
        LaunchRefusal::DeactivatedUser => ("/user", "the user is deactivated; activate the user first"),
        LaunchRefusal::UnknownContent => (
            "/content",
            "the content does not exist or is not registered; write it with `PUT /v1/contents/{id}` first",
        ),
        LaunchRefusal::ArchivedContent => ("/content", "the content is archived and cannot be launched"),
        LaunchRefusal::NoAddress => (
            "/content",
            "the content has no `url`, which this standard opens; set it with `PATCH /v1/contents/{id}`",
        ),
        LaunchRefusal::ForeignRegistration => (
            "/registration",
            "the registration belongs to another user or another course; leave it out to begin a new one",
        ),
        LaunchRefusal::NoCourseUnit => (
            "/content",
            "the content is no assignable unit of a course; import its course structure with `POST /v1/courses` first",
        ),
    };
    Problem::invalid_body(pointer, detail)
}

/// Read one launch, without its token.
///
/// The answer says whether the launch has expired or was revoked.
#[utoipa::path(
    get,
    path = "/v1/launches/{id}",
    tag = "launches",
    operation_id = "read_launch",
    params(("id" = Uuid, Path, description = "The launch's id.")),
    responses((status = 200, description = "The launch.", body = LaunchView))
)]
async fn read_launch(caller: Caller<ManageLaunches>, id: web::Path<Uuid>, pairs: QueryPairs) -> Answer {
    pairs.refuse_any()?;
    let stored = caller.store().find_launch(caller.org(), *id).await?;
    let stored = stored.ok_or_else(Problem::not_found)?;
    Ok(HttpResponse::Ok().json(LaunchView::new(stored, caller.now())))
}

/// Revoke a launch permanently. What its content has written stays.
#[utoipa::path(
    delete,
    path = "/v1/launches/{id}",
    tag = "launches",
    operation_id = "revoke_launch",
    params(("id" = Uuid, Path, description = "The launch's id.")),
    responses((status = 204, description = "Revoked, now or before: this server refuses the token from now on, other \
        replicas within a second."))
)]
async fn revoke_launch(caller: Caller<ManageLaunches>, id: web::Path<Uuid>, pairs: QueryPairs) -> Answer {
    pairs.refuse_any()?;
    if !caller.store().revoke_launch(caller.org(), *id).await? {
        return Err(Problem::not_found());
    }
    caller.app_state().launches().remove_organisation(caller.org());
    caller.store().abandon_launch(caller.org(), *id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Waive the unit of a launch by cmi5: the user need not complete it in this registration.
///
/// A statement *waived* is recorded, and *satisfied* for each block and the course if everything in it is satisfied now.
#[utoipa::path(
    post,
    path = "/v1/launches/{id}/waive",
    tag = "launches",
    operation_id = "waive_launch",
    params(("id" = Uuid, Path, description = "The launch's id.")),
    request_body = Waiver,
    responses((status = 204, description = "Waived."))
)]
async fn waive_launch(
    caller: Caller<ManageLaunches>,
    id: web::Path<Uuid>,
    pairs: QueryPairs,
    body: JsonBody,
) -> Answer {
    pairs.refuse_any()?;
    let reason = body.read(parse_waiver)?;
    let waived = caller.store().waive_launch(caller.org(), *id, &reason).await?;
    waived.map_err(|refusal| match refusal {
        LaunchWaiveRefusal::UnknownLaunch => Problem::not_found(),
        LaunchWaiveRefusal::NoUnit => {
            Problem::conflict("the launch is not by cmi5, or its unit is in no course any more")
        }
        LaunchWaiveRefusal::Rule(WaiveRefusal::AlreadyWaived) => {
            Problem::conflict("the unit is waived already in this registration")
        }
        LaunchWaiveRefusal::Rule(WaiveRefusal::AlreadySatisfied) => Problem::conflict(
            "the unit is satisfied already in this registration, so there is nothing to waive",
        ),
    })?;
    Ok(HttpResponse::NoContent().finish())
}

/// Parses a waiver and returns its reason.
fn parse_waiver(text: &str, depth: usize) -> Result<String, Faults> {
    parse_body(text, depth, |node, place, faults| {
        let mut form = Form::from_node(node, place, "a waiver", &["reason"], faults)?;
        let reason = form.text("reason", MAX_REASON);
        if reason.as_ref().is_some_and(|reason| reason.trim().is_empty()) {
            form.add_fault("reason", "must not be blank; leave it out instead");
        }
        Some(reason.unwrap_or_else(|| "Administrative".to_owned()))
    })
}
