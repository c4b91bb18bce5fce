//! The answers of one attempt: of one person and one registration.
//!
//! Answers without a registration belong to one attempt until a question is answered again. A record of the short form
//! without a registration is an attempt of its own.

use std::collections::HashMap;

use uuid::Uuid;

use super::Answer;
use crate::base::clock::Timestamp;
use crate::log::row::PersonKey;

/// The most questions of an attempt that are kept in memory.
const MAX_ANSWERS: usize = 10_000;

/// The answers of one record.
#[derive(Debug, Clone, PartialEq)]
pub struct AnsweredRecord {
    /// The key that all persons of one user share.
    pub owner: i64,
    /// The person.
    pub person: PersonKey,
    /// The registration.
    pub registration: Option<Uuid>,
    /// When the record happened.
    pub happened_at: Timestamp,
    /// Whether the answers came in the short form, with a whole quiz.
    pub is_short_form: bool,
    /// The answers.
    pub answers: Vec<Answer>,
}

/// The answers of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// The person of the first answer.
    pub person: PersonKey,
    /// The registration.
    pub registration: Option<Uuid>,
    /// When the first answer happened.
    pub started_at: Timestamp,
    /// When the last answer happened.
    pub ended_at: Timestamp,
    /// The answers in the order of the first answer to each question. The last answer to a question counts.
    pub answers: Vec<Answer>,
    owner: i64,
    is_short_form: bool,
    places: HashMap<String, usize>,
}

impl Attempt {
    fn new(record: &AnsweredRecord) -> Self {
        Self {
            person: record.person,
            registration: record.registration,
            started_at: record.happened_at,
            ended_at: record.happened_at,
            answers: Vec::new(),
            owner: record.owner,
            is_short_form: record.is_short_form,
            places: HashMap::new(),
        }
    }

    /// Whether the record belongs to this attempt.
    fn has(&self, record: &AnsweredRecord) -> bool {
        if (self.owner, self.registration) != (record.owner, record.registration) {
            return false;
        }
        let repeats = |answer: &Answer| self.places.contains_key(&answer.id);
        self.registration.is_some()
            || !(self.is_short_form || record.is_short_form || record.answers.iter().any(repeats))
    }

    fn add(&mut self, record: AnsweredRecord) {
        self.ended_at = self.ended_at.max(record.happened_at);
        for answer in record.answers {
            let end = self.answers.len();
            let place = self.places.get(&answer.id).copied().unwrap_or(end);
            if let Some(earlier) = self.answers.get_mut(place) {
                *earlier = answer;
            } else if end < MAX_ANSWERS {
                self.places.insert(answer.id.clone(), end);
                self.answers.push(answer);
            }
        }
    }

    /// The answer to a question.
    pub fn answer_to(&self, question: &str) -> Option<&Answer> {
        self.answers.get(*self.places.get(question)?)
    }

    /// The key that all persons of its user share.
    pub fn owner(&self) -> i64 {
        self.owner
    }

    /// The number of correct answers.
    pub fn right(&self) -> usize {
        let is_right = |answer: &&Answer| answer.correct == Some(true);
        self.answers.iter().filter(is_right).count()
    }
}

/// Groups records to attempts. The records come in the order of owner, registration and time.
#[derive(Debug, Default)]
pub struct AttemptGrouper(Option<Attempt>);

impl AttemptGrouper {
    /// Adds a record. Returns the attempt before it, if the record begins another one.
    pub fn add(&mut self, record: AnsweredRecord) -> Option<Attempt> {
        if record.answers.is_empty() {
            return None;
        }
        let ended = self.0.take_if(|attempt| !attempt.has(&record));
        self.0.get_or_insert_with(|| Attempt::new(&record)).add(record);
        ended
    }

    /// The last attempt.
    pub fn finish(&mut self) -> Option<Attempt> {
        self.0.take()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::question::Question;
    use super::*;

    fn record(
        owner: i64,
        registration: Option<u128>,
        second: i64,
        answers: &[(&str, &str)],
    ) -> AnsweredRecord {
        let answer = |(id, response): &(&str, &str)| Answer {
            id: (*id).to_owned(),
            question: Arc::new(Question::default()),
            recorded: Some((*response).to_owned()),
            correct: Some(*response == "right"),
            score: None,
            seconds: None,
        };
        AnsweredRecord {
            owner,
            person: PersonKey(owner),
            registration: registration.map(Uuid::from_u128),
            happened_at: Timestamp::from_micros(second * 1_000_000),
            is_short_form: false,
            answers: answers.iter().map(answer).collect(),
        }
    }

    /// The answers of each attempt as text.
    fn group(records: Vec<AnsweredRecord>) -> Vec<String> {
        let mut grouper = AttemptGrouper::default();
        let mut attempts: Vec<Attempt> = records
            .into_iter()
            .filter_map(|record| grouper.add(record))
            .collect();
        attempts.extend(grouper.finish());
        let to_text = |attempt: Attempt| {
            let answers = attempt.answers.iter();
            let answers = answers.map(|answer| format!("{}={}", answer.id, answer.recorded.clone().unwrap()));
            answers.collect::<Vec<_>>().join(" ")
        };
        attempts.into_iter().map(to_text).collect()
    }

    #[test]
    fn registration_is_one_attempt_and_its_last_answer_counts() {
        let records = vec![
            record(1, Some(1), 1, &[("a", "wrong")]),
            record(1, Some(1), 2, &[("b", "right")]),
            record(1, Some(1), 3, &[("a", "right")]),
            record(1, Some(2), 1, &[("a", "wrong")]),
            record(2, Some(2), 1, &[("a", "right")]),
        ];
        assert_eq!(group(records), ["a=right b=right", "a=wrong", "a=right"]);
    }

    #[test]
    fn repeated_question_begins_an_attempt_without_registration() {
        let records = vec![
            record(1, None, 1, &[("a", "1")]),
            record(1, None, 2, &[("b", "1")]),
            record(1, None, 3, &[("a", "2")]),
            record(1, None, 4, &[("b", "2")]),
        ];
        assert_eq!(group(records), ["a=1 b=1", "a=2 b=2"]);
    }

    #[test]
    fn record_of_the_short_form_is_an_attempt_of_its_own() {
        let short = |second, answers: &[(&str, &str)]| AnsweredRecord {
            is_short_form: true,
            ..record(1, None, second, answers)
        };
        let records = vec![
            record(1, None, 1, &[("a", "1")]),
            short(2, &[("b", "2"), ("c", "2")]),
            short(3, &[("d", "3")]),
            record(1, None, 4, &[("e", "4")]),
        ];
        assert_eq!(group(records), ["a=1", "b=2 c=2", "d=3", "e=4"]);
    }

    #[test]
    fn attempt_has_its_times_and_right_answers() {
        let mut grouper = AttemptGrouper::default();
        grouper.add(record(1, Some(1), 1, &[("a", "right")]));
        grouper.add(record(1, Some(1), 5, &[("b", "wrong")]));
        let attempt = grouper.finish().unwrap();
        assert_eq!(
            (attempt.started_at.micros(), attempt.ended_at.micros()),
            (1_000_000, 5_000_000)
        );
        assert_eq!(
            (
                attempt.right(),
                attempt.answer_to("b").is_some(),
                attempt.answer_to("c")
            ),
            (1, true, None)
        );
    }
}
