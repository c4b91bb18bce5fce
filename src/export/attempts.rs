//! Lines of CSV with attempts at an exercise.

use crate::base::ids::OrgId;
use crate::log::attempts::{AttachedFile, AttemptStatus, ExerciseAttempt};
use crate::store::{AttemptRecord, Lookups, Store, StoreError};

use super::cell::{Cell, SEPARATOR};
use super::file_links::FileLinks;
use super::people::{PersonCells, SharedColumns};
use super::{ExportError, WriteLines};

type FromAttempt = fn(&ExerciseAttempt, &mut Cell<'_>);

/// The columns of an attempt.
const ATTEMPT_COLUMNS: &[(&str, FromAttempt)] = &[
    ("Registration", |attempt, cell| cell.uuid(attempt.registration)),
    ("Status", |attempt, cell| {
        cell.label(attempt.status.label_in(cell.language()));
    }),
    ("Submitted at", |attempt, cell| {
        cell.time(attempt.submitted.as_ref().map(|work| work.happened_at));
    }),
    ("Submitted text", |attempt, cell| {
        cell.optional_text(attempt.submitted.as_ref().and_then(|work| work.response.as_ref()));
    }),
    ("Submitted files", |attempt, cell| {
        write_files(attempt.submitted.as_ref().map(|work| work.files.as_slice()), cell);
    }),
    ("Graded at", |attempt, cell| {
        cell.time(attempt.graded.as_ref().map(|grade| grade.happened_at));
    }),
    ("Graded by", |attempt, cell| {
        let grader = attempt.graded.as_ref().and_then(|grade| grade.graded_by.as_ref());
        cell.optional_text(grader.and_then(|grader| grader.name.as_ref().or(grader.id.as_ref())));
    }),
    ("Grader ID", |attempt, cell| {
        let grader = attempt.graded.as_ref().and_then(|grade| grade.graded_by.as_ref());
        cell.optional_text(grader.and_then(|grader| grader.id.as_ref()));
    }),
    ("Result", |attempt, cell| {
        cell.grade(attempt.graded.as_ref().and_then(|grade| grade.success));
    }),
    ("Score", |attempt, cell| {
        let score = attempt.graded.as_ref().and_then(|grade| grade.score.as_ref());
        cell.percent(score.and_then(|score| score.percent));
    }),
    ("Points", |attempt, cell| {
        let score = attempt.graded.as_ref().and_then(|grade| grade.score.as_ref());
        cell.decimal(score.and_then(|score| score.raw));
    }),
    ("Greatest points", |attempt, cell| {
        let score = attempt.graded.as_ref().and_then(|grade| grade.score.as_ref());
        cell.decimal(score.and_then(|score| score.max));
    }),
    ("Submission comment", |attempt, cell| {
        cell.optional_text(attempt.submitted.as_ref().and_then(|work| work.comment.as_ref()));
    }),
    ("Grader comment", |attempt, cell| {
        cell.optional_text(attempt.graded.as_ref().and_then(|grade| grade.comment.as_ref()));
    }),
    ("Grader files", |attempt, cell| {
        write_files(attempt.graded.as_ref().map(|grade| grade.files.as_slice()), cell);
    }),
    ("Submission ID", |attempt, cell| {
        cell.uuid(attempt.submitted.as_ref().map(|work| work.activity.0));
    }),
    ("Grade ID", |attempt, cell| {
        cell.uuid(attempt.graded.as_ref().map(|grade| grade.activity.0));
    }),
];

/// The headings of the columns that only this file has.
pub(super) fn fixed_headings() -> impl Iterator<Item = &'static str> {
    ATTEMPT_COLUMNS.iter().map(|(heading, _)| *heading)
}

/// Writes the addresses of files. A file without an address is named by its title.
fn write_files(files: Option<&[AttachedFile]>, cell: &mut Cell<'_>) {
    let name = |file: &AttachedFile| file.url.clone().or_else(|| file.title.clone());
    let names: Vec<String> = files.unwrap_or_default().iter().filter_map(name).collect();
    cell.text(&names.join(SEPARATOR));
}

/// Writes attempts as lines.
pub(super) struct AttemptLines {
    people: PersonCells,
    lookups: Lookups,
    store: Store,
    links: FileLinks,
}

impl AttemptLines {
    pub(super) fn new(store: &Store, organisation: &OrgId, columns: SharedColumns, links: FileLinks) -> Self {
        Self {
            people: PersonCells::new(store, organisation, columns),
            lookups: Lookups::new(store, organisation),
            store: store.clone(),
            links,
        }
    }
}

impl WriteLines for AttemptLines {
    type Item = AttemptRecord;

    fn write_heading(&mut self, out: &mut Vec<u8>) {
        let language = self.people.columns.format().language;
        let own = fixed_headings().map(|heading| language.heading(heading));
        self.people.columns.write_heading(own, out);
    }

    async fn load(&mut self, attempts: &[AttemptRecord]) -> Result<(), ExportError> {
        self.people
            .load(attempts.iter().map(|attempt| attempt.person))
            .await?;
        load_details(&self.store, &mut self.lookups, &mut self.links, attempts).await?;
        Ok(())
    }

    fn write_line(&mut self, attempt: &AttemptRecord, out: &mut Vec<u8>) -> Result<(), ExportError> {
        let shape = to_json(&self.lookups, &self.links, attempt)?;
        let format = self.people.columns.format();
        self.people.write_line(attempt.person, out, |out| {
            for (index, (_, from)) in ATTEMPT_COLUMNS.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                from(&shape, &mut Cell::new(out, format));
            }
        })?;
        Ok(())
    }
}

/// Loads the persons and recorders of attempts, and the secret of the links.
pub async fn load_details(
    store: &Store,
    lookups: &mut Lookups,
    links: &mut FileLinks,
    attempts: &[AttemptRecord],
) -> Result<(), StoreError> {
    let rows: Vec<_> = attempts
        .iter()
        .flat_map(|attempt| attempt.submitted.iter().chain(&attempt.graded))
        .map(|record| &record.row)
        .collect();
    lookups.load(rows).await?;
    links.prepare(store, attempts).await
}

/// An attempt as JSON. Its details must be loaded.
pub fn to_json(
    lookups: &Lookups,
    links: &FileLinks,
    attempt: &AttemptRecord,
) -> Result<ExerciseAttempt, StoreError> {
    let record = attempt.submitted.as_ref().or(attempt.graded.as_ref());
    let record = record.ok_or(StoreError::Invariant("an attempt without a record"))?;
    let submitted = attempt.submitted.as_ref();
    let graded = attempt.graded.as_ref();
    Ok(ExerciseAttempt {
        user: crate::log::activity::ActivityUser::new(lookups.person(&record.row)?),
        registration: attempt.registration,
        status: match graded {
            Some(_) => AttemptStatus::Graded,
            None => AttemptStatus::Submitted,
        },
        submitted: submitted.map(|record| record.to_work(links.files(record))),
        graded: graded.map(|record| {
            let recorder = lookups.recorder(&record.row);
            record.to_grade(recorder, links.files(record))
        }),
    })
}
