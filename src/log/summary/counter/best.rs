//! What counts once in a group, although several rows have it.
//!
//! An attempt usually has all its rows in one group. So the first group of each attempt is in an array, and only further
//! groups need an entry in a map. Of few rows, the first group of an attempt is in a map, too: the array has an entry for
//! each attempt of the log.

use std::collections::{HashMap, HashSet};

/// How many attempts the log has for each counted row if the counted rows are few.
const ATTEMPTS_OF_FEW_ROWS: usize = 16;

/// How many attempts and rows there are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// The attempts of the log.
    pub(super) attempts: usize,
    /// The rows that are counted, at most.
    pub(super) rows: usize,
}

/// A number for each attempt, 0 at first.
enum Numbers {
    All(Vec<u32>),
    Few(HashMap<u32, u32>),
}

impl Numbers {
    fn new(extent: Extent) -> Self {
        match extent.rows < extent.attempts / ATTEMPTS_OF_FEW_ROWS {
            true => Self::Few(HashMap::new()),
            false => Self::All(vec![0; extent.attempts]),
        }
    }

    #[inline]
    fn number_of(&mut self, attempt: u32) -> &mut u32 {
        match self {
            Self::All(numbers) => &mut numbers[attempt as usize],
            Self::Few(numbers) => numbers.entry(attempt).or_default(),
        }
    }
}

/// Attempts that count once in each group.
pub(super) struct Distinct {
    /// For each attempt, its first group plus 1, or 0.
    first: Numbers,
    others: HashSet<(u32, u32)>,
}

impl Distinct {
    pub(super) fn new(extent: Extent) -> Self {
        Self {
            first: Numbers::new(extent),
            others: HashSet::new(),
        }
    }

    /// Adds an attempt to a group. Returns whether it is new in the group, and whether it is new in all groups.
    #[inline]
    pub(super) fn add(&mut self, attempt: u32, group: u32) -> (bool, bool) {
        let first = self.first.number_of(attempt);
        match *first {
            0 => {
                *first = group + 1;
                (true, true)
            }
            known if known == group + 1 => (false, false),
            _ => (self.others.insert((attempt, group)), false),
        }
    }

    /// Ends the counting of some attempts, which do not occur again.
    pub(super) fn clear(&mut self) {
        self.others.clear();
    }
}

/// The greatest value of each attempt in each group.
pub(super) struct Greatest<V> {
    /// For each attempt, the number of its first entry plus 1, or 0.
    first: Numbers,
    entries: Vec<(u32, u32, V)>,
    others: HashMap<(u32, u32), usize>,
}

impl<V: Copy + Ord> Greatest<V> {
    pub(super) fn new(extent: Extent) -> Self {
        Self {
            first: Numbers::new(extent),
            entries: Vec::new(),
            others: HashMap::new(),
        }
    }

    #[inline]
    pub(super) fn add(&mut self, attempt: u32, group: u32, value: V) {
        let first = self.first.number_of(attempt);
        let number = match *first {
            0 => {
                self.entries.push((attempt, group, value));
                *first = self.entries.len() as u32;
                return;
            }
            known if self.entries[known as usize - 1].1 == group => known as usize - 1,
            _ => {
                let next = self.entries.len();
                let number = *self.others.entry((attempt, group)).or_insert(next);
                if number == next {
                    self.entries.push((attempt, group, value));
                    return;
                }
                number
            }
        };
        let known = &mut self.entries[number].2;
        *known = value.max(*known);
    }

    /// Ends the counting of some attempts, which do not occur again: calls `in_group` with the value of each attempt in
    /// each group, and `in_total` with that of each attempt in all groups.
    pub(super) fn drain(&mut self, mut in_group: impl FnMut(u32, V), mut in_total: impl FnMut(V)) {
        let mut totals: Vec<Option<V>> = vec![None; self.entries.len()];
        for (attempt, group, value) in self.entries.drain(..) {
            in_group(group, value);
            let first = *self.first.number_of(attempt) as usize - 1;
            let total = totals[first].get_or_insert(value);
            *total = value.max(*total);
        }
        totals.into_iter().flatten().for_each(&mut in_total);
        self.others.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More rows than attempts, and few rows among many attempts.
    const EXTENTS: [Extent; 2] = [
        Extent { attempts: 3, rows: 6 },
        Extent {
            attempts: 1_000,
            rows: 6,
        },
    ];

    #[test]
    fn attempt_counts_once_in_a_group_and_once_in_total() {
        for extent in EXTENTS {
            let mut distinct = Distinct::new(extent);
            assert_eq!(distinct.add(1, 0), (true, true));
            assert_eq!(distinct.add(1, 0), (false, false));
            assert_eq!(distinct.add(1, 7), (true, false));
            assert_eq!(distinct.add(1, 7), (false, false));
            assert_eq!(distinct.add(1, 0), (false, false));
            assert_eq!(distinct.add(2, 7), (true, true));
        }
    }

    #[test]
    fn greatest_value_counts() {
        for extent in EXTENTS {
            let mut greatest = Greatest::new(extent);
            for (attempt, group, value) in [(1, 0, 5), (1, 0, 3), (1, 2, 9), (1, 2, 8), (2, 2, 1), (1, 0, 6)]
            {
                greatest.add(attempt, group, value);
            }
            let (mut groups, mut totals) = (Vec::new(), Vec::new());
            greatest.drain(
                |group, value| groups.push((group, value)),
                |value| totals.push(value),
            );
            groups.sort_unstable();
            totals.sort_unstable();
            assert_eq!(groups, [(0, 6), (2, 1), (2, 9)]);
            assert_eq!(totals, [1, 9]);
        }
    }
}
