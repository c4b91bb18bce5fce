//! The row groups of a file, which are filled row by row.

use std::mem;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use super::coded::{CodedColumn, TextTable};
use super::column::ColumnBuilder;
use crate::export::ExportError;
use crate::export::cell::Value;
use crate::export::columns::ValueType;
use crate::store::StoreError;

/// The maximum number of rows of a row group. Readers divide their work by row groups.
const GROUP_ROWS: usize = 64 * 1024;
/// A row group with this number of encoded bytes is written.
const GROUP_BYTES: usize = 8 * 1024 * 1024;
/// The maximum number of rows of a batch.
pub(super) const BATCH_ROWS: usize = 1024;
/// A batch with this number of bytes of texts is encoded.
pub(super) const BATCH_BYTES: usize = 2 * 1024 * 1024;
/// A dictionary of a column with this number of bytes ends.
const DICTIONARY_BYTES: usize = 128 * 1024;

/// A column of a file.
pub(super) struct FileColumn {
    pub(super) heading: String,
    pub(super) value_type: ValueType,
    /// The index of the table with its texts, for a coded column.
    pub(super) table: Option<usize>,
}

/// A column of the present row group.
enum GroupColumn {
    /// Rows are values. Those of a batch are in the builder, and those before it are in the writer.
    Plain(Box<ColumnBuilder>, Option<Box<ArrowColumnWriter>>),
    /// Rows are numbers of texts of this table.
    Coded(CodedColumn, usize),
}

/// A file that is written by row groups.
pub(super) struct RowGroups {
    file: SerializedFileWriter<Vec<u8>>,
    writers: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    columns: Vec<GroupColumn>,
    /// The number of row groups before the present one.
    groups: usize,
    /// The rows of the present row group that are encoded.
    encoded_rows: usize,
    /// The rows of the present batch, and the bytes of their texts.
    batch_rows: usize,
    batch_bytes: usize,
}

impl RowGroups {
    pub(super) fn new(columns: Vec<FileColumn>) -> Result<Self, ExportError> {
        let (mut fields, mut group) = (Vec::new(), Vec::new());
        for column in columns {
            let builder = ColumnBuilder::new(column.value_type);
            fields.push(Field::new(column.heading, builder.data_type(), true));
            group.push(match column.table {
                Some(table) => GroupColumn::Coded(CodedColumn::default(), table),
                None => GroupColumn::Plain(Box::new(builder), None),
            });
        }
        let schema = Arc::new(Schema::new(fields));
        let properties = properties(&schema);
        // The file contains the schema of Arrow, too.
        let writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), Some(properties))?;
        let (file, writers) = writer.into_serialized_writer()?;
        Ok(Self {
            file,
            writers,
            schema,
            columns: group,
            groups: 0,
            encoded_rows: 0,
            batch_rows: 0,
            batch_bytes: 0,
        })
    }

    /// Appends the value of the next row to a column.
    pub(super) fn append(&mut self, index: usize, value: &Value) -> Result<(), StoreError> {
        match self.columns.get_mut(index) {
            Some(GroupColumn::Plain(builder, _)) => {
                self.batch_bytes += value.text_bytes();
                builder.append(value)
            }
            Some(GroupColumn::Coded(column, _)) if *value == Value::Empty => {
                column.append(None);
                Ok(())
            }
            Some(GroupColumn::Coded(..)) | None => {
                Err(StoreError::Invariant("a value in a column of another type"))
            }
        }
    }

    /// Appends the text with this number to a coded column.
    pub(super) fn append_text(&mut self, index: usize, text: u32) -> Result<(), StoreError> {
        match self.columns.get_mut(index) {
            Some(GroupColumn::Coded(column, _)) => {
                column.append(Some(text));
                Ok(())
            }
            Some(GroupColumn::Plain(..)) | None => {
                Err(StoreError::Invariant("a coded text in a column of values"))
            }
        }
    }

    /// Ends a row. Returns whether the batch is full.
    pub(super) fn end_row(&mut self) -> bool {
        self.batch_rows += 1;
        self.batch_rows >= BATCH_ROWS
            || self.batch_bytes >= BATCH_BYTES
            || self.encoded_rows + self.batch_rows >= GROUP_ROWS
    }

    /// Encodes the batch, and writes the row group if it is large enough.
    pub(super) fn encode_batch(&mut self, tables: &[TextTable]) -> Result<(), ExportError> {
        if self.encoded_rows == 0 {
            self.open_writers()?;
        }
        let mut bytes = 0;
        for (column, field) in self.columns.iter_mut().zip(self.schema.fields()) {
            match column {
                GroupColumn::Plain(builder, Some(writer)) => {
                    let array: ArrayRef = builder.finish();
                    for leaf in compute_leaves(field, &array)? {
                        writer.write(&leaf)?;
                    }
                    bytes += writer.get_estimated_total_bytes();
                }
                GroupColumn::Plain(_, None) => {}
                GroupColumn::Coded(column, _) => bytes += column.page_bytes(),
            }
        }
        self.batch_bytes = 0;
        self.encoded_rows += mem::take(&mut self.batch_rows);
        if self.encoded_rows >= GROUP_ROWS || bytes >= GROUP_BYTES {
            self.write_group(tables)?;
        }
        Ok(())
    }

    fn open_writers(&mut self) -> Result<(), ExportError> {
        // Each column has one writer, since no type has several values in a row but lists, which are one.
        let writers = self.writers.create_column_writers(self.groups)?;
        for (column, new) in self.columns.iter_mut().zip(writers) {
            if let GroupColumn::Plain(_, writer) = column {
                *writer = Some(Box::new(new));
            }
        }
        Ok(())
    }

    /// Writes the rows that wait as a row group.
    pub(super) fn write_group(&mut self, tables: &[TextTable]) -> Result<(), ExportError> {
        if self.batch_rows > 0 {
            self.encode_batch(tables)?;
        }
        if self.encoded_rows == 0 {
            return Ok(());
        }
        let descriptions = self.file.schema_descr().columns().to_vec();
        let mut group = self.file.next_row_group()?;
        for (column, description) in self.columns.iter_mut().zip(descriptions) {
            match column {
                GroupColumn::Plain(_, writer) => {
                    if let Some(writer) = writer.take() {
                        writer.close()?.append_to_row_group(&mut group)?;
                    }
                }
                GroupColumn::Coded(column, table) => {
                    let table = tables.get(*table);
                    let table = table.ok_or(StoreError::Invariant("a coded column without its table"))?;
                    let (pages, closed) = column.take_pages(table, description)?;
                    group.append_column(&pages, closed)?;
                }
            }
        }
        group.close()?;
        self.groups += 1;
        self.encoded_rows = 0;
        Ok(())
    }

    /// Writes the last rows and the end of the file.
    pub(super) fn finish(&mut self, tables: &[TextTable]) -> Result<(), ExportError> {
        self.write_group(tables)?;
        self.file.finish()?;
        Ok(())
    }

    /// Moves the bytes that the file has written to `out`.
    pub(super) fn move_bytes(&mut self, out: &mut Vec<u8>) -> Result<(), ExportError> {
        self.file
            .flush()
            .map_err(|error| ExportError::Parquet(error.to_string()))?;
        out.append(self.file.inner_mut());
        Ok(())
    }
}

fn properties(schema: &Schema) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_data_page_size_limit(DICTIONARY_BYTES)
        .set_created_by(concat!("rollbook ", env!("CARGO_PKG_VERSION")).to_owned());
    // The least and greatest texts of a row group cost a comparison for each cell, and leave out no group.
    let fields = schema.fields().iter();
    for field in fields.filter(|field| !matches!(field.data_type(), DataType::Utf8 | DataType::List(_))) {
        let path = ColumnPath::new(vec![field.name().clone()]);
        properties = properties.set_column_statistics_enabled(path, EnabledStatistics::Chunk);
    }
    properties.build()
}
