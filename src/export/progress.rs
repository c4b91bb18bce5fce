//! Lines of CSV with the progress of people with one content.
//!
//! The columns of people and contents are the same as in the CSV of the log. Each person has one line, so only the cells
//! of the content are rendered in advance. They are equal in all lines.

use crate::log::activity::ActivityCertificate;
use crate::log::progress::ProgressStatus;
use crate::log::{ContentDetails, PersonDetails};
use crate::store::PersonStatus;

use super::cell::Cell;
use super::columns::{self, COLUMNS, Column, FromPerson, Source};
use super::csv::{BOM, LINE_END};
use super::headings::CustomField;
use super::{ExportError, WriteLines};

/// The options of the CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProgressOptions {
    /// The parameter `bom`: whether the file begins with a byte order mark.
    pub bom: bool,
    /// The parameter `raw`: whether cells that a spreadsheet would run as a formula are not escaped.
    pub raw: bool,
}

/// Writes a cell from the status of a person.
type FromStatus = fn(&ProgressStatus, &mut Cell<'_>);

/// The columns of the status. They follow the columns of the person and of the content.
const STATUS_COLUMNS: &[(&str, FromStatus)] = &[
    ("Progress", |status, cell| cell.label(status.state.label())),
    ("Since", |status, cell| cell.time(status.since)),
    ("Expires at", |status, cell| cell.time(status.expires_at)),
    ("E-learning / Quiz score", |status, cell| {
        cell.percent(status.percent);
    }),
    ("Certificate name", |status, cell| {
        cell.optional_text(certificate(status, |certificate| certificate.name.as_ref()));
    }),
    ("Certificate awarded at", |status, cell| {
        cell.time(certificate(status, |certificate| Some(certificate.awarded_at)));
    }),
    ("Certificate expires at", |status, cell| {
        cell.time(certificate(status, |certificate| certificate.expires_at));
    }),
];

/// The heading of the column with the user's id. It follows the columns of the status.
const USER_ID: &str = "User ID";

/// The headings of the columns that only this file has.
pub(super) fn fixed_headings() -> impl Iterator<Item = &'static str> {
    STATUS_COLUMNS.iter().map(|(heading, _)| *heading)
}

/// A field of the certificate, if the person has one.
fn certificate<'s, T>(
    status: &'s ProgressStatus,
    field: impl FnOnce(&'s ActivityCertificate) -> Option<T>,
) -> Option<T> {
    status.certificate.as_ref().and_then(field)
}

/// Writes the progress of people as lines of CSV.
pub struct Lines {
    options: ProgressOptions,
    fields: Vec<CustomField>,
    /// The first columns of the log's CSV, which are the columns of the person.
    person_columns: Vec<(&'static str, FromPerson)>,
    content_headings: Vec<&'static str>,
    /// The rendered cells of the content, with commas between them.
    content_cells: Vec<u8>,
    user_id: Option<FromPerson>,
}

impl Lines {
    /// A writer for one content. `fields` are the names of the custom fields in the order of the columns.
    pub fn new(content: &ContentDetails, options: ProgressOptions, fields: Vec<String>) -> Self {
        let from_person = |column: &Column| match column.source {
            Source::Person(from) => Some((column.heading, from)),
            _ => None,
        };
        let mut cells = Vec::new();
        let mut content_headings = Vec::new();
        for column in COLUMNS.iter().skip_while(|column| !is_content_column(column)) {
            let Source::Content(from) = column.source else {
                break;
            };
            if !content_headings.is_empty() {
                cells.push(b',');
            }
            content_headings.push(column.heading);
            from(content, &mut Cell::new(&mut cells, options.raw));
        }
        let user_id = COLUMNS.iter().find(|column| column.heading == USER_ID);
        Self {
            options,
            fields: CustomField::from_names(fields),
            person_columns: COLUMNS.iter().map_while(from_person).collect(),
            content_headings,
            content_cells: cells,
            user_id: user_id.and_then(from_person).map(|(_, from)| from),
        }
    }

    fn headings(&self) -> impl Iterator<Item = &str> {
        self.person_columns
            .iter()
            .map(|(heading, _)| *heading)
            .chain(self.content_headings.iter().copied())
            .chain(STATUS_COLUMNS.iter().map(|(heading, _)| *heading))
            .chain(self.user_id.map(|_| USER_ID))
            .chain(self.fields.iter().map(|field| field.heading.as_str()))
    }

    fn write_person(&self, person: &PersonDetails, status: &ProgressStatus, out: &mut Vec<u8>) {
        let raw = self.options.raw;
        for (_, from) in &self.person_columns {
            from(person, &mut Cell::new(out, raw));
            out.push(b',');
        }
        out.extend_from_slice(&self.content_cells);
        for (_, from) in STATUS_COLUMNS {
            out.push(b',');
            from(status, &mut Cell::new(out, raw));
        }
        if let Some(from) = self.user_id {
            out.push(b',');
            from(person, &mut Cell::new(out, raw));
        }
        for field in &self.fields {
            out.push(b',');
            columns::write_custom_field(person, &field.name, &mut Cell::new(out, raw));
        }
        out.extend_from_slice(LINE_END);
    }
}

/// Whether the cells of the column are written from the content only.
fn is_content_column(column: &Column) -> bool {
    matches!(column.source, Source::Content(_))
}

impl WriteLines for Lines {
    type Item = PersonStatus;

    fn write_heading(&mut self, out: &mut Vec<u8>) {
        if self.options.bom {
            out.extend_from_slice(BOM);
        }
        for (index, heading) in self.headings().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            Cell::new(out, self.options.raw).text(heading);
        }
        out.extend_from_slice(LINE_END);
    }

    async fn load(&mut self, _: &[PersonStatus]) -> Result<(), ExportError> {
        Ok(()) // a row contains the details of its person
    }

    fn write_line(&mut self, row: &PersonStatus, out: &mut Vec<u8>) -> Result<(), ExportError> {
        self.write_person(&row.person, &row.status, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, AT_TEXT, cell};
    use super::*;
    use crate::log::Percent;
    use crate::log::progress::State;

    fn status() -> ProgressStatus {
        ProgressStatus {
            state: State::InProgress,
            since: Some(testing::AT),
            expires_at: Some(testing::AT),
            percent: Some(Percent(4_550)),
            certificate: Some(ActivityCertificate {
                name: Some("=Warden".to_owned()),
                awarded_at: testing::AT,
                expires_at: None,
            }),
            activity: None,
        }
    }

    /// The file with the line of one person.
    fn file(person: PersonDetails, options: ProgressOptions) -> Vec<u8> {
        let fields = vec!["Cost centre".to_owned(), "=Grade".to_owned()];
        let mut lines = Lines::new(&testing::content(), options, fields);
        let mut out = Vec::new();
        lines.write_heading(&mut out);
        let status = status();
        lines
            .write_line(&PersonStatus { person, status }, &mut out)
            .unwrap();
        out
    }

    fn table(person: PersonDetails, options: ProgressOptions) -> Vec<(String, String)> {
        testing::table(&file(person, options))
    }

    #[test]
    fn full_status_has_a_value_in_every_column() {
        let expected = [
            ("Title", "Fire, \"Safety\""),
            ("Type", "Quiz"),
            ("Content Type", "Video"),
            ("Unique ID", "fire"),
            ("Progress", "In progress"),
            ("Since", AT_TEXT),
            ("Expires at", AT_TEXT),
            ("E-learning / Quiz score", "45.5%"),
            ("Certificate name", "'=Warden"),
            ("Certificate awarded at", AT_TEXT),
            ("Certificate expires at", ""),
            ("User ID", "bo"),
            ("Cost centre", "4711"),
            ("'=Grade", ""),
        ];
        assert_eq!(
            table(testing::person(), ProgressOptions::default()),
            testing::cells_of_person(&expected)
        );
    }

    #[test]
    fn raw_and_bom_are_applied() {
        let options = ProgressOptions { bom: true, raw: true };
        let table = table(testing::person(), options);
        assert!(file(testing::person(), options).starts_with("\u{feff}First name,".as_bytes()));
        assert_eq!(
            (cell(&table, "Job title"), cell(&table, "Certificate name")),
            ("-5", "=Warden")
        );
        assert_eq!(table.last().unwrap().0, "=Grade");
    }

    #[test]
    fn person_without_user_has_name_and_email_of_the_record() {
        let table = table(testing::visitor(), ProgressOptions::default());
        assert_eq!(
            (table[0].1.as_str(), table[2].1.as_str()),
            ("A. Visitor", "visitor@example.com")
        );
        assert!(
            table
                .iter()
                .any(|(heading, cell)| heading == USER_ID && cell.is_empty())
        );
    }
}
