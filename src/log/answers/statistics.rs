//! Counting the answers to each question of a quiz.
//!
//! The memory has a limit: a number of questions, and a number of different wrong answers. Beyond it, the count of the most
//! chosen wrong answer is a lower bound (Misra and Gries, "Finding repeated elements").

use std::collections::HashMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::Answer;
use crate::log::projection::Percent;

/// The most questions that are counted: the first ones by time.
pub const MAX_QUESTIONS: usize = 1_000;
/// The most different wrong answers to one question that are counted at once.
const MAX_WRONG: usize = 1_000;
/// The same for all questions together.
const MAX_ALL_WRONG: usize = 100_000;
/// The greatest number of characters of a wrong answer.
const MAX_CHARACTERS: usize = 200;

/// The statistics of a question.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct QuestionStatistics {
    /// The id of the question: the IRI of an Activity, or the id that the short form gave.
    #[schema(example = "https://example.org/quizzes/fire/q1")]
    pub question: String,
    /// The text of the question, from the latest answer that has one.
    #[schema(required)]
    pub prompt: Option<String>,
    /// The `interactionType` of xAPI, such as `choice`.
    #[schema(required, example = "choice")]
    pub interaction_type: Option<&'static str>,
    /// The number of answers.
    pub answered: u64,
    /// The number of correct answers.
    pub right: u64,
    /// The number of wrong answers.
    pub wrong: u64,
    /// The share of the correct answers among those that are known to be correct or wrong, in percent.
    #[schema(required, value_type = Option<f64>, example = 66.67)]
    pub share: Option<Percent>,
    /// The average time to answer, in seconds, of the answers with a time.
    #[schema(required, example = 12.5)]
    pub average_seconds: Option<f64>,
    /// The most chosen wrong answer.
    #[schema(required)]
    pub most_chosen_wrong: Option<WrongAnswer>,
}

/// A wrong answer, and how often it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct WrongAnswer {
    /// The answer as text, cut after 200 characters.
    pub response: String,
    /// The number of times. It is a lower bound if the question has more than 1,000 different wrong answers.
    pub count: u64,
}

/// Counts answers. They are added in the order of time.
#[derive(Debug, Default)]
pub struct QuestionCounter {
    places: HashMap<String, usize>,
    questions: Vec<Counts>,
    wrong_answers: usize,
    /// The answers to questions beyond [`MAX_QUESTIONS`].
    pub uncounted: u64,
}

#[derive(Debug, Default)]
struct Counts {
    id: String,
    prompt: Option<String>,
    interaction: Option<&'static str>,
    answered: u64,
    right: u64,
    wrong: u64,
    seconds: f64,
    timed: u64,
    wrong_answers: HashMap<String, WrongAnswer>,
}

impl QuestionCounter {
    /// Counts an answer.
    pub fn add(&mut self, answer: &Answer) {
        let place = match self.places.get(&answer.id) {
            Some(place) => *place,
            None if self.questions.len() >= MAX_QUESTIONS => {
                self.uncounted += 1;
                return;
            }
            None => {
                let place = self.questions.len();
                self.places.insert(answer.id.clone(), place);
                self.questions.push(Counts {
                    id: answer.id.clone(),
                    ..Counts::default()
                });
                place
            }
        };
        let Some(counts) = self.questions.get_mut(place) else {
            return;
        };
        counts.answered += 1;
        if answer.question.prompt.is_some() {
            counts.prompt.clone_from(&answer.question.prompt);
        }
        counts.interaction = answer.interaction_type().or(counts.interaction);
        if let Some(seconds) = answer.seconds {
            counts.seconds += seconds;
            counts.timed += 1;
        }
        match answer.correct {
            Some(true) => counts.right += 1,
            Some(false) => {
                counts.wrong += 1;
                if let Some(response) = &answer.recorded {
                    counts.add_wrong(response, answer, &mut self.wrong_answers);
                }
            }
            None => {}
        }
    }

    /// The ids and prompts of the questions, in the order of their first answers.
    pub fn questions(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let questions = self.questions.iter();
        questions.map(|counts| (counts.id.as_str(), counts.prompt.as_deref()))
    }

    /// The statistics, in the order of the first answers.
    pub fn into_statistics(self) -> Vec<QuestionStatistics> {
        self.questions.into_iter().map(Counts::into_statistics).collect()
    }
}

impl Counts {
    /// Counts a wrong answer. `all` is the number of different wrong answers of all questions.
    fn add_wrong(&mut self, response: &str, answer: &Answer, all: &mut usize) {
        let key = cut(&answer.question.normalise(response));
        if let Some(wrong) = self.wrong_answers.get_mut(&key) {
            wrong.count += 1;
        } else if self.wrong_answers.len() < MAX_WRONG && *all < MAX_ALL_WRONG {
            let response = cut(&answer.question.show(response));
            self.wrong_answers.insert(key, WrongAnswer { response, count: 1 });
            *all += 1;
        } else {
            // Each different answer gives one away, so that only the frequent ones stay.
            let before = self.wrong_answers.len();
            self.wrong_answers.retain(|_, wrong| {
                wrong.count -= 1;
                wrong.count > 0
            });
            *all -= before - self.wrong_answers.len();
        }
    }

    fn into_statistics(self) -> QuestionStatistics {
        let known = self.right + self.wrong;
        let is_more = |one: &&WrongAnswer, other: &&WrongAnswer| {
            let by_count = one.count.cmp(&other.count);
            by_count.then_with(|| other.response.cmp(&one.response))
        };
        let most_chosen_wrong = self.wrong_answers.values().max_by(is_more).cloned();
        QuestionStatistics {
            question: self.id,
            prompt: self.prompt,
            interaction_type: self.interaction,
            answered: self.answered,
            right: self.right,
            wrong: self.wrong,
            share: (known > 0).then(|| Percent::nearest(self.right as f64 * 100.0 / known as f64)),
            average_seconds: (self.timed > 0)
                .then(|| (self.seconds * 100.0 / self.timed as f64).round() / 100.0),
            most_chosen_wrong,
        }
    }
}

/// The text, cut after [`MAX_CHARACTERS`].
fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::question::testing::question;
    use super::*;

    const CHOICE: &str = r#"{"name":{"en":"Which?"},"interactionType":"choice",
        "choices":[{"id":"a","description":{"en":"A"}},{"id":"b","description":{"en":"B"}}]}"#;

    fn answer(id: &str, response: &str, correct: Option<bool>, seconds: Option<f64>) -> Answer {
        Answer {
            id: id.to_owned(),
            question: Arc::new(question(CHOICE)),
            recorded: Some(response.to_owned()),
            correct,
            score: None,
            seconds,
        }
    }

    #[test]
    fn answers_are_counted_by_question() {
        let mut counter = QuestionCounter::default();
        for answer in [
            answer("q2", "a", Some(true), Some(1.0)),
            answer("q1", "a[,]b", Some(false), Some(2.0)),
            answer("q1", "b[,]a", Some(false), Some(3.5)),
            answer("q1", "b", Some(false), None),
            answer("q1", "a", Some(true), None),
            answer("q1", "a", None, None),
        ] {
            counter.add(&answer);
        }
        let statistics = counter.into_statistics();
        assert_eq!(
            statistics
                .iter()
                .map(|one| one.question.as_str())
                .collect::<Vec<_>>(),
            ["q2", "q1"]
        );
        let wrong = WrongAnswer {
            response: "A; B".to_owned(),
            count: 2,
        };
        assert_eq!(
            statistics[1],
            QuestionStatistics {
                question: "q1".to_owned(),
                prompt: Some("Which?".to_owned()),
                interaction_type: Some("choice"),
                answered: 5,
                right: 1,
                wrong: 3,
                share: Some(Percent(2_500)),
                average_seconds: Some(2.75),
                most_chosen_wrong: Some(wrong),
            }
        );
        assert_eq!(
            (statistics[0].share, &statistics[0].most_chosen_wrong),
            (Some(Percent(10_000)), &None)
        );
    }

    #[test]
    fn memory_has_a_limit() {
        let mut counter = QuestionCounter::default();
        let often = answer("q", "often", Some(false), None);
        for number in 0..3 * MAX_WRONG {
            counter.add(&answer("q", &number.to_string(), Some(false), None));
            counter.add(&often);
        }
        assert!(counter.questions[0].wrong_answers.len() <= MAX_WRONG);
        for number in 0..MAX_QUESTIONS {
            counter.add(&answer(&format!("q{number}"), "a", None, None));
        }
        assert_eq!((counter.questions.len(), counter.uncounted), (MAX_QUESTIONS, 1));
        let first = counter.into_statistics().remove(0);
        assert_eq!(
            first.most_chosen_wrong.map(|wrong| wrong.response).as_deref(),
            Some("often")
        );
    }

    #[test]
    fn long_answers_are_cut() {
        let long = "ü".repeat(1_000);
        let mut counter = QuestionCounter::default();
        counter.add(&answer("q", &long, Some(false), None));
        let wrong = counter.into_statistics().remove(0).most_chosen_wrong.unwrap();
        assert_eq!(wrong.response.chars().count(), MAX_CHARACTERS + 1);
    }
}
