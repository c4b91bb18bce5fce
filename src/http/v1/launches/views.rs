//! Launches as JSON.

use serde::Serialize;
use serde_json::value::RawValue;
use strum::{Display, EnumString, IntoStaticStr};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::{LaunchMode, LaunchStandard};
use crate::base::clock::Timestamp;
use crate::base::ids::{ContentId, UserId};
use crate::cmi5::LaunchMethod;
use crate::scorm::resume::Tree;
use crate::store::StoredLaunch;

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
    /// cannot be shown again. Null for `cmi5`: the unit gets its token from the address `fetch`.
    #[schema(required = true, example = "rbl_3v9QmZ0yJkq1TnX8wBzR5uCeLhPaGdYf2iVs7oMxE4A")]
    pub token: Option<String>,
    /// The parameters in the query of `url`. Null unless the standard is `xapi`.
    #[schema(required = true)]
    pub xapi: Option<XapiParameters>,
    /// The parameters in the query of `url`. Null unless the standard is `cmi5`.
    #[schema(required = true)]
    pub cmi5: Option<Cmi5Parameters>,
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

/// The parameters with which a unit of cmi5 is opened (cmi5, section 8.1).
#[derive(Debug, Serialize, ToSchema)]
pub struct Cmi5Parameters {
    /// The address of the record store, with a slash at its end.
    #[schema(example = "https://learning.example.org/xapi/")]
    pub endpoint: String,
    /// The address that returns the token of the session once.
    #[schema(
        example = "https://learning.example.org/cmi5/fetch/rbf_3v9QmZ0yJkq1TnX8wBzR5uCeLhPaGdYf2iVs7oMxE4A"
    )]
    pub fetch: String,
    /// The user, as statements name the actor.
    #[schema(value_type = Object)]
    pub actor: Box<RawValue>,
    /// The user's registration for the course.
    pub registration: Uuid,
    /// The unit's IRI, by which statements name it.
    pub activity_id: String,
    /// The id of the session, which is that of the launch.
    pub session: Uuid,
    /// Which window the unit needs.
    pub launch_method: LaunchMethod,
}

/// Why a unit is waived.
#[derive(ToSchema)]
#[allow(dead_code, reason = "the handler reads the member; this struct documents it")]
#[schema(example = json!({"reason": "Tested Out"}))]
pub struct Waiver {
    /// The reason, at most 255 characters. cmi5 names `Tested Out`, `Equivalent AU`, `Equivalent Outside Activity` and
    /// `Administrative`, which is the default.
    #[schema(max_length = 255)]
    reason: Option<String>,
}

/// What the player `scorm-again` needs.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScormPlayer {
    /// The settings for its constructor.
    pub settings: ScormSettings,
    /// The data with which the user goes on, for `loadFromJSON`: as `GET /v1/scorm/{content}` gives it. `{"cmi": {}}` if the
    /// registration has no commit yet.
    #[schema(value_type = crate::http::v1::scorm::ScormData)]
    pub data: Tree,
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
    /// Whether commits are numbered. With the parameter `session`, which the page adds to the address of commits for each of
    /// its openings, a commit that arrives late changes nothing.
    #[schema(example = true)]
    pub include_commit_sequence: bool,
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
    pub(super) fn new(stored: StoredLaunch, now: Timestamp) -> Self {
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
