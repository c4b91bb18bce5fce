//! Row groups of Parquet, with the columns of the CSV and the types of their values.
//!
//! Rows are collected in columns (`column`, `texts`), and a row group is written when it is large enough (`groups`). So the
//! memory of an export is that of one row group and of the cached cells. A row refers to its person, content and verb by
//! numbers (`shared`), from which their columns are filled when the row group is written. The mark with which a file begins
//! is sent with the first rows. The footer, without which a file is unreadable, is written at the end.

mod column;
mod groups;
mod pages;
mod shared;
mod texts;

use std::sync::{Mutex, MutexGuard, PoisonError};

use self::groups::{FileColumn, RowGroups};
use self::shared::{Codes, Kind, Tables};
use self::texts::TextTable;
use crate::base::ids::OrgId;
use crate::log::{ContentDetails, PersonDetails, VerbDetails};
use crate::store::{FileRow, Store, StoreError};
use crate::texts::Language;

use super::cell::{Cell, Value};
use super::columns::{self, ColumnSet, FromContent, FromPerson, FromVerb, Source, ValueType};
use super::headings::CustomField;
use super::rendered::{Render, RenderedCells, RowSlots, whole_row};
use super::{ExportError, WriteLines};

/// The most rows that are added at once. Their columns are filled one after the other.
const ROWS_AT_ONCE: usize = 2 * 1024;

/// Writes rows as row groups.
pub struct Rows {
    store: Store,
    organisation: OrgId,
    layout: Layout,
    rendered: RenderedCells<Codes>,
    groups: RowGroups,
}

impl Rows {
    /// A writer for rows of the organisation. `fields` are the names of the custom fields in the order of the columns.
    ///
    /// # Errors
    ///
    /// The columns cannot be columns of a file, which does not happen.
    pub fn new(
        store: &Store,
        organisation: &OrgId,
        columns: ColumnSet,
        language: Language,
        fields: Vec<String>,
    ) -> Result<Self, ExportError> {
        let (layout, columns) = Layout::new(columns, language, fields);
        Ok(Self {
            store: store.clone(),
            organisation: organisation.clone(),
            layout,
            rendered: RenderedCells::default(),
            groups: RowGroups::new(&columns)?,
        })
    }

    /// Writes the row group and forgets all cells, if they are too many.
    fn limit_cells(&mut self) -> Result<(), ExportError> {
        if !self.rendered.is_full(&self.layout) {
            return Ok(());
        }
        self.layout.write_group(&self.rendered, &mut self.groups)?;
        self.layout.tables().clear();
        self.rendered.clear();
        Ok(())
    }
}

impl WriteLines for Rows {
    type Item = FileRow;

    /// A row group can take long, and a client waits for the first byte.
    const SENDS_HEADING_EARLY: bool = true;

    fn write_heading(&mut self, out: &mut Vec<u8>) {
        // Moving bytes in memory does not fail. If it did, the next move would fail, too.
        let _ = self.groups.move_bytes(out);
    }

    fn rows_at_once(&self) -> usize {
        self.rendered.rows_at_once()
    }

    async fn load(&mut self, rows: &[FileRow]) -> Result<(), ExportError> {
        self.limit_cells()?;
        let (store, organisation) = (&self.store, &self.organisation);
        self.rendered
            .load(store, organisation, rows, &self.layout)
            .await?;
        Ok(())
    }

    fn write_line(&mut self, row: &FileRow, out: &mut Vec<u8>) -> Result<(), ExportError> {
        self.write_lines(std::slice::from_ref(row), out).map(drop)
    }

    /// Adds rows until the row group is full.
    fn write_lines<'r>(
        &mut self,
        rows: &'r [FileRow],
        out: &mut Vec<u8>,
    ) -> Result<&'r [FileRow], ExportError> {
        let rest = self.layout.add_rows(rows, &self.rendered, &mut self.groups)?;
        if self.groups.is_full() {
            self.layout.write_group(&self.rendered, &mut self.groups)?;
        }
        // A group may have been written before it was full, too.
        if self.groups.has_bytes() {
            self.groups.move_bytes(out)?;
        }
        Ok(rest)
    }

    fn write_end(&mut self, out: &mut Vec<u8>) -> Result<(), ExportError> {
        self.layout.write_group(&self.rendered, &mut self.groups)?;
        self.groups.finish()?;
        self.groups.move_bytes(out)
    }
}

/// The columns, prepared for adding rows. The source of each column has its place among the cells of a person, content
/// or verb.
struct Layout {
    language: Language,
    columns: Vec<Part>,
    person_cells: Vec<SharedCell<PersonCell>>,
    content_cells: Vec<SharedCell<FromContent>>,
    verb_cells: Vec<SharedCell<FromVerb>>,
    /// What rendered cells refer to. The lock is never waited for: one task renders cells and adds rows.
    tables: Mutex<Tables>,
}

/// The source of a column: the index of a rendered cell, or the row.
enum Part {
    Person(usize),
    Content(usize),
    Verb(usize),
    BriefRow(columns::FromBriefRow),
    WholeRow(columns::FromRow),
    RowOrContent(columns::TryFromRow, usize),
    RowOrVerb(columns::TryFromBriefRow, usize),
}

/// A cell of a person.
enum PersonCell {
    Column(FromPerson),
    /// The custom field with this name.
    CustomField(String),
}

/// A cell that is rendered once for each person, content or verb.
struct SharedCell<F> {
    from: F,
    kind: Kind,
}

impl Layout {
    fn new(set: ColumnSet, language: Language, fields: Vec<String>) -> (Self, Vec<FileColumn>) {
        let mut layout = Self {
            language,
            columns: Vec::new(),
            person_cells: Vec::new(),
            content_cells: Vec::new(),
            verb_cells: Vec::new(),
            tables: Mutex::default(),
        };
        let mut file = Vec::new();
        for column in columns::columns(set) {
            let kind = layout.kind(column.value_type);
            let part = layout.part(column.source, kind);
            layout.columns.push(part);
            let heading = language.heading(column.heading).to_owned();
            file.push(FileColumn::new(heading, column.value_type, kind));
        }
        for field in CustomField::from_names(fields, language) {
            let kind = layout.kind(ValueType::Text);
            let from = PersonCell::CustomField(field.name);
            let index = add(&mut layout.person_cells, SharedCell { from, kind });
            layout.columns.push(Part::Person(index));
            file.push(FileColumn::new(field.heading, ValueType::Text, kind));
        }
        (layout, file)
    }

    /// The kind of the cells of a new column. Texts get a table.
    fn kind(&self, value_type: ValueType) -> Kind {
        match value_type {
            ValueType::Text | ValueType::List => {
                Kind::Coded(add(&mut self.tables().texts, TextTable::default()))
            }
            ValueType::Day => Kind::Day,
            _ => Kind::Plain,
        }
    }

    /// The source of a column with cells of this kind.
    fn part(&mut self, source: Source, kind: Kind) -> Part {
        match source {
            Source::Person(from) => {
                let from = PersonCell::Column(from);
                Part::Person(add(&mut self.person_cells, SharedCell { from, kind }))
            }
            Source::Content(from) => Part::Content(add(&mut self.content_cells, SharedCell { from, kind })),
            Source::Verb(from) => Part::Verb(add(&mut self.verb_cells, SharedCell { from, kind })),
            Source::BriefRow(from) => Part::BriefRow(from),
            Source::WholeRow(from) => Part::WholeRow(from),
            Source::RowOrContent(row, from) => {
                Part::RowOrContent(row, add(&mut self.content_cells, SharedCell { from, kind }))
            }
            Source::RowOrVerb(row, from) => {
                Part::RowOrVerb(row, add(&mut self.verb_cells, SharedCell { from, kind }))
            }
        }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // No code panics while it holds the lock.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the first ones of these rows, and returns the others. There are others if the row group is full, or if they are
    /// too many to be added at once.
    fn add_rows<'r>(
        &self,
        rows: &'r [FileRow],
        rendered: &RenderedCells<Codes>,
        groups: &mut RowGroups,
    ) -> Result<&'r [FileRow], StoreError> {
        let mut slots = Vec::with_capacity(rows.len().min(ROWS_AT_ONCE));
        for row in rows.iter().take(ROWS_AT_ONCE) {
            let of_row = rendered.slots_of_row(&row.brief)?;
            let list_bytes = rendered.persons.cells.list_bytes(of_row.person)
                + rendered.contents.cells.list_bytes(of_row.content);
            slots.push(of_row);
            if groups.add_row(of_row, list_bytes) {
                break;
            }
        }
        let (rows, rest) = rows.split_at(slots.len());
        let tables = &mut *self.tables();
        for (index, part) in self.columns.iter().enumerate() {
            let mut column = groups.column(index, &mut tables.texts)?;
            match *part {
                Part::Person(_) | Part::Content(_) | Part::Verb(_) => {}
                Part::BriefRow(from) => {
                    for row in rows {
                        let mut value = Value::Empty;
                        from(&row.brief, &mut Cell::typed(&mut value, self.language));
                        column.append(&value)?;
                    }
                }
                Part::WholeRow(from) => {
                    for row in rows {
                        let mut value = Value::Empty;
                        from(whole_row(row)?, &mut Cell::typed(&mut value, self.language));
                        column.append(&value)?;
                    }
                }
                Part::RowOrContent(from, other) => {
                    for (row, slots) in rows.iter().zip(&slots) {
                        let mut value = Value::Empty;
                        if from(whole_row(row)?, &mut Cell::typed(&mut value, self.language)) {
                            column.append(&value)?;
                        } else {
                            column.append_code(rendered.contents.cells.code(other, slots.content))?;
                        }
                    }
                }
                Part::RowOrVerb(from, other) => {
                    for (row, slots) in rows.iter().zip(&slots) {
                        let mut value = Value::Empty;
                        if from(&row.brief, &mut Cell::typed(&mut value, self.language)) {
                            column.append(&value)?;
                        } else {
                            column.append_code(rendered.verbs.cells.code(other, slots.verb))?;
                        }
                    }
                }
            }
        }
        Ok(rest)
    }

    /// Adds the cells of a person, content or verb to the next slot.
    fn add_cells<F>(&self, cells: &[SharedCell<F>], write: impl Fn(&F, &mut Cell<'_>), to: &mut Codes) {
        let tables = &mut *self.tables();
        to.begin_slot();
        for (column, SharedCell { from, kind }) in cells.iter().enumerate() {
            let mut value = Value::Empty;
            write(from, &mut Cell::typed(&mut value, self.language));
            to.add(column, tables, *kind, value);
        }
    }

    /// Writes the rows that wait as a row group.
    fn write_group(
        &self,
        rendered: &RenderedCells<Codes>,
        groups: &mut RowGroups,
    ) -> Result<(), ExportError> {
        let tables = &*self.tables();
        groups.write_group(&tables.texts, |index, column, rows| {
            let (codes, kind, slot): (_, _, fn(&RowSlots) -> u32) = match self.columns.get(index) {
                Some(Part::Person(cell)) => (
                    rendered.persons.cells.column(*cell),
                    self.person_cells.get(*cell).map(|cell| cell.kind),
                    |slots| slots.person,
                ),
                Some(Part::Content(cell)) => (
                    rendered.contents.cells.column(*cell),
                    self.content_cells.get(*cell).map(|cell| cell.kind),
                    |slots| slots.content,
                ),
                Some(Part::Verb(cell)) => (
                    rendered.verbs.cells.column(*cell),
                    self.verb_cells.get(*cell).map(|cell| cell.kind),
                    |slots| slots.verb,
                ),
                _ => return Ok(()),
            };
            let slots = rows.iter().map(slot);
            tables.fill_column(column, kind.unwrap_or(Kind::Plain), codes, slots)
        })
    }
}

impl FileColumn {
    fn new(heading: String, value_type: ValueType, kind: Kind) -> Self {
        let table = match kind {
            Kind::Coded(table) => Some(table),
            Kind::Day | Kind::Plain => None,
        };
        Self {
            heading,
            value_type,
            table,
        }
    }
}

/// Adds an element and returns its index.
fn add<T>(list: &mut Vec<T>, element: T) -> usize {
    list.push(element);
    list.len() - 1
}

impl Render for Layout {
    type Cells = Codes;

    fn add_person(&self, person: &PersonDetails, cells: &mut Codes) {
        let write = |from: &PersonCell, cell: &mut Cell<'_>| match from {
            PersonCell::Column(from) => from(person, cell),
            PersonCell::CustomField(field) => columns::write_custom_field(person, field, cell),
        };
        self.add_cells(&self.person_cells, write, cells);
    }

    fn add_content(&self, content: &ContentDetails, cells: &mut Codes) {
        let write = |from: &FromContent, cell: &mut Cell<'_>| from(content, cell);
        self.add_cells(&self.content_cells, write, cells);
    }

    fn add_verb(&self, verb: &VerbDetails, cells: &mut Codes) {
        let write = |from: &FromVerb, cell: &mut Cell<'_>| from(verb, cell);
        self.add_cells(&self.verb_cells, write, cells);
    }

    fn shared_bytes(&self) -> usize {
        self.tables().bytes()
    }
}

impl From<parquet::errors::ParquetError> for ExportError {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Self::Parquet(error.to_string())
    }
}

#[cfg(test)]
mod tests;
