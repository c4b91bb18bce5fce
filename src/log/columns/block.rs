//! A block of rows: one array for each column.

use std::collections::HashMap;

/// The number of rows of a full block.
pub(crate) const BLOCK_ROWS: usize = 65_536;

/// The value of a number that a row does not have.
const NO_NUMBER: i32 = i32::MIN;
/// The value of a number that does not fit. It is stored beside the column.
const LARGE_NUMBER: i32 = i32::MIN + 1;

/// Numbers of which nearly all are small.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    small: Vec<i32>,
    large: HashMap<u32, i64>,
}

impl Numbers {
    fn push_none(&mut self) {
        self.small.push(NO_NUMBER);
    }

    fn set(&mut self, place: usize, number: Option<i64>) {
        let small = match number {
            None => NO_NUMBER,
            Some(number) => match i32::try_from(number) {
                Ok(small) if small > LARGE_NUMBER => small,
                _ => LARGE_NUMBER,
            },
        };
        self.large.remove(&(place as u32));
        if let (LARGE_NUMBER, Some(number)) = (small, number) {
            self.large.insert(place as u32, number);
        }
        self.small[place] = small;
    }

    /// The number of a row.
    #[inline]
    pub(crate) fn get(&self, place: usize) -> Option<i64> {
        match self.small[place] {
            NO_NUMBER => None,
            LARGE_NUMBER => self.large.get(&(place as u32)).copied(),
            small => Some(i64::from(small)),
        }
    }

    fn bytes(&self) -> usize {
        self.small.capacity() * size_of::<i32>() + self.large.capacity() * 24
    }
}

/// The values of a row, with codes instead of long values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EncodedRow {
    /// The place in the order of recording.
    pub(crate) seq: i64,
    /// The time in microseconds.
    pub(crate) happened_at: i64,
    /// The code of the person.
    pub(crate) person: u32,
    /// The code of the content.
    pub(crate) content: u32,
    /// The code of the [`Kind`](super::Kind).
    pub(crate) kind: u32,
    /// The code of the [`Session`](super::Session).
    pub(crate) session: u32,
    /// The score.
    pub(crate) percent: Option<i64>,
    /// The duration.
    pub(crate) seconds: Option<i64>,
    /// When the completion expires, in microseconds.
    pub(crate) expired_at: Option<i64>,
}

/// Up to [`BLOCK_ROWS`] rows in the order of recording. All columns have the same length.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) seq: Vec<i64>,
    pub(crate) happened_at: Vec<i64>,
    pub(crate) person: Vec<u32>,
    pub(crate) content: Vec<u32>,
    pub(crate) kind: Vec<u32>,
    pub(crate) session: Vec<u32>,
    pub(crate) percent: Numbers,
    pub(crate) seconds: Numbers,
    /// The expiries by the place of their row, in ascending order. Few rows have one.
    pub(crate) expiries: Vec<(u32, i64)>,
    /// No row happened before this time.
    pub(crate) earliest: i64,
    /// No row happened after this time.
    pub(crate) latest: i64,
}

impl Default for Block {
    fn default() -> Self {
        Self {
            seq: Vec::new(),
            happened_at: Vec::new(),
            person: Vec::new(),
            content: Vec::new(),
            kind: Vec::new(),
            session: Vec::new(),
            percent: Numbers::default(),
            seconds: Numbers::default(),
            expiries: Vec::new(),
            earliest: i64::MAX,
            latest: i64::MIN,
        }
    }
}

impl Block {
    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.seq.len()
    }

    /// Adds a row. `key` is stored as its place in the order of recording.
    pub(crate) fn push(&mut self, key: i64, row: EncodedRow) {
        self.seq.push(key);
        self.happened_at.push(row.happened_at);
        self.person.push(row.person);
        self.content.push(row.content);
        self.kind.push(row.kind);
        self.session.push(row.session);
        self.percent.push_none();
        self.seconds.push_none();
        self.set(self.len() - 1, row);
    }

    /// Replaces a row. Its place in the order of recording stays.
    pub(crate) fn set(&mut self, place: usize, row: EncodedRow) {
        self.happened_at[place] = row.happened_at;
        self.person[place] = row.person;
        self.content[place] = row.content;
        self.kind[place] = row.kind;
        self.session[place] = row.session;
        self.percent.set(place, row.percent);
        self.seconds.set(place, row.seconds);
        self.earliest = self.earliest.min(row.happened_at);
        self.latest = self.latest.max(row.happened_at);
        let found = self
            .expiries
            .binary_search_by_key(&(place as u32), |(place, _)| *place);
        match (found, row.expired_at) {
            (Ok(index), Some(at)) => self.expiries[index].1 = at,
            (Ok(index), None) => {
                self.expiries.remove(index);
            }
            (Err(index), Some(at)) => self.expiries.insert(index, (place as u32, at)),
            (Err(_), None) => {}
        }
    }

    /// A row. Its place in the order of recording is the stored key.
    pub(crate) fn get(&self, place: usize) -> EncodedRow {
        let expiry = self
            .expiries
            .binary_search_by_key(&(place as u32), |(place, _)| *place);
        EncodedRow {
            seq: self.seq[place],
            happened_at: self.happened_at[place],
            person: self.person[place],
            content: self.content[place],
            kind: self.kind[place],
            session: self.session[place],
            percent: self.percent.get(place),
            seconds: self.seconds.get(place),
            expired_at: expiry.ok().map(|index| self.expiries[index].1),
        }
    }

    /// Sets the kind of a row.
    pub(crate) fn set_kind(&mut self, place: usize, kind: u32) {
        self.kind[place] = kind;
    }

    /// The memory in bytes.
    pub(crate) fn bytes(&self) -> usize {
        (self.seq.capacity() + self.happened_at.capacity()) * 8
            + (self.person.capacity()
                + self.content.capacity()
                + self.kind.capacity()
                + self.session.capacity())
                * 4
            + self.expiries.capacity() * 16
            + self.percent.bytes()
            + self.seconds.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> EncodedRow {
        EncodedRow {
            seq: 1,
            happened_at: 5,
            person: 0,
            content: 0,
            kind: 1,
            session: 0,
            percent: None,
            seconds: None,
            expired_at: None,
        }
    }

    #[test]
    fn numbers_of_any_size_are_stored() {
        let numbers = [
            None,
            Some(0),
            Some(-1),
            Some(i64::from(i32::MAX)),
            Some(i64::from(i32::MIN)),
            Some(i64::from(i32::MIN) + 1),
            Some(i64::MAX),
            Some(i64::MIN),
            Some(i64::from(i32::MIN) + 2),
        ];
        let mut block = Block::default();
        for number in numbers {
            block.push(
                1,
                EncodedRow {
                    percent: number,
                    ..row()
                },
            );
        }
        for (place, number) in numbers.iter().enumerate() {
            assert_eq!(block.percent.get(place), *number);
            assert_eq!(block.seconds.get(place), None);
        }
        // A large number is replaced by a small one and the other way round.
        for (place, number) in numbers.iter().rev().enumerate() {
            block.set(
                place,
                EncodedRow {
                    percent: *number,
                    ..row()
                },
            );
            assert_eq!(block.percent.get(place), *number);
        }
    }

    #[test]
    fn expiries_stay_in_the_order_of_their_rows() {
        let mut block = Block::default();
        for expired_at in [None, Some(7), None, Some(9)] {
            block.push(1, EncodedRow { expired_at, ..row() });
        }
        block.set(
            2,
            EncodedRow {
                expired_at: Some(8),
                ..row()
            },
        );
        block.set(3, row());
        block.set(
            1,
            EncodedRow {
                expired_at: Some(6),
                ..row()
            },
        );
        assert_eq!(block.expiries, [(1, 6), (2, 8)]);
    }
}
