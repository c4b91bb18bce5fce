//! The columns that the files about one content have in common: first those of the person and of the content, last the
//! user's id and the custom fields.
//!
//! They are the same as in the CSV of the log. The cells of the content are equal in all lines, and are rendered in advance.

use std::collections::HashMap;

use crate::base::ids::OrgId;
use crate::log::{ContentDetails, PersonDetails, PersonKey};
use crate::store::{Store, StoreError};
use crate::texts::Language;

use super::cell::{Cell, CellFormat};
use super::columns::{self, COLUMNS, Column, FromPerson, Source};
use super::csv::{BOM, LINE_END};
use super::headings::CustomField;

/// The heading of the column with the user's id. It follows the columns of the file itself.
const USER_ID: &str = "User ID";
/// The most persons whose cells are kept. A fuller cache is emptied.
const MAX_CACHED: usize = 10_000;

/// The options of a CSV without sets of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileOptions {
    /// The parameter `bom`: whether the file begins with a byte order mark.
    pub bom: bool,
    /// The parameter `raw`: whether cells that a spreadsheet would run as a formula are not escaped.
    pub raw: bool,
    /// The parameter `language`: the language of headings and labels.
    pub language: Language,
}

impl FileOptions {
    fn format(self) -> CellFormat {
        CellFormat {
            raw: self.raw,
            language: self.language,
        }
    }
}

/// The shared columns of a file about one content.
pub(super) struct SharedColumns {
    options: FileOptions,
    fields: Vec<CustomField>,
    /// The first columns of the log's CSV, which are the columns of the person.
    person_columns: Vec<(&'static str, FromPerson)>,
    content_headings: Vec<&'static str>,
    /// The rendered cells of the content, with commas between them.
    content_cells: Vec<u8>,
    user_id: Option<FromPerson>,
}

/// Whether the cells of the column are written from the content only.
fn is_content_column(column: &Column) -> bool {
    matches!(column.source, Source::Content(_))
}

impl SharedColumns {
    /// The columns for one content. `fields` are the names of the custom fields in the order of the columns.
    pub(super) fn new(content: &ContentDetails, options: FileOptions, fields: Vec<String>) -> Self {
        let from_person = |column: &Column| match column.source {
            Source::Person(from) => Some((options.language.heading(column.heading), from)),
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
            content_headings.push(options.language.heading(column.heading));
            from(content, &mut Cell::new(&mut cells, options.format()));
        }
        let user_id = COLUMNS.iter().find(|column| column.heading == USER_ID);
        Self {
            options,
            fields: CustomField::from_names(fields, options.language),
            person_columns: COLUMNS.iter().map_while(from_person).collect(),
            content_headings,
            content_cells: cells,
            user_id: user_id.and_then(from_person).map(|(_, from)| from),
        }
    }

    /// How the cells are written.
    pub(super) fn format(&self) -> CellFormat {
        self.options.format()
    }

    /// All headings of the shared columns.
    pub(super) fn headings(&self) -> impl Iterator<Item = &str> {
        let (first, last) = self.both_headings();
        first.chain(last)
    }

    fn both_headings(&self) -> (impl Iterator<Item = &str>, impl Iterator<Item = &str>) {
        let person = self.person_columns.iter().map(|(heading, _)| *heading);
        let first = person.chain(self.content_headings.iter().copied());
        let custom = self.fields.iter().map(|field| field.heading.as_str());
        let user_id = self.user_id.map(|_| self.options.language.heading(USER_ID));
        (first, user_id.into_iter().chain(custom))
    }

    /// Writes the heading line, with the headings of the file itself between the shared ones.
    pub(super) fn write_heading<'h>(&self, own: impl Iterator<Item = &'h str>, out: &mut Vec<u8>) {
        if self.options.bom {
            out.extend_from_slice(BOM);
        }
        let (first, last) = self.both_headings();
        let mut separator: &[u8] = b"";
        let mut write = |heading: &str| {
            out.extend_from_slice(separator);
            Cell::new(out, self.format()).text(heading);
            separator = b",";
        };
        first.for_each(&mut write);
        own.for_each(&mut write);
        last.for_each(&mut write);
        out.extend_from_slice(LINE_END);
    }

    /// Writes the first cells of a line, with a comma after each.
    pub(super) fn write_first(&self, person: &PersonDetails, out: &mut Vec<u8>) {
        for (_, from) in &self.person_columns {
            from(person, &mut Cell::new(out, self.format()));
            out.push(b',');
        }
        out.extend_from_slice(&self.content_cells);
        out.push(b',');
    }

    /// Writes the last cells of a line, with a comma before each, and its end.
    pub(super) fn write_last(&self, person: &PersonDetails, out: &mut Vec<u8>) {
        if let Some(from) = self.user_id {
            out.push(b',');
            from(person, &mut Cell::new(out, self.format()));
        }
        for field in &self.fields {
            out.push(b',');
            columns::write_custom_field(person, &field.name, &mut Cell::new(out, self.format()));
        }
        out.extend_from_slice(LINE_END);
    }
}

/// Writes the shared cells of persons. The cells of a person are rendered once.
pub(super) struct PersonCells {
    store: Store,
    organisation: OrgId,
    pub(super) columns: SharedColumns,
    rendered: HashMap<PersonKey, (Vec<u8>, Vec<u8>)>,
}

impl PersonCells {
    pub(super) fn new(store: &Store, organisation: &OrgId, columns: SharedColumns) -> Self {
        Self {
            store: store.clone(),
            organisation: organisation.clone(),
            columns,
            rendered: HashMap::new(),
        }
    }

    /// Loads the persons.
    pub(super) async fn load(&mut self, persons: impl Iterator<Item = PersonKey>) -> Result<(), StoreError> {
        if self.rendered.len() > MAX_CACHED {
            self.rendered.clear();
        }
        let mut missing: Vec<PersonKey> = persons
            .filter(|person| !self.rendered.contains_key(person))
            .collect();
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() {
            return Ok(());
        }
        for (key, person) in self.store.person_details(&self.organisation, &missing).await? {
            let (mut first, mut last) = (Vec::new(), Vec::new());
            self.columns.write_first(&person, &mut first);
            self.columns.write_last(&person, &mut last);
            self.rendered.insert(key, (first, last));
        }
        Ok(())
    }

    /// Writes the line of a loaded person. `own` writes the cells of the file itself.
    pub(super) fn write_line(
        &self,
        person: PersonKey,
        out: &mut Vec<u8>,
        own: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), StoreError> {
        let cells = self.rendered.get(&person);
        let (first, last) = cells.ok_or(StoreError::Invariant("the person of a line was not loaded"))?;
        out.extend_from_slice(first);
        own(out);
        out.extend_from_slice(last);
        Ok(())
    }
}
