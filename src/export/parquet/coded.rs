//! A column with texts of persons, contents or verbs.
//!
//! Each of these has its texts once ([`TextTable`]), and a row of the column is the number of a text. This is also how the
//! file stores it (dictionary encoding), so a row costs neither a comparison nor a copy. The pages are written here, because
//! the writer of the crate takes texts only.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding};
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter as _};
use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use crate::export::ExportError;

/// The approximate memory of a text of a table in addition to its bytes.
const TEXT_OVERHEAD_BYTES: usize = 64;

/// The texts of a column, each once, with numbers from zero on.
#[derive(Default)]
pub(super) struct TextTable {
    texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
    bytes: usize,
}

impl TextTable {
    /// The number of the text.
    pub(super) fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.texts.len() as u32; // fewer than bytes of memory
        let shared: Arc<str> = text.into();
        self.texts.push(Arc::clone(&shared));
        self.numbers.insert(shared, number);
        self.bytes += text.len() + TEXT_OVERHEAD_BYTES;
        number
    }

    /// The approximate memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The row of an empty cell.
const EMPTY: u32 = u32::MAX;
/// A text that no row of the row group has had.
const UNUSED: u32 = u32::MAX;

/// The rows of a column in a row group. Its texts have numbers of their own there, in the order of their first rows.
#[derive(Default)]
pub(super) struct CodedColumn {
    /// The numbers in the row group, by the numbers of the table.
    in_group: Vec<u32>,
    /// The numbers of the table, by the numbers in the row group.
    used: Vec<u32>,
    rows: Vec<u32>,
}

impl CodedColumn {
    /// Appends a row with the text of this number, or an empty cell.
    pub(super) fn append(&mut self, text: Option<u32>) {
        let row = text.map_or(EMPTY, |text| self.number_in_group(text));
        self.rows.push(row);
    }

    fn number_in_group(&mut self, text: u32) -> u32 {
        let place = text as usize;
        if place >= self.in_group.len() {
            self.in_group.resize(place + 1, UNUSED);
        }
        if self.in_group[place] == UNUSED {
            self.in_group[place] = self.used.len() as u32; // at most one for each row
            self.used.push(text);
        }
        self.in_group[place]
    }

    /// The approximate bytes of the pages.
    pub(super) fn page_bytes(&self) -> usize {
        2 * self.rows.len() + 16 * self.used.len()
    }

    /// Takes all rows, as the pages of a column of the file.
    pub(super) fn take_pages(
        &mut self,
        table: &TextTable,
        column: ColumnDescPtr,
    ) -> Result<(Bytes, ColumnCloseResult), ExportError> {
        let mut pages = Pages::default();
        // A dictionary without entries is legal, but not every reader takes it.
        let has_texts = !self.used.is_empty();
        if has_texts {
            pages.add(self.dictionary_page(table)?)?;
        }
        let dictionary_bytes = pages.bytes.bytes_written();
        pages.add(self.data_page(has_texts)?)?;
        let encodings = vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY];
        let metadata = ColumnChunkMetaData::builder(column)
            .set_compression(Compression::SNAPPY)
            .set_encodings(encodings)
            .set_num_values(self.rows.len() as i64)
            .set_total_compressed_size(pages.compressed as i64)
            .set_total_uncompressed_size(pages.plain as i64)
            .set_dictionary_page_offset(has_texts.then_some(0))
            .set_data_page_offset(dictionary_bytes as i64)
            .build()?;
        let closed = ColumnCloseResult {
            bytes_written: pages.compressed as u64,
            rows_written: self.rows.len() as u64,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        self.clear();
        Ok((Bytes::from(pages.bytes.into_inner()?), closed))
    }

    /// Forgets all rows, and the numbers of their texts.
    pub(super) fn clear(&mut self) {
        for text in self.used.drain(..) {
            self.in_group[text as usize] = UNUSED;
        }
        self.rows.clear();
    }

    /// The used texts, each after its length.
    fn dictionary_page(&self, table: &TextTable) -> Result<CompressedPage, ExportError> {
        let mut plain = Vec::new();
        for number in &self.used {
            let text = table.texts.get(*number as usize).map_or("", |text| text);
            plain.extend_from_slice(&(text.len() as u32).to_le_bytes()); // texts have far smaller limits
            plain.extend_from_slice(text.as_bytes());
        }
        let page = Page::DictionaryPage {
            buf: compress(&plain)?,
            num_values: self.used.len() as u32,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        Ok(CompressedPage::new(page, plain.len()))
    }

    /// Which rows have a text, and then the numbers of the texts.
    fn data_page(&self, has_texts: bool) -> Result<CompressedPage, ExportError> {
        let mut levels = Vec::new();
        let filled = self.rows.iter().filter(|row| **row != EMPTY).count();
        if filled == self.rows.len() {
            write_run(&mut levels, filled, 1);
        } else {
            let defined = self.rows.iter().map(|row| u32::from(*row != EMPTY));
            write_packed(&mut levels, defined, self.rows.len(), 1);
        }
        let mut plain = (levels.len() as u32).to_le_bytes().to_vec();
        plain.append(&mut levels);
        if has_texts {
            let greatest = self.used.len() as u32 - 1;
            let width = (u32::BITS - greatest.leading_zeros()).max(1);
            plain.push(width as u8); // at most 32
            let numbers = self.rows.iter().copied().filter(|row| *row != EMPTY);
            write_packed(&mut plain, numbers, filled, width);
        }
        let page = Page::DataPage {
            buf: compress(&plain)?,
            num_values: self.rows.len() as u32,
            encoding: match has_texts {
                true => Encoding::RLE_DICTIONARY,
                false => Encoding::PLAIN,
            },
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        Ok(CompressedPage::new(page, plain.len()))
    }
}

/// The pages of a column, and their total sizes with their headers.
struct Pages {
    bytes: TrackedWrite<Vec<u8>>,
    compressed: usize,
    plain: usize,
}

impl Default for Pages {
    fn default() -> Self {
        Self {
            bytes: TrackedWrite::new(Vec::new()),
            compressed: 0,
            plain: 0,
        }
    }
}

impl Pages {
    fn add(&mut self, page: CompressedPage) -> Result<(), ExportError> {
        let written: PageWriteSpec = SerializedPageWriter::new(&mut self.bytes).write_page(page)?;
        self.compressed += written.compressed_size;
        self.plain += written.uncompressed_size;
        Ok(())
    }
}

fn compress(plain: &[u8]) -> Result<Bytes, ExportError> {
    let compressed = snap::raw::Encoder::new().compress_vec(plain);
    compressed
        .map(Bytes::from)
        .map_err(|error| ExportError::Parquet(error.to_string()))
}

/// Writes `count` times the same number of one byte.
fn write_run(out: &mut Vec<u8>, count: usize, number: u8) {
    write_variable(out, (count as u64) << 1);
    out.push(number);
}

/// Writes `count` numbers with this number of bits each, the lowest bit first, in groups of eight numbers.
fn write_packed(out: &mut Vec<u8>, numbers: impl Iterator<Item = u32>, count: usize, width: u32) {
    let groups = count.div_ceil(8);
    write_variable(out, (groups as u64) << 1 | 1);
    let end = out.len() + groups * width as usize;
    out.reserve(end - out.len());
    let (mut bits, mut filled) = (0_u64, 0);
    for number in numbers {
        bits |= u64::from(number) << filled;
        filled += width;
        while filled >= 8 {
            out.push(bits as u8); // the lowest byte
            bits >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        out.push(bits as u8);
    }
    out.resize(end, 0);
}

/// Writes a number in bytes of seven bits, the lowest first.
fn write_variable(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80); // the lowest seven bits
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_packed_from_the_lowest_bit_on() {
        let mut out = Vec::new();
        // The example of the file format: the numbers 0 to 7 in three bits each.
        write_packed(&mut out, 0..8, 8, 3);
        assert_eq!(out, [0b0000_0011, 0b1000_1000, 0b1100_0110, 0b1111_1010]);
        out.clear();
        write_packed(&mut out, [1, 1, 1].into_iter(), 3, 1);
        assert_eq!(out, [0b0000_0011, 0b0000_0111]);
        out.clear();
        write_packed(&mut out, [65_535, 1].into_iter(), 2, 16);
        assert_eq!(out[..5], [3, 0xff, 0xff, 1, 0]);
        assert_eq!(out.len(), 17);
        out.clear();
        write_run(&mut out, 65_536, 1);
        assert_eq!(out, [0x80, 0x80, 0x08, 1]);
    }

    #[test]
    fn text_has_one_number() {
        let mut table = TextTable::default();
        assert_eq!(["a", "b", "a", ""].map(|text| table.number(text)), [0, 1, 0, 2]);
        assert_eq!(table.bytes(), 3 * TEXT_OVERHEAD_BYTES + 2);
    }
}
