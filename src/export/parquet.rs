//! Row groups of Parquet, with the columns of the CSV and the types of their values.
//!
//! Rows are collected in columns (`column`, `texts`), and a row group is written when it is large enough (`groups`). So the
//! memory of an export is that of one row group and of the cached cells. The texts of persons, contents and verbs are
//! numbers in the rows. The mark with which a file begins is sent with the first rows. The footer, without which a file is
//! unreadable, is written at the end.

mod column;
mod groups;
mod pages;
mod texts;

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use self::column::parse_day;
use self::groups::{FileColumn, RowGroups};
use self::texts::TextTable;
use crate::base::ids::OrgId;
use crate::log::{ContentDetails, PersonDetails, VerbDetails};
use crate::store::{FileRow, Store, StoreError};
use crate::texts::Language;

use super::cell::{Cell, Value};
use super::columns::{self, ColumnSet, FromContent, FromPerson, FromVerb, Source, ValueType};
use super::headings::CustomField;
use super::rendered::{HeapBytes, Render, RenderedCells, whole_row};
use super::{ExportError, WriteLines};

/// The maximum number of bytes of the texts that rows refer to by their numbers. Beyond it, all begin anew.
const TEXTS_BYTES: usize = 16 * 1024 * 1024;

/// Writes rows as row groups.
pub struct Rows {
    store: Store,
    organisation: OrgId,
    layout: Layout,
    rendered: RenderedCells<Box<[Shared]>>,
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

    /// Writes the row group and forgets all texts, if they are too many.
    fn limit_texts(&mut self) -> Result<(), ExportError> {
        let mut tables = self.layout.tables();
        if tables.bytes() < TEXTS_BYTES {
            return Ok(());
        }
        self.groups.write_group(&tables.texts)?;
        tables.clear();
        drop(tables);
        self.rendered = RenderedCells::default();
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
        self.limit_texts()?;
        let (store, organisation) = (&self.store, &self.organisation);
        self.rendered
            .load(store, organisation, rows, &self.layout)
            .await?;
        Ok(())
    }

    fn write_line(&mut self, row: &FileRow, out: &mut Vec<u8>) -> Result<(), ExportError> {
        if self.layout.add_row(row, &self.rendered, &mut self.groups)? {
            self.groups.write_group(&self.layout.tables().texts)?;
            self.groups.move_bytes(out)?;
        }
        Ok(())
    }

    fn write_end(&mut self, out: &mut Vec<u8>) -> Result<(), ExportError> {
        self.groups.finish(&self.layout.tables().texts)?;
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
    /// The cells of a row without content. All are empty.
    no_content: Box<[Shared]>,
    /// What rendered cells refer to. The lock is never waited for: one task renders cells and adds rows.
    tables: Mutex<Tables>,
}

/// What rendered cells refer to by numbers, so that they are small: an export keeps those of many persons.
#[derive(Default)]
struct Tables {
    /// The texts of each coded column.
    texts: Vec<TextTable>,
    /// The lists of the numbers of texts.
    lists: Vec<Box<[u32]>>,
    values: Vec<Value>,
}

impl Tables {
    /// The approximate memory.
    fn bytes(&self) -> usize {
        let texts = self.texts.iter().map(TextTable::bytes);
        let lists = self
            .lists
            .iter()
            .map(|list| mem::size_of_val::<[u32]>(list) + mem::size_of_val(list));
        texts.chain(lists).sum::<usize>() + mem::size_of_val(self.values.as_slice())
    }

    fn clear(&mut self) {
        for table in &mut self.texts {
            *table = TextTable::default();
        }
        self.lists = Vec::new();
        self.values = Vec::new();
    }
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

/// What a rendered cell is.
#[derive(Clone, Copy)]
enum Kind {
    /// The number of a text in this table, or the numbers of a list of texts.
    Coded(usize),
    /// The number of a day.
    Day,
    Plain,
}

/// A rendered cell.
enum Shared {
    Empty,
    /// The number of a text in the table of its column.
    Text(u32),
    /// The index of the list of the numbers of texts.
    List(u32),
    /// The number of a day.
    Day(i32),
    /// The index of the value.
    Value(u32),
}

impl Layout {
    fn new(set: ColumnSet, language: Language, fields: Vec<String>) -> (Self, Vec<FileColumn>) {
        let mut layout = Self {
            language,
            columns: Vec::new(),
            person_cells: Vec::new(),
            content_cells: Vec::new(),
            verb_cells: Vec::new(),
            no_content: Box::default(),
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
        layout.no_content = layout.content_cells.iter().map(|_| Shared::Empty).collect();
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

    /// Adds a row. Returns whether the row group is full.
    fn add_row(
        &self,
        row: &FileRow,
        rendered: &RenderedCells<Box<[Shared]>>,
        groups: &mut RowGroups,
    ) -> Result<bool, StoreError> {
        let (person, content, verb) = rendered.cells_of_row(&row.brief, &self.no_content)?;
        let tables = &mut *self.tables();
        for (index, part) in self.columns.iter().enumerate() {
            let mut value = Value::Empty;
            let cell = &mut Cell::typed(&mut value, self.language);
            let shared = match *part {
                Part::Person(cell) => person.get(cell),
                Part::Content(cell) => content.get(cell),
                Part::Verb(cell) => verb.get(cell),
                Part::BriefRow(from) => {
                    from(&row.brief, cell);
                    None
                }
                Part::WholeRow(from) => {
                    from(whole_row(row)?, cell);
                    None
                }
                Part::RowOrContent(from, other) if !from(whole_row(row)?, cell) => content.get(other),
                Part::RowOrVerb(from, other) if !from(&row.brief, cell) => verb.get(other),
                Part::RowOrContent(..) | Part::RowOrVerb(..) => None,
            };
            match shared {
                Some(Shared::Text(text)) => groups.append_text(index, *text)?,
                Some(Shared::Day(day)) => groups.append(index, &Value::Integer((*day).into()))?,
                Some(Shared::List(list)) => {
                    let texts = tables.lists.get(*list as usize);
                    groups.append_list(index, texts.map_or(&[], |texts| texts))?;
                }
                Some(Shared::Value(value)) => {
                    let value = tables.values.get(*value as usize);
                    groups.append(index, value.unwrap_or(&Value::Empty))?;
                }
                Some(Shared::Empty) | None => {
                    let table = groups.table(index).and_then(|table| tables.texts.get_mut(table));
                    match (table, &value) {
                        (Some(table), Value::Text(text)) => groups.append_text(index, table.number(text))?,
                        (Some(table), Value::List(texts)) => {
                            groups.append_list(index, &table.numbers(texts))?;
                        }
                        (_, value) => groups.append(index, value)?,
                    }
                }
            }
        }
        Ok(groups.end_row())
    }

    fn render<F>(&self, cells: &[SharedCell<F>], write: impl Fn(&F, &mut Cell<'_>)) -> Box<[Shared]> {
        let tables = &mut *self.tables();
        let shared = cells.iter().map(|SharedCell { from, kind }| {
            let mut value = Value::Empty;
            write(from, &mut Cell::typed(&mut value, self.language));
            match (*kind, value) {
                (_, Value::Empty) => Shared::Empty,
                (Kind::Coded(table), value) => match (tables.texts.get_mut(table), value) {
                    (Some(table), Value::Text(text)) => Shared::Text(table.number(&text)),
                    (Some(table), Value::List(texts)) => {
                        let numbers = table.numbers(&texts);
                        Shared::List(add(&mut tables.lists, numbers) as u32) // fewer than bytes of memory
                    }
                    _ => Shared::Empty,
                },
                (Kind::Day, Value::Text(text)) => parse_day(&text).map_or(Shared::Empty, Shared::Day),
                (_, value) => Shared::Value(add(&mut tables.values, value) as u32), // fewer than bytes of memory
            }
        });
        shared.collect()
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
    type Cells = Box<[Shared]>;

    fn render_person(&self, person: &PersonDetails) -> Box<[Shared]> {
        self.render(&self.person_cells, |from, cell| match from {
            PersonCell::Column(from) => from(person, cell),
            PersonCell::CustomField(field) => columns::write_custom_field(person, field, cell),
        })
    }

    fn render_content(&self, content: &ContentDetails) -> Box<[Shared]> {
        self.render(&self.content_cells, |from, cell| from(content, cell))
    }

    fn render_verb(&self, verb: &VerbDetails) -> Box<[Shared]> {
        self.render(&self.verb_cells, |from, cell| from(verb, cell))
    }
}

impl HeapBytes for Box<[Shared]> {
    fn heap_bytes(&self) -> usize {
        mem::size_of_val::<[Shared]>(self)
    }
}

impl From<parquet::errors::ParquetError> for ExportError {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Self::Parquet(error.to_string())
    }
}

#[cfg(test)]
mod tests;
