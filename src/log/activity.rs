//! The activity as JSON (product text, section 6, "Activity as JSON").
//!
//! What is unknown is `null`, never left out, so that a client sees one shape.

use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::{ContentId, StatementId, UserId};
use crate::catalogue::{ContentFormat, LearningType};
use crate::record::{self, Origin};

use super::action::Action;
use super::description::{Description, DescriptionPart, label};
use super::projection::{self, Percent, Projected};
use super::row::{ContentDetails, PersonDetails, Recorder, Row, VerbDetails};
use super::time_text::time_text;

/// One row of the log.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Activity {
    /// The statement's id.
    #[schema(value_type = String, format = Uuid, example = "0190a000-0000-7000-8000-000000000001")]
    pub id: StatementId,
    /// Who it is about.
    pub user: ActivityUser,
    /// What they did.
    pub action: ActivityAction,
    /// The IRI of the record's verb.
    #[schema(example = "http://adlnet.gov/expapi/verbs/completed")]
    pub verb: String,
    /// A sentence in plain English.
    #[schema(example = "Completed Fire Safety")]
    pub description: String,
    /// The same sentence in parts, for links.
    pub description_parts: Vec<DescriptionPart>,
    /// What was learned; null for logins and the like.
    #[schema(required)]
    pub content: Option<ActivityContent>,
    /// When it happened.
    #[schema(value_type = String, format = DateTime, example = "2026-03-01T09:00:00.000Z")]
    pub happened_at: Timestamp,
    /// When it was stored.
    #[schema(value_type = String, format = DateTime, example = "2026-03-01T09:00:01.250Z")]
    pub stored_at: Timestamp,
    /// Whether it is a completion.
    pub completed: bool,
    /// When what was achieved expires.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub expired_at: Option<Timestamp>,
    /// Whether that is past.
    pub expired: bool,
    /// The result, where the record has one.
    #[schema(required)]
    pub result: Option<ActivityResult>,
    /// The certificate that came with it.
    #[schema(required)]
    pub certificate: Option<ActivityCertificate>,
    /// The device; `api` for what an integration recorded.
    #[schema(required)]
    pub device_type: Option<String>,
    /// How the record came in.
    #[schema(value_type = String, example = "api")]
    pub origin: Origin,
    /// Who recorded it about the user.
    #[schema(required)]
    pub recorded_by: Option<ActivityRecorder>,
    /// What the recorder said about it.
    #[schema(required)]
    pub comment: Option<String>,
    /// The bulk import that brought it.
    #[schema(required)]
    pub import_id: Option<Uuid>,
    /// Where it comes from: what the record says, else the content's library.
    #[schema(required)]
    pub source: Option<String>,
    /// The content's labels for continuing professional development.
    pub cpd_labels: Vec<String>,
    /// What ties the records of one attempt together.
    #[schema(required)]
    pub registration: Option<Uuid>,
}

/// Who an activity is about.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ActivityUser {
    /// The user's id; null for an actor that nobody in the directory claims.
    #[schema(required, value_type = Option<String>)]
    pub id: Option<UserId>,
    /// First name.
    #[schema(required)]
    pub first_name: Option<String>,
    /// Last name.
    #[schema(required)]
    pub last_name: Option<String>,
    /// Full name; of an actor that nobody claims the one that the record gave.
    #[schema(required)]
    pub name: Option<String>,
    /// E-mail address.
    #[schema(required)]
    pub email: Option<String>,
    /// Whether the user is active; null for an actor that nobody claims.
    #[schema(required)]
    pub active: Option<bool>,
}

/// What somebody did.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ActivityAction {
    /// The action's key.
    pub key: Action,
    /// Its label; of `other` what the verb calls itself.
    #[schema(example = "Completed")]
    pub label: String,
    /// A colour for the label.
    #[schema(example = "#1a7f37")]
    pub colour: &'static str,
}

/// What was learned.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ActivityContent {
    /// The content's id.
    #[schema(value_type = String)]
    pub id: ContentId,
    /// Its IRI.
    pub iri: String,
    /// Its title.
    #[schema(required)]
    pub title: Option<String>,
    /// Its type.
    #[serde(rename = "type")]
    #[schema(required)]
    pub learning_type: Option<LearningType>,
    /// How an item is consumed.
    #[schema(required)]
    pub content_type: Option<ContentFormat>,
    /// Whether it is archived.
    pub archived: bool,
    /// Its tags.
    pub tags: Vec<String>,
    /// Where it is.
    #[schema(required)]
    pub url: Option<String>,
}

/// A result.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ActivityResult {
    /// Whether it succeeded.
    #[schema(required)]
    pub success: Option<bool>,
    /// Whether it was done to its end, as the record says.
    #[schema(required)]
    pub completion: Option<bool>,
    /// The score.
    #[schema(required)]
    pub score: Option<ActivityScore>,
    /// The time it took.
    #[schema(required)]
    pub total_time: Option<TimeSpan>,
    /// The time limit that the content had.
    #[schema(required)]
    pub time_limit: Option<TimeSpan>,
    /// Whether the limit was exceeded; null without a limit or a time.
    #[schema(required)]
    pub time_limit_exceeded: Option<bool>,
    /// What was answered.
    #[schema(required)]
    pub response: Option<String>,
}

/// A score.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ActivityScore {
    /// From -1 to 1.
    #[serde(serialize_with = "number")]
    #[schema(required)]
    pub scaled: Option<f64>,
    /// The points.
    #[serde(serialize_with = "number")]
    #[schema(required)]
    pub raw: Option<f64>,
    /// The least points possible.
    #[serde(serialize_with = "number")]
    #[schema(required)]
    pub min: Option<f64>,
    /// The most points possible.
    #[serde(serialize_with = "number")]
    #[schema(required)]
    pub max: Option<f64>,
    /// The percentage, with at most two decimals.
    #[schema(required, value_type = Option<f64>, example = 92.5)]
    pub percent: Option<Percent>,
}

/// A length of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TimeSpan {
    /// In whole seconds.
    #[schema(example = 3900)]
    pub seconds: i64,
    /// As people read it.
    #[schema(example = "1 hour 5 minutes")]
    pub text: String,
}

/// A certificate that came with an activity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ActivityCertificate {
    /// What it is called.
    #[schema(required)]
    pub name: Option<String>,
    /// When it was awarded: when the activity happened.
    #[schema(value_type = String, format = DateTime)]
    pub awarded_at: Timestamp,
    /// When it expires.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
}

/// Who recorded an activity about somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ActivityRecorder {
    /// The user's id.
    #[schema(value_type = String)]
    pub id: UserId,
    /// Their full name; null where the directory doesn't have them.
    #[schema(required)]
    pub name: Option<String>,
}

/// One row in full: what a list shows of it, and more.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ActivityInFull {
    /// What a list shows.
    #[serde(flatten)]
    pub activity: Activity,
    /// The answers to a quiz's questions.
    pub responses: Vec<ActivityResponse>,
    /// The path of the statement.
    #[schema(example = "/xapi/statements?statementId=0190a000-0000-7000-8000-000000000001")]
    pub statement: String,
}

/// The answer to one question of a quiz.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ActivityResponse {
    /// The question's id or number.
    pub question: String,
    /// What was asked.
    #[schema(required)]
    pub prompt: Option<String>,
    /// What was answered.
    pub response: String,
    /// Whether that is right.
    #[schema(required)]
    pub correct: Option<bool>,
    /// The points for it.
    #[serde(serialize_with = "number")]
    #[schema(required)]
    pub score: Option<f64>,
    /// How long it took, in seconds.
    #[serde(serialize_with = "number")]
    #[schema(required)]
    pub seconds: Option<f64>,
}

impl Activity {
    /// The JSON of a row with the cards of what it points to.
    ///
    /// `recorder` is the user of `recorded_by`, with the name of now; where it is missing the id alone is
    /// shown. `now` decides what has expired.
    pub fn new(
        row: &Row,
        person: &PersonDetails,
        content: Option<&ContentDetails>,
        verb: &VerbDetails,
        recorder: Option<&Recorder>,
        now: Timestamp,
    ) -> Self {
        let projected = &row.projected;
        let nameless = projected
            .recorded_by
            .clone()
            .map(|id| Recorder { id, name: None });
        let recorder = recorder.or(nameless.as_ref());
        let description = Description::new(projected, person, content, verb, recorder);
        Self {
            id: row.id,
            user: ActivityUser::new(person),
            action: ActivityAction {
                key: projected.action,
                label: label(projected.action, verb),
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
            expired: projected.expired(now),
            result: projected.has_result().then(|| ActivityResult::new(projected)),
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
            source: shown_source(projected, content).map(str::to_owned),
            cpd_labels: content
                .map(|content| content.cpd_labels.clone())
                .unwrap_or_default(),
            registration: projected.registration,
        }
    }

    /// The same row in full, with the answers that its record holds.
    pub fn in_full(self, responses: &[record::Response]) -> ActivityInFull {
        ActivityInFull {
            statement: format!("/xapi/statements?statementId={}", self.id),
            responses: responses.iter().map(ActivityResponse::new).collect(),
            activity: self,
        }
    }
}

/// Where an activity comes from: what its record says, else the library of its content. This is what
/// the filter `source` and the column `Source` mean as well.
pub fn shown_source<'a>(projected: &'a Projected, content: Option<&'a ContentDetails>) -> Option<&'a str> {
    projected.source.as_deref().or_else(|| content?.source.as_deref())
}

impl ActivityUser {
    /// A person as they are shown.
    pub(super) fn new(person: &PersonDetails) -> Self {
        let user = person.user.as_ref();
        let sent_email = || {
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
            email: user.map_or_else(sent_email, |user| user.email.clone()),
            active: user.map(|user| user.active),
        }
    }
}

impl ActivityContent {
    /// A content as it is shown.
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
    fn new(projected: &Projected) -> Self {
        let projection::Score {
            scaled,
            raw,
            min,
            max,
            percent,
        } = projected.score;
        let scored = projected.score != projection::Score::default();
        Self {
            success: projected.success,
            completion: projected.completion,
            score: scored.then_some(ActivityScore {
                scaled,
                raw,
                min,
                max,
                percent,
            }),
            total_time: projected.seconds.map(TimeSpan::new),
            time_limit: projected.time_limit.map(TimeSpan::new),
            time_limit_exceeded: projected.time_limit_exceeded(),
            response: projected.response.clone(),
        }
    }
}

impl TimeSpan {
    fn new(seconds: i64) -> Self {
        Self {
            seconds,
            text: time_text(seconds),
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

/// A number as people write it: 45, not 45.0.
#[allow(clippy::ref_option, reason = "the shape that serde asks for")]
fn number<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        None => serializer.serialize_none(),
        // Whole numbers up to here are exact, as i64 and as f64.
        Some(value) if value.fract() == 0.0 && value.abs() < 9e15 => serializer.serialize_i64(*value as i64),
        Some(value) => serializer.serialize_f64(*value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::log::projection::{Certificate, Score};
    use crate::log::testing;
    use crate::record::Identifier;

    const VERB: &str = "http://adlnet.gov/expapi/verbs/completed";

    fn shown(projected: Projected, content: Option<&ContentDetails>) -> Value {
        let row = testing::row(projected);
        let now = testing::at("2026-07-01T00:00:00Z");
        let verb = testing::verb(VERB, None);
        serde_json::to_value(Activity::new(
            &row,
            &testing::person("bob"),
            content,
            &verb,
            None,
            now,
        ))
        .unwrap()
    }

    #[test]
    fn everything_that_is_known_is_shown() {
        let score = Score {
            scaled: Some(0.925),
            raw: Some(37.0),
            min: Some(0.0),
            max: Some(40.0),
            percent: Some(Percent(9_250)),
        };
        let projected = Projected {
            success: Some(true),
            completion: Some(true),
            score,
            seconds: Some(3_900),
            time_limit: Some(3_600),
            expired_at: Some(testing::at("2026-06-01T00:00:00Z")),
            certificate: Some(Certificate {
                name: Some("Warden".to_owned()),
                expires_at: None,
            }),
            device_type: Some("mobile".to_owned()),
            recorded_by: Some(UserId::new("ada").unwrap()),
            comment: Some("in person".to_owned()),
            ..testing::projected()
        };
        let mut content = testing::content("fire", "Fire Safety");
        content.archived_at = Some(testing::at("2026-05-01T00:00:00Z"));
        let expected = json!({
            "id": "0190a000-0000-7000-8000-000000000001",
            "user": {"id": "bob", "first_name": "Bob", "last_name": "Lee", "name": "Bob Lee",
                "email": "bob@acme.example", "active": true},
            "action": {"key": "completed", "label": "Completed", "colour": "#1a7f37"},
            "verb": VERB,
            "description": "Passed Fire Safety (Archived) scoring 92.5% in 1 hour 5 minutes, marked complete by ada",
            "description_parts": [
                {"text": "Passed "}, {"text": "Fire Safety (Archived)", "content": "fire"},
                {"text": " scoring 92.5% in 1 hour 5 minutes, marked complete by "}, {"text": "ada", "user": "ada"},
            ],
            "content": {"id": "fire", "iri": "https://acme.example/fire", "title": "Fire Safety", "type": "item",
                "content_type": "course", "archived": true, "tags": ["safety"], "url": null},
            "happened_at": "2026-03-01T09:00:00.000Z",
            "stored_at": "2026-03-01T09:00:01.000Z",
            "completed": true,
            "expired_at": "2026-06-01T00:00:00.000Z",
            "expired": true,
            "result": {"success": true, "completion": true,
                "score": {"scaled": 0.925, "raw": 37, "min": 0, "max": 40, "percent": 92.5},
                "total_time": {"seconds": 3900, "text": "1 hour 5 minutes"},
                "time_limit": {"seconds": 3600, "text": "1 hour"}, "time_limit_exceeded": true, "response": null},
            "certificate": {"name": "Warden", "awarded_at": "2026-03-01T09:00:00.000Z", "expires_at": null},
            "device_type": "mobile",
            "origin": "api",
            "recorded_by": {"id": "ada", "name": null},
            "comment": "in person",
            "import_id": null,
            "source": "library",
            "cpd_labels": ["health"],
            "registration": null,
        });
        assert_eq!(shown(projected, Some(&content)), expected);
    }

    #[test]
    fn what_is_unknown_is_null_and_not_left_out() {
        let login = Projected {
            action: Action::LoggedIn,
            completed: false,
            time_limit: Some(5),
            ..testing::projected()
        };
        let shown = shown(login, None);
        for member in [
            "content",
            "result",
            "certificate",
            "expired_at",
            "recorded_by",
            "source",
            "registration",
        ] {
            assert_eq!(shown.get(member), Some(&Value::Null), "{member}");
        }
        assert_eq!(shown["expired"], json!(false));
        assert_eq!(shown["cpd_labels"], json!([]));
        assert_eq!(shown["description"], json!("Logged in"));
    }

    #[test]
    fn an_actor_that_nobody_claims_has_what_the_record_gave() {
        let person = PersonDetails {
            user: None,
            name: Some("A. Visitor".to_owned()),
            identifier: Some(Identifier::Mbox("mailto:visitor@example.com".to_owned())),
            ..testing::person("bob")
        };
        let shown = serde_json::to_value(ActivityUser::new(&person)).unwrap();
        let expected = json!({"id": null, "first_name": null, "last_name": null, "name": "A. Visitor",
            "email": "visitor@example.com", "active": null});
        assert_eq!(shown, expected);
    }

    #[test]
    fn one_row_in_full_has_its_answers_and_its_statement() {
        let row = testing::row(testing::projected());
        let now = row.stored_at;
        let activity = Activity::new(
            &row,
            &testing::person("bob"),
            None,
            &testing::verb(VERB, None),
            None,
            now,
        );
        let response = record::Response {
            question: "1".to_owned(),
            response: "b".to_owned(),
            score: Some(1.0),
            ..record::Response::default()
        };
        let shown = serde_json::to_value(activity.in_full(&[response])).unwrap();
        assert_eq!(shown["verb"], json!(VERB));
        assert_eq!(
            shown["statement"],
            json!("/xapi/statements?statementId=0190a000-0000-7000-8000-000000000001")
        );
        let expected = json!([{"question": "1", "prompt": null, "response": "b", "correct": null, "score": 1, "seconds": null}]);
        assert_eq!(shown["responses"], expected);
    }
}
