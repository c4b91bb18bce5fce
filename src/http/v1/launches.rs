//! `/v1/launches`: starting content for a user (`docs/specification.md#launches`).
//!
//! An LMS launches content for a user and opens the address of the answer in the user's browser. The token in it is bound
//! to the user, the content and one registration. The answer that creates a launch is the only one with the token: only
//! its hash is stored.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::value::RawValue;
use strum::{Display, EnumString, IntoStaticStr};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::launch::new_launch_token;
use crate::access::permit::ManageLaunches;
use crate::access::{LaunchMode, LaunchStandard, SecretHash};
use crate::base::clock::Timestamp;
use crate::base::ids::{ContentId, UserId};
use crate::http::auth::Caller;
use crate::http::json::JsonBody;
use crate::http::keyed::{Listing, path_segment};
use crate::http::pages::{NoOthers, PageWriter};
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::launches::LaunchForm;
use crate::launches::address::{self, XapiQuery};
use crate::store::{CreatedLaunch, LaunchFilter, LaunchRefusal, NewLaunch, StoredLaunch};

routes! {
    "/v1/launches" => { get: list_launches, post: create_launch },
    "/v1/launches/{id}" => { get: read_launch, delete: revoke_launch },
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
    /// The content's id. The content must be registered and not archived. For `xapi` and `cmi5` it needs a `url`.
    content: String,
    /// The standard of the content.
    standard: LaunchStandard,
    /// The registration of an earlier launch, to continue the attempt. Default: a new one.
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

/// Whether the token of a launch is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, IntoStaticStr, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum LaunchStatus {
    /// The token is valid.
    Active,
    /// The time of the token has passed.
    Expired,
    /// The launch was revoked.
    Revoked,
}

/// A launch, without its token.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Launch, example = json!({
    "id": "0190a000-0000-7000-8000-00000000000e", "user": "bo", "content": "fire-safety",
    "activity_id": "https://lms.example.org/contents/fire-safety",
    "registration": "0190a000-0000-7000-8000-00000000000f", "standard": "xapi", "mode": "normal",
    "return_url": "https://lms.example.org/courses/7", "language": "de-CH", "status": "active",
    "created_by": "key:rk_3v9QmZ0y", "created_at": "2026-03-02T08:30:00.000Z",
    "expires_at": "2026-03-02T09:30:00.000Z", "revoked_at": null
}))]
pub struct LaunchView {
    /// The id. The statements of the content have `launch:<id>` as the name of their authority's account.
    pub id: Uuid,
    /// The user's id.
    #[schema(value_type = String)]
    pub user: UserId,
    /// The content's id.
    #[schema(value_type = String)]
    pub content: ContentId,
    /// The content's IRI, by which statements name it.
    pub activity_id: String,
    /// The registration of the attempt.
    pub registration: Uuid,
    /// The standard of the content.
    pub standard: LaunchStandard,
    /// What the launch is for.
    pub mode: LaunchMode,
    /// Where the content sends the user when it ends.
    #[schema(required = true)]
    pub return_url: Option<String>,
    /// The language that the user prefers.
    #[schema(required = true)]
    pub language: Option<String>,
    /// Whether the token is valid.
    pub status: LaunchStatus,
    /// The caller that launched the content: `user:<id>` or `key:<key>`.
    pub created_by: String,
    /// When it was launched.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// The token is valid before this moment.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub revoked_at: Option<Timestamp>,
}

/// A new launch with its token.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewLaunchView {
    /// The launch.
    #[serde(flatten)]
    pub launch: LaunchView,
    /// The address to open in the user's browser. It contains the token. Null for a SCORM content without a `url`.
    #[schema(required = true)]
    pub url: Option<String>,
    /// The token. It is sent as `Authorization: Bearer <token>`, or as the password of HTTP Basic. It is not stored and
    /// cannot be shown again.
    #[schema(example = "rbl_3v9QmZ0yJkq1TnX8wBzR5uCeLhPaGdYf2iVs7oMxE4A")]
    pub token: String,
    /// The parameters in the query of `url`. Null unless the standard is `xapi`.
    #[schema(required = true)]
    pub xapi: Option<XapiParameters>,
    /// What the player `scorm-again` needs. Null unless the standard is `scorm`.
    #[schema(required = true)]
    pub scorm: Option<ScormPlayer>,
}

/// The parameters with which xAPI content is opened.
#[derive(Debug, Serialize, ToSchema)]
pub struct XapiParameters {
    /// The address of the record store, with a slash at its end.
    #[schema(example = "https://learning.example.org/xapi/")]
    pub endpoint: String,
    /// The header `Authorization` that the content sends.
    #[schema(example = "Basic MDE5MGEwMDA6cmJsXzN2OVFtWjB5")]
    pub auth: String,
    /// The user, as statements name the actor.
    #[schema(value_type = Object)]
    pub actor: Box<RawValue>,
    /// The registration of the attempt.
    pub registration: Uuid,
    /// The content's IRI.
    pub activity_id: String,
}

/// What the player `scorm-again` needs.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScormPlayer {
    /// The settings for its constructor.
    pub settings: ScormSettings,
}

/// Settings of `scorm-again`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScormSettings {
    /// The address that takes the commits.
    #[schema(example = "https://learning.example.org/v1/scorm/fire-safety")]
    pub lms_commit_url: String,
    /// The format of commits.
    #[schema(example = "json")]
    pub data_commit_format: &'static str,
    /// The headers of commits.
    pub xhr_headers: ScormHeaders,
}

/// The headers of a commit.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScormHeaders {
    /// The token of the launch.
    #[serde(rename = "Authorization")]
    #[schema(example = "Bearer rbl_3v9QmZ0yJkq1TnX8wBzR5uCeLhPaGdYf2iVs7oMxE4A")]
    pub authorization: String,
}

/// A page of launches.
#[derive(Debug, Serialize, ToSchema)]
pub struct LaunchList {
    /// The launches, the newest first.
    pub launches: Vec<LaunchView>,
    /// The path of the next page. Null on the last page.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
}

impl LaunchView {
    fn new(stored: StoredLaunch, now: Timestamp) -> Self {
        let status = match stored.revoked_at {
            Some(_) => LaunchStatus::Revoked,
            None if now >= stored.expires_at => LaunchStatus::Expired,
            None => LaunchStatus::Active,
        };
        Self {
            id: stored.id,
            user: stored.user,
            content: stored.content,
            activity_id: stored.activity,
            registration: stored.registration,
            standard: stored.standard,
            mode: stored.mode,
            return_url: stored.return_url,
            language: stored.language,
            status,
            created_by: stored.created_by,
            created_at: stored.created_at,
            expires_at: stored.expires_at,
            revoked_at: stored.revoked_at,
        }
    }
}

/// List launches, the newest first, without their tokens.
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
    if form.standard == LaunchStandard::Cmi5 {
        let detail = "content of cmi5 cannot be launched yet; use `xapi` or `scorm`";
        return Err(Problem::invalid_body("/standard", detail));
    }
    let token = new_launch_token()?;
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
    let created = caller.store().add_launch(caller.org(), new).await?;
    let created = created.map_err(to_problem)?;
    let location = format!("/v1/launches/{}", created.launch.id);
    let view = represent_new(&caller, &public_address(&caller, &request), created, &token)?;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, location))
        // No cache may store the token.
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(view))
}

/// The address of this server without a slash at its end: that of the settings, or the one that the client used.
fn public_address<A>(caller: &Caller<A>, request: &HttpRequest) -> String {
    match &caller.app_state().options().public_url {
        Some(url) => url.clone(),
        None => {
            let connection = request.connection_info();
            format!("{}://{}", connection.scheme(), connection.host())
        }
    }
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
        token: token.expose_secret().to_owned(),
        xapi: None,
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
                settings: ScormSettings {
                    lms_commit_url: format!("{server}/v1/scorm/{content}"),
                    data_commit_format: "json",
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
            "the registration belongs to another user; leave it out to begin a new one",
        ),
    };
    Problem::invalid_body(pointer, detail)
}

/// Read one launch, without its token.
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
    Ok(HttpResponse::NoContent().finish())
}
