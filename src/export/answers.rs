//! Lines of CSV with answers to questions: one for each answer, or one for each attempt (`shape=wide`).

use std::collections::HashSet;

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::fold;
use crate::base::ids::{OrgId, StatementId};
use crate::log::answers::Answer;
use crate::log::answers::attempt::Attempt;
use crate::log::answers::statistics::QuestionCounter;
use crate::store::{AnswerRecord, Store};

use super::cell::Cell;
use super::people::{PersonCells, SharedColumns};
use super::{ExportError, WriteLines};

/// The greatest number of characters of the heading of a question.
const MAX_HEADING: usize = 200;

/// What the cells of an answer are written from.
struct AnswerLine<'a> {
    happened_at: Timestamp,
    registration: Option<Uuid>,
    activity: StatementId,
    answer: &'a Answer,
}

type FromAnswer = fn(&AnswerLine<'_>, &mut Cell<'_>);

/// The columns of an answer.
const ANSWER_COLUMNS: &[(&str, FromAnswer)] = &[
    ("Happened at", |line, cell| cell.time(Some(line.happened_at))),
    ("Registration", |line, cell| cell.uuid(line.registration)),
    ("Question", |line, cell| {
        cell.optional_text(line.answer.question.prompt.as_ref())
    }),
    ("Question ID", |line, cell| cell.text(&line.answer.id)),
    ("Question type", |line, cell| {
        cell.optional_text(line.answer.interaction_type())
    }),
    ("Response", |line, cell| {
        cell.optional_text(line.answer.response())
    }),
    ("Correct response", |line, cell| {
        cell.text(&line.answer.correct_responses().join(" | "))
    }),
    ("Correct", |line, cell| {
        if let Some(correct) = line.answer.correct {
            cell.yes_or_no(correct);
        }
    }),
    ("Score", |line, cell| cell.decimal(line.answer.score)),
    ("Seconds", |line, cell| cell.decimal(line.answer.seconds)),
    ("Recorded response", |line, cell| {
        cell.optional_text(line.answer.recorded.as_ref())
    }),
    ("Activity ID", |line, cell| cell.uuid(Some(line.activity.0))),
];

type FromAttempt = fn(&Attempt, &mut Cell<'_>);

/// The columns of an attempt, before those of the questions.
const ATTEMPT_COLUMNS: &[(&str, FromAttempt)] = &[
    ("Registration", |attempt, cell| cell.uuid(attempt.registration)),
    ("Started at", |attempt, cell| cell.time(Some(attempt.started_at))),
    ("Ended at", |attempt, cell| cell.time(Some(attempt.ended_at))),
    ("Answered", |attempt, cell| {
        cell.number(i64::try_from(attempt.answers.len()).ok())
    }),
    ("Right", |attempt, cell| {
        cell.number(i64::try_from(attempt.right()).ok())
    }),
];

/// The headings of the columns that only these files have.
pub(super) fn fixed_headings() -> impl Iterator<Item = &'static str> {
    let attempts = ATTEMPT_COLUMNS.iter().map(|(heading, _)| *heading);
    ANSWER_COLUMNS.iter().map(|(heading, _)| *heading).chain(attempts)
}

/// Writes one line for each answer.
pub(super) struct AnswerLines {
    people: PersonCells,
}

impl AnswerLines {
    pub(super) fn new(store: &Store, organisation: &OrgId, columns: SharedColumns) -> Self {
        Self {
            people: PersonCells::new(store, organisation, columns),
        }
    }
}

impl WriteLines for AnswerLines {
    type Item = AnswerRecord;

    fn write_heading(&mut self, out: &mut Vec<u8>) {
        let language = self.people.columns.format().language;
        let own = ANSWER_COLUMNS
            .iter()
            .map(|(heading, _)| language.heading(heading));
        self.people.columns.write_heading(own, out);
    }

    async fn load(&mut self, records: &[AnswerRecord]) -> Result<(), ExportError> {
        Ok(self
            .people
            .load(records.iter().map(|record| record.person))
            .await?)
    }

    fn write_line(&mut self, record: &AnswerRecord, out: &mut Vec<u8>) -> Result<(), ExportError> {
        let format = self.people.columns.format();
        for answer in &record.answers {
            let line = AnswerLine {
                happened_at: record.position.happened_at,
                registration: record.registration,
                activity: record.id,
                answer,
            };
            self.people.write_line(record.person, out, |out| {
                for (index, (_, from)) in ANSWER_COLUMNS.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    from(&line, &mut Cell::new(out, format));
                }
            })?;
        }
        Ok(())
    }
}

/// Writes one line for each attempt, with a column for each question.
pub(super) struct WideLines {
    people: PersonCells,
    /// The id and the heading of each question.
    questions: Vec<(String, String)>,
}

impl WideLines {
    pub(super) fn new(
        store: &Store,
        organisation: &OrgId,
        columns: SharedColumns,
        questions: &QuestionCounter,
    ) -> Self {
        let language = columns.format().language;
        let fixed = ATTEMPT_COLUMNS
            .iter()
            .map(|(heading, _)| language.heading(heading));
        let taken = columns.headings().chain(fixed).map(to_key).collect();
        Self {
            questions: question_headings(questions.questions(), taken),
            people: PersonCells::new(store, organisation, columns),
        }
    }
}

/// The text by which headings are compared.
fn to_key(heading: &str) -> String {
    fold(heading).trim().to_owned()
}

/// The id and the heading of each question: its prompt, else its id. A heading that another column has gets ` (2)` and so
/// on.
fn question_headings<'q>(
    questions: impl Iterator<Item = (&'q str, Option<&'q str>)>,
    mut taken: HashSet<String>,
) -> Vec<(String, String)> {
    let mut headings = Vec::new();
    for (id, prompt) in questions {
        let name: String = prompt.unwrap_or(id).chars().take(MAX_HEADING).collect();
        let mut heading = name.clone();
        let mut number = 1;
        while !taken.insert(to_key(&heading)) {
            number += 1;
            heading = format!("{name} ({number})");
        }
        headings.push((id.to_owned(), heading));
    }
    headings
}

impl WriteLines for WideLines {
    type Item = Attempt;

    fn write_heading(&mut self, out: &mut Vec<u8>) {
        let language = self.people.columns.format().language;
        let own = ATTEMPT_COLUMNS
            .iter()
            .map(|(heading, _)| language.heading(heading));
        let questions = self.questions.iter().map(|(_, heading)| heading.as_str());
        self.people.columns.write_heading(own.chain(questions), out);
    }

    async fn load(&mut self, attempts: &[Attempt]) -> Result<(), ExportError> {
        Ok(self
            .people
            .load(attempts.iter().map(|attempt| attempt.person))
            .await?)
    }

    fn write_line(&mut self, attempt: &Attempt, out: &mut Vec<u8>) -> Result<(), ExportError> {
        let format = self.people.columns.format();
        self.people.write_line(attempt.person, out, |out| {
            for (index, (_, from)) in ATTEMPT_COLUMNS.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                from(attempt, &mut Cell::new(out, format));
            }
            for (id, _) in &self.questions {
                out.push(b',');
                let response = attempt.answer_to(id).and_then(Answer::response);
                Cell::new(out, format).optional_text(response);
            }
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_question_has_a_heading_of_its_own() {
        let questions = [
            ("q1", Some("Why?")),
            ("q2", Some("why?")),
            ("q3", None),
            ("Role", None),
            ("q5", Some("Why? (2)")),
        ];
        let taken = ["role", "registration"].map(str::to_owned).into();
        let headings: Vec<String> = question_headings(questions.into_iter(), taken)
            .into_iter()
            .map(|(_, heading)| heading)
            .collect();
        assert_eq!(headings, ["Why?", "why? (2)", "q3", "Role (2)", "Why? (2) (2)"]);
    }
}
