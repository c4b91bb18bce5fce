//! Answers to questions: of quizzes, surveys and packages (docs/specification.md#quiz-responses).
//!
//! A record has answers if its action is `answered`, or if the short form gave them (`responses`). [`count_answers`] counts
//! them for the row of the log, and [`find_answers`] reads them with the definitions of their questions.
//!
//! | file | content |
//! | --- | --- |
//! | [`question`] | what definitions say about a question |
//! | [`response`] | the formats of responses |
//! | [`statistics`] | counting the answers to each question |
//! | [`attempt`] | the answers of one attempt, for `shape=wide` |
//! | [`page`] | the JSON of answers, and the cursors of their pages |

pub mod attempt;
pub mod page;
pub mod question;
pub mod response;
pub mod statistics;

use std::sync::Arc;

use crate::record::object::InteractionType;
use crate::record::{Activity, Definition, Envelope, Object, Response, Statement};

use super::action::{Action, VerbTable};
use super::filter::ResultFilter;
use question::Question;

/// An answer to one question.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The question: the IRI of an Activity, or the id of the short form.
    pub id: String,
    /// What definitions say about the question.
    pub question: Arc<Question>,
    /// The response as it was recorded.
    pub recorded: Option<String>,
    /// Whether the answer is correct: by the record, else by the definition of the question.
    pub correct: Option<bool>,
    /// The points.
    pub score: Option<f64>,
    /// The time to answer, in seconds.
    pub seconds: Option<f64>,
}

impl Answer {
    /// Whether the answer has one of the results. An empty list has all.
    pub fn has_result(&self, results: &[ResultFilter]) -> bool {
        let is_wanted = |result: &ResultFilter| self.correct == Some(result.success());
        results.is_empty() || results.iter().any(is_wanted)
    }

    /// The response for people.
    pub fn response(&self) -> Option<String> {
        self.recorded
            .as_deref()
            .map(|response| self.question.show(response))
    }

    /// The correct responses for people.
    pub fn correct_responses(&self) -> Vec<String> {
        let patterns = self.question.correct.iter();
        patterns.map(|pattern| self.question.show(pattern)).collect()
    }

    /// The `interactionType` of the question. The short form gives none.
    pub fn interaction_type(&self) -> Option<&'static str> {
        self.question.interaction.map(InteractionType::key)
    }
}

/// The number of answers of a record. [`find_answers`] finds as many.
pub fn count_answers(verbs: &VerbTable, statement: &Statement, envelope: &Envelope) -> i16 {
    if !envelope.responses.is_empty() {
        return i16::try_from(envelope.responses.len()).unwrap_or(i16::MAX);
    }
    i16::from(answered_question(verbs, statement).is_some())
}

/// The question that a statement answers.
fn answered_question<'s>(verbs: &VerbTable, statement: &'s Statement) -> Option<&'s Activity> {
    match &statement.object {
        Object::Activity(object) if verbs.action(statement.verb.id.as_str()) == Action::Answered => {
            Some(object)
        }
        _ => None,
    }
}

/// Whether the catalogue's definition of the question can add something to a statement with one answer.
pub fn needs_catalogue(statement: &Statement, envelope: &Envelope) -> bool {
    let Object::Activity(object) = &statement.object else {
        return false;
    };
    envelope.responses.is_empty()
        && (!is_defined_by(envelope, object) || Question::is_incomplete(object.definition.as_ref()))
}

/// Whether the sender of a record may define the Activity. The definition of another sender counts only where the
/// catalogue has none, so that nobody changes how the answers of others read.
fn is_defined_by(envelope: &Envelope, activity: &Activity) -> bool {
    envelope.defines
        || envelope
            .added_definitions
            .iter()
            .any(|iri| iri == activity.id.as_str())
}

/// The answers of a record. `catalogue` is the definition that the catalogue has of the statement's object.
///
/// The definition in the statement comes first, because it is the one that the person saw.
pub fn find_answers(
    verbs: &VerbTable,
    statement: &Statement,
    envelope: &Envelope,
    catalogue: Option<&Definition>,
) -> Vec<Answer> {
    if !envelope.responses.is_empty() {
        return envelope.responses.iter().map(Answer::from_short_form).collect();
    }
    let Some(object) = answered_question(verbs, statement) else {
        return Vec::new();
    };
    let own = object.definition.as_ref();
    let definitions = match is_defined_by(envelope, object) {
        true => [own, catalogue],
        false => [catalogue, own],
    };
    let question = Question::from_definitions(definitions.into_iter().flatten());
    vec![Answer::from_statement(object, question, statement)]
}

impl Answer {
    fn from_short_form(response: &Response) -> Self {
        Self {
            id: response.question.clone(),
            question: Arc::new(Question::plain(response.prompt.clone())),
            recorded: Some(response.response.clone()),
            correct: response.correct,
            score: response.score,
            seconds: response.seconds,
        }
    }

    fn from_statement(object: &Activity, question: Question, statement: &Statement) -> Self {
        let outcome = statement.result.as_ref();
        let recorded = outcome.and_then(|outcome| outcome.response.clone());
        let score = outcome.and_then(|outcome| outcome.score);
        let is_correct = || question.is_correct(recorded.as_deref()?);
        let duration = outcome.and_then(|outcome| outcome.duration.as_ref());
        Self {
            id: object.id.as_str().to_owned(),
            correct: outcome.and_then(|outcome| outcome.success).or_else(is_correct),
            score: score.and_then(|score| score.raw.or(score.scaled)),
            seconds: duration.map(|duration| duration.hundredths() as f64 / 100.0),
            question: Arc::new(question),
            recorded,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::record::{Limits, Version, parse_statement};

    fn answered(result: Value, definition: Value) -> Statement {
        let text = json!({
            "actor": {"mbox": "mailto:a@example.org"},
            "verb": {"id": "http://adlnet.gov/expapi/verbs/answered"},
            "object": {"id": "urn:q1", "definition": definition},
            "result": result,
        });
        parse_statement(text.to_string().as_bytes(), Version::V1, &Limits::default()).unwrap()
    }

    fn answers(statement: &Statement, envelope: &Envelope, catalogue: Option<&str>) -> Vec<Answer> {
        let catalogue = catalogue.map(question::testing::definition);
        let found = find_answers(&VerbTable::default(), statement, envelope, catalogue.as_ref());
        assert_eq!(
            usize::try_from(count_answers(&VerbTable::default(), statement, envelope)),
            Ok(found.len())
        );
        found
    }

    #[test]
    fn record_decides_whether_an_answer_is_correct() {
        let definition = json!({"interactionType": "choice", "correctResponsesPattern": ["a"]});
        for (result, expected) in [
            (json!({"response": "a"}), Some(true)),
            (json!({"response": "b"}), Some(false)),
            (json!({"response": "a", "success": false}), Some(false)),
            (json!({"success": true}), Some(true)),
            (json!({}), None),
        ] {
            let found = answers(
                &answered(result.clone(), definition.clone()),
                &Envelope::default(),
                None,
            );
            assert_eq!(found[0].correct, expected, "{result}");
        }
    }

    #[test]
    fn answer_has_points_and_time() {
        let result = json!({"score": {"raw": 2, "scaled": 0.5}, "duration": "PT1M2.5S", "response": "x"});
        let found = answers(&answered(result, json!({})), &Envelope::default(), None);
        assert_eq!((found[0].score, found[0].seconds), (Some(2.0), Some(62.5)));
        let result = json!({"score": {"scaled": 0.5}});
        let found = answers(&answered(result, json!({})), &Envelope::default(), None);
        assert_eq!((found[0].score, found[0].recorded.as_deref()), (Some(0.5), None));
    }

    #[test]
    fn definition_of_a_sender_without_the_right_comes_second() {
        let definition = json!({
            "name": {"en": "Mine?"}, "interactionType": "choice", "correctResponsesPattern": ["a"], "choices": [{"id": "a"}]
        });
        let statement = answered(json!({"response": "a"}), definition);
        let catalogue =
            r#"{"name":{"en":"Why?"},"interactionType":"choice","correctResponsesPattern":["b"]}"#;
        let prompt = |envelope: &Envelope, catalogue| {
            let found = answers(&statement, envelope, catalogue);
            (found[0].question.prompt.clone(), found[0].correct)
        };
        let stranger = Envelope::default();
        let author = Envelope {
            defines: true,
            ..Envelope::default()
        };
        let first = Envelope {
            added_definitions: vec!["urn:q1".to_owned()],
            ..Envelope::default()
        };
        assert_eq!(
            prompt(&stranger, Some(catalogue)),
            (Some("Why?".to_owned()), Some(false))
        );
        assert_eq!(prompt(&stranger, None), (Some("Mine?".to_owned()), Some(true)));
        assert_eq!(
            prompt(&author, Some(catalogue)),
            (Some("Mine?".to_owned()), Some(true))
        );
        assert_eq!(
            prompt(&first, Some(catalogue)),
            (Some("Mine?".to_owned()), Some(true))
        );
        assert!(needs_catalogue(&statement, &stranger) && !needs_catalogue(&statement, &author));
    }

    #[test]
    fn responses_of_the_short_form_are_answers() {
        let statement = answered(json!({"response": "a"}), json!({}));
        let response = |question: &str| Response {
            question: question.to_owned(),
            prompt: Some("Why?".to_owned()),
            response: "a[,]b".to_owned(),
            correct: Some(false),
            score: Some(1.0),
            seconds: Some(2.0),
        };
        let envelope = Envelope {
            responses: vec![response("1"), response("2")],
            ..Envelope::default()
        };
        let found = answers(&statement, &envelope, None);
        assert_eq!(
            found.iter().map(|answer| answer.id.as_str()).collect::<Vec<_>>(),
            ["1", "2"]
        );
        assert_eq!(found[0].response().as_deref(), Some("a[,]b"));
        assert!(!needs_catalogue(&statement, &envelope));
    }
}
