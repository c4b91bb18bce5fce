//! Lines of CSV with the progress of people with one content.
//!
//! The columns of people and contents are the same as in the CSV of the log ([`people`](super::people)).

use crate::log::ContentDetails;
use crate::log::activity::ActivityCertificate;
use crate::log::progress::ProgressStatus;
use crate::store::PersonStatus;

use super::cell::Cell;
use super::people::{FileOptions, SharedColumns};
use super::{ExportError, WriteLines};

/// Writes a cell from the status of a person.
type FromStatus = fn(&ProgressStatus, &mut Cell<'_>);

/// The columns of the status. They follow the columns of the person and of the content.
const STATUS_COLUMNS: &[(&str, FromStatus)] = &[
    ("Progress", |status, cell| {
        cell.label(status.state.label_in(cell.language()));
    }),
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
pub struct Lines(SharedColumns);

impl Lines {
    /// A writer for one content. `fields` are the names of the custom fields in the order of the columns.
    pub fn new(content: &ContentDetails, options: FileOptions, fields: Vec<String>) -> Self {
        Self(SharedColumns::new(content, options, fields))
    }
}

impl WriteLines for Lines {
    type Item = PersonStatus;

    fn write_heading(&mut self, out: &mut Vec<u8>) {
        let language = self.0.format().language;
        self.0
            .write_heading(fixed_headings().map(|heading| language.heading(heading)), out);
    }

    async fn load(&mut self, _: &[PersonStatus]) -> Result<(), ExportError> {
        Ok(()) // a row contains the details of its person
    }

    fn write_line(&mut self, row: &PersonStatus, out: &mut Vec<u8>) -> Result<(), ExportError> {
        self.0.write_first(&row.person, out);
        for (index, (_, from)) in STATUS_COLUMNS.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            from(&row.status, &mut Cell::new(out, self.0.format()));
        }
        self.0.write_last(&row.person, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, AT_TEXT, cell};
    use super::*;
    use crate::log::progress::State;
    use crate::log::{Percent, PersonDetails};

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
    fn file(person: PersonDetails, options: FileOptions) -> Vec<u8> {
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

    fn table(person: PersonDetails, options: FileOptions) -> Vec<(String, String)> {
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
            table(testing::person(), FileOptions::default()),
            testing::cells_of_person(&expected)
        );
    }

    #[test]
    fn raw_and_bom_are_applied() {
        let options = FileOptions {
            bom: true,
            raw: true,
            ..FileOptions::default()
        };
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
        let table = table(testing::visitor(), FileOptions::default());
        assert_eq!(
            (table[0].1.as_str(), table[2].1.as_str()),
            ("A. Visitor", "visitor@example.com")
        );
        assert!(
            table
                .iter()
                .any(|(heading, cell)| heading == "User ID" && cell.is_empty())
        );
    }
}
