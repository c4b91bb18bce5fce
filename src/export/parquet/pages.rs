//! The pages of a column, as the file format has them.

use bytes::Bytes;
use parquet::basic::{Compression, Encoding};
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter as _};
use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use crate::export::ExportError;

/// The pages of a column, and their total sizes with their headers.
pub(super) struct Pages {
    bytes: TrackedWrite<Vec<u8>>,
    compressed: usize,
    plain: usize,
    /// The place of the data page, if a dictionary is before it.
    dictionary_bytes: Option<usize>,
}

impl Default for Pages {
    fn default() -> Self {
        Self {
            bytes: TrackedWrite::new(Vec::new()),
            compressed: 0,
            plain: 0,
            dictionary_bytes: None,
        }
    }
}

impl Pages {
    /// Adds the dictionary: `plain` has this number of values.
    pub(super) fn add_dictionary(&mut self, plain: &[u8], values: usize) -> Result<(), ExportError> {
        let page = Page::DictionaryPage {
            buf: compress(plain)?,
            num_values: values as u32, // at most one for each entry of a row group
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        self.add(CompressedPage::new(page, plain.len()))?;
        self.dictionary_bytes = Some(self.bytes.bytes_written());
        Ok(())
    }

    /// Adds the data page: `plain` has the levels of this number of entries, and the values.
    pub(super) fn add_data(
        &mut self,
        plain: &[u8],
        entries: usize,
        encoding: Encoding,
    ) -> Result<(), ExportError> {
        let page = Page::DataPage {
            buf: compress(plain)?,
            num_values: entries as u32, // limited by the bytes of a row group
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        self.add(CompressedPage::new(page, plain.len()))
    }

    fn add(&mut self, page: CompressedPage) -> Result<(), ExportError> {
        let written: PageWriteSpec = SerializedPageWriter::new(&mut self.bytes).write_page(page)?;
        self.compressed += written.compressed_size;
        self.plain += written.uncompressed_size;
        Ok(())
    }

    /// The bytes of all pages, and their description.
    pub(super) fn finish(
        self,
        column: ColumnDescPtr,
        entries: usize,
        rows: u64,
    ) -> Result<(Bytes, ColumnCloseResult), ExportError> {
        let mut encodings = vec![Encoding::PLAIN, Encoding::RLE];
        encodings.extend(self.dictionary_bytes.map(|_| Encoding::RLE_DICTIONARY));
        let metadata = ColumnChunkMetaData::builder(column)
            .set_compression(Compression::SNAPPY)
            .set_encodings(encodings)
            .set_num_values(entries as i64)
            .set_total_compressed_size(self.compressed as i64)
            .set_total_uncompressed_size(self.plain as i64)
            .set_dictionary_page_offset(self.dictionary_bytes.map(|_| 0))
            .set_data_page_offset(self.dictionary_bytes.unwrap_or(0) as i64)
            .build()?;
        let closed = ColumnCloseResult {
            bytes_written: self.compressed as u64,
            rows_written: rows,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        Ok((Bytes::from(self.bytes.into_inner()?), closed))
    }
}

fn compress(plain: &[u8]) -> Result<Bytes, ExportError> {
    let compressed = snap::raw::Encoder::new().compress_vec(plain);
    compressed
        .map(Bytes::from)
        .map_err(|error| ExportError::Parquet(error.to_string()))
}

/// Writes levels of at most `greatest`, after the length of what is written.
pub(super) fn write_levels(out: &mut Vec<u8>, levels: &[u8], greatest: i16) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    match levels.first() {
        Some(first) if levels.iter().all(|level| level == first) => write_run(out, levels.len(), *first),
        _ => {
            let width = i16::BITS - greatest.leading_zeros();
            write_packed(out, levels.iter().copied().map(u32::from), levels.len(), width);
        }
    }
    let length = (out.len() - start - 4) as u32; // limited by the bytes of a row group
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// Writes `count` times the same number of one byte.
fn write_run(out: &mut Vec<u8>, count: usize, number: u8) {
    write_variable(out, (count as u64) << 1);
    out.push(number);
}

/// Writes `count` numbers with this number of bits each, the lowest bit first, in groups of eight numbers.
pub(super) fn write_packed(out: &mut Vec<u8>, numbers: impl Iterator<Item = u32>, count: usize, width: u32) {
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
    fn levels_are_a_run_or_packed() {
        let written = |levels: &[u8], greatest| {
            let mut out = Vec::new();
            write_levels(&mut out, levels, greatest);
            out
        };
        assert_eq!(written(&[1, 1, 1], 1), [2, 0, 0, 0, 6, 1]);
        assert_eq!(written(&[0, 0], 3), [2, 0, 0, 0, 4, 0]);
        assert_eq!(written(&[0, 1, 3, 2], 3), [3, 0, 0, 0, 3, 0b1011_0100, 0]);
        assert_eq!(written(&[], 1), [1, 0, 0, 0, 1]);
    }
}
