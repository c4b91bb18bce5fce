//! The JSON of an activity (docs/specification.md#activity-as-json).
//!
//! Unknown members are `null` and never omitted.

use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::{ContentId, StatementId, UserId};
use crate::catalogue::{ContentFormat, LearningType};
use crate::directory::identity::AgentShape;
use crate::record::{self, Identifier, Origin};
use crate::texts::Language;

use super::action::Action;
use super::description::{Description, DescriptionPart, label};
use super::projection::{self, Percent, Projected};
use super::row::{ContentDetails, PersonDetails, Recorder, Row, VerbDetails};

/// An activity in a list.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Activity {
    /// The id of the activity and of its statement.
    #[schema(value_type = String, format = Uuid, example = "0190a000-0000-7000-8000-000000000001")]
    pub id: StatementId,
    /// The person.
    pub user: ActivityUser,
    /// The action.
    pub action: ActivityAction,
    /// The IRI of the record's verb.
    #[schema(example = "http://adlnet.gov/expapi/verbs/completed")]
    pub verb: String,
    /// A sentence, in the language of the answer.
    #[schema(example = "Completed Fire Safety")]
    pub description: String,
    /// The sentence in parts, for links.
    pub description_parts: Vec<DescriptionPart>,
    /// The content; null for sessions, for example.
    #[schema(required)]
    pub content: Option<ActivityContent>,
    /// When the activity happened.
    #[schema(value_type = String, format = DateTime, example = "2026-03-01T09:00:00.000Z")]
    pub happened_at: Timestamp,
    /// When the record was stored.
    #[schema(value_type = String, format = DateTime, example = "2026-03-01T09:00:01.250Z")]
    pub stored_at: Timestamp,
    /// Whether the activity is a completion.
    pub completed: bool,
    /// When the completion expires.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub expired_at: Option<Timestamp>,
    /// Whether `expired_at` is past.
    pub expired: bool,
    /// The result, if the record has one.
    #[schema(required)]
    pub result: Option<ActivityResult>,
    /// The certificate that was awarded.
    #[schema(required)]
    pub certificate: Option<ActivityCertificate>,
    /// The type of the device; `api` for a record from an integration without one.
    #[schema(required)]
    pub device_type: Option<String>,
    /// The way in which the record arrived.
    #[schema(example = "api")]
    pub origin: Origin,
    /// The user that recorded the activity, if it was another one.
    #[schema(required)]
    pub recorded_by: Option<ActivityRecorder>,
    /// The comment of the recorder.
    #[schema(required)]
    pub comment: Option<String>,
    /// The id of the bulk import with the record.
    #[schema(required)]
    pub import_id: Option<Uuid>,
    /// The source of the record, else the library of the content.
    #[schema(required)]
    pub source: Option<String>,
    /// The labels of the content for continuing professional development.
    pub cpd_labels: Vec<String>,
    /// The registration, which all records of one attempt share.
    #[schema(required)]
    pub registration: Option<Uuid>,
}

/// The person of an activity.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ActivityUser {
    /// The id of the user; null for an actor that no user claims.
    #[schema(required, value_type = Option<String>)]
    pub id: Option<UserId>,
    /// First name.
    #[schema(required)]
    pub first_name: Option<String>,
    /// Last name.
    #[schema(required)]
    pub last_name: Option<String>,
    /// Full name, else the id. For an actor that no user claims: the name in the records, else the account name, the
    /// e-mail address, the OpenID or the first digits of the hash; for a group without all of these, its members.
    #[schema(example = "Ada Obi")]
    pub name: String,
    /// E-mail address.
    #[schema(required)]
    pub email: Option<String>,
    /// Whether the user is active; null for an actor that no user claims.
    #[schema(required)]
    pub active: Option<bool>,
    /// The identifier of an actor that no user claims, as an xAPI agent; null for a user, and for a group without an
    /// identifier.
    #[schema(required, value_type = Option<AgentShape>)]
    pub identifier: Option<Identifier>,
}

/// The action of an activity.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ActivityAction {
    /// The key of the action.
    pub key: Action,
    /// The label; for `other`, the display of the verb.
    #[schema(example = "Completed")]
    pub label: String,
    /// The colour of the label.
    #[schema(example = "#1a7f37")]
    pub colour: &'static str,
}

/// The content of an activity.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ActivityContent {
    /// The id.
    #[schema(value_type = String)]
    pub id: ContentId,
    /// The IRI.
    pub iri: String,
    /// The title.
    #[schema(required)]
    pub title: Option<String>,
    /// The type.
    #[serde(rename = "type")]
    #[schema(required)]
    pub learning_type: Option<LearningType>,
    /// The format of an item.
    #[schema(required)]
    pub content_type: Option<ContentFormat>,
    /// Whether the content is archived.
    pub archived: bool,
    /// The tags.
    pub tags: Vec<String>,
    /// The address of the content.
    #[schema(required)]
    pub url: Option<String>,
}

/// The result of an activity.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ActivityResult {
    /// Whether the attempt succeeded.
    #[schema(required)]
    pub success: Option<bool>,
    /// Whether the record marks the attempt as complete.
    #[schema(required)]
    pub completion: Option<bool>,
    /// The score.
    #[schema(required)]
    pub score: Option<ActivityScore>,
    /// The duration.
    #[schema(required)]
    pub total_time: Option<TimeSpan>,
    /// The time limit of the content at that time.
    #[schema(required)]
    pub time_limit: Option<TimeSpan>,
    /// Whether the duration exceeds the time limit; null without one of them.
    #[schema(required)]
    pub time_limit_exceeded: Option<bool>,
    /// The response.
    #[schema(required)]
    pub response: Option<String>,
}

/// A score.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ActivityScore {
    /// From -1 to 1.
    #[serde(serialize_with = "serialize_number")]
    #[schema(required)]
    pub scaled: Option<f64>,
    /// The points.
    #[serde(serialize_with = "serialize_number")]
    #[schema(required)]
    pub raw: Option<f64>,
    /// The lowest possible points.
    #[serde(serialize_with = "serialize_number")]
    #[schema(required)]
    pub min: Option<f64>,
    /// The highest possible points.
    #[serde(serialize_with = "serialize_number")]
    #[schema(required)]
    pub max: Option<f64>,
    /// The percentage, with at most two decimals.
    #[schema(required, value_type = Option<f64>, example = 92.5)]
    pub percent: Option<Percent>,
}

/// A duration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TimeSpan {
    /// The duration in whole seconds.
    #[schema(example = 3900)]
    pub seconds: i64,
    /// The duration as text.
    #[schema(example = "1 hour 5 minutes")]
    pub text: String,
}

/// A certificate that was awarded with an activity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ActivityCertificate {
    /// The name.
    #[schema(required)]
    pub name: Option<String>,
    /// When the certificate was awarded: the time of the activity.
    #[schema(value_type = String, format = DateTime)]
    pub awarded_at: Timestamp,
    /// When the certificate expires.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
}

/// The user that recorded an activity or wrote a note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ActivityRecorder {
    /// The id of the user.
    #[schema(value_type = String)]
    pub id: UserId,
    /// The full name; null if the user is not in the directory.
    #[schema(required)]
    pub name: Option<String>,
}

/// A single activity, with more members than in a list.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ActivityInFull {
    /// The members of an activity in a list.
    #[serde(flatten)]
    pub activity: Activity,
    /// The answers to the questions of a quiz.
    pub responses: Vec<ActivityResponse>,
    /// The path of the statement.
    #[schema(example = "/xapi/statements?statementId=0190a000-0000-7000-8000-000000000001")]
    pub statement: String,
}

/// The answer to a question of a quiz.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ActivityResponse {
    /// The id or number of the question.
    pub question: String,
    /// The text of the question.
    #[schema(required)]
    pub prompt: Option<String>,
    /// The answer.
    pub response: String,
    /// Whether the answer is correct.
    #[schema(required)]
    pub correct: Option<bool>,
    /// The points for the answer.
    #[serde(serialize_with = "serialize_number")]
    #[schema(required)]
    pub score: Option<f64>,
    /// The duration in seconds.
    #[serde(serialize_with = "serialize_number")]
    #[schema(required)]
    pub seconds: Option<f64>,
}

impl Activity {
    /// The JSON of a row, with the details of its person, content and verb.
    ///
    /// `recorder` is the user of `recorded_by`; without it, the JSON has only the id. `now` decides whether the activity
    /// has expired. Labels and sentences are in `language`.
    pub fn new(
        row: &Row,
        person: &PersonDetails,
        content: Option<&ContentDetails>,
        verb: &VerbDetails,
        recorder: Option<&Recorder>,
        now: Timestamp,
        language: Language,
    ) -> Self {
        let projected = &row.projected;
        let without_name = projected
            .recorded_by
            .clone()
            .map(|id| Recorder { id, name: None });
        let recorder = recorder.or(without_name.as_ref());
        let description = Description::new(projected, person, content, verb, recorder, language);
        Self {
            id: row.id,
            user: ActivityUser::new(person),
            action: ActivityAction {
                key: projected.action,
                label: label(projected.action, verb, language),
                colour: projected.action.colour(),
            },
            verb: verb.iri.clone(),
            description: description.to_string(),
            description_parts: description.into_parts(),
            content: content.map(ActivityContent::new),
            happened_at: projected.happened_at,
            stored_at: row.stored_at,
            completed: projected.completed,
            expired_at: projected.expired_at,
            expired: projected.is_expired(now),
            result: projected
                .has_result()
                .then(|| ActivityResult::new(projected, language)),
            certificate: projected
                .certificate
                .as_ref()
                .map(|certificate| ActivityCertificate {
                    name: certificate.name.clone(),
                    awarded_at: projected.happened_at,
                    expires_at: certificate.expires_at,
                }),
            device_type: projected.device_type.clone(),
            origin: projected.origin,
            recorded_by: recorder.map(|recorder| ActivityRecorder {
                id: recorder.id.clone(),
                name: recorder.name.clone(),
            }),
            comment: projected.comment.clone(),
            import_id: projected.import,
            source: effective_source(projected, content).map(str::to_owned),
            cpd_labels: content
                .map(|content| content.cpd_labels.clone())
                .unwrap_or_default(),
            registration: projected.registration,
        }
    }

    /// The JSON of a single activity, with the answers of its record. `base_path` begins the address of the statement.
    pub fn in_full(self, base_path: &str, responses: &[record::Response]) -> ActivityInFull {
        ActivityInFull {
            statement: format!("{base_path}/xapi/statements?statementId={}", self.id),
            responses: responses.iter().map(ActivityResponse::new).collect(),
            activity: self,
        }
    }
}

/// The source of the record, else the library of the content. The filter `source` and the column `Source` mean the same.
pub fn effective_source<'a>(
    projected: &'a Projected,
    content: Option<&'a ContentDetails>,
) -> Option<&'a str> {
    projected.source.as_deref().or_else(|| content?.source.as_deref())
}

impl ActivityUser {
    /// The JSON of a person.
    pub fn new(person: &PersonDetails) -> Self {
        let user = person.user.as_ref();
        let email_of_actor = || {
            person
                .identifier
                .as_ref()
                .and_then(record::Identifier::email)
                .map(str::to_owned)
        };
        Self {
            id: user.map(|user| user.id.clone()),
            first_name: user.and_then(|user| user.first_name.clone()),
            last_name: user.and_then(|user| user.last_name.clone()),
            name: person.display_name(),
            email: user.map_or_else(email_of_actor, |user| user.email.clone()),
            active: user.map(|user| user.active),
            identifier: person.unclaimed_identifier().cloned(),
        }
    }
}

impl ActivityContent {
    /// The JSON of a content.
    pub fn new(content: &ContentDetails) -> Self {
        Self {
            id: content.id.clone(),
            iri: content.iri.clone(),
            title: content.title.clone(),
            learning_type: content.learning_type,
            content_type: content.content_type,
            archived: content.archived_at.is_some(),
            tags: content.tags.clone(),
            url: content.url.clone(),
        }
    }
}

impl ActivityResult {
    fn new(projected: &Projected, language: Language) -> Self {
        Self {
            success: projected.success,
            completion: projected.completion,
            score: ActivityScore::new(projected),
            total_time: projected.seconds.map(|seconds| TimeSpan::new(seconds, language)),
            time_limit: projected
                .time_limit
                .map(|seconds| TimeSpan::new(seconds, language)),
            time_limit_exceeded: projected.time_limit_exceeded(),
            response: projected.response.clone(),
        }
    }
}

impl ActivityScore {
    /// The JSON of a score; `None` if the activity has none.
    pub fn new(projected: &Projected) -> Option<Self> {
        let projection::Score {
            scaled,
            raw,
            min,
            max,
            percent,
        } = projected.score;
        let has_score = projected.score != projection::Score::default();
        has_score.then_some(Self {
            scaled,
            raw,
            min,
            max,
            percent,
        })
    }
}

impl TimeSpan {
    fn new(seconds: i64, language: Language) -> Self {
        Self {
            seconds,
            text: language.duration(seconds),
        }
    }
}

impl ActivityResponse {
    fn new(response: &record::Response) -> Self {
        Self {
            question: response.question.clone(),
            prompt: response.prompt.clone(),
            response: response.response.clone(),
            correct: response.correct,
            score: response.score,
            seconds: response.seconds,
        }
    }
}

/// Serialises whole numbers without decimals: `45` instead of `45.0`.
#[allow(clippy::ref_option, reason = "the signature is required by serde")]
pub(super) fn serialize_number<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        None => serializer.serialize_none(),
        // Whole numbers up to this limit are exact as i64 and as f64.
        Some(value) if value.fract() == 0.0 && value.abs() < 9e15 => serializer.serialize_i64(*value as i64),
        Some(value) => serializer.serialize_f64(*value),
    }
}

#[cfg(test)]
mod tests;
