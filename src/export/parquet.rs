//! Row groups of Parquet, with the columns of the CSV and the types of their values.
//!
//! Rows are collected in batches of columns, batches are encoded into a row group, and a row group is written when it
//! reaches `GROUP_ROWS` or `GROUP_BYTES`. So the memory of an export is that of one row group and of the cached cells.
//! The mark with which a file begins is sent with the first rows. The footer, without which a file is unreadable, is written at the end.

mod column;

use std::mem;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use self::column::ColumnBuilder;
use crate::base::ids::OrgId;
use crate::log::{ContentDetails, PersonDetails, Row, VerbDetails};
use crate::store::{BriefRow, Store, StoreError};
use crate::texts::Language;

use super::cell::{Cell, Value};
use super::columns::{self, ColumnSet, FromContent, FromPerson, FromVerb, Source, ValueType};
use super::headings::CustomField;
use super::rendered::{HeapBytes, Render, RenderedCells};
use super::{ExportError, WriteLines};

/// The maximum number of rows of a row group. Readers divide their work by row groups.
const GROUP_ROWS: usize = 64 * 1024;
/// A row group with this number of encoded bytes is written.
const GROUP_BYTES: usize = 8 * 1024 * 1024;
/// The maximum number of rows of a batch.
const BATCH_ROWS: usize = 1024;
/// A batch with this number of bytes of texts is encoded.
const BATCH_BYTES: usize = 2 * 1024 * 1024;
/// A dictionary of a column with this number of bytes ends.
const DICTIONARY_BYTES: usize = 128 * 1024;

/// Writes rows as row groups.
pub struct Rows {
    store: Store,
    organisation: OrgId,
    layout: Layout,
    rendered: RenderedCells<Vec<Value>>,
    batch: Batch,
    file: ArrowWriter<Vec<u8>>,
    /// The mark with which a file begins.
    heading: Vec<u8>,
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
        let (layout, batch) = Layout::new(columns, language, fields);
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_dictionary_page_size_limit(DICTIONARY_BYTES)
            .set_data_page_size_limit(DICTIONARY_BYTES)
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_created_by(concat!("rollbook ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let mut file = ArrowWriter::try_new(Vec::new(), batch.schema.clone(), Some(properties))?;
        let mut heading = Vec::new();
        move_bytes(&mut file, &mut heading)?;
        Ok(Self {
            store: store.clone(),
            organisation: organisation.clone(),
            layout,
            rendered: RenderedCells::default(),
            file,
            heading,
            batch,
        })
    }

    /// Encodes the batch, and moves the bytes of complete row groups to `out`.
    fn encode_batch(&mut self, out: &mut Vec<u8>) -> Result<(), ExportError> {
        let batch = self.batch.take()?;
        self.file.write(&batch)?;
        if self.file.in_progress_size() >= GROUP_BYTES {
            self.file.flush()?;
        }
        move_bytes(&mut self.file, out)
    }
}

/// Moves the bytes that the file has written to `out`.
fn move_bytes(file: &mut ArrowWriter<Vec<u8>>, out: &mut Vec<u8>) -> Result<(), ExportError> {
    file.sync()
        .map_err(|error| ExportError::Parquet(error.to_string()))?;
    out.append(file.inner_mut());
    Ok(())
}

impl WriteLines for Rows {
    type Item = Row;

    /// A row group can take long, and a client waits for the first byte.
    const SENDS_HEADING_EARLY: bool = true;

    fn write_heading(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.heading);
    }

    async fn load(&mut self, rows: &[Row]) -> Result<(), ExportError> {
        let (store, organisation) = (&self.store, &self.organisation);
        self.rendered
            .load(store, organisation, rows, &self.layout)
            .await?;
        Ok(())
    }

    fn write_line(&mut self, row: &Row, out: &mut Vec<u8>) -> Result<(), ExportError> {
        self.layout.add_row(row, &self.rendered, &mut self.batch)?;
        if self.batch.is_full() {
            self.encode_batch(out)?;
        }
        Ok(())
    }

    fn write_end(&mut self, out: &mut Vec<u8>) -> Result<(), ExportError> {
        if self.batch.rows > 0 {
            self.encode_batch(out)?;
        }
        self.file.finish()?;
        move_bytes(&mut self.file, out)
    }
}

/// The rows that are not encoded yet, as columns.
struct Batch {
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    rows: usize,
    text_bytes: usize,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.text_bytes >= BATCH_BYTES
    }

    fn append(&mut self, index: usize, value: &Value) -> Result<(), StoreError> {
        let column = self.columns.get_mut(index);
        let column = column.ok_or(StoreError::Invariant("a part of a row without its column"))?;
        self.text_bytes += value.heap_bytes();
        column.append(value)
    }

    /// Takes the rows out of the batch.
    fn take(&mut self) -> Result<RecordBatch, ExportError> {
        (self.rows, self.text_bytes) = (0, 0);
        let arrays: Vec<ArrayRef> = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        RecordBatch::try_new(self.schema.clone(), arrays)
            .map_err(|error| ExportError::Parquet(error.to_string()))
    }
}

/// The columns, prepared for adding rows. The source of each column has its place among the cells of a person, content
/// or verb.
struct Layout {
    language: Language,
    columns: Vec<Part>,
    person_cells: Vec<PersonCell>,
    content_cells: Vec<FromContent>,
    verb_cells: Vec<FromVerb>,
    /// The cells of a row without content. All are empty.
    no_content: Vec<Value>,
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

/// Adds a cell and returns its index.
fn add<F>(cells: &mut Vec<F>, cell: F) -> usize {
    cells.push(cell);
    cells.len() - 1
}

impl Layout {
    fn new(set: ColumnSet, language: Language, fields: Vec<String>) -> (Self, Batch) {
        let mut layout = Self {
            language,
            columns: Vec::new(),
            person_cells: Vec::new(),
            content_cells: Vec::new(),
            verb_cells: Vec::new(),
            no_content: Vec::new(),
        };
        let mut types = Vec::new();
        for column in columns::columns(set) {
            let heading = language.heading(column.heading);
            types.push((heading.to_owned(), column.value_type));
            let part = layout.part(column.source);
            layout.columns.push(part);
        }
        for field in CustomField::from_names(fields, language) {
            types.push((field.heading, ValueType::Text));
            let index = add(&mut layout.person_cells, PersonCell::CustomField(field.name));
            layout.columns.push(Part::Person(index));
        }
        layout.no_content = vec![Value::Empty; layout.content_cells.len()];
        let builders: Vec<ColumnBuilder> = types.iter().map(|(_, kind)| ColumnBuilder::new(*kind)).collect();
        let fields = types.into_iter().zip(&builders);
        let fields: Vec<Field> = fields
            .map(|((heading, _), builder)| Field::new(heading, builder.data_type(), true))
            .collect();
        let batch = Batch {
            schema: Arc::new(Schema::new(fields)),
            columns: builders,
            rows: 0,
            text_bytes: 0,
        };
        (layout, batch)
    }

    fn part(&mut self, source: Source) -> Part {
        match source {
            Source::Person(from) => Part::Person(add(&mut self.person_cells, PersonCell::Column(from))),
            Source::Content(from) => Part::Content(add(&mut self.content_cells, from)),
            Source::Verb(from) => Part::Verb(add(&mut self.verb_cells, from)),
            Source::BriefRow(from) => Part::BriefRow(from),
            Source::WholeRow(from) => Part::WholeRow(from),
            Source::RowOrContent(row, content) => {
                Part::RowOrContent(row, add(&mut self.content_cells, content))
            }
            Source::RowOrVerb(row, verb) => Part::RowOrVerb(row, add(&mut self.verb_cells, verb)),
        }
    }

    fn add_row(
        &self,
        row: &Row,
        rendered: &RenderedCells<Vec<Value>>,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let (person, content, verb) = rendered.cells_of_row(row, &self.no_content)?;
        let brief = BriefRow::new(row);
        for (index, part) in self.columns.iter().enumerate() {
            let mut value = Value::Empty;
            let cell = &mut Cell::typed(&mut value, self.language);
            let shared = match *part {
                Part::Person(cell) => person.get(cell),
                Part::Content(cell) => content.get(cell),
                Part::Verb(cell) => verb.get(cell),
                Part::BriefRow(from) => {
                    from(brief, cell);
                    None
                }
                Part::WholeRow(from) => {
                    from(row, cell);
                    None
                }
                Part::RowOrContent(from, other) if !from(row, cell) => content.get(other),
                Part::RowOrVerb(from, other) if !from(brief, cell) => verb.get(other),
                Part::RowOrContent(..) | Part::RowOrVerb(..) => None,
            };
            batch.append(index, shared.unwrap_or(&value))?;
        }
        batch.rows += 1;
        Ok(())
    }
}

impl Render for Layout {
    type Cells = Vec<Value>;

    fn render_person(&self, person: &PersonDetails) -> Vec<Value> {
        render(&self.person_cells, self.language, |from, cell| match from {
            PersonCell::Column(from) => from(person, cell),
            PersonCell::CustomField(field) => columns::write_custom_field(person, field, cell),
        })
    }

    fn render_content(&self, content: &ContentDetails) -> Vec<Value> {
        render(&self.content_cells, self.language, |from, cell| {
            from(content, cell)
        })
    }

    fn render_verb(&self, verb: &VerbDetails) -> Vec<Value> {
        render(&self.verb_cells, self.language, |from, cell| from(verb, cell))
    }
}

fn render<F>(cells: &[F], language: Language, write: impl Fn(&F, &mut Cell<'_>)) -> Vec<Value> {
    let values = cells.iter().map(|from| {
        let mut value = Value::Empty;
        write(from, &mut Cell::typed(&mut value, language));
        value
    });
    values.collect()
}

impl HeapBytes for Value {
    fn heap_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::List(texts) => texts
                .iter()
                .map(|text| text.len() + mem::size_of::<String>())
                .sum(),
            Self::Empty | Self::Boolean(_) | Self::Integer(_) | Self::Decimal(_) | Self::Time(_) => 0,
        }
    }
}

impl HeapBytes for Vec<Value> {
    fn heap_bytes(&self) -> usize {
        self.iter()
            .map(|value| value.heap_bytes() + mem::size_of::<Value>())
            .sum()
    }
}

impl From<parquet::errors::ParquetError> for ExportError {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Self::Parquet(error.to_string())
    }
}

#[cfg(test)]
mod tests;
