//! Lines of CSV about people and where they stand with one content (product text, sections 3 and 8).
//!
//! The columns of people and contents are those of the log's CSV, under the same headings. Each person has one line,
//! so nothing is rendered ahead but the content's cells, which are the same in all lines.

use crate::log::progress::Standing;
use crate::log::{ContentDetails, PersonDetails};
use crate::store::PersonStanding;

use super::cell::Cell;
use super::columns::{self, COLUMNS, Column, FromPerson, Source};
use super::csv::{BOM, LINE_END};
use super::{ExportError, WriteLines};

/// How the CSV is to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProgressOptions {
    /// `bom`: whether a byte order mark stands at the beginning, for Excel.
    pub bom: bool,
    /// `raw`: whether cells that a spreadsheet would run as a formula are left as they are.
    pub raw: bool,
}

/// How a cell is written from where somebody stands.
type FromStanding = fn(&Standing, &mut Cell<'_>);

/// The columns of the standing, in their order: after those of the person and of the content.
const STANDING: &[(&str, FromStanding)] = &[
    ("Progress", |standing, cell| cell.label(standing.state.label())),
    ("Since", |standing, cell| cell.time(standing.since)),
    ("Expires at", |standing, cell| cell.time(standing.expires_at)),
    ("E-learning / Quiz score", |standing, cell| {
        cell.percent(standing.percent);
    }),
    ("Certificate name", |standing, cell| {
        cell.maybe(certificate(standing, |certificate| certificate.name.as_ref()));
    }),
    ("Certificate awarded at", |standing, cell| {
        cell.time(certificate(standing, |certificate| Some(certificate.awarded_at)));
    }),
    ("Certificate expires at", |standing, cell| {
        cell.time(certificate(standing, |certificate| certificate.expires_at));
    }),
];

/// The log's heading of the column of users' ids, which stands after those.
const USER_ID: &str = "User ID";

fn certificate<'s, T>(
    standing: &'s Standing,
    of: impl FnOnce(&'s crate::log::activity::ActivityCertificate) -> Option<T>,
) -> Option<T> {
    standing.certificate.as_ref().and_then(of)
}

/// Writes where people stand as lines of CSV.
pub struct Lines {
    options: ProgressOptions,
    fields: Vec<String>,
    /// The first columns of the log's CSV: those of people.
    person: Vec<(&'static str, FromPerson)>,
    content_headings: Vec<&'static str>,
    /// The content's cells with the commas between them, the same in all lines.
    content: Vec<u8>,
    user_id: Option<FromPerson>,
}

impl Lines {
    /// Lines about one content; `fields` are the names of the users' own fields, in their order.
    pub fn new(content: &ContentDetails, options: ProgressOptions, fields: Vec<String>) -> Self {
        let from_person = |column: &Column| match column.source {
            Source::Person(from) => Some((column.heading, from)),
            _ => None,
        };
        let mut cells = Vec::new();
        let mut content_headings = Vec::new();
        for column in COLUMNS.iter().skip_while(|column| !is_of_content(column)) {
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
            fields,
            person: COLUMNS.iter().map_while(from_person).collect(),
            content_headings,
            content: cells,
            user_id: user_id.and_then(from_person).map(|(_, from)| from),
        }
    }

    fn headings(&self) -> impl Iterator<Item = &str> {
        self.person
            .iter()
            .map(|(heading, _)| *heading)
            .chain(self.content_headings.iter().copied())
            .chain(STANDING.iter().map(|(heading, _)| *heading))
            .chain(self.user_id.map(|_| USER_ID))
            .chain(self.fields.iter().map(String::as_str))
    }

    fn write(&self, person: &PersonDetails, standing: &Standing, out: &mut Vec<u8>) {
        let raw = self.options.raw;
        for (_, from) in &self.person {
            from(person, &mut Cell::new(out, raw));
            out.push(b',');
        }
        out.extend_from_slice(&self.content);
        for (_, from) in STANDING {
            out.push(b',');
            from(standing, &mut Cell::new(out, raw));
        }
        if let Some(from) = self.user_id {
            out.push(b',');
            from(person, &mut Cell::new(out, raw));
        }
        for field in &self.fields {
            out.push(b',');
            columns::custom_field(person, field, &mut Cell::new(out, raw));
        }
        out.extend_from_slice(LINE_END);
    }
}

/// Whether the column is the first, or one, of those that neighbouring cells of a content make.
fn is_of_content(column: &Column) -> bool {
    matches!(column.source, Source::Content(_))
}

impl WriteLines for Lines {
    type Item = PersonStanding;

    fn begin(&mut self, out: &mut Vec<u8>) {
        if self.options.bom {
            out.extend_from_slice(BOM);
        }
        for (place, heading) in self.headings().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            Cell::new(out, self.options.raw).text(heading);
        }
        out.extend_from_slice(LINE_END);
    }

    async fn load(&mut self, _: &[PersonStanding]) -> Result<(), ExportError> {
        Ok(()) // whoever stands somewhere comes with their card
    }

    fn line(&mut self, row: &PersonStanding, out: &mut Vec<u8>) -> Result<(), ExportError> {
        self.write(&row.person, &row.standing, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, AT_TEXT, cell};
    use super::*;
    use crate::log::Percent;
    use crate::log::activity::ActivityCertificate;
    use crate::log::progress::State;

    fn standing() -> Standing {
        Standing {
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

    /// A file about one person.
    fn file(person: PersonDetails, options: ProgressOptions) -> Vec<u8> {
        let fields = vec!["Cost centre".to_owned(), "=Grade".to_owned()];
        let mut lines = Lines::new(&testing::content(), options, fields);
        let mut out = Vec::new();
        lines.begin(&mut out);
        let standing = standing();
        lines
            .line(&PersonStanding { person, standing }, &mut out)
            .unwrap();
        out
    }

    fn table(person: PersonDetails, options: ProgressOptions) -> Vec<(String, String)> {
        testing::table(&file(person, options))
    }

    #[test]
    fn somebody_with_everything_in_every_column() {
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
    fn raw_and_bom_are_as_asked() {
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
    fn an_actor_whom_nobody_claims_has_what_the_record_gave() {
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
