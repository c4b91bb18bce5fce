//! The JSON of answers and attempts.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::StatementId;
use crate::log::activity::{ActivityUser, serialize_number};
use crate::log::row::PersonDetails;

use super::Answer;
use super::attempt::Attempt;

/// An answer to a question of a quiz.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct QuizResponse {
    /// The activity with the answer. A record of the short form has several answers.
    #[schema(value_type = Uuid)]
    pub activity: StatementId,
    /// The person.
    pub user: ActivityUser,
    /// The registration, which all records of one attempt share.
    #[schema(required)]
    pub registration: Option<Uuid>,
    /// When the question was answered.
    #[schema(value_type = String, format = DateTime)]
    pub happened_at: Timestamp,
    /// The id of the question: the IRI of an Activity, or the id that the short form gave.
    #[schema(example = "https://example.org/quizzes/fire/q1")]
    pub question: String,
    /// The text of the question.
    #[schema(required, example = "What is a hazard?")]
    pub prompt: Option<String>,
    /// The `interactionType` of xAPI, such as `choice`.
    #[schema(required, example = "choice")]
    pub interaction_type: Option<&'static str>,
    /// The response for people: choices by their texts, several values joined with `; `.
    #[schema(required, example = "A blocked exit; A wet floor")]
    pub response: Option<String>,
    /// The response as it was recorded.
    #[schema(required, example = "exit[,]floor")]
    pub recorded_response: Option<String>,
    /// The correct responses for people. One of them is enough.
    #[schema(example = json!(["A blocked exit; A wet floor"]))]
    pub correct_responses: Vec<String>,
    /// Whether the response is correct: by the record, else by the definition of the question; null if neither says it.
    #[schema(required)]
    pub correct: Option<bool>,
    /// The points, else the scaled score.
    #[serde(serialize_with = "serialize_number")]
    #[schema(required, example = 1)]
    pub score: Option<f64>,
    /// The time to answer, in seconds.
    #[serde(serialize_with = "serialize_number")]
    #[schema(required, example = 12.5)]
    pub seconds: Option<f64>,
}

impl QuizResponse {
    /// The JSON of an answer of the record with this id and time.
    pub fn new(
        record: (StatementId, Timestamp, Option<Uuid>),
        person: &PersonDetails,
        answer: &Answer,
    ) -> Self {
        let (activity, happened_at, registration) = record;
        Self {
            activity,
            user: ActivityUser::new(person),
            registration,
            happened_at,
            question: answer.id.clone(),
            prompt: answer.question.prompt.clone(),
            interaction_type: answer.interaction_type(),
            response: answer.response(),
            recorded_response: answer.recorded.clone(),
            correct_responses: answer.correct_responses(),
            correct: answer.correct,
            score: answer.score,
            seconds: answer.seconds,
        }
    }
}

/// The answers of one person in one attempt.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct QuizAttempt {
    /// The person.
    pub user: ActivityUser,
    /// The registration of the attempt.
    #[schema(required)]
    pub registration: Option<Uuid>,
    /// When the first question was answered.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When the last question was answered.
    #[schema(value_type = String, format = DateTime)]
    pub ended_at: Timestamp,
    /// The number of answered questions.
    pub answered: usize,
    /// The number of correct answers.
    pub right: usize,
    /// The last answer to each question, in the order in which the questions were first answered.
    pub responses: Vec<AttemptResponse>,
}

/// The answer to one question in an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AttemptResponse {
    /// The id of the question.
    #[schema(example = "https://example.org/quizzes/fire/q1")]
    pub question: String,
    /// The text of the question.
    #[schema(required, example = "What is a hazard?")]
    pub prompt: Option<String>,
    /// The response for people.
    #[schema(required, example = "A blocked exit; A wet floor")]
    pub response: Option<String>,
    /// Whether the response is correct.
    #[schema(required)]
    pub correct: Option<bool>,
    /// The points, else the scaled score.
    #[serde(serialize_with = "serialize_number")]
    #[schema(required, example = 1)]
    pub score: Option<f64>,
    /// The time to answer, in seconds.
    #[serde(serialize_with = "serialize_number")]
    #[schema(required, example = 12.5)]
    pub seconds: Option<f64>,
}

impl QuizAttempt {
    /// The JSON of an attempt.
    pub fn new(attempt: &Attempt, person: &PersonDetails) -> Self {
        let to_response = |answer: &Answer| AttemptResponse {
            question: answer.id.clone(),
            prompt: answer.question.prompt.clone(),
            response: answer.response(),
            correct: answer.correct,
            score: answer.score,
            seconds: answer.seconds,
        };
        Self {
            user: ActivityUser::new(person),
            registration: attempt.registration,
            started_at: attempt.started_at,
            ended_at: attempt.ended_at,
            answered: attempt.answers.len(),
            right: attempt.right(),
            responses: attempt.answers.iter().map(to_response).collect(),
        }
    }
}
