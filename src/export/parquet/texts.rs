//! Columns of texts and of lists of texts.
//!
//! Each text of a column is kept once ([`TextTable`]), and the cells are numbers of texts. This is also how the file stores
//! them (dictionary encoding), so a cell costs neither a comparison nor a copy. Ids are different in almost every row. They
//! are stored as they are. The pages are written here, because the writer of the crate takes texts only.

use std::hash::{BuildHasher as _, RandomState};

use bytes::Bytes;
use hashbrown::HashTable;
use parquet::basic::Encoding;
use parquet::column::writer::ColumnCloseResult;
use parquet::schema::types::ColumnDescPtr;

use super::pages::{Pages, write_levels, write_packed};
use crate::export::ExportError;

/// The texts of a column, each once, with numbers from zero on. A column has a text for each person of a large directory, so
/// they are in one allocation.
#[derive(Default)]
pub(super) struct TextTable {
    /// All texts, one after the other.
    texts: String,
    /// The ends of the texts in `texts`, by their numbers.
    ends: Vec<usize>,
    numbers: HashTable<u32>,
    hasher: RandomState,
    /// The labels of previous cells, by their addresses and lengths. A column has few of them, and nearly every row has one.
    labels: Vec<(usize, usize, u32)>,
}

impl TextTable {
    /// The number of the text.
    pub(super) fn number(&mut self, text: &str) -> u32 {
        let hash = self.hasher.hash_one(text);
        let find = |number: &u32| text_at(&self.texts, &self.ends, *number);
        if let Some(number) = self.numbers.find(hash, |number| find(number) == text) {
            return *number;
        }
        let number = self.ends.len() as u32; // fewer than bytes of memory
        let rehash = |number: &u32| self.hasher.hash_one(find(number));
        self.numbers.insert_unique(hash, number, rehash);
        self.texts.push_str(text);
        self.ends.push(self.texts.len());
        number
    }

    /// The text with a number; an empty one for a number that the table does not have.
    fn text(&self, number: u32) -> &str {
        text_at(&self.texts, &self.ends, number)
    }

    /// The number of a label, without a comparison of its text.
    pub(super) fn number_of_label(&mut self, label: &'static str) -> u32 {
        let (address, length) = (label.as_ptr().addr(), label.len());
        let mut labels = self.labels.iter();
        if let Some((.., number)) = labels.find(|known| (known.0, known.1) == (address, length)) {
            return *number;
        }
        let number = self.number(label);
        self.labels.push((address, length, number));
        number
    }

    /// The numbers of the texts of a list.
    pub(super) fn numbers(&mut self, texts: &[String]) -> Box<[u32]> {
        texts.iter().map(|text| self.number(text)).collect()
    }

    /// The approximate memory.
    pub(super) fn bytes(&self) -> usize {
        self.texts.capacity() + self.ends.capacity() * size_of::<usize>() + self.numbers.allocation_size()
    }
}

fn text_at<'t>(texts: &'t str, ends: &[usize], number: u32) -> &'t str {
    let number = number as usize;
    let start = number
        .checked_sub(1)
        .map_or(Some(0), |before| ends.get(before).copied());
    let range = start.zip(ends.get(number).copied());
    range
        .and_then(|(start, end)| texts.get(start..end))
        .unwrap_or_default()
}

/// A text that no cell of the row group has had.
const UNUSED: u32 = u32::MAX;

/// The texts of a column in a row group.
#[derive(Default)]
pub(super) struct TextColumn {
    /// What each entry is, by the [`Levels`] of the column. A cell is one entry, but a list is one for each of its texts.
    levels: Vec<u8>,
    /// For a column of lists: 1 for each entry that belongs to the list of the entry before.
    repeats: Vec<u8>,
    is_list: bool,
    texts: Texts,
    rows: u64,
}

/// The texts of the entries that have one.
enum Texts {
    /// The numbers of texts of a table. They have numbers of their own in the row group, in the order of their first cells.
    Coded {
        /// The numbers in the row group, by the numbers of the table.
        in_group: Vec<u32>,
        /// The numbers of the table, by the numbers in the row group.
        used: Vec<u32>,
        entries: Vec<u32>,
    },
    /// The texts, each after its length, as the file stores them.
    Plain(Vec<u8>),
}

impl Default for Texts {
    fn default() -> Self {
        Self::Coded {
            in_group: Vec::new(),
            used: Vec::new(),
            entries: Vec::new(),
        }
    }
}

/// The levels of entries of texts ("definition levels").
const EMPTY: u8 = 0;
const TEXT: u8 = 1;
/// The levels of entries of lists. An empty cell is [`EMPTY`].
const EMPTY_LIST: u8 = 1;
const LISTED_TEXT: u8 = 3;

impl TextColumn {
    /// A column whose texts are different in almost every row.
    pub(super) fn of_ids() -> Self {
        Self {
            texts: Texts::Plain(Vec::new()),
            ..Self::default()
        }
    }

    /// A column of lists of texts.
    pub(super) fn of_lists() -> Self {
        Self {
            is_list: true,
            ..Self::default()
        }
    }

    /// Appends an empty cell.
    pub(super) fn append_empty(&mut self) {
        self.begin_entry(EMPTY, false);
        self.rows += 1;
    }

    /// Appends a cell with the text of this number of the table.
    pub(super) fn append(&mut self, text: u32) {
        self.begin_entry(TEXT, false);
        self.texts.add_number(text);
        self.rows += 1;
    }

    /// Appends a cell with the text of this code, or an empty one.
    #[inline]
    pub(super) fn append_code(&mut self, code: u32) {
        match code.checked_sub(1) {
            Some(text) => self.append(text),
            None => self.append_empty(),
        }
    }

    /// Whether the cells are lists of texts.
    pub(super) fn is_list(&self) -> bool {
        self.is_list
    }

    /// Appends a cell with an id.
    pub(super) fn append_id(&mut self, id: &str) {
        self.begin_entry(TEXT, false);
        if let Texts::Plain(plain) = &mut self.texts {
            write_plain(plain, id);
        }
        self.rows += 1;
    }

    /// Appends a cell with the texts of these numbers of the table.
    pub(super) fn append_list(&mut self, texts: &[u32]) {
        for (index, text) in texts.iter().enumerate() {
            self.begin_entry(LISTED_TEXT, index > 0);
            self.texts.add_number(*text);
        }
        if texts.is_empty() {
            self.begin_entry(EMPTY_LIST, false);
        }
        self.rows += 1;
    }

    fn begin_entry(&mut self, level: u8, repeats: bool) {
        self.levels.push(level);
        if self.is_list {
            self.repeats.push(u8::from(repeats));
        }
    }

    /// Takes all cells, as the pages of a column of the file.
    pub(super) fn take_pages(
        &mut self,
        table: Option<&TextTable>,
        column: ColumnDescPtr,
    ) -> Result<(Bytes, ColumnCloseResult), ExportError> {
        let mut pages = Pages::default();
        let mut data = Vec::new();
        if self.is_list {
            write_levels(&mut data, &self.repeats, column.max_rep_level());
        }
        write_levels(&mut data, &self.levels, column.max_def_level());
        let mut encoding = Encoding::PLAIN;
        match &self.texts {
            Texts::Coded { used, entries, .. } => {
                // A dictionary without entries is legal, but not every reader takes it.
                if let Some(greatest) = used.len().checked_sub(1) {
                    encoding = Encoding::RLE_DICTIONARY;
                    pages.add_dictionary(&dictionary(used, table), used.len())?;
                    let width = (usize::BITS - greatest.leading_zeros()).max(1);
                    data.push(width as u8); // at most 32: a number for each text of a table
                    write_packed(&mut data, entries.iter().copied(), entries.len(), width);
                }
            }
            Texts::Plain(plain) => data.extend_from_slice(plain),
        }
        pages.add_data(&data, self.levels.len(), encoding)?;
        let taken = pages.finish(column, self.levels.len(), self.rows)?;
        self.clear();
        Ok(taken)
    }

    /// Forgets all cells, and the numbers of their texts.
    fn clear(&mut self) {
        self.levels.clear();
        self.repeats.clear();
        self.rows = 0;
        match &mut self.texts {
            Texts::Coded {
                in_group,
                used,
                entries,
            } => {
                for text in used.drain(..) {
                    in_group[text as usize] = UNUSED;
                }
                entries.clear();
            }
            Texts::Plain(plain) => plain.clear(),
        }
    }
}

impl Texts {
    fn add_number(&mut self, text: u32) {
        let Self::Coded {
            in_group,
            used,
            entries,
        } = self
        else {
            return;
        };
        let place = text as usize;
        if place >= in_group.len() {
            in_group.resize(place + 1, UNUSED);
        }
        if in_group[place] == UNUSED {
            in_group[place] = used.len() as u32; // at most one for each text of a table
            used.push(text);
        }
        entries.push(in_group[place]);
    }
}

/// The used texts of a table, each after its length.
fn dictionary(used: &[u32], table: Option<&TextTable>) -> Vec<u8> {
    let mut plain = Vec::new();
    for number in used {
        write_plain(&mut plain, table.map_or("", |table| table.text(*number)));
    }
    plain
}

fn write_plain(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes()); // texts have far smaller limits
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_one_number() {
        let mut table = TextTable::default();
        assert_eq!(["a", "b", "a", ""].map(|text| table.number(text)), [0, 1, 0, 2]);
        assert_eq!([0, 1, 2, 3].map(|number| table.text(number)), ["a", "b", "", ""]);
        assert_eq!(
            ["b", "c", "b", "c"].map(|label| table.number_of_label(label)),
            [1, 3, 1, 3]
        );
    }

    #[test]
    fn texts_keep_their_numbers_while_the_table_grows() {
        let mut table = TextTable::default();
        let text = |number: u32| format!("{:>width$}", number, width = number as usize % 40);
        for _ in 0..2 {
            for number in 0..5_000 {
                assert_eq!(table.number(&text(number)), number);
            }
        }
        assert!((0..5_000).all(|number| table.text(number) == text(number)));
        let texts: usize = (0..5_000).map(|number| text(number).len()).sum();
        assert!((texts..3 * texts + 5_000 * 40).contains(&table.bytes()));
    }
}
