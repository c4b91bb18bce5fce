//! The row groups of a file.

use std::borrow::Cow;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as PhysicalType};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{Type, TypePtr};

use super::column::{PlainColumn, Values};
use super::shared::EMPTY;
use super::texts::{TextColumn, TextTable};
use crate::export::ExportError;
use crate::export::cell::Value;
use crate::export::columns::ValueType;
use crate::export::rendered::RowSlots;
use crate::store::StoreError;

/// The maximum number of rows of a row group. Readers divide their work by row groups.
pub(super) const GROUP_ROWS: usize = 64 * 1024;
/// A row group with this number of bytes of ids and of entries of lists is written.
pub(super) const GROUP_BYTES: usize = 8 * 1024 * 1024;
/// The bytes of a cell, or of an entry of a list.
pub(super) const ENTRY_BYTES: usize = 6;
/// The most bytes of all cells of a row group, besides those of ids and lists.
const CELL_BYTES: usize = 32 * 1024 * 1024;

/// A column of a file.
pub(super) struct FileColumn {
    pub(super) heading: String,
    pub(super) value_type: ValueType,
    /// The index of the table with its texts, for texts and lists of texts.
    pub(super) table: Option<usize>,
}

/// A column of the present row group.
pub(super) enum GroupColumn {
    Plain(Box<PlainColumn>),
    /// Texts, or lists of texts, with the index of their table.
    Texts(Box<TextColumn>, Option<usize>),
}

impl GroupColumn {
    fn new(column: &FileColumn) -> Self {
        let values = match column.value_type {
            ValueType::Text => return Self::Texts(Box::default(), column.table),
            ValueType::List => return Self::Texts(Box::new(TextColumn::of_lists()), column.table),
            ValueType::Id => return Self::Texts(Box::new(TextColumn::of_ids()), None),
            ValueType::Day => Values::Day(Vec::new()),
            ValueType::Time => Values::Time(Vec::new()),
            ValueType::Boolean => Values::Boolean(Vec::new()),
            ValueType::Integer => Values::Integer(Vec::new()),
            ValueType::Decimal => Values::Decimal(Vec::new()),
        };
        Self::Plain(Box::new(PlainColumn::new(values)))
    }
}

/// A column of the present row group, to which cells of rows are appended.
pub(super) struct CellColumn<'c> {
    column: &'c mut GroupColumn,
    table: Option<&'c mut TextTable>,
    /// The bytes of the ids and lists of the row group.
    bytes: &'c mut usize,
}

impl CellColumn<'_> {
    /// Appends the value of the next row.
    pub(super) fn append(&mut self, value: &Value) -> Result<(), StoreError> {
        match (&mut *self.column, value, &mut self.table) {
            (GroupColumn::Plain(column), value, _) => return column.append(value),
            (GroupColumn::Texts(column, _), Value::Empty, _) => column.append_empty(),
            (GroupColumn::Texts(column, _), Value::Text(Cow::Borrowed(label)), Some(table)) => {
                column.append(table.number_of_label(label));
            }
            (GroupColumn::Texts(column, _), Value::Text(text), Some(table)) => {
                column.append(table.number(text));
            }
            (GroupColumn::Texts(column, _), Value::List(texts), Some(table)) => {
                let texts = table.numbers(texts);
                *self.bytes += texts.len() * ENTRY_BYTES;
                column.append_list(&texts);
            }
            (GroupColumn::Texts(column, _), Value::Text(id), None) => {
                *self.bytes += id.len() + size_of::<u32>();
                column.append_id(id);
            }
            (GroupColumn::Texts(..), ..) => {
                return Err(StoreError::Invariant("a value in a column of another type"));
            }
        }
        Ok(())
    }

    /// Appends the text with this code, or an empty cell.
    pub(super) fn append_code(&mut self, code: u32) -> Result<(), StoreError> {
        match &mut *self.column {
            GroupColumn::Texts(column, Some(_)) => column.append_code(code),
            _ if code == EMPTY => return self.append(&Value::Empty),
            _ => {
                return Err(StoreError::Invariant(
                    "the number of a text in a column without a table",
                ));
            }
        }
        Ok(())
    }
}

/// A file that is written by row groups.
pub(super) struct RowGroups {
    file: SerializedFileWriter<Vec<u8>>,
    columns: Vec<GroupColumn>,
    /// The rows of the present row group, and the bytes of its ids and lists.
    rows: Vec<RowSlots>,
    bytes: usize,
    /// Whether a row group was written since the bytes of the file were moved.
    has_bytes: bool,
}

impl RowGroups {
    pub(super) fn new(columns: &[FileColumn]) -> Result<Self, ExportError> {
        Ok(Self {
            file: SerializedFileWriter::new(Vec::new(), schema(columns)?, Arc::new(properties()))?,
            columns: columns.iter().map(GroupColumn::new).collect(),
            rows: Vec::new(),
            bytes: 0,
            has_bytes: false,
        })
    }

    /// Begins a row, whose lists need this number of bytes. Returns whether the row group is full.
    pub(super) fn add_row(&mut self, row: RowSlots, list_bytes: usize) -> bool {
        self.rows.push(row);
        self.bytes += list_bytes;
        self.is_full()
    }

    /// A column, to which the cells of the rows are appended that were begun. `tables` has its texts.
    pub(super) fn column<'c>(
        &'c mut self,
        index: usize,
        tables: &'c mut [TextTable],
    ) -> Result<CellColumn<'c>, StoreError> {
        let column = self.columns.get_mut(index);
        let column = column.ok_or(StoreError::Invariant("a file with too few columns"))?;
        let table = match column {
            GroupColumn::Texts(_, Some(table)) => tables.get_mut(*table),
            GroupColumn::Texts(_, None) | GroupColumn::Plain(_) => None,
        };
        Ok(CellColumn {
            column,
            table,
            bytes: &mut self.bytes,
        })
    }

    /// Whether the row group is large enough to be written.
    pub(super) fn is_full(&self) -> bool {
        let cells = self.rows.len() * self.columns.len() * ENTRY_BYTES;
        self.rows.len() >= GROUP_ROWS || self.bytes >= GROUP_BYTES || cells >= CELL_BYTES
    }

    /// Writes the rows that wait as a row group. `fill` gets each column before it is written, and appends the cells that
    /// the rows refer to.
    pub(super) fn write_group(
        &mut self,
        tables: &[TextTable],
        fill: impl Fn(usize, &mut GroupColumn, &[RowSlots]) -> Result<(), StoreError>,
    ) -> Result<(), ExportError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let descriptions = self.file.schema_descr().columns().to_vec();
        let mut group = self.file.next_row_group()?;
        for (index, (column, description)) in self.columns.iter_mut().zip(descriptions).enumerate() {
            fill(index, column, &self.rows)?;
            match column {
                GroupColumn::Plain(column) => {
                    let writer = group.next_column()?;
                    column.write(writer.ok_or(StoreError::Invariant("a file with too few columns"))?)?;
                }
                GroupColumn::Texts(column, table) => {
                    let table = table.and_then(|table| tables.get(table));
                    let (pages, closed) = column.take_pages(table, description)?;
                    group.append_column(&pages, closed)?;
                }
            }
        }
        group.close()?;
        self.rows.clear();
        self.has_bytes = true;
        Ok(())
    }

    /// Writes the end of the file.
    pub(super) fn finish(&mut self) -> Result<(), ExportError> {
        self.file.finish()?;
        Ok(())
    }

    /// Whether the file has written a row group that was not moved.
    pub(super) fn has_bytes(&self) -> bool {
        self.has_bytes
    }

    /// Moves the bytes that the file has written to `out`.
    pub(super) fn move_bytes(&mut self, out: &mut Vec<u8>) -> Result<(), ExportError> {
        self.file
            .flush()
            .map_err(|error| ExportError::Parquet(error.to_string()))?;
        out.append(self.file.inner_mut());
        self.has_bytes = false;
        Ok(())
    }
}

fn schema(columns: &[FileColumn]) -> Result<TypePtr, ParquetError> {
    let fields = columns
        .iter()
        .map(|column| field(&column.heading, column.value_type).map(Arc::new));
    let fields = fields.collect::<Result<_, _>>()?;
    let schema = Type::group_type_builder("schema").with_fields(fields).build()?;
    Ok(Arc::new(schema))
}

/// The type of a column in the file. Every cell may be empty.
fn field(heading: &str, value_type: ValueType) -> Result<Type, ParquetError> {
    let (physical, logical) = match value_type {
        ValueType::Text | ValueType::Id => (PhysicalType::BYTE_ARRAY, Some(LogicalType::String)),
        ValueType::List => return list(heading),
        ValueType::Day => (PhysicalType::INT32, Some(LogicalType::Date)),
        ValueType::Time => (
            PhysicalType::INT64,
            Some(LogicalType::timestamp(true, TimeUnit::MICROS)),
        ),
        ValueType::Boolean => (PhysicalType::BOOLEAN, None),
        ValueType::Integer => (PhysicalType::INT64, None),
        ValueType::Decimal => (PhysicalType::DOUBLE, None),
    };
    Type::primitive_type_builder(heading, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
        .build()
}

/// A list of texts, with the three levels and the names that the file format prescribes ("LIST").
fn list(heading: &str) -> Result<Type, ParquetError> {
    let entries = Type::group_type_builder("list")
        .with_repetition(Repetition::REPEATED)
        .with_fields(vec![Arc::new(field("element", ValueType::Text)?)])
        .build()?;
    Type::group_type_builder(heading)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(Some(LogicalType::List))
        .with_fields(vec![Arc::new(entries)])
        .build()
}

fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        // Times and numbers are different in most rows.
        .set_dictionary_enabled(false)
        // The least and greatest values of texts would cost a comparison for each cell, and leave out no group.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_created_by(concat!("rollbook ", env!("CARGO_PKG_VERSION")).to_owned())
        .build()
}
