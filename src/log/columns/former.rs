//! The changed rows of the columns as they were before.
//!
//! A count that is remembered is brought up to date without counting everything again: the rows that the people of the
//! changed rows had at its moment are subtracted, and those that they have now are added.

use std::collections::{HashMap, VecDeque};

use super::block::{BLOCK_ROWS, Block, EncodedRow};
use super::selection::in_parallel;
use super::{LogColumns, REMOVED};

/// The most earlier states of rows that are kept: 6 MB.
const MOST_FORMER: usize = 65_536;
/// With more new rows than this, everything is counted again.
const MOST_NEW_ROWS: u64 = 100_000;
/// With more rows of the people of changed rows than this, everything is counted again. They are copied twice: 80 MB.
const MOST_COPIED: usize = 1_000_000;

/// A state of the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The number of rows, also of removed ones.
    rows: u64,
    /// The number of changes of rows that were there before.
    changes: u64,
}

/// The earlier states of changed rows.
#[derive(Debug, Default)]
pub(super) struct FormerRows {
    /// The numbers of the rows, and what they were before, in the order of the changes.
    rows: VecDeque<(u32, EncodedRow)>,
    /// The number of all changes so far.
    changes: u64,
}

impl FormerRows {
    /// Notes the state of a row before a change.
    pub(super) fn note(&mut self, number: usize, before: EncodedRow) {
        self.changes += 1;
        if self.rows.len() == MOST_FORMER {
            self.rows.pop_front();
        }
        self.rows.push_back((number as u32, before));
    }

    /// The changes after the first `changes` ones. `None` if they are not all known any more.
    fn after(&self, changes: u64) -> Option<impl Iterator<Item = &(u32, EncodedRow)>> {
        let known_from = self.changes - self.rows.len() as u64;
        let skipped = usize::try_from(changes.checked_sub(known_from)?).ok()?;
        Some(self.rows.iter().skip(skipped))
    }

    pub(super) fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<(u32, EncodedRow)>()
    }
}

/// What has changed in the columns since a moment.
#[derive(Debug)]
pub(crate) struct Changes {
    since: Moment,
    /// The rows of that moment that were changed, by their numbers, as they were then.
    former: HashMap<u32, EncodedRow>,
    /// For each person of the columns, whether a row of it is new, was changed or was removed.
    persons: Vec<bool>,
}

/// Some rows as they were at the moment of a remembered count, and as they are now.
#[derive(Debug)]
pub(crate) struct RowsThenAndNow {
    pub(crate) then: Vec<Block>,
    pub(crate) now: Vec<Block>,
}

impl LogColumns {
    /// The present state.
    pub(crate) fn moment(&self) -> Moment {
        Moment {
            rows: self.row_numbers(),
            changes: self.former.changes,
        }
    }

    /// What has changed since a moment. `None` if that is too much, or not known any more.
    pub(crate) fn changes_since(&self, since: Moment) -> Option<Changes> {
        let present = self.moment();
        if present.rows - since.rows > MOST_NEW_ROWS {
            return None;
        }
        let mut persons = vec![false; self.persons.len()];
        let mut former = HashMap::new();
        for (number, before) in self.former.after(since.changes)? {
            if u64::from(*number) < since.rows {
                former.entry(*number).or_insert(*before);
            }
        }
        let mut mark = |row: EncodedRow| persons[row.person as usize] = true;
        former.values().for_each(|row| mark(*row));
        let new = since.rows..present.rows;
        let changed = former.keys().map(|number| *number as usize);
        changed
            .chain(new.map(|number| number as usize))
            .for_each(|number| mark(self.row(number)));
        Some(Changes {
            since,
            former,
            persons,
        })
    }

    /// A row by its number.
    pub(super) fn row(&self, number: usize) -> EncodedRow {
        let (block, place) = (number / BLOCK_ROWS, number % BLOCK_ROWS);
        EncodedRow {
            seq: self.seq(block, place),
            ..self.blocks[block].get(place)
        }
    }
}

impl Changes {
    /// Whether nothing has changed.
    pub(crate) fn is_empty(&self, columns: &LogColumns) -> bool {
        self.since == columns.moment()
    }

    /// For each person, whether a row of it has changed.
    pub(crate) fn persons(&self) -> &[bool] {
        &self.persons
    }

    /// The rows of these persons, among which are all of [`Changes::persons`]. `None` if that is a large part of all rows.
    pub(crate) fn rows_of(&self, columns: &LogColumns, persons: &[bool]) -> Option<RowsThenAndNow> {
        let found = in_parallel(columns.blocks.len(), |blocks| {
            let mut numbers = Vec::new();
            for block in blocks {
                let first = block * BLOCK_ROWS;
                let rows = columns.blocks[block].person.iter().enumerate();
                let selected = rows.filter(|(_, person)| persons[**person as usize]);
                numbers.extend(selected.map(|(place, _)| (first + place) as u32));
            }
            numbers
        });
        let found_rows: usize = found.iter().map(Vec::len).sum();
        if found_rows > BLOCK_ROWS.max(MOST_COPIED.min(columns.row_numbers() as usize / 4)) {
            return None;
        }
        Some(self.then_and_now(columns, found.into_iter().flatten()))
    }

    /// The rows that are new, were changed or were removed.
    pub(crate) fn changed_rows(&self, columns: &LogColumns) -> RowsThenAndNow {
        let new = self.since.rows as u32..columns.row_numbers() as u32;
        self.then_and_now(columns, self.former.keys().copied().chain(new))
    }

    fn then_and_now(&self, columns: &LogColumns, numbers: impl Iterator<Item = u32>) -> RowsThenAndNow {
        let mut rows = RowsThenAndNow {
            then: Vec::new(),
            now: Vec::new(),
        };
        for number in numbers {
            let row = columns.row(number as usize);
            push(&mut rows.now, row);
            if u64::from(number) < self.since.rows {
                push(&mut rows.then, self.former.get(&number).copied().unwrap_or(row));
            }
        }
        rows
    }
}

/// Adds a row, unless it is removed.
fn push(blocks: &mut Vec<Block>, row: EncodedRow) {
    if row.kind == REMOVED {
        return;
    }
    if blocks.last().is_none_or(|block| block.len() == BLOCK_ROWS) {
        blocks.push(Block::default());
    }
    if let Some(block) = blocks.last_mut() {
        block.push(row.seq, row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::columns::ColumnRow;
    use crate::log::columns::tests::row;

    #[test]
    fn changes_are_known_until_there_are_too_many() {
        let mut columns = LogColumns::new();
        columns.put(row(1)).unwrap();
        columns.put(row(2)).unwrap();
        let moment = columns.moment();
        assert!(columns.changes_since(moment).unwrap().is_empty(&columns));
        columns.put(row(2)).unwrap();
        assert_eq!(columns.moment(), moment, "the same row again is no change");
        let other = |seconds| ColumnRow {
            seconds: Some(seconds),
            ..row(2)
        };
        for seconds in 0..MOST_FORMER as i64 {
            columns.put(other(seconds)).unwrap();
        }
        let changes = columns.changes_since(moment).unwrap();
        assert_eq!(
            changes.former.values().map(|row| row.seconds).collect::<Vec<_>>(),
            [None]
        );
        columns.remove(2);
        assert!(columns.changes_since(moment).is_none());
        let moment = columns.moment();
        for seq in 3..4 + MOST_NEW_ROWS as i64 {
            columns.put(row(seq)).unwrap();
        }
        assert!(columns.changes_since(moment).is_none());
    }
}
