//! Sample data for tests of exports: a row with its person, content and verb, the expected cells, and an export with
//! many lines.

use std::fmt::Write as _;

use futures_util::Stream;

use super::rendered::{Render, RenderedCells};
use super::{Blocks, ExportError, Transfer, WriteLines};
use crate::base::clock::Timestamp;
use crate::base::ids::{ContentId, StatementId, UserId};
use crate::catalogue::{ContentFormat, LearningType};
use crate::log::{
    Action, Certificate, ContentDetails, ContentKey, Percent, PersonDetails, PersonKey, Projected, Row,
    Score, UserDetails, VerbDetails, VerbKey,
};
use crate::record::{Identifier, Origin};
use crate::store::{SkippedRows, StoreError};

/// 2026-03-01T09:00:00.123Z.
pub(super) const AT: Timestamp = Timestamp::from_micros(1_772_355_600_123_456);

/// [`AT`] in the format of the CSV.
pub(super) const AT_TEXT: &str = "2026-03-01T09:00:00.123Z";

/// The headings and cells of [`person`] in every file.
pub(super) const PERSON_CELLS: [(&str, &str); 13] = [
    ("First name", "Bo"),
    ("Last name", "Lee \"B\""),
    ("Email address", "bo@acme.example"),
    ("Role", "Learning designer"),
    ("Job title", "'-5"),
    ("Language", "en"),
    ("Location", "Leeds"),
    ("Join date", "2021-04-01"),
    ("Manager name", "Ada Obi"),
    ("Primary team", "Sales"),
    ("Secondary teams", "North; Safety"),
    ("Status (at time of export)", "Deactivated"),
    ("Deactivated", AT_TEXT),
];

/// A row with a value in every column.
pub(super) fn row() -> Row {
    Row {
        id: StatementId("0190a000-0000-7000-8000-000000000001".parse().unwrap()),
        seq: 7,
        stored_at: AT,
        person: PersonKey(1),
        verb: VerbKey(1),
        content: Some(ContentKey(1)),
        projected: Projected {
            happened_at: AT,
            part: None,
            action: Action::Failed,
            success: Some(false),
            completion: None,
            completed: false,
            score: Score {
                percent: Some(Percent(4_550)),
                ..Score::default()
            },
            response: None,
            seconds: Some(3_900),
            time_limit: Some(3_600),
            expired_at: Some(AT),
            certificate: Some(Certificate {
                name: Some("Fire, warden".to_owned()),
                expires_at: Some(AT),
            }),
            registration: Some("0190a000-0000-7000-8000-00000000000a".parse().unwrap()),
            session: None,
            device_type: Some("mobile".to_owned()),
            origin: Origin::Api,
            recorded_by: Some(UserId::new("ada").unwrap()),
            comment: None,
            source: None,
            import: None,
        },
    }
}

/// A person with a user that has a value in every field.
pub(super) fn person() -> PersonDetails {
    let text = |text: &str| Some(text.to_owned());
    let user = UserDetails {
        first_name: text("Bo"),
        last_name: text("Lee \"B\""),
        email: text("bo@acme.example"),
        role: text("learning_designer"),
        job_title: text("-5"),
        language: text("en"),
        location: text("Leeds"),
        joined_on: text("2021-04-01"),
        manager: Some(UserId::new("ada").unwrap()),
        manager_name: text("Ada Obi"),
        primary_team: text("Sales"),
        secondary_teams: vec!["North".to_owned(), "Safety".to_owned()],
        team_ids: ["sales", "north", "safety"].map(str::to_owned).to_vec(),
        active: false,
        deactivated_at: Some(AT),
        custom: vec![
            ("Cost centre".to_owned(), "4711".to_owned()),
            ("Grade".to_owned(), "=A1".to_owned()),
        ],
        ..UserDetails::new(UserId::new("bo").unwrap())
    };
    PersonDetails {
        key: PersonKey(1),
        user: Some(user),
        name: None,
        identifier: None,
        group: None,
    }
}

/// A person without a user.
pub(super) fn visitor() -> PersonDetails {
    PersonDetails {
        user: None,
        name: Some("A. Visitor".to_owned()),
        identifier: Some(Identifier::Mbox("mailto:visitor@example.com".to_owned())),
        ..person()
    }
}

pub(super) fn content() -> ContentDetails {
    ContentDetails {
        key: ContentKey(1),
        id: ContentId::new("fire").unwrap(),
        iri: "https://acme.example/fire".to_owned(),
        title: Some("Fire, \"Safety\"".to_owned()),
        learning_type: Some(LearningType::Quiz),
        content_type: Some(ContentFormat::Video),
        archived_at: None,
        tags: vec!["safety".to_owned(), "fire".to_owned()],
        cpd_labels: vec!["health".to_owned()],
        source: Some("library".to_owned()),
        url: None,
    }
}

pub(super) fn verb() -> VerbDetails {
    let iri = "http://adlnet.gov/expapi/verbs/failed".to_owned();
    VerbDetails {
        key: VerbKey(1),
        iri,
        display: Some("=failed".to_owned()),
    }
}

/// The cells of the person, the content and the verb of [`row`].
pub(super) fn rendered<R: Render>(renderer: &R, person: &PersonDetails) -> RenderedCells<R::Cells> {
    let mut rendered = RenderedCells::default();
    rendered
        .persons
        .add(PersonKey(1), |cells| renderer.add_person(person, cells));
    rendered
        .contents
        .add(ContentKey(1), |cells| renderer.add_content(&content(), cells));
    rendered
        .verbs
        .add(VerbKey(1), |cells| renderer.add_verb(&verb(), cells));
    rendered
}

/// The headings and cells of a file with one line, parsed by the `csv` crate.
pub(super) fn table(file: &[u8]) -> Vec<(String, String)> {
    assert!(file.ends_with(b"\r\n"));
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(file);
    let lines: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let [headings, cells] = lines.as_slice() else {
        panic!("expected two lines, got {lines:?}")
    };
    to_owned_cells(headings.iter().zip(cells))
}

/// The cells of [`person`], followed by `rest`.
pub(super) fn cells_of_person(rest: &[(&str, &str)]) -> Vec<(String, String)> {
    to_owned_cells(PERSON_CELLS.iter().chain(rest).copied())
}

fn to_owned_cells<'t>(cells: impl Iterator<Item = (&'t str, &'t str)>) -> Vec<(String, String)> {
    cells
        .map(|(heading, cell)| (heading.to_owned(), cell.to_owned()))
        .collect()
}

/// The cell with this heading.
pub(super) fn cell<'t>(table: &'t [(String, String)], heading: &str) -> &'t str {
    &table
        .iter()
        .find(|(name, _)| name == heading)
        .unwrap_or_else(|| panic!("no column {heading}"))
        .1
}

/// Chunks with this total number of rows, as the store returns them.
pub(crate) fn chunks(mut rows: usize) -> Vec<Result<Vec<Row>, StoreError>> {
    let mut chunks = Vec::new();
    while rows > 0 {
        let next = rows.min(512);
        chunks.push(Ok((0..next).map(|_| row()).collect()));
        rows -= next;
    }
    chunks
}

/// An export with random-looking lines, which compress to about half of their size.
pub(crate) async fn hash_export(
    rows: impl Stream<Item = Result<Vec<Row>, StoreError>> + Send + 'static,
) -> Result<Blocks, ExportError> {
    Blocks::start(
        rows,
        HashLines(0),
        Transfer::in_process(()),
        SkippedRows::default(),
    )
    .await
}

/// The text of [`hash_export`] with this number of rows.
pub(crate) fn hash_export_text(rows: usize) -> Vec<u8> {
    let mut text = HEADING.to_vec();
    for number in 0..rows as u64 {
        write_hash_line(number, &mut text);
    }
    text
}

const HEADING: &[u8] = b"hash\n";

/// Writes a line with a hash of the row's index.
struct HashLines(u64);

fn write_hash_line(number: u64, out: &mut Vec<u8>) {
    let mut line = String::new();
    for round in 0..4 {
        // The last steps of SplitMix64.
        let mut mixed = (number * 4 + round + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        write!(line, "{:016x}", mixed ^ (mixed >> 31)).unwrap();
    }
    out.extend_from_slice(line.as_bytes());
    out.push(b'\n');
}

impl WriteLines for HashLines {
    type Item = Row;

    fn write_heading(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(HEADING);
    }

    async fn load(&mut self, _: &[Row]) -> Result<(), ExportError> {
        Ok(())
    }

    fn write_line(&mut self, _: &Row, out: &mut Vec<u8>) -> Result<(), ExportError> {
        write_hash_line(self.0, out);
        self.0 += 1;
        Ok(())
    }
}
